package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"sallyport/registry/blob"
)

var errSource = errors.New("the source broke")

// testSources gives Put readers that do not keep their word.
func testSources(t *testing.T, s blob.Store) {
	const big = 5<<20 + 1
	for i, row := range []struct {
		name string
		r    io.Reader
		size int64
		want error
	}{
		{"empty instead of one", strings.NewReader(""), 1, io.ErrUnexpectedEOF},
		{"one byte short", strings.NewReader("123"), 4, io.ErrUnexpectedEOF},
		{"large, one byte short", Bytes(1, big-1), big, io.ErrUnexpectedEOF},
		{"large, half", Bytes(1, big/2), big, io.ErrUnexpectedEOF},
		{"fails at once", iotest.ErrReader(errSource), 4, errSource},
		{"fails at once, empty blob", iotest.ErrReader(errSource), 0, errSource},
		{"fails in the middle", io.MultiReader(strings.NewReader("12"), iotest.ErrReader(errSource)), 4, errSource},
		{"large, fails in the middle", io.MultiReader(Bytes(1, big/2), iotest.ErrReader(errSource)), big, errSource},
		{"fails instead of ending", io.MultiReader(strings.NewReader("1234"), iotest.ErrReader(errSource)), 4, errSource},
		{"large, fails instead of ending", io.MultiReader(Bytes(1, big), iotest.ErrReader(errSource)), big, errSource},
		{"fails with the last bytes", iotest.DataErrReader(io.MultiReader(strings.NewReader("1234"), iotest.ErrReader(errSource))), 4, errSource},
		{"one byte too many", strings.NewReader("12345"), 4, blob.ErrTooLong},
		{"one byte instead of none", strings.NewReader("1"), 0, blob.ErrTooLong},
		{"large, one byte too many", Bytes(1, big+1), big, blob.ErrTooLong},
		{"large, without end", Bytes(1, 1<<62), big, blob.ErrTooLong},
		{"never ends", io.MultiReader(strings.NewReader("1234"), idle{}), 4, io.ErrNoProgress},
	} {
		t.Run(row.name, func(t *testing.T) {
			key := blob.Key(fmt.Sprintf("source/%d", i))
			counter := &counter{r: row.r}
			_, err := s.Put(t.Context(), key, counter, row.size)
			var source *blob.SourceError
			if !errors.As(err, &source) || !errors.Is(err, row.want) {
				t.Errorf("put: %v; want a SourceError with %v", err, row.want)
			}
			if errors.Is(err, blob.ErrUnavailable) || errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("put: %v; the backend is not to blame", err)
			}
			if counter.n > row.size+1 {
				t.Errorf("%d bytes read; want at most %d", counter.n, row.size+1)
			}
			wantAbsent(t, s, key)
			mustPut(t, s, key, "again") // the key is not burnt
		})
	}
	for i, r := range []io.Reader{
		iotest.OneByteReader(strings.NewReader("whole")),
		iotest.DataErrReader(strings.NewReader("whole")),
		iotest.HalfReader(strings.NewReader("whole")),
		io.MultiReader(strings.NewReader(""), strings.NewReader("whole")),
	} {
		key := blob.Key(fmt.Sprintf("odd/%d", i))
		if _, err := s.Put(t.Context(), key, r, 5); err != nil {
			t.Errorf("put from %T: %v", r, err)
		}
		wantContent(t, s, key, "whole")
	}
}

// idle is a reader that says nothing, politely.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// counter counts what was read. It is not synchronised: with the race detector
// on, a Read after Put returned is found.
type counter struct {
	r   io.Reader
	n   int64
	max int // longest buffer offered
}

func (c *counter) Read(p []byte) (int, error) {
	c.max = max(c.max, len(p))
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// stalled is a body whose sender went quiet: it gives head, then blocks until
// interrupted.
type stalled struct {
	head    io.Reader
	stalled chan struct{} // closed when Read blocks
	end     chan struct{} // closed by Interrupt

	once    sync.Once
	stall   sync.Once
	reading atomic.Int32
	late    atomic.Bool // set by the test once Put returned
	touched atomic.Bool // something was called when late
}

func newStalled(head int64) *stalled {
	return &stalled{head: Bytes(7, head), stalled: make(chan struct{}), end: make(chan struct{})}
}

func (s *stalled) Read(p []byte) (int, error) {
	s.reading.Add(1)
	defer s.reading.Add(-1)
	if s.late.Load() {
		s.touched.Store(true)
	}
	if n, err := s.head.Read(p); err == nil {
		return n, nil
	}
	s.stall.Do(func() { close(s.stalled) })
	<-s.end
	return 0, errors.New("interrupted")
}

func (s *stalled) Interrupt() {
	if s.late.Load() {
		s.touched.Store(true)
	}
	s.once.Do(func() { close(s.end) })
}

// testSourceIsLetGo cancels puts whose reader blocks, at once and in the middle.
func testSourceIsLetGo(t *testing.T, s blob.Store) {
	for _, head := range []int64{0, 1000, 3 << 20} {
		t.Run(fmt.Sprintf("after %d bytes", head), func(t *testing.T) {
			const limit = 20 * time.Second
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			src := newStalled(head)
			defer src.Interrupt() // whatever happens, nobody stays blocked
			key := blob.Key(fmt.Sprintf("stalled/%d", head))
			put := make(chan error, 1)
			go func() {
				_, err := s.Put(ctx, key, src, 5<<20)
				if src.reading.Load() != 0 {
					t.Error("put returned while the source was being read")
				}
				src.late.Store(true)
				put <- err
			}()
			select {
			case <-src.stalled:
			case <-time.After(limit):
				t.Fatal("the source was not read up to the stall")
			}
			cancel()
			select {
			case err := <-put:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("put: %v; want context.Canceled", err)
				}
			case <-time.After(limit):
				t.Fatal("put did not return after its context ended")
			}
			wantAbsent(t, s, key)
			if src.touched.Load() {
				t.Error("the source was touched after put returned")
			}
		})
	}
}

func testCancel(t *testing.T, s blob.Store) {
	mustPut(t, s, "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &counter{r: strings.NewReader("x")}
	_, put := s.Put(ctx, "new", r, 1)
	_, open := s.Open(ctx, "k", 0, -1)
	_, stat := s.Stat(ctx, "k")
	var list error
	for _, err := range s.List(ctx, "") {
		list = err
	}
	for op, err := range map[Op]error{
		Put: put, Open: open, Stat: stat, List: list,
		Move:   s.Move(ctx, "k", "new"),
		Delete: s.Delete(ctx, "k"),
		Check:  s.Check(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; want context.Canceled", op, err)
		}
	}
	wantAbsent(t, s, "new")
	wantContent(t, s, "k", "v")

	cause := errors.New("revoked")
	ctx, fail := context.WithCancelCause(t.Context())
	fail(cause)
	if _, err := s.Put(ctx, "new", bytes.NewReader([]byte("x")), 1); !errors.Is(err, cause) {
		t.Errorf("put: %v; want the cause of the cancellation", err)
	}
}

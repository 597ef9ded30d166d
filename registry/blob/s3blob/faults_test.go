package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/s3blob"
)

const (
	key = blob.Key("secretkey")
	big = 5<<20 + 1
)

func TestFaults(t *testing.T) {
	t.Parallel()
	m := blobtest.StartMinIO(t)
	p := newProxy(t, m)
	s := p.store(t, m, 30*time.Second)
	for _, row := range []struct {
		name string
		run  func(t *testing.T, p *proxy, s *s3blob.Store)
	}{
		{"RefusedBeforeBody", testRefusedBeforeBody},
		{"RefusedSmallBody", testRefusedSmallBody},
		{"RefusedForAWhile", testRefusedForAWhile},
		{"Full", testFull},
		{"CutUpload", testCutUpload},
		{"CutDownload", testCutDownload},
		{"AlteredUpload", testAlteredUpload},
		{"WrongConfirmation", testWrongConfirmation},
		{"NoConfirmation", testNoConfirmation},
		{"ETagIsProof", testETagIsProof},
		{"ETagIsNoMD5", testETagIsNoMD5},
		{"OtherRange", testOtherRange},
		{"LostAnswer", testLostAnswer},
		{"MoveBroken", testMoveBroken},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.run(t, p, s)
			p.on(nil)
			if err := errors.Join(s.Delete(t.Context(), key), s.Delete(t.Context(), "to")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func wantPutError(t *testing.T, s blob.Store, r io.Reader, size int64, want error) {
	t.Helper()
	_, err := s.Put(t.Context(), key, r, size)
	if !errors.Is(err, want) {
		t.Errorf("put: %v; want %v", err, want)
	}
	if source := (*blob.SourceError)(nil); errors.As(err, &source) {
		t.Errorf("put: %v; the source is not to blame", err)
	}
	wantDiscreet(t, err)
}

func wantAbsent(t *testing.T, p *proxy, s blob.Store) {
	t.Helper()
	p.on(nil)
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: %v; want fs.ErrNotExist", err)
	}
}

func mustPut(t *testing.T, s blob.Store, size int64) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, blobtest.Bytes(1, size), size); err != nil {
		t.Fatal(err)
	}
}

type count struct {
	r io.Reader
	n atomic.Int64
}

func (c *count) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func testRefusedBeforeBody(t *testing.T, p *proxy, s *s3blob.Store) {
	p.on(answer(http.MethodPut, -1, 503, "SlowDown"))
	src := &count{r: blobtest.Bytes(1, big)}
	wantPutError(t, s, src, big, blob.ErrUnavailable)
	if n := src.n.Load(); n != 0 {
		t.Errorf("%d bytes of the body were spent on refusals", n)
	}
	if n := p.count(http.MethodPut); n != 3 {
		t.Errorf("%d requests; want 3", n)
	}
	wantAbsent(t, p, s)
}

func testRefusedSmallBody(t *testing.T, p *proxy, s *s3blob.Store) {
	p.on(answer(http.MethodPut, -1, 503, "SlowDown"))
	wantPutError(t, s, strings.NewReader("x"), 1, blob.ErrUnavailable)
	if n := p.count(http.MethodPut); n != 1 {
		t.Errorf("%d requests; want 1: the body was consumed", n)
	}
	wantAbsent(t, p, s)
}

func testRefusedForAWhile(t *testing.T, p *proxy, s *s3blob.Store) {
	p.on(answer(http.MethodPut, 2, 503, "SlowDown"))
	mustPut(t, s, big)
	p.on(answer(http.MethodHead, 2, 503, ""))
	if info, err := s.Stat(t.Context(), key); err != nil || info.Size != big {
		t.Errorf("stat = %+v, %v", info, err)
	}
	p.on(answer(http.MethodGet, 2, 500, "InternalError"))
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want, _ := io.ReadAll(blobtest.Bytes(1, big))
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	p.on(answer(http.MethodDelete, 2, 503, "SlowDown"))
	if err := s.Delete(t.Context(), key); err != nil {
		t.Errorf("delete: %v", err)
	}
	wantAbsent(t, p, s)
	p.on(answer(http.MethodGet, -1, 503, "SlowDown"))
	if _, err := s.Open(t.Context(), key, 0, -1); !errors.Is(err, blob.ErrUnavailable) || p.count(http.MethodGet) != 3 {
		t.Errorf("open: %v after %d requests; want ErrUnavailable after 3", err, p.count(http.MethodGet))
	}
}

func testFull(t *testing.T, p *proxy, s *s3blob.Store) {
	for _, size := range []int64{1, big} {
		p.on(answer(http.MethodPut, -1, 507, "XMinioStorageFull"))
		wantPutError(t, s, blobtest.Bytes(1, size), size, blob.ErrFull)
		if n := p.count(http.MethodPut); n != 1 {
			t.Errorf("%d requests; want 1: space does not return that fast", n)
		}
	}
	wantAbsent(t, p, s)
}

// cutAfter gives its bytes and then cuts the connection.
type cutAfter struct{ io.Reader }

func (c cutAfter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (cutAfter) Close() error { return nil }

func testCutUpload(t *testing.T, p *proxy, s *s3blob.Store) {
	p.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			if _, err := io.CopyN(io.Discard, r.Body, 2<<20); err != nil {
				t.Error(err)
			}
			panic(http.ErrAbortHandler)
		}
		return false
	})
	wantPutError(t, s, blobtest.Bytes(1, big), big, blob.ErrUnavailable)
	if n := p.count(http.MethodPut); n != 1 {
		t.Errorf("%d requests; want 1: the body was consumed", n)
	}
	wantAbsent(t, p, s)
}

func testCutDownload(t *testing.T, p *proxy, s *s3blob.Store) {
	mustPut(t, s, big)
	p.onAnswer(func(r *http.Response) error {
		r.Body = cutAfter{io.LimitReader(r.Body, 2<<20)}
		return nil
	})
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if n >= big || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("read %d bytes, %v; want less, io.ErrUnexpectedEOF and ErrUnavailable", n, err)
	}
	wantDiscreet(t, err)
}

// flipped changes one bit of what is read, at an offset.
type flipped struct {
	io.ReadCloser
	at int
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}

func testAlteredUpload(t *testing.T, p *proxy, s *s3blob.Store) {
	for _, size := range []int64{200_000, big} {
		p.on(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				r.Body = &flipped{r.Body, 100_000}
			}
			return false
		})
		wantPutError(t, s, blobtest.Bytes(1, size), size, blob.ErrCorrupt)
		wantAbsent(t, p, s)
	}
}

func testWrongConfirmation(t *testing.T, p *proxy, s *s3blob.Store) {
	p.onAnswer(func(r *http.Response) error {
		if r.Request.Method == http.MethodPut {
			r.Header.Set("X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA=")
		}
		return nil
	})
	wantPutError(t, s, blobtest.Bytes(1, big), big, blob.ErrCorrupt)
	wantAbsent(t, p, s)
}

func testNoConfirmation(t *testing.T, p *proxy, s *s3blob.Store) {
	silent := func(r *http.Response) error {
		r.Header.Del("X-Amz-Checksum-Crc64nvme")
		return nil
	}
	p.onAnswer(silent)
	mustPut(t, s, big)
	if n := p.count(http.MethodHead); n != 1 {
		t.Errorf("%d HEAD requests; want 1 in place of the confirmation", n)
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	p.onAnswer(func(r *http.Response) error {
		if r.Request.Method == http.MethodHead {
			r.Header.Set("Content-Length", "7")
		}
		return silent(r)
	})
	wantPutError(t, s, blobtest.Bytes(1, big), big, blob.ErrCorrupt)
	wantAbsent(t, p, s)
}

func testOtherRange(t *testing.T, p *proxy, s *s3blob.Store) {
	mustPut(t, s, 100)
	p.on(func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Range") // unsigned would do the same
		return false
	})
	p.onAnswer(func(r *http.Response) error {
		if r.Request.Method == http.MethodGet {
			r.Header.Set("Content-Range", "bytes 0-19/100")
		}
		return nil
	})
	if _, err := s.Open(t.Context(), key, 10, 20); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("open: %v; want ErrUnavailable", err)
	}
	p.onAnswer(func(r *http.Response) error {
		r.Header.Del("Content-Range")
		return nil
	})
	if _, err := s.Open(t.Context(), key, 0, 20); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("open without Content-Range: %v; want ErrUnavailable", err)
	}
}

// The service stored the blob but its answer was lost: the caller cannot know,
// and a later Put of the key must not replace what is there.
func testLostAnswer(t *testing.T, p *proxy, s *s3blob.Store) {
	p.onAnswer(func(r *http.Response) error {
		if r.Request.Method == http.MethodPut {
			panic(http.ErrAbortHandler)
		}
		return nil
	})
	wantPutError(t, s, blobtest.Bytes(1, big), big, blob.ErrUnavailable)
	p.on(nil)
	if info, err := s.Stat(t.Context(), key); err != nil || info.Size != big {
		t.Fatalf("stat = %+v, %v; want the blob", info, err)
	}
	wantPutError(t, s, strings.NewReader("other"), 5, fs.ErrExist)
}

func testMoveBroken(t *testing.T, p *proxy, s *s3blob.Store) {
	mustPut(t, s, 1000)
	p.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	if err := s.Move(t.Context(), key, "to"); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("move without copy: %v; want ErrUnavailable", err)
	} else {
		wantDiscreet(t, err)
	}
	p.on(answer(http.MethodDelete, -1, 503, "SlowDown"))
	if err := s.Move(t.Context(), key, "to"); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("move without delete: %v; want ErrUnavailable", err)
	}
	p.on(nil)
	for range 2 {
		if err := s.Move(t.Context(), key, "to"); err != nil {
			t.Errorf("move repeated: %v", err)
		}
	}
	if n := p.count("copy"); n != 0 {
		t.Errorf("%d copies; the earlier Move had made it", n)
	}
	wantAbsent(t, p, s)
	if info, err := s.Stat(t.Context(), "to"); err != nil || info.Size != 1000 {
		t.Errorf("stat = %+v, %v", info, err)
	}
}

// within fails the test if f takes longer than the longest a dead service may
// hold a request up, retries and all.
func within(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("%s: %v; want ErrUnavailable", what, err)
		}
		wantDiscreet(t, err)
	case <-time.After(limit):
		t.Errorf("%s: no answer in %v", what, limit)
	}
}

func everyCall(t *testing.T, s *s3blob.Store) {
	ctx := t.Context()
	const limit = 15 * time.Second
	within(t, limit, "put", func() error { _, err := s.Put(ctx, key, blobtest.Bytes(1, big), big); return err })
	within(t, limit, "small put", func() error { _, err := s.Put(ctx, key, strings.NewReader("x"), 1); return err })
	within(t, limit, "empty put", func() error { _, err := s.Put(ctx, key, strings.NewReader(""), 0); return err })
	within(t, limit, "open", func() error { _, err := s.Open(ctx, key, 0, -1); return err })
	within(t, limit, "stat", func() error { _, err := s.Stat(ctx, key); return err })
	within(t, limit, "move", func() error { return s.Move(ctx, key, "to") })
	within(t, limit, "delete", func() error { return s.Delete(ctx, key) })
	within(t, limit, "check", func() error { return s.Check(ctx) })
	within(t, limit, "ensure", func() error { return s.EnsureBucket(ctx) })
	within(t, limit, "list", func() error {
		for _, err := range s.List(ctx, "") {
			return err
		}
		return nil
	})
	if findings := s.Doctor(ctx); len(findings) == 0 || findings[0].Problem == "" {
		t.Errorf("doctor finds %+v", findings)
	}
}

func newBare(t *testing.T, endpoint string, timeout time.Duration) *s3blob.Store {
	t.Helper()
	s, err := s3blob.New(s3blob.Config{Endpoint: endpoint, Bucket: "secretbucket", AccessKey: "a", SecretKey: "b", Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestDeadService(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + listener.Addr().String()
	listener.Close()
	hang := bare(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	deaf := bare(t, func(c net.Conn) { time.Sleep(time.Second); c.Read(make([]byte, 1)) })
	cut := bare(t, func(c net.Conn) { c.Read(make([]byte, 100)) })
	garbage := bare(t, func(c net.Conn) { io.WriteString(c, "SSH-2.0-secretbucket\r\n\r\n") })
	for name, endpoint := range map[string]string{"Nobody": nobody, "Hangs": hang, "ReadsNothing": deaf, "Cuts": cut, "Garbage": garbage} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyCall(t, newBare(t, endpoint, 300*time.Millisecond))
		})
	}
}

// blocked is a body that never comes, until interrupted.
type blocked struct {
	end     chan struct{}
	reading atomic.Int32
	begun   chan struct{}
	ended   atomic.Bool
}

func (b *blocked) Read([]byte) (int, error) {
	if b.reading.Add(1) == 1 {
		close(b.begun)
	}
	<-b.end
	b.ended.Store(true)
	return 0, errors.New("interrupted")
}

func (b *blocked) Interrupt() { close(b.end) }

// The service answers although the body has not come yet. net/http hands the
// answer on while it still sits in Read; Put must not.
func TestAnswerDuringBody(t *testing.T) {
	src := &blocked{end: make(chan struct{}), begun: make(chan struct{})}
	s := newBare(t, bare(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		<-src.begun
		io.WriteString(c, "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	}), 20*time.Second)
	within(t, 10*time.Second, "put", func() error {
		_, err := s.Put(t.Context(), key, src, big)
		if !src.ended.Load() {
			t.Error("put returned while the source was being read")
		}
		return err
	})
	if n := src.reading.Load(); n != 1 {
		t.Errorf("%d reads; want 1", n)
	}
}

func TestStalledDownload(t *testing.T) {
	s := newBare(t, bare(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nLast-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\nfirst bytes")
		io.Copy(io.Discard, c)
	}), 300*time.Millisecond)
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	within(t, 10*time.Second, "read", func() error { _, err := io.ReadAll(r); return err })

	ctx, cancel := context.WithCancel(t.Context())
	r, err = s.Open(ctx, key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("read after cancel: %v; want context.Canceled", err)
	}
}

// trickle gives one byte per tick: a slow client, not a slow service.
type trickle struct {
	tick *time.Ticker
	left int
}

func (s *trickle) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	<-s.tick.C
	s.left--
	p[0] = 'x'
	return 1, nil
}

func TestSlowClient(t *testing.T) {
	t.Parallel()
	m := blobtest.StartMinIO(t)
	cfg := config(m, "secretbucket")
	cfg.Timeout = 400 * time.Millisecond
	s := newStore(t, cfg)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	if _, err := s.Put(t.Context(), key, &trickle{tick, 30}, 30); err != nil {
		t.Errorf("put over 1.5 s with a timeout of 0.4 s: %v", err)
	}

	t.Run("Killed", func(t *testing.T) {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		src := &killing{r: blobtest.Bytes(1, big), at: 2 << 20, kill: m.Kill}
		wantPutError(t, s, src, big, blob.ErrUnavailable)
		m.Start()
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat after restart: %v; want fs.ErrNotExist", err)
		}
		mustPut(t, s, big)
	})
	t.Run("Frozen", func(t *testing.T) {
		m.Freeze()
		defer m.Thaw()
		within(t, 15*time.Second, "put", func() error { _, err := s.Put(t.Context(), "other", blobtest.Bytes(1, big), big); return err })
		within(t, 15*time.Second, "check", func() error { return s.Check(t.Context()) })
	})
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("check after the thaw: %v", err)
	}
}

// killing calls kill once, when so many bytes were read.
type killing struct {
	r    io.Reader
	at   int64
	kill func()
}

func (k *killing) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if k.at > 0 && k.at <= int64(n) {
		k.kill()
	}
	k.at -= int64(n)
	return n, err
}

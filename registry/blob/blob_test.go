package blob_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"sallyport/registry/blob"
)

func TestKeyIsNeverPrinted(t *testing.T) {
	key := blob.Key("accepted/secret/payload")
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		logger := slog.New(handler)
		logger.Info("event", "key", key, slog.Any("again", key), slog.Group("in", "key", key))
	}
	fmt.Fprintf(&log, "%v %s %q %#v %+v %v", key, key, key, key, key, []blob.Key{key})
	fmt.Fprint(&log, key, struct{ Key blob.Key }{key})
	if strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), "…") {
		t.Errorf("printed: %s", log.String())
	}
	// The ledger keeps keys as JSON and must get them back.
	stored, err := json.Marshal(map[blob.Key]blob.Key{key: key})
	var back map[blob.Key]blob.Key
	if err = errors.Join(err, json.Unmarshal(stored, &back)); err != nil || back[key] != key {
		t.Errorf("after JSON: %s, %v", stored, err)
	}
}

func TestSource(t *testing.T) {
	broken := errors.New("broken")
	for _, row := range []struct {
		name string
		r    io.Reader
		size int64
		got  string
		want error // nil = io.EOF, the good end
	}{
		{"exact", strings.NewReader("1234"), 4, "1234", nil},
		{"exact, end with the data", iotest.DataErrReader(strings.NewReader("1234")), 4, "1234", nil},
		{"empty", strings.NewReader(""), 0, "", nil},
		{"short", strings.NewReader("123"), 4, "123", io.ErrUnexpectedEOF},
		{"long: the last bytes are kept back", strings.NewReader("12345"), 4, "", blob.ErrTooLong},
		{"long, byte by byte", iotest.OneByteReader(strings.NewReader("12345")), 4, "123", blob.ErrTooLong},
		{"long by one, empty", strings.NewReader("1"), 0, "", blob.ErrTooLong},
		{"fails", io.MultiReader(strings.NewReader("12"), iotest.ErrReader(broken)), 4, "12", broken},
		{"fails at the end", io.MultiReader(strings.NewReader("1234"), iotest.ErrReader(broken)), 4, "", broken},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := blob.NewSource(t.Context(), row.r, row.size)
			defer s.Release()
			if !s.Untouched() {
				t.Error("touched before the first read")
			}
			got, err := io.ReadAll(s)
			if string(got) != row.got || !errors.Is(err, row.want) || row.want == nil && err != nil {
				t.Errorf("read %q, %v; want %q, %v", got, err, row.got, row.want)
			}
			if row.want != nil && s.Err() != err {
				t.Errorf("Err = %v; want what Read said", s.Err())
			}
			for range 2 { // the end is sticky
				if n, again := s.Read(make([]byte, 9)); n != 0 || err != nil && again != err || err == nil && again != io.EOF {
					t.Errorf("read after the end = %d, %v", n, again)
				}
			}
			if s.Untouched() {
				t.Error("untouched after reads")
			}
		})
	}
}

// endless blocks until interrupted.
type endless struct {
	begun, end chan struct{}
	interrupts int
}

func (e *endless) Read([]byte) (int, error) {
	close(e.begun)
	<-e.end
	return 0, errors.New("interrupted")
}

func (e *endless) Interrupt() {
	if e.interrupts++; e.interrupts == 1 {
		close(e.end)
	}
}

func TestSourceRelease(t *testing.T) {
	r := &endless{begun: make(chan struct{}), end: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	s := blob.NewSource(ctx, r, 1)
	read := make(chan error)
	go func() {
		_, err := s.Read(make([]byte, 1))
		read <- err
	}()
	<-r.begun
	s.Release()
	s.Release()
	if err := <-read; err == nil || errors.As(err, new(*blob.SourceError)) {
		t.Errorf("read that was released: %v; want an error that does not blame the source", err)
	}
	cancel()
	if n, err := s.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read after release = %d, %v", n, err)
	}
	if r.interrupts != 1 {
		t.Errorf("%d interrupts; want 1 and none after release", r.interrupts)
	}
	if s.Err() != nil {
		t.Errorf("Err = %v; want nil", s.Err())
	}
}

package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/archive"
)

// direct runs the job in this process, with the child's pipe.
type direct struct{}

func (direct) Run(ctx context.Context, _ string, in *os.File, params any, frame func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type opened struct {
		kind   string
		header json.RawMessage
		body   *io.PipeReader
	}
	frames := make(chan opened)
	var reply any
	var failed error
	go func() {
		defer close(frames)
		reply, failed = archive.Job(ctx, in, raw, func(kind string, header any) (io.WriteCloser, error) {
			h, err := json.Marshal(header)
			if err != nil {
				return nil, err
			}
			r, w := io.Pipe()
			select {
			case frames <- opened{kind, h, r}:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return w, nil
		})
	}()
	var stop error
	for f := range frames {
		if stop == nil {
			if stop = frame(f.kind, f.header, f.body); stop != nil {
				cancel()
			} else if _, err := io.Copy(io.Discard, f.body); err != nil {
				stop = err
			}
		}
		_ = f.body.CloseWithError(errors.New("parent is gone"))
	}
	if stop != nil {
		return nil, stop
	}
	if failed != nil {
		return nil, failed
	}
	return json.Marshal(reply)
}

// marker is what the test's engine takes for malware.
const marker = "THIS-IS-THE-MARKER-OF-A-TEST"

// finder is a malware engine that knows one thing, and notes what it saw.
type finder struct {
	mu   sync.Mutex // Protects fields below.
	seen map[[32]byte]int
	size int64
}

func (*finder) Name() string { return "finder" }

func (f *finder) Stream(_ context.Context, r io.Reader, size int64) (scanner.Result, error) {
	sum := sha256.New()
	var last []byte
	buf := make([]byte, 64<<10)
	found, total := false, int64(0)
	for {
		n, err := r.Read(buf)
		last = append(last, buf[:n]...)
		found = found || bytes.Contains(last, []byte(marker))
		last = last[max(0, len(last)-len(marker)):]
		sum.Write(buf[:n])
		total += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return scanner.Result{}, err
		}
	}
	if size != total {
		return scanner.Result{}, errors.New("the size that was said is not the stream's")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[[32]byte]int{}
	}
	f.seen[[32]byte(sum.Sum(nil))]++
	f.size += total
	if found {
		return scanner.Result{Result: registry.VerdictInfected, Signature: "Test.Marker"}, nil
	}
	return scanner.Result{Result: registry.VerdictClean}, nil
}

func (f *finder) saw(content string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[sha256.Sum256([]byte(content))] > 0
}

// input is an object with these bytes.
func input(t testing.TB, content []byte) scanner.Input {
	t.Helper()
	name := filepath.Join(t.TempDir(), "object")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return inputFile(t, name)
}

func inputFile(t testing.TB, name string) scanner.Input {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return scanner.Input{
		Object: registry.Object{Size: info.Size()},
		Open:   func(context.Context) (io.ReadCloser, error) { return os.Open(name) },
		File:   func(context.Context) (*os.File, error) { return f, nil },
	}
}

func config(t testing.TB, f *finder) archive.Config {
	return archive.Config{Runner: direct{}, Malware: []scanner.Streamer{f}, SpoolDir: t.TempDir(), Now: time.Now}
}

func judge(t testing.TB, e *archive.Engine, in scanner.Input) scanner.Result {
	t.Helper()
	r, err := e.Scan(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdict is a result as a word: "clean", or the reason.
func verdict(r scanner.Result) string {
	if r.Result == registry.VerdictClean {
		return "clean"
	}
	return string(r.Result) + " " + r.Reason
}

package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/scanner/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sandbox" {
		os.Exit(sandbox.Main(jobs))
	}
	os.Exit(m.Run())
}

var jobs = map[string]sandbox.Job{
	"echo": func(_ context.Context, in *os.File, params json.RawMessage, frame func(string, any) (io.WriteCloser, error)) (any, error) {
		w, err := frame("copy", params)
		if err != nil {
			return nil, err
		}
		n, err := io.Copy(w, in)
		if err != nil {
			return nil, err
		}
		return n, w.Close()
	},
}

func newPool(t *testing.T, l sandbox.Limits) *sandbox.Pool {
	t.Helper()
	p := sandbox.NewPool(sandbox.Config{Command: []string{"/proc/self/exe", "sandbox"}, Limits: l, Now: time.Now})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func file(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "in")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRun(t *testing.T) {
	p := newPool(t, sandbox.Limits{})
	in := file(t, strings.Repeat("0123456789", 100_000))
	for range 3 {
		var got strings.Builder
		reply, err := p.Run(t.Context(), "echo", in, map[string]string{"a": "b"}, func(kind string, header json.RawMessage, body io.Reader) error {
			if kind != "copy" || string(header) != `{"a":"b"}` {
				t.Errorf("frame %q %s", kind, header)
			}
			_, err := io.Copy(&got, body)
			return err
		})
		if err != nil || string(reply) != "1000000" || got.Len() != 1_000_000 {
			t.Fatalf("reply %s, %d bytes, %v", reply, got.Len(), err)
		}
	}
}

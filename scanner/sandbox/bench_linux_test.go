package sandbox_test

import (
	"encoding/json"
	"io"
	"os"
	"testing"

	"sallyport/scanner/sandbox"
)

// BenchmarkRun measures a job that does nothing in a child that is there.
func BenchmarkRun(b *testing.B) {
	p := sandbox.NewPool(config(sandbox.Limits{}, 1))
	defer p.Close()
	in, err := os.Open(os.DevNull)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	for b.Loop() {
		if _, err := p.Run(b.Context(), "pid", in, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart is the same with a new child each time.
func BenchmarkStart(b *testing.B) {
	p := sandbox.NewPool(config(sandbox.Limits{Objects: 1}, 1))
	defer p.Close()
	in, err := os.Open(os.DevNull)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	for b.Loop() {
		if _, err := p.Run(b.Context(), "pid", in, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFrame measures the bytes of one frame.
func BenchmarkFrame(b *testing.B) {
	const size = 64 << 20
	p := sandbox.NewPool(config(sandbox.Limits{}, 1))
	defer p.Close()
	in, err := os.CreateTemp(b.TempDir(), "in")
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	if err := in.Truncate(size); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		_, err := p.Run(b.Context(), "echo", in, nil, func(_ string, _ json.RawMessage, body io.Reader) error {
			_, err := io.Copy(io.Discard, body)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/scanner"
	"sallyport/scanner/sandbox"
)

// TestSandboxCommand has the program's own children lock themselves in and take each
// job there is.
func TestSandboxCommand(t *testing.T) {
	p := sandbox.NewPool(sandbox.Config{Command: sandboxed(), Now: time.Now})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	report, err := p.Report(t.Context())
	if err != nil || !report.Closed() {
		t.Fatalf("%s, %v", report, err)
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	if len(jobs()) == 0 {
		t.Error("there are no jobs")
	}
	for name := range jobs() {
		// Nothing is no archive and no picture: what the job says of it is its own.
		_, err := p.Run(t.Context(), name, in, struct{}{}, nil)
		if errors.Is(err, scanner.ErrDown) || errors.As(err, new(*sandbox.Killed)) || err != nil && strings.Contains(err.Error(), "no such job") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSandboxByHand(t *testing.T) {
	if r := sallyport(t, nil, sandboxName); r.code == 0 || !strings.HasPrefix(r.stderr, "sandbox:") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sallyport/scanner"
	"sallyport/scanner/sandbox"
)

// TestMain makes the test binary its own children.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sandbox":
			os.Exit(sandbox.Main(jobs))
		case "parent":
			os.Exit(parent())
		case "nothing":
			return
		}
	}
	os.Exit(m.Run())
}

func config(l sandbox.Limits, workers int) sandbox.Config {
	return sandbox.Config{Command: []string{"/proc/self/exe", "sandbox"}, Workers: workers, Limits: l, Now: time.Now}
}

func newPool(t *testing.T, l sandbox.Limits) *sandbox.Pool {
	t.Helper()
	p := sandbox.NewPool(config(l, 1))
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// file makes an input, open for writing as well: the child's is not.
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

// parent is the main function of a process that has a child at work: it prints
// the child's number and waits for its own end.
func parent() int {
	p := sandbox.NewPool(config(sandbox.Limits{}, 1))
	in, err := os.Open("/dev/null")
	if err != nil {
		return 1
	}
	pid, err := p.Run(context.Background(), "pid", in, nil, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(string(pid))
	_, _ = p.Run(context.Background(), "sleeps", in, nil, nil)
	return 1
}

// orphan starts such a process.
func orphan(t *testing.T) (parent *os.Process, child string) {
	t.Helper()
	c := exec.Command("/proc/self/exe", "parent")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	child, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = c.Process.Kill()
		t.Fatal(err)
	}
	return c.Process, strings.TrimSpace(child)
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

// TestFrames sends many small frames, of which every second is read.
func TestFrames(t *testing.T) {
	const n = 1000
	p := newPool(t, sandbox.Limits{})
	seen := 0
	_, err := p.Run(t.Context(), "frames", file(t, ""), n, func(kind string, header json.RawMessage, body io.Reader) error {
		if kind != "some" || string(header) != fmt.Sprint(seen) {
			t.Errorf("frame %d is %q %s", seen, kind, header)
		}
		if seen++; seen%2 == 0 {
			return nil
		}
		b, err := io.ReadAll(body)
		if i := seen - 1; !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, i%100)) {
			t.Errorf("frame %d has %d bytes", i, len(b))
		}
		return err
	})
	if err != nil || seen != n {
		t.Errorf("%d frames, %v", seen, err)
	}
	// nil skips them.
	if reply, err := p.Run(t.Context(), "frames", file(t, ""), n, nil); err != nil || string(reply) != fmt.Sprint(n) {
		t.Errorf("reply %s, %v", reply, err)
	}
}

func TestRunErrors(t *testing.T) {
	errMine := errors.New("enough of it")
	for _, test := range []struct{ job, says string }{
		{"fails", "no way"},
		{"sings", "no such job"},
		{"unclosed", "still open"},
		{"overlap", "still open"},
	} {
		t.Run(test.job, func(t *testing.T) {
			_, err := run(t, newPool(t, sandbox.Limits{}), test.job)
			if err == nil || !strings.Contains(err.Error(), test.says) || errors.Is(err, scanner.ErrDown) || errors.As(err, new(*sandbox.Killed)) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("Callback", func(t *testing.T) {
		p := newPool(t, sandbox.Limits{})
		in := file(t, strings.Repeat("x", 4<<20))
		_, err := p.Run(t.Context(), "echo", in, nil, func(string, json.RawMessage, io.Reader) error { return errMine })
		if !errors.Is(err, errMine) {
			t.Errorf("error %v", err)
		}
		if _, err := run(t, p, "pid"); err != nil {
			t.Errorf("then %v", err)
		}
	})
	t.Run("CallbackOfDyingChild", func(t *testing.T) {
		_, err := newPool(t, sandbox.Limits{}).Run(t.Context(), "truncate", file(t, ""), nil, func(_ string, _ json.RawMessage, body io.Reader) error {
			_, err := io.Copy(io.Discard, body)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("half a body ends with %v", err)
			}
			return errMine
		})
		if !errors.As(err, new(*sandbox.Killed)) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("Context", func(t *testing.T) {
		p := newPool(t, sandbox.Limits{})
		ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errMine)
		defer cancel()
		if _, err := p.Run(ctx, "sleeps", file(t, ""), nil, nil); !errors.Is(err, errMine) {
			t.Errorf("error %v", err)
		}
		if _, err := run(t, p, "pid"); err != nil {
			t.Errorf("then %v", err)
		}
	})
	t.Run("Closed", func(t *testing.T) {
		p := sandbox.NewPool(config(sandbox.Limits{}, 1))
		ended := make(chan error)
		in := file(t, "")
		go func() {
			_, err := p.Run(t.Context(), "sleeps", in, nil, nil)
			ended <- err
		}()
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, scanner.ErrDown) {
			t.Errorf("error %v", err)
		}
		if _, err := run(t, p, "pid"); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("then %v", err)
		}
	})
	t.Run("NoChild", func(t *testing.T) {
		for _, command := range []string{"/nonexistent", "/bin/true", "/bin/cat"} {
			c := config(sandbox.Limits{}, 1)
			c.Command = []string{command}
			p := sandbox.NewPool(c)
			if _, err := run(t, p, "pid"); !errors.Is(err, scanner.ErrDown) {
				t.Errorf("%s: error %v", command, err)
			}
			_ = p.Close()
		}
	})
}

package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/scanner"
	"sallyport/scanner/sandbox"
)

// run runs a job that sends nothing of interest.
func run(t *testing.T, p *sandbox.Pool, job string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reply, err := p.Run(ctx, job, file(t, "content"), nil, nil)
	return string(reply), err
}

func TestKilled(t *testing.T) {
	for _, test := range []struct {
		job, reason string
		limits      sandbox.Limits
		skip        []string
	}{
		{job: "panics", reason: sandbox.ReasonCrash},
		{job: "segv", reason: sandbox.ReasonCrash},
		{job: "exits", reason: sandbox.ReasonCrash},
		{job: "truncate", reason: sandbox.ReasonCrash},
		{job: "memory", reason: sandbox.ReasonMemory, limits: sandbox.Limits{Memory: 256 << 20}},
		{job: "stack", reason: sandbox.ReasonMemory, limits: sandbox.Limits{Memory: 256 << 20}},
		{job: "shared", reason: sandbox.ReasonMemory, limits: sandbox.Limits{Memory: 256 << 20}},
		{job: "spins", reason: sandbox.ReasonCPU, limits: sandbox.Limits{CPU: time.Second}},
		{job: "deaf", reason: sandbox.ReasonCPU, limits: sandbox.Limits{CPU: time.Second, Objects: 1}},
		{job: "sleeps", reason: sandbox.ReasonTimeout, limits: sandbox.Limits{Wall: time.Second}},
		{job: "opens", reason: sandbox.ReasonFiles},
		// Without the filter, which does not let it have a file to write to.
		{job: "writes", reason: sandbox.ReasonFiles, skip: []string{sandbox.LayerSeccomp}},
		{job: "babbles", reason: sandbox.ReasonOutput, limits: sandbox.Limits{Output: 10 << 20}},
		{job: "garbage", reason: sandbox.ReasonOutput},
		{job: "huge", reason: sandbox.ReasonOutput},
		{job: "stutters", reason: sandbox.ReasonOutput},
	} {
		t.Run(test.job, func(t *testing.T) {
			c := config(test.limits, 1)
			c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
			p := sandbox.NewPool(c)
			defer p.Close()
			sandbox.Skip(p, test.skip...)
			first, err := run(t, p, "pid")
			if err != nil {
				t.Fatal(err)
			}
			_, err = run(t, p, test.job)
			var killed *sandbox.Killed
			if !errors.As(err, &killed) || killed.Reason != test.reason {
				t.Errorf("error %v, not %q", err, test.reason)
			}
			var by interface{ KilledBy() string }
			if !errors.As(err, &by) || by.KilledBy() != test.reason {
				t.Errorf("a reason that others can read is missing in %v", err)
			}
			if errors.Is(err, scanner.ErrDown) {
				t.Errorf("%v says that the engine is down", err)
			}
			// The next object has a child of its own.
			if again, err := run(t, p, "pid"); err != nil || again == first {
				t.Errorf("then worker %s after %s, %v", again, first, err)
			}
		})
	}
}

// TestCrashIsOfOneObject runs good jobs while others break down.
func TestCrashIsOfOneObject(t *testing.T) {
	p := sandbox.NewPool(config(sandbox.Limits{}, 2))
	defer p.Close()
	in := file(t, strings.Repeat("x", 100_000))
	ended := make(chan error)
	go func() {
		for range 10 {
			if _, err := p.Run(t.Context(), "panics", in, nil, nil); !errors.As(err, new(*sandbox.Killed)) {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range 20 {
		var n int64
		_, err := p.Run(t.Context(), "echo", in, nil, func(_ string, _ json.RawMessage, body io.Reader) (err error) {
			n, err = io.Copy(io.Discard, body)
			return err
		})
		if err != nil || n != 100_000 {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("a crash was %v", err)
	}
}

// TestWornOutWorker: what an earlier object did to a worker is not the verdict of
// a later one.
func TestWornOutWorker(t *testing.T) {
	p := newPool(t, sandbox.Limits{})
	first, err := run(t, p, "second")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := run(t, p, "second"); err != nil || again == first {
		t.Errorf("worker %s after %s, %v", again, first, err)
	}
}

func TestWorkersAreReused(t *testing.T) {
	const objects = 5
	p := newPool(t, sandbox.Limits{Objects: objects})
	seen := map[string]int{}
	for range 2 * objects {
		pid, err := run(t, p, "pid")
		if err != nil {
			t.Fatal(err)
		}
		seen[pid]++
	}
	if len(seen) != 2 {
		t.Errorf("objects by worker: %v", seen)
	}
}

func TestHostileEndsWorker(t *testing.T) {
	p := newPool(t, sandbox.Limits{})
	reply, err := run(t, p, "hostile")
	if err != nil {
		t.Fatal(err)
	}
	var first struct{ PID json.Number }
	if err := json.Unmarshal([]byte(reply), &first); err != nil {
		t.Fatal(err)
	}
	if next, err := run(t, p, "pid"); err != nil || next == first.PID.String() {
		t.Errorf("worker %s again, %v", next, err)
	}
}

// TestSlowReader: the time that the parent takes is not the child's.
func TestSlowReader(t *testing.T) {
	const wall = time.Second
	p := newPool(t, sandbox.Limits{Wall: wall})
	in := file(t, strings.Repeat("x", 4<<20)) // more than the socket holds
	_, err := p.Run(t.Context(), "echo", in, nil, func(_ string, _ json.RawMessage, body io.Reader) error {
		<-time.After(2 * wall)
		_, err := io.Copy(io.Discard, body)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestParentDies kills a process that has a child at work, and waits for the
// child's end.
func TestParentDies(t *testing.T) {
	parent, child := orphan(t)
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = parent.Wait()
	gone(t, child)
}

// gone waits until a process has ended. Nobody may have asked for its state yet.
func gone(t *testing.T, pid string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if _, state, _ := strings.Cut(string(stat), ") "); errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(state, "Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s lives on", pid)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

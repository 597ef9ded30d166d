package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
)

// queue is a scanner.Queue in memory that writes down how claims ended. How the
// ledger's own queue does is tested with the pipeline.
type queue struct {
	mu      sync.Mutex // protects the fields below
	waiting []registry.Claim
	ended   []string
	renewed int
	lost    bool // the next renewal finds the claim taken
	claims  int
	changed chan struct{}
}

var _ scanner.Queue = (*queue)(nil)

func newQueue(n int) *queue {
	q := &queue{changed: make(chan struct{}, 1000)}
	for i := range n {
		q.waiting = append(q.waiting, registry.Claim{Object: registry.Object{ID: registry.ObjectID(fmt.Sprintf("obj_%d", i))}})
	}
	return q
}

func (q *queue) Claim(context.Context, string, time.Duration) (registry.Claim, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims++
	if len(q.waiting) == 0 {
		return registry.Claim{}, registry.ErrNotFound
	}
	c := q.waiting[0]
	q.waiting = q.waiting[1:]
	return c, nil
}

func (q *queue) Content(context.Context, registry.Claim) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("content")), nil
}

func (q *queue) Keep(_ context.Context, _ registry.Claim, r registry.Rendition, body io.Reader) (registry.Rendition, error) {
	_, err := io.Copy(io.Discard, body)
	return r, err
}

func (q *queue) Renew(context.Context, registry.Claim) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost {
		return registry.ErrFenced
	}
	q.renewed++
	return nil
}

func (q *queue) end(how string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = append(q.ended, how)
	q.changed <- struct{}{}
	return nil
}

func (q *queue) Settle(_ context.Context, _ registry.Claim, v registry.Verdict, detected string) error {
	return q.end(fmt.Sprintf("settle %s %s %s", v.Result, v.Reason, detected))
}

func (q *queue) Retry(_ context.Context, c registry.Claim, after time.Duration, cause string) error {
	return q.end(fmt.Sprintf("retry %s %s", after, cause))
}

func (q *queue) Pause(context.Context, registry.Claim) error { return q.end("pause") }

func (q *queue) endings() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]string(nil), q.ended...)
}

type engine func(context.Context, scanner.Input) (scanner.Result, error)

func (engine) Name() string { return "test" }

func (e engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	return e(ctx, in)
}

func worker(q *queue, e engine, change func(*scanner.Config)) *scanner.Worker {
	c := scanner.Config{Queue: q, Panel: scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{e}, Now: time.Now}), Now: time.Now}
	if change != nil {
		change(&c)
	}
	return scanner.NewWorker(c)
}

func TestBackoffDoubles(t *testing.T) {
	for tries, want := range map[int]string{0: "5s", 1: "10s", 2: "20s", 3: "40s", 20: "10m0s", 1 << 20: "10m0s"} {
		q := newQueue(1)
		q.waiting[0].Tries = tries
		w := worker(q, func(context.Context, scanner.Input) (scanner.Result, error) {
			return scanner.Result{}, errors.New("the engine's own words about /a/path")
		}, nil)
		if did, err := w.Once(t.Context()); !did || err != nil {
			t.Fatal(did, err)
		}
		if got := q.endings(); len(got) != 1 || got[0] != "retry "+want+" engine_error" {
			t.Errorf("after %d tries: %q, want a wait of %s", tries, got, want)
		}
	}
}

func TestLeaseIsRenewedWhileAnEngineWorks(t *testing.T) {
	q := newQueue(1)
	w := worker(q, func(ctx context.Context, _ scanner.Input) (scanner.Result, error) {
		for range 2000 {
			q.mu.Lock()
			n := q.renewed
			q.mu.Unlock()
			if n >= 2 {
				return scanner.Result{Result: registry.VerdictClean, Detected: "text/plain"}, nil
			}
			time.Sleep(5 * time.Millisecond)
		}
		return scanner.Result{}, errors.New("never renewed")
	}, func(c *scanner.Config) { c.Lease = 30 * time.Millisecond })
	if _, err := w.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := q.endings(); len(got) != 1 || got[0] != "settle clean  text/plain" {
		t.Errorf("ended with %q", got)
	}
}

func TestALostClaimEndsTheScanAndCountsForNothing(t *testing.T) {
	q := newQueue(1)
	q.lost = true
	w := worker(q, func(ctx context.Context, _ scanner.Input) (scanner.Result, error) {
		select {
		case <-ctx.Done():
			return scanner.Result{Result: registry.VerdictClean}, nil // it finished all the same
		case <-time.After(20 * time.Second):
			return scanner.Result{}, errors.New("the scan was not ended")
		}
	}, func(c *scanner.Config) { c.Lease = 30 * time.Millisecond })
	if did, err := w.Once(t.Context()); !did || err != nil {
		t.Fatal(did, err)
	}
	if got := q.endings(); len(got) != 0 {
		t.Errorf("ended with %q, want nothing", got)
	}
}

func TestWorkersShareTheQueue(t *testing.T) {
	const n = 3
	q := newQueue(n)
	var together sync.WaitGroup
	together.Add(n)
	w := worker(q, func(context.Context, scanner.Input) (scanner.Result, error) {
		together.Done()
		together.Wait() // returns only if all of them run at once
		return scanner.Result{Result: registry.VerdictClean}, nil
	}, func(c *scanner.Config) { c.Workers = n })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	for range n {
		wait(t, q.changed)
	}
	cancel()
	wait(t, done)
}

func TestADownEnginePausesTheQueue(t *testing.T) {
	q := newQueue(100)
	w := worker(q, func(context.Context, scanner.Input) (scanner.Result, error) {
		return scanner.Result{}, fmt.Errorf("dial: %w", scanner.ErrDown)
	}, func(c *scanner.Config) { c.Workers, c.DownFor = 1, time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	wait(t, q.changed)
	w.Wake() // new work is no reason to try again
	cancel()
	wait(t, done)
	if got := q.endings(); len(got) != 1 || got[0] != "pause" {
		t.Errorf("ended with %q, want one pause", got)
	}
}

func TestWakeEndsIdling(t *testing.T) {
	q := newQueue(0)
	w := worker(q, func(context.Context, scanner.Input) (scanner.Result, error) {
		return scanner.Result{Result: registry.VerdictClean}, nil
	}, func(c *scanner.Config) { c.Workers, c.Idle = 1, time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	q.mu.Lock()
	q.waiting = newQueue(1).waiting
	q.mu.Unlock()
	w.Wake()
	wait(t, q.changed)
	cancel()
	wait(t, done)
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("waited too long")
	}
}

// What was made of an object whose claim was lost is given back to the queue, which
// alone knows where it is.
func TestALostClaimGivesUpWhatWasMade(t *testing.T) {
	q := newQueue(1)
	q.lost = true
	w := worker(q, func(ctx context.Context, _ scanner.Input) (scanner.Result, error) {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			return scanner.Result{}, err
		}
		select {
		case <-ctx.Done(): // it finished all the same
		case <-time.After(20 * time.Second):
			return scanner.Result{}, errors.New("the scan was not ended")
		}
		return scanner.Result{Result: registry.VerdictClean, Renditions: []scanner.Rendition{{File: f}}}, nil
	}, func(c *scanner.Config) { c.Lease = 30 * time.Millisecond })
	if did, err := w.Once(t.Context()); !did || err != nil {
		t.Fatal(did, err)
	}
	if got := q.endings(); len(got) != 1 || got[0] != "pause" {
		t.Errorf("ended with %q, want a pause", got)
	}
}

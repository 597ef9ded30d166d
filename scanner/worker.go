package scanner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/registry"
)

// Reasons of verdicts that no engine gave. Causes of a retry are from the same
// closed set: an engine's own words may hold paths and stay in the log.
const (
	// ReasonScannerRequired: a malware engine is demanded and there is none.
	ReasonScannerRequired = "scanner_required"
	// ReasonEngineError: an engine returned an error.
	ReasonEngineError = "engine_error"
	// ReasonEnginePanic: an engine panicked over the object.
	ReasonEnginePanic = "engine_panic"
	// ReasonBadResult: an engine's answer was not one of the closed set.
	ReasonBadResult = "bad_result"
)

// Config of a Worker.
type Config struct {
	Queue Queue
	Panel *Panel

	Name    string        // of this worker in claims; "" is "worker"
	Workers int           // objects judged at once; 0 is 2
	Lease   time.Duration // of a claim; renewed at a third of it; 0 is 1 min
	Idle    time.Duration // between looks at an empty queue; 0 is 1 s
	Backoff time.Duration // before the first retry, doubled each time; 0 is 5 s
	DownFor time.Duration // how long the queue pauses when an engine is down; 0 is 10 s

	Now func() time.Time
	Log *slog.Logger
}

// Worker takes objects from the queue and judges them. Make one with NewWorker.
type Worker struct {
	cfg  Config
	wake chan struct{}
	m    *metrics

	down atomic.Bool // an engine was down at the last try
}

// NewWorker returns a worker that does nothing until Run.
func NewWorker(cfg Config) *Worker {
	orDefault(&cfg.Name, "worker")
	orDefault(&cfg.Workers, 2)
	orDefault(&cfg.Lease, time.Minute)
	orDefault(&cfg.Idle, time.Second)
	orDefault(&cfg.Backoff, 5*time.Second)
	orDefault(&cfg.DownFor, 10*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{cfg: cfg, wake: make(chan struct{}, 1), m: newMetrics()}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Down tells whether the last try found an engine down; readiness shows it.
func (w *Worker) Down() bool { return w.down.Load() }

// Wake makes an idle worker look at the queue now. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run judges objects until ctx ends. Those being judged then are given back
// without counting a try, and Run returns when they are.
func (w *Worker) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range w.cfg.Workers {
		wg.Go(func() { w.loop(ctx, fmt.Sprintf("%s-%d", w.cfg.Name, i+1)) })
	}
	wg.Wait()
}

func (w *Worker) loop(ctx context.Context, name string) {
	for ctx.Err() == nil {
		did, err := w.step(ctx, name)
		switch {
		case errors.Is(err, ErrDown):
			w.sleep(ctx, w.cfg.DownFor)
		case err != nil && ctx.Err() == nil:
			w.cfg.Log.ErrorContext(ctx, "scan queue failed", "err", err)
			w.sleep(ctx, w.cfg.Idle)
		case !did:
			w.idle(ctx)
		}
	}
}

// Once judges one object, if one is due, and tells whether there was one.
func (w *Worker) Once(ctx context.Context) (bool, error) {
	return w.step(ctx, w.cfg.Name)
}

func (w *Worker) step(ctx context.Context, name string) (bool, error) {
	c, err := w.cfg.Queue.Claim(ctx, name, w.cfg.Lease)
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim: %w", err)
	}
	return true, w.judge(ctx, c)
}

// sleep waits although there may be work.
func (w *Worker) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// idle waits for work.
func (w *Worker) idle(ctx context.Context) {
	t := time.NewTimer(w.cfg.Idle)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.wake:
	case <-ctx.Done():
	}
}

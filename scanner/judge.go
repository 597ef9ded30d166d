package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"sallyport/registry"
)

// errLost ends a scan whose claim went to somebody else.
var errLost = errors.New("scanner: claim was lost")

// panicked is an engine's panic as an error.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("scanner: engine panicked: %v", p.value) }

// maxBackoff bounds the wait before a retry.
const maxBackoff = 10 * time.Minute

// judge has the engines look at a claimed object and ends the claim, one way or
// the other. If we die here the lease runs out and the object is claimed again.
func (w *Worker) judge(ctx context.Context, c registry.Claim) error {
	scan, cancel := context.WithCancelCause(ctx)
	stop := w.keep(scan, cancel, c)
	v, detected, err := w.scan(scan, &c)
	stop()
	lost := errors.Is(context.Cause(scan), errLost)
	cancel(nil)

	// The claim is ended even while shutting down: a new start should not have
	// to wait for the lease.
	end, done := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.Lease)
	defer done()
	switch {
	case lost:
		w.m.settled.WithLabelValues("lost").Inc()
		return nil
	case err == nil:
		w.down.Store(false)
		w.m.settled.WithLabelValues(string(v.Result)).Inc()
		err = w.cfg.Queue.Settle(end, c, v, detected)
	case ctx.Err() != nil:
		w.m.settled.WithLabelValues("stopped").Inc()
		err = w.cfg.Queue.Pause(end, c)
	case errors.Is(err, ErrDown):
		w.down.Store(true)
		w.m.settled.WithLabelValues("down").Inc()
		w.cfg.Log.WarnContext(ctx, "scan engine is down, the queue waits", "err", err)
		return errors.Join(ErrDown, fenced(w.cfg.Queue.Pause(end, c)))
	default:
		w.m.settled.WithLabelValues("retry").Inc()
		w.cfg.Log.WarnContext(ctx, "scan failed", "object", c.Object.ID, "try", c.Tries, "err", err)
		err = w.cfg.Queue.Retry(end, c, w.backoff(c.Tries), cause(err))
	}
	return fenced(err)
}

// fenced drops the error of a claim that was lost meanwhile: its new owner
// decides, or nobody has to because the object was deleted.
func fenced(err error) error {
	if errors.Is(err, registry.ErrFenced) || errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	return err
}

func cause(err error) string {
	var p panicked
	if errors.As(err, &p) {
		return ReasonEnginePanic
	}
	if errors.Is(err, errBadResult) {
		return ReasonBadResult
	}
	return ReasonEngineError
}

// backoff doubles with each try that was made.
func (w *Worker) backoff(tries int) time.Duration {
	d := w.cfg.Backoff
	for range tries {
		if d >= maxBackoff {
			return maxBackoff
		}
		d *= 2
	}
	return min(d, maxBackoff)
}

// keep renews the claim until stop is called, and ends the scan when that is no
// longer possible.
func (w *Worker) keep(ctx context.Context, cancel context.CancelCauseFunc, c registry.Claim) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(w.cfg.Lease / 3)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ctx.Done():
				return
			case <-t.C:
			}
			err := w.cfg.Queue.Renew(ctx, c)
			if errors.Is(err, registry.ErrFenced) || errors.Is(err, registry.ErrNotFound) {
				cancel(errLost)
				return
			}
			if err != nil && ctx.Err() == nil {
				w.cfg.Log.WarnContext(ctx, "scan lease not renewed", "object", c.Object.ID, "err", err)
			}
		}
	}()
	return func() { close(quit); <-done }
}

var errBadResult = errors.New("scanner: engine gave no known result")

// scan runs the engines in order and stops at the first that is not content. It
// notes in the claim what digest was read.
func (w *Worker) scan(ctx context.Context, c *registry.Claim) (registry.Verdict, string, error) {
	claim := *c
	in := Input{Object: c.Object, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return w.cfg.Queue.Content(ctx, claim)
	}}
	v := registry.Verdict{Result: registry.VerdictClean, Attempts: c.Tries + 1}
	detected := ""
	for _, engines := range [][]Engine{w.cfg.Inspect, w.cfg.Malware} {
		for _, e := range engines {
			r, err := w.ask(ctx, e, in)
			if err != nil {
				return registry.Verdict{}, "", fmt.Errorf("%s: %w", e.Name(), err)
			}
			if r.Detected != "" {
				detected = r.Detected
			}
			if r.SHA256 != "" {
				c.SHA256 = r.SHA256
			}
			v.Engines = append(v.Engines, registry.EngineNote{
				Name: e.Name(), Version: r.Version, Result: string(r.Result), Signature: r.Signature})
			if r.Result != registry.VerdictClean {
				v.Result, v.Reason, v.At = r.Result, r.Reason, w.cfg.Now()
				return v, detected, nil
			}
		}
	}
	if w.cfg.Required && len(w.cfg.Malware) == 0 {
		v.Result, v.Reason = registry.VerdictIncomplete, ReasonScannerRequired
	}
	v.At = w.cfg.Now()
	return v, detected, nil
}

// ask runs one engine and turns its panic into an error of this object.
func (w *Worker) ask(ctx context.Context, e Engine, in Input) (r Result, err error) {
	start := w.cfg.Now()
	defer func() {
		if v := recover(); v != nil {
			w.cfg.Log.ErrorContext(ctx, "scan engine panicked", "engine", e.Name(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = panicked{v}
		}
		w.m.seconds.WithLabelValues(e.Name()).Observe(w.cfg.Now().Sub(start).Seconds())
	}()
	r, err = e.Scan(ctx, in)
	if err != nil {
		return Result{}, err
	}
	switch r.Result {
	case registry.VerdictClean, registry.VerdictInfected, registry.VerdictRefused, registry.VerdictIncomplete:
		return r, nil
	}
	return Result{}, errBadResult
}

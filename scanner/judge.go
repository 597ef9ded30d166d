package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
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
		if len(c.Renditions) == 0 {
			return nil
		}
		err = w.cfg.Queue.Pause(end, c) // in vain, but what was kept for it is given up
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

// scan has the panel look at the object and stores what came of it. It notes in the
// claim what digest was read.
func (w *Worker) scan(ctx context.Context, c *registry.Claim) (registry.Verdict, string, error) {
	claim := *c
	o, err := w.cfg.Panel.Judge(ctx, Case{Object: c.Object, Rules: c.Rules, Tries: c.Tries, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return w.cfg.Queue.Content(ctx, claim)
	}})
	if err != nil {
		return registry.Verdict{}, "", err
	}
	defer o.Close()
	err = o.keepIn(ctx, c, func(ctx context.Context, r registry.Rendition, body io.Reader) (registry.Rendition, error) {
		return w.cfg.Queue.Keep(ctx, claim, r, body)
	})
	if err != nil {
		return registry.Verdict{}, "", err
	}
	return o.Verdict, o.Detected, nil
}

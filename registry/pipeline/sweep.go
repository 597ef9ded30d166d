package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/registry/blob"
)

// Sweep clears up: sessions that expired, keys of processes that are gone, URLs
// and Idempotency-Keys that have long expired, rejected bytes that were kept long
// enough, and the bytes of everything deleted.
// Bytes whose deletion fails stay on the list for the next sweep. While the wall
// clock is in doubt (registry.ErrClockJumped) nothing expires or is forgotten, and
// garbage, which is beyond doubt, still goes.
func (p *Pipeline) Sweep(ctx context.Context) error {
	return errors.Join(
		p.giveUpOwed(ctx),
		p.all(ctx, "expire", p.ledger.ExpireDue),
		p.all(ctx, "condemn", p.ledger.CondemnDeadIntents),
		p.all(ctx, "forget", p.ledger.Forget),
		p.all(ctx, "destroy", p.destroyRejected),
		p.collect(ctx),
	)
}

// all repeats a verb that works on a bounded number of rows until none is left.
func (p *Pipeline) all(ctx context.Context, kind string, verb func(context.Context, int) (int, error)) error {
	for {
		n, err := verb(ctx, batch)
		p.m.swept.WithLabelValues(kind).Add(float64(n))
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if n < batch {
			return nil
		}
	}
}

// collect deletes the bytes of the garbage list and strikes off what is gone. If
// we die between the two, the bytes are deleted again, which is no error.
func (p *Pipeline) collect(ctx context.Context) error {
	var failures []error
	for after := uint64(0); ; {
		list, err := p.ledger.Garbage(ctx, after, batch)
		if err != nil {
			return errors.Join(errors.Join(failures...), err)
		}
		var gone []uint64
		for _, g := range list {
			after = g.Seq
			if len(failures) == maxFailures {
				break
			}
			if p.unsettled.has(g.Blob, p.cfg.Now()) {
				continue
			}
			if err := p.cfg.Blobs.Delete(ctx, blob.Key(g.Blob)); err != nil {
				p.failed("delete", err)
				failures = append(failures, fmt.Errorf("delete: %w", err))
				continue
			}
			gone = append(gone, g.Seq)
		}
		if err := p.ledger.GarbageGone(ctx, gone); err != nil {
			return errors.Join(errors.Join(failures...), err)
		}
		p.m.swept.WithLabelValues("garbage").Add(float64(len(gone)))
		if len(list) < batch || len(failures) == maxFailures {
			return errors.Join(failures...)
		}
	}
}

// maxFailures is after how many failed deletions a sweep takes the store for down.
const maxFailures = 3

// Recover finishes what an earlier process left: it is one round of what Run
// does all the time. A store that is down delays the clearing up, not the start.
func (p *Pipeline) Recover(ctx context.Context) error {
	return errors.Join(p.clearSpool(), p.PromoteAll(ctx), p.Age(ctx), p.Sweep(ctx), p.RotateURLKeys(ctx))
}

// Run clears up, promotes, carries out lifecycle rules, begins rescans and rotates keys,
// periodically and when there is reason to, until ctx ends. What fails is logged and tried again.
func (p *Pipeline) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { p.every(ctx, "sweep", p.cfg.SweepEvery, p.nudge, p.Sweep) })
	wg.Go(func() { p.every(ctx, "promote", p.cfg.PromoteEvery, nil, p.promoteDue) })
	wg.Go(func() { p.every(ctx, "lifecycle", p.cfg.LifecycleEvery, nil, p.Age) })
	wg.Go(func() { p.every(ctx, "rescan", p.cfg.RescanCheck, atOnce(), p.Rescan) })
	wg.Go(func() { p.every(ctx, "rotate", p.cfg.RotateEvery/24, nil, p.RotateURLKeys) })
	wg.Wait()
}

// atOnce is a nudge for what does not wait for its ticker the first time.
func atOnce() <-chan struct{} {
	nudge := make(chan struct{}, 1)
	nudge <- struct{}{}
	return nudge
}

// settleDown is how long every waits after a nudge, so that a burst of deletes is
// one sweep.
const settleDown = 100 * time.Millisecond

func (p *Pipeline) every(ctx context.Context, what string, period time.Duration, nudge <-chan struct{}, do func(context.Context) error) {
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-nudge:
			select {
			case <-ctx.Done():
				return
			case <-time.After(settleDown):
			}
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, what+" failed, it will be tried again", "err", err)
		}
	}
}

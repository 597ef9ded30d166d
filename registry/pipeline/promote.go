package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// promote does what is left of an object's promotion: it moves each blob to the
// target the ledger recorded with the verdict, then publishes. Both can be
// repeated after any failure.
func (p *Pipeline) promote(ctx context.Context, o registry.Object) error {
	if !p.promoting.enter(o.ID) {
		return nil
	}
	defer p.promoting.leave(o.ID)
	err := p.promoteNow(ctx, o)
	if err != nil {
		p.setbacks.note(o.ID, p.cfg.Now(), p.cfg.PromoteEvery)
	} else {
		p.setbacks.forget(o.ID)
	}
	return err
}

func (p *Pipeline) promoteNow(ctx context.Context, o registry.Object) error {
	// Nobody wants the bytes of a deleted one: Publish makes garbage of both keys.
	if o.State != registry.ObjectDeleted {
		if err := p.moveAll(ctx, o); err != nil {
			return p.promotionFailed(ctx, o, err)
		}
	}
	// If we die here every blob is at its target and the row names both keys;
	// the moves are repeated and find nothing to do.
	if _, err := p.ledger.Publish(ctx, o.Tenant, o.ID); err != nil {
		return p.promotionFailed(ctx, o, err)
	}
	p.m.promoted.WithLabelValues("ok").Inc()
	return nil
}

// moveAll moves each blob that is not at its target, several at once: those of a
// session in parts may be thousands.
func (p *Pipeline) moveAll(ctx context.Context, o registry.Object) error {
	if len(o.Targets) == 1 && o.Targets[0] != o.Extents[0].Blob {
		return p.move(ctx, o.Extents[0].Blob, o.Targets[0])
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.cfg.Promoters)
	for i, e := range o.Extents {
		if i >= len(o.Targets) || o.Targets[i] == e.Blob {
			continue
		}
		g.Go(func() error { return p.move(ctx, e.Blob, o.Targets[i]) })
	}
	return g.Wait()
}

// move moves one blob. If the object is deleted meanwhile, its keys become garbage
// only when the promotion has ended.
func (p *Pipeline) move(ctx context.Context, from, to registry.BlobKey) error {
	err := p.cfg.Blobs.Move(ctx, blob.Key(from), blob.Key(to))
	if err != nil {
		p.failed("move", err)
		p.unsure(to, err)
		return fmt.Errorf("move: %w", err)
	}
	return nil
}

// promotionFailed tells a failure from a promotion that nobody wants any more.
func (p *Pipeline) promotionFailed(ctx context.Context, o registry.Object, err error) error {
	now, gone := p.ledger.Object(ctx, o.Tenant, o.ID)
	if errors.Is(gone, registry.ErrNotFound) || gone == nil && len(now.Targets) == 0 {
		p.m.promoted.WithLabelValues("moot").Inc()
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrBytesMissing, err)
	}
	p.m.promoted.WithLabelValues("failed").Inc()
	return fmt.Errorf("promote %s: %w", o.ID, err)
}

// tryPromote promotes and leaves what fails to the next round of Run.
func (p *Pipeline) tryPromote(ctx context.Context, o registry.Object) {
	if err := p.promote(ctx, o); err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "promotion failed, it will be tried again", "object", o.ID, "err", err)
	}
}

// batch is how many rows upkeep takes from the ledger at a time.
const batch = 256

// PromoteAll finishes the promotions that are under way. It returns what failed,
// joined and only so much of it, and the next call tries that again.
func (p *Pipeline) PromoteAll(ctx context.Context) error {
	return p.promoteEach(ctx, func(registry.Object) bool { return true })
}

// promoteDue is PromoteAll for Run: what failed of late waits, so that promotions
// that can never succeed do not take the store's time from the others.
func (p *Pipeline) promoteDue(ctx context.Context) error {
	now := p.cfg.Now()
	return p.promoteEach(ctx, func(o registry.Object) bool { return p.setbacks.due(o.ID, now) })
}

func (p *Pipeline) promoteEach(ctx context.Context, pick func(registry.Object) bool) error {
	var failures []error
	for page := (registry.Page{Limit: batch}); ; {
		objects, next, err := p.ledger.Promoting(ctx, page)
		if err != nil {
			return errors.Join(append(failures, fmt.Errorf("promote: %w", err))...)
		}
		errs := make([]error, len(objects))
		var g errgroup.Group
		g.SetLimit(p.cfg.Promoters)
		for i, o := range objects {
			if !pick(o) {
				continue
			}
			g.Go(func() error {
				errs[i] = p.promote(ctx, o)
				return nil
			})
		}
		_ = g.Wait() // the functions return nil
		for _, err := range errs {
			if err != nil && len(failures) < maxReported {
				failures = append(failures, err)
			}
		}
		if page.Cursor = next; next == "" || ctx.Err() != nil {
			return errors.Join(failures...)
		}
	}
}

// maxReported bounds how many failures one round tells of.
const maxReported = 16

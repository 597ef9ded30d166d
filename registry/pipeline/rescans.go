package pipeline

import (
	"context"
	"errors"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// RescanObject has an object inspected again; see registry's RescanObject.
func (p *Pipeline) RescanObject(ctx context.Context, actor registry.Actor, id registry.ObjectID) (registry.Object, error) {
	if err := policy.Allow(actor, policy.RescanObject, ""); err != nil {
		return registry.Object{}, p.refuse("rescan", fmt.Errorf("rescan: %w", err))
	}
	o, err := p.ledger.RescanObject(ctx, actor, id)
	if err != nil {
		return registry.Object{}, p.refuse("rescan", err)
	}
	p.queued()
	return o, nil
}

// Rescan begins a run over everything that is published if signatures changed or it is
// time for one. An engine that does not answer is asked again at the next call.
func (p *Pipeline) Rescan(ctx context.Context) error {
	var failures []error
	if p.cfg.Signatures != nil {
		versions, err := p.cfg.Signatures(ctx)
		changed := false
		if err == nil {
			changed, err = p.ledger.NoteSignatures(ctx, versions)
		}
		if changed {
			p.log.InfoContext(ctx, "signatures changed, what is published is inspected again")
		}
		failures = append(failures, err)
	}
	if p.cfg.RescanEvery > 0 {
		_, err := p.ledger.ScheduleRescans(ctx, p.cfg.RescanEvery)
		failures = append(failures, err)
	}
	p.rescans.Store(true) // also a run that an earlier process left
	p.queued()
	return errors.Join(failures...)
}

// maxFeeds bounds how much of a run one claim looks through for something to do.
const maxFeeds = 8

// feedRescans fills the queue from the runs under way, if there are any. The queue is
// dry then: what is written meanwhile stands before it anyway.
func (p *Pipeline) feedRescans(ctx context.Context) (some bool) {
	for range maxFeeds {
		if !p.rescans.Load() {
			return false
		}
		n, more, err := p.ledger.FeedRescans(ctx, batch)
		if err != nil {
			if ctx.Err() == nil {
				p.log.WarnContext(ctx, "rescans are not queued, it will be tried again", "err", err)
			}
			return false
		}
		if !more {
			p.rescans.Store(false)
		}
		if n > 0 {
			return true
		}
	}
	return false
}

// cutWithdrawn ends the transfers out of what is no longer published in a tenant: with
// an infected object goes all that shares bytes with it.
func (p *Pipeline) cutWithdrawn(ctx context.Context, tenant registry.TenantName) {
	p.cutGone(ctx, func(s subject) bool { return s.tenant == tenant && s.reading })
}

// destroyRejected gives up rejected bytes that were kept long enough.
func (p *Pipeline) destroyRejected(ctx context.Context, limit int) (int, error) {
	return p.ledger.DestroyRejected(ctx, p.cfg.KeepRejected, limit)
}

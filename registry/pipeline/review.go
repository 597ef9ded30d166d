package pipeline

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// Review carries out an analyst's decision on an object; see registry's Review. What
// is withdrawn, with all that shares bytes with it, is read no further; what is
// released is promoted at once, and if that fails Run tries again.
func (p *Pipeline) Review(ctx context.Context, actor registry.Actor, id registry.ObjectID, r registry.Ruling) (registry.Object, error) {
	if err := policy.Allow(actor, policy.ReviewObject, ""); err != nil {
		return registry.Object{}, p.refuse("review", fmt.Errorf("review: %w", err))
	}
	o, shared, err := p.ledger.Review(ctx, actor, id, r)
	if err != nil {
		return registry.Object{}, p.refuse("review", err)
	}
	gone := map[registry.ObjectID]struct{}{o.ID: {}}
	for i := range shared {
		gone[shared[i].ID] = struct{}{}
	}
	p.cutGone(ctx, func(s subject) bool {
		_, withdrawn := gone[s.object]
		return withdrawn && s.tenant == actor.Tenant
	})
	if len(o.Targets) > 0 {
		p.tryPromote(ctx, o)
	}
	p.sweepSoon()
	return o, nil
}

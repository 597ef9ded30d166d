package pipeline

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// ExamineObject finds an object that is not published, for an analyst: the one way to
// read it. The audit log says so, and how: a word for the form the bytes are given in.
// The errors are those of registry's Examine.
func (p *Pipeline) ExamineObject(ctx context.Context, actor registry.Actor, id registry.ObjectID, how string) (*Found, error) {
	seen := p.transfers.look()
	if err := policy.Allow(actor, policy.ReadRejected, ""); err != nil {
		return nil, p.refuse("examine", fmt.Errorf("examine: %w", err))
	}
	o, err := p.ledger.Examine(ctx, actor, id, how)
	if err != nil {
		return nil, p.refuse("examine", err)
	}
	f, err := p.examined(seen, o, actor)
	return f, p.refuse("examine", err)
}

func (p *Pipeline) examined(seen uint64, o registry.Object, actor registry.Actor) (*Found, error) {
	s := subject{
		tenant: actor.Tenant, principal: actor.Principal, credential: actor.Credential,
		object: o.ID, upload: o.Upload, bucket: o.Bucket, key: o.Key,
	}
	if err := p.transfers.allowed(s); err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	return &Found{Object: o, p: p, seen: seen, subject: s, again: func(ctx context.Context) (*Found, error) {
		seen := p.transfers.look()
		now, err := p.ledger.Object(ctx, actor.Tenant, o.ID)
		if err == nil {
			err = now.Examinable()
		}
		if err != nil {
			return nil, fmt.Errorf("examine: %w", err)
		}
		return p.examined(seen, now, actor)
	}}, nil
}

// Downloads lists who was given bytes of an object by the operations named; see
// registry's Downloads. It is for auditors, and for the analysts who withdraw.
func (p *Pipeline) Downloads(ctx context.Context, actor registry.Actor, id registry.ObjectID, ops []string, from uint64, limit int) ([]registry.AccessRecord, uint64, error) {
	err := policy.Allow(actor, policy.ReadTimeline, "")
	if err != nil && policy.Allow(actor, policy.ReviewObject, "") != nil {
		return nil, 0, p.refuse("audit", fmt.Errorf("downloads: %w", err))
	}
	if from == 0 {
		// The list of what happened until now, not until a second ago.
		if err := p.ledger.FlushAccess(ctx); err != nil {
			return nil, 0, fmt.Errorf("downloads: %w", err)
		}
	}
	return p.ledger.Downloads(ctx, actor.Tenant, id, ops, from, limit)
}

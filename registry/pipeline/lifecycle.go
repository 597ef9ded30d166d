package pipeline

import (
	"context"
	"errors"
	"fmt"

	"sallyport/registry"
)

// Age carries out the lifecycle rules of all buckets, a bounded number of rows in each
// commit. What fails in one bucket does not keep it from the others; at the next round
// everything is looked at again. While the wall clock is in doubt
// (registry.ErrClockJumped) nothing ends.
func (p *Pipeline) Age(ctx context.Context) error {
	agings, err := p.ledger.Agings(ctx)
	if err != nil {
		return fmt.Errorf("lifecycle: %w", err)
	}
	var failures []error
	for _, a := range agings {
		err := p.ageBucket(ctx, a)
		if errors.Is(err, registry.ErrClockJumped) || ctx.Err() != nil {
			return errors.Join(append(failures, err)...)
		}
		if err != nil && len(failures) < maxReported {
			failures = append(failures, fmt.Errorf("lifecycle of %s of %s: %w", a.Bucket, a.Tenant, err))
		}
	}
	return errors.Join(failures...)
}

func (p *Pipeline) ageBucket(ctx context.Context, a registry.Aging) error {
	for cursor := ""; ; {
		next, ended, err := p.ledger.Age(ctx, a, cursor, batch)
		if err != nil {
			return err
		}
		p.aged(ctx, a, ended)
		if cursor = next; next == "" {
			return nil
		}
	}
}

// aged counts what ended and ends what still moves of it.
func (p *Pipeline) aged(ctx context.Context, a registry.Aging, ended registry.AgeResult) {
	all := 0
	for _, c := range []struct {
		kind string
		n    int
	}{
		{"expired", ended.Expired},
		{"noncurrent", ended.Noncurrent},
		{"marker", ended.Markers},
		{"multipart", ended.Multiparts},
	} {
		p.m.swept.WithLabelValues("lifecycle_" + c.kind).Add(float64(c.n))
		all += c.n
	}
	if all == 0 {
		return
	}
	gone := make(map[registry.ObjectID]struct{}, len(ended.Gone))
	for _, id := range ended.Gone {
		gone[id] = struct{}{}
	}
	p.cutGone(ctx, func(s subject) bool {
		_, ended := gone[s.object]
		return ended && s.tenant == a.Tenant && s.grant != ""
	})
	p.sweepSoon()
}

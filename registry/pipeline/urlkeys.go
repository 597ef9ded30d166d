package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry"
)

// overlapMargin is how much longer than any URL an old key verifies: URLs are
// signed shortly after their key was looked up, and count whole seconds.
const overlapMargin = time.Minute

// RotateURLKeys gives each tenant whose URL signing key has grown old a fresh one.
// URLs of the old key work until they have all expired by themselves. While the
// wall clock is in doubt (registry.ErrClockJumped) nothing is rotated.
func (p *Pipeline) RotateURLKeys(ctx context.Context) error {
	var failures []error
	for page := (registry.Page{Limit: batch}); ; {
		tenants, next, err := p.ledger.Tenants(ctx, page)
		if err != nil {
			return errors.Join(errors.Join(failures...), err)
		}
		for _, t := range tenants {
			if err := p.rotateURLKey(ctx, t.Name); err != nil {
				failures = append(failures, fmt.Errorf("tenant %s: %w", t.Name, err))
			}
		}
		if next == "" || len(failures) >= maxFailures {
			return errors.Join(failures...)
		}
		page.Cursor = next
	}
}

func (p *Pipeline) rotateURLKey(ctx context.Context, tenant registry.TenantName) error {
	key, err := p.ledger.SigningURLKey(ctx, tenant)
	if err != nil || p.ledger.Now().Sub(key.CreatedAt) < p.cfg.RotateEvery {
		return err
	}
	return p.ledger.RotateURLKey(ctx, registry.System(tenant), tenant, p.limits.LongestURL()+overlapMargin)
}

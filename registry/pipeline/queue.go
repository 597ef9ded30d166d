package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// ReasonTypeMismatch is the reason of a refusal by the type rule.
const ReasonTypeMismatch = "type_mismatch"

// The methods of this file make the pipeline the scan worker's queue
// (scanner.Queue, which this package may not import).

// Claim takes the next object to scan, or returns registry.ErrNotFound.
func (p *Pipeline) Claim(ctx context.Context, worker string, lease time.Duration) (registry.Claim, error) {
	c, err := p.ledger.ClaimScan(ctx, worker, lease)
	if errors.Is(err, registry.ErrNotFound) && p.feedRescans(ctx) {
		c, err = p.ledger.ClaimScan(ctx, worker, lease)
	}
	if err != nil {
		return c, err
	}
	b, err := p.ledger.Bucket(ctx, c.Object.Tenant, c.Object.Bucket)
	if err != nil {
		return c, err // the lease ends, and the claim with it
	}
	c.Rules = rules(&b, &c.Object)
	return c, nil
}

// Keep stores a rendition of the claimed object; it becomes the object's with Settle.
func (p *Pipeline) Keep(ctx context.Context, c registry.Claim, r registry.Rendition, body io.Reader) (registry.Rendition, error) {
	return p.keepRendition(ctx, c, r, body)
}

// Content opens the bytes of a claimed object: the one way to read them before
// they are published.
func (p *Pipeline) Content(ctx context.Context, c registry.Claim) (io.ReadCloser, error) {
	r, err := p.openExtents(ctx, c.Object, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	return r, nil
}

// Renew prolongs a claim.
func (p *Pipeline) Renew(ctx context.Context, c registry.Claim) error {
	return p.ledger.RenewClaim(ctx, c)
}

// Retry gives a claimed object back for another try.
func (p *Pipeline) Retry(ctx context.Context, c registry.Claim, after time.Duration, cause string) error {
	p.dropKept(ctx, c.Object.Tenant, c.Renditions)
	return p.ledger.RetryScan(ctx, c, after, cause)
}

// Pause gives a claimed object back without a try.
func (p *Pipeline) Pause(ctx context.Context, c registry.Claim) error {
	p.dropKept(ctx, c.Object.Tenant, c.Renditions)
	return p.ledger.PauseScan(ctx, c)
}

// Settle ends a claim with a verdict. What the engines found clean is still held
// against the type rule here, whatever engines are wired up; not so in a rescan, for
// what was accepted keeps the rules it was accepted under. A clean object is
// promoted at once; if that fails, the verdict stands and Run tries again.
func (p *Pipeline) Settle(ctx context.Context, c registry.Claim, v registry.Verdict, detected string) (err error) {
	defer func() {
		if err != nil {
			p.dropKept(ctx, c.Object.Tenant, c.Renditions)
		}
	}()
	if !c.Rescan && (v.Result == registry.VerdictClean || v.Result == registry.VerdictIncomplete) {
		matches, err := p.typeMatches(ctx, c.Object, detected)
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		if !matches {
			v.Result, v.Reason = registry.VerdictRefused, ReasonTypeMismatch
		}
	}
	o, err := p.ledger.SettleScan(ctx, c, v, detected)
	if err != nil {
		return err
	}
	// If we die here, step 1 of the promotion is done: Recover goes on from it.
	// The ledger may know better than v: a digest that was told is another's.
	if o.State == registry.ObjectScanning || o.State == registry.ObjectPublished {
		p.tryPromote(ctx, o)
		return nil
	}
	if o.State == registry.ObjectRejected && (c.Rescan || o.Verdict.Result == registry.VerdictInfected) {
		p.cutWithdrawn(ctx, o.Tenant)
	}
	p.sweepSoon()
	return nil
}

func (p *Pipeline) typeMatches(ctx context.Context, o registry.Object, detected string) (bool, error) {
	b, err := p.ledger.Bucket(ctx, o.Tenant, o.Bucket)
	if err != nil {
		return false, err
	}
	return anyContent(&b, &o) || policy.TypeMatches(p.content(b, o.ContentType, detected, o.Size)), nil
}

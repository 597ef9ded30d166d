package pipeline

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// mayKeep decides on what a write says besides its bytes: to lock needs a right of
// its own, and a bucket with object lock (else registry.ErrConflict).
func mayKeep(actor registry.Actor, b registry.Bucket, k registry.Kept) error {
	if k.Retention == nil && !k.LegalHold {
		return nil
	}
	if err := policy.Allow(actor, policy.S3Lock, ""); err != nil {
		return err
	}
	if b.Lock == nil {
		return fmt.Errorf("%w: the bucket has no object lock", registry.ErrConflict)
	}
	return nil
}

// SetTags replaces the tags of a published version; none removes them. It returns
// the version as it is then; the errors are registry.SetTags's.
func (p *Pipeline) SetTags(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string, tags map[string]string) (registry.Object, error) {
	if err := policy.Allow(actor, policy.S3Write, ""); err != nil {
		return registry.Object{}, p.refuse("tags", fmt.Errorf("set tags: %w", err))
	}
	o, err := p.ledger.SetTags(ctx, actor, bucket, key, version, tags)
	return o, p.refuse("tags", err)
}

// SetRetention sets, extends or (nil) removes the retention of a published version.
// It needs policy.S3Lock, and policy.S3BypassLock to bypass.
func (p *Pipeline) SetRetention(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string, r *registry.Retention, bypass registry.Bypass) (registry.Object, error) {
	err := policy.Allow(actor, policy.S3Lock, "")
	if err == nil && bool(bypass) {
		err = policy.Allow(actor, policy.S3BypassLock, "")
	}
	if err != nil {
		return registry.Object{}, p.refuse("lock", fmt.Errorf("set retention: %w", err))
	}
	o, err := p.ledger.SetRetention(ctx, actor, bucket, key, version, r, bypass)
	return o, p.refuse("lock", err)
}

// SetLegalHold puts or lifts the legal hold of a published version. It needs
// policy.S3Lock.
func (p *Pipeline) SetLegalHold(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string, hold registry.Hold) (registry.Object, error) {
	if err := policy.Allow(actor, policy.S3Lock, ""); err != nil {
		return registry.Object{}, p.refuse("lock", fmt.Errorf("set legal hold: %w", err))
	}
	o, err := p.ledger.SetLegalHold(ctx, actor, bucket, key, version, hold)
	return o, p.refuse("lock", err)
}

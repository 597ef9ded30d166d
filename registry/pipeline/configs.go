package pipeline

import (
	"context"
	"fmt"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// The configuration of a bucket, as S3 has it. Reading needs policy.S3ReadConfig,
// writing policy.S3WriteConfig; registry.ErrNotFound for an unknown bucket, and
// registry.ErrNotConfigured where there is none to read.

func (p *Pipeline) mayConfigure(actor registry.Actor, action policy.Action) error {
	if err := policy.Allow(actor, action, ""); err != nil {
		return p.refuse("config", fmt.Errorf("bucket configuration: %w", err))
	}
	return nil
}

// SetVersioning enables or suspends a bucket's versioning.
func (p *Pipeline) SetVersioning(ctx context.Context, actor registry.Actor, bucket registry.BucketName, v registry.Versioning) error {
	if err := p.mayConfigure(actor, policy.S3WriteConfig); err != nil {
		return err
	}
	return p.refuse("config", p.ledger.SetVersioning(ctx, actor, bucket, v))
}

// SetBucketLock changes a bucket's object-lock configuration.
func (p *Pipeline) SetBucketLock(ctx context.Context, actor registry.Actor, bucket registry.BucketName, lock registry.BucketLock) error {
	if err := p.mayConfigure(actor, policy.S3WriteConfig); err != nil {
		return err
	}
	return p.refuse("config", p.ledger.SetBucketLock(ctx, actor, bucket, lock))
}

// CORS returns a bucket's CORS rules.
func (p *Pipeline) CORS(ctx context.Context, actor registry.Actor, bucket registry.BucketName) ([]registry.CORSRule, error) {
	if err := p.mayConfigure(actor, policy.S3ReadConfig); err != nil {
		return nil, err
	}
	return p.ledger.CORS(ctx, actor.Tenant, bucket)
}

// SetCORS replaces them; none removes them.
func (p *Pipeline) SetCORS(ctx context.Context, actor registry.Actor, bucket registry.BucketName, rules []registry.CORSRule) error {
	if err := p.mayConfigure(actor, policy.S3WriteConfig); err != nil {
		return err
	}
	return p.refuse("config", p.ledger.SetCORS(ctx, actor, bucket, rules))
}

// Lifecycle returns a bucket's lifecycle rules.
func (p *Pipeline) Lifecycle(ctx context.Context, actor registry.Actor, bucket registry.BucketName) ([]registry.LifecycleRule, error) {
	if err := p.mayConfigure(actor, policy.S3ReadConfig); err != nil {
		return nil, err
	}
	return p.ledger.Lifecycle(ctx, actor.Tenant, bucket)
}

// SetLifecycle replaces them; none removes them.
func (p *Pipeline) SetLifecycle(ctx context.Context, actor registry.Actor, bucket registry.BucketName, rules []registry.LifecycleRule) error {
	if err := p.mayConfigure(actor, policy.S3WriteConfig); err != nil {
		return err
	}
	return p.refuse("config", p.ledger.SetLifecycle(ctx, actor, bucket, rules))
}

// BucketTags returns a bucket's tags.
func (p *Pipeline) BucketTags(ctx context.Context, actor registry.Actor, bucket registry.BucketName) (map[string]string, error) {
	if err := p.mayConfigure(actor, policy.S3ReadConfig); err != nil {
		return nil, err
	}
	return p.ledger.BucketTags(ctx, actor.Tenant, bucket)
}

// SetBucketTags replaces them; none removes them.
func (p *Pipeline) SetBucketTags(ctx context.Context, actor registry.Actor, bucket registry.BucketName, tags map[string]string) error {
	if err := p.mayConfigure(actor, policy.S3WriteConfig); err != nil {
		return err
	}
	return p.refuse("config", p.ledger.SetBucketTags(ctx, actor, bucket, tags))
}

// SetPresignMax bounds the lifetime of URLs that SDKs sign with a tenant's keys, to
// at most the server's own bound; 0 is that.
func (p *Pipeline) SetPresignMax(ctx context.Context, actor registry.Actor, tenant registry.TenantName, most time.Duration) (registry.Tenant, error) {
	err := policy.Allow(actor, policy.ManageTenants, "")
	if err == nil && most != 0 {
		err = p.limits.Presign(registry.Tenant{}, registry.Bucket{}, most)
	}
	if err != nil {
		return registry.Tenant{}, p.refuse("tenant", fmt.Errorf("set presign max: %w", err))
	}
	return p.ledger.SetPresignMax(ctx, actor, tenant, most)
}

// PresignAllowed returns policy.ErrInvalidTTL for a URL that an SDK signed with a key
// of the tenant for longer than the server, the tenant or the bucket allows. bucket is
// "" where the request names none; one that does not exist bounds nothing.
func (p *Pipeline) PresignAllowed(ctx context.Context, tenant registry.TenantName, bucket registry.BucketName, lifetime time.Duration) error {
	t, err := p.ledger.Tenant(ctx, tenant)
	if err != nil {
		return fmt.Errorf("presigned url: %w", err)
	}
	b, err := p.bucketIfAny(ctx, tenant, bucket)
	if err != nil {
		return fmt.Errorf("presigned url: %w", err)
	}
	return p.refuse("presign", p.limits.Presign(t, b, lifetime))
}

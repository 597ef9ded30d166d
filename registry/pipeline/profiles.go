package pipeline

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// Profiles lists every profile of the actor's tenant, whether it is listed as
// a bucket yet or not.
func (p *Pipeline) Profiles(ctx context.Context, actor registry.Actor) ([]registry.Bucket, error) {
	if err := policy.Allow(actor, policy.S3ListBuckets, ""); err != nil {
		return nil, p.refuse("bucket", fmt.Errorf("list profiles: %w", err))
	}
	return p.ledger.Buckets(ctx, actor.Tenant)
}

// Profile returns one profile of the actor's tenant.
func (p *Pipeline) Profile(ctx context.Context, actor registry.Actor, name registry.BucketName) (registry.Bucket, error) {
	if err := policy.Allow(actor, policy.S3ListBuckets, ""); err != nil {
		return registry.Bucket{}, p.refuse("bucket", fmt.Errorf("profile: %w", err))
	}
	return p.ledger.Bucket(ctx, actor.Tenant, name)
}

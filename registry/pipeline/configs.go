package pipeline

import (
	"context"

	"sallyport/registry"
)

// The configuration of a bucket, as S3 has it. Reading needs policy.S3ReadConfig,
// writing policy.S3WriteConfig; registry.ErrNotFound for an unknown bucket.

// SetVersioning enables or suspends a bucket's versioning.
func (p *Pipeline) SetVersioning(ctx context.Context, actor registry.Actor, bucket registry.BucketName, v registry.Versioning) error {
	return errNotBuilt
}

// SetBucketLock changes a bucket's object-lock configuration.
func (p *Pipeline) SetBucketLock(ctx context.Context, actor registry.Actor, bucket registry.BucketName, lock registry.BucketLock) error {
	return errNotBuilt
}

// CORS returns a bucket's CORS rules.
func (p *Pipeline) CORS(ctx context.Context, actor registry.Actor, bucket registry.BucketName) ([]registry.CORSRule, error) {
	return nil, errNotBuilt
}

// SetCORS replaces them; none removes them.
func (p *Pipeline) SetCORS(ctx context.Context, actor registry.Actor, bucket registry.BucketName, rules []registry.CORSRule) error {
	return errNotBuilt
}

// Lifecycle returns a bucket's lifecycle rules.
func (p *Pipeline) Lifecycle(ctx context.Context, actor registry.Actor, bucket registry.BucketName) ([]registry.LifecycleRule, error) {
	return nil, errNotBuilt
}

// SetLifecycle replaces them; none removes them.
func (p *Pipeline) SetLifecycle(ctx context.Context, actor registry.Actor, bucket registry.BucketName, rules []registry.LifecycleRule) error {
	return errNotBuilt
}

// BucketTags returns a bucket's tags.
func (p *Pipeline) BucketTags(ctx context.Context, actor registry.Actor, bucket registry.BucketName) (map[string]string, error) {
	return nil, errNotBuilt
}

// SetBucketTags replaces them; none removes them.
func (p *Pipeline) SetBucketTags(ctx context.Context, actor registry.Actor, bucket registry.BucketName, tags map[string]string) error {
	return errNotBuilt
}

package pipeline

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// The verbs of this file move no bytes. They stand here so that nobody who
// answers requests has to remember to ask policy first.

// CreateTenant makes a tenant.
func (p *Pipeline) CreateTenant(ctx context.Context, actor registry.Actor, name registry.TenantName) (registry.Tenant, error) {
	if err := policy.Allow(actor, policy.ManageTenants, ""); err != nil {
		return registry.Tenant{}, p.refuse("tenant", fmt.Errorf("create tenant: %w", err))
	}
	return p.ledger.CreateTenant(ctx, actor, name)
}

// Tenants lists all tenants.
func (p *Pipeline) Tenants(ctx context.Context, actor registry.Actor, page registry.Page) ([]registry.Tenant, string, error) {
	if err := policy.Allow(actor, policy.ManageTenants, ""); err != nil {
		return nil, "", p.refuse("tenant", fmt.Errorf("list tenants: %w", err))
	}
	return p.ledger.Tenants(ctx, page)
}

// CreateKey makes an access key in the actor's tenant, or as an operator in
// another one. The secret is told this once.
func (p *Pipeline) CreateKey(ctx context.Context, actor registry.Actor, k registry.NewKey) (registry.AccessKey, registry.Secret, error) {
	if k.Tenant == "" {
		k.Tenant = actor.Tenant
	}
	action := policy.ManageKeys
	if k.Tenant != actor.Tenant {
		action = policy.ManageTenantKeys
	}
	err := policy.Allow(actor, action, "")
	if err == nil {
		err = policy.Grantable(actor, k.Tenant, k.Roles)
	}
	if err != nil {
		return registry.AccessKey{}, "", p.refuse("key", fmt.Errorf("create key: %w", err))
	}
	return p.ledger.CreateKey(ctx, actor, k)
}

// Keys lists the access keys of the actor's tenant.
func (p *Pipeline) Keys(ctx context.Context, actor registry.Actor, page registry.Page) ([]registry.AccessKey, string, error) {
	if err := policy.Allow(actor, policy.ManageKeys, ""); err != nil {
		return nil, "", p.refuse("key", fmt.Errorf("list keys: %w", err))
	}
	return p.ledger.Keys(ctx, actor.Tenant, page)
}

// CreateToken makes a bearer token for the actor's own principal. The secret is
// told this once.
func (p *Pipeline) CreateToken(ctx context.Context, actor registry.Actor, n registry.NewToken) (registry.Token, registry.Secret, error) {
	err := policy.Allow(actor, policy.ManageTokens, "")
	if err == nil {
		err = policy.Grantable(actor, actor.Tenant, n.Roles)
	}
	if err == nil {
		err = policy.TokenName(n.Name)
	}
	if err == nil {
		err = p.limits.Token(n.TTL)
	}
	if err != nil {
		return registry.Token{}, "", p.refuse("token", fmt.Errorf("create token: %w", err))
	}
	return p.ledger.CreateToken(ctx, actor, n)
}

// Tokens lists the bearer tokens of the actor's tenant.
func (p *Pipeline) Tokens(ctx context.Context, actor registry.Actor, page registry.Page) ([]registry.Token, string, error) {
	if err := policy.Allow(actor, policy.ManageTokens, ""); err != nil {
		return nil, "", p.refuse("token", fmt.Errorf("list tokens: %w", err))
	}
	return p.ledger.Tokens(ctx, actor.Tenant, page)
}

// NewBucket is a bucket to be made.
type NewBucket struct {
	Name     registry.BucketName
	Lockable bool // its objects can be locked, and so it has versioning
	Tags     map[string]string
}

// CreateBucket makes a direct bucket, as S3's CreateBucket does.
func (p *Pipeline) CreateBucket(ctx context.Context, actor registry.Actor, name registry.BucketName) error {
	return p.CreateBucketWith(ctx, actor, NewBucket{Name: name})
}

// CreateBucketWith is CreateBucket with all that can be said at once. If we die
// before the tags are written there is a bucket without them.
func (p *Pipeline) CreateBucketWith(ctx context.Context, actor registry.Actor, n NewBucket) error {
	if err := policy.Allow(actor, policy.S3CreateBucket, ""); err != nil {
		return p.refuse("bucket", fmt.Errorf("create bucket: %w", err))
	}
	b := registry.Bucket{Name: n.Name, Intake: registry.IntakeDirect}
	if n.Lockable {
		b.Lock = &registry.BucketLock{}
	}
	if err := p.ledger.CreateBucket(ctx, actor, b); err != nil || len(n.Tags) == 0 {
		return err
	}
	return p.ledger.SetBucketTags(ctx, actor, n.Name, n.Tags)
}

// PutProfile creates a profile or changes its policy.
func (p *Pipeline) PutProfile(ctx context.Context, actor registry.Actor, b registry.Bucket) error {
	err := policy.Allow(actor, policy.ManageProfiles, "")
	if err == nil {
		err = p.limits.Profile(b)
	}
	if err != nil {
		return p.refuse("bucket", fmt.Errorf("put profile: %w", err))
	}
	return p.ledger.PutProfile(ctx, actor, b)
}

// Bucket returns one bucket for HeadBucket and its like.
func (p *Pipeline) Bucket(ctx context.Context, actor registry.Actor, name registry.BucketName) (registry.Bucket, error) {
	if err := policy.Allow(actor, policy.S3HeadBucket, ""); err != nil {
		return registry.Bucket{}, p.refuse("bucket", fmt.Errorf("bucket: %w", err))
	}
	return p.ledger.Bucket(ctx, actor.Tenant, name)
}

// Buckets lists the buckets of the actor's tenant that are to be seen.
func (p *Pipeline) Buckets(ctx context.Context, actor registry.Actor) ([]registry.Bucket, error) {
	if err := policy.Allow(actor, policy.S3ListBuckets, ""); err != nil {
		return nil, p.refuse("bucket", fmt.Errorf("list buckets: %w", err))
	}
	all, err := p.ledger.Buckets(ctx, actor.Tenant)
	if err != nil {
		return nil, err
	}
	listed := all[:0]
	for _, b := range all {
		if b.Listed {
			listed = append(listed, b)
		}
	}
	return listed, nil
}

// DeleteBucket deletes an empty bucket.
func (p *Pipeline) DeleteBucket(ctx context.Context, actor registry.Actor, name registry.BucketName) error {
	if err := policy.Allow(actor, policy.S3DeleteBucket, ""); err != nil {
		return p.refuse("bucket", fmt.Errorf("delete bucket: %w", err))
	}
	return p.ledger.DeleteBucket(ctx, actor, actor.Tenant, name)
}

// Timeline returns the audit events of one object; see registry's Timeline.
func (p *Pipeline) Timeline(ctx context.Context, actor registry.Actor, id registry.ObjectID, from uint64, limit int) ([]registry.Event, error) {
	if err := policy.Allow(actor, policy.ReadTimeline, ""); err != nil {
		return nil, p.refuse("audit", fmt.Errorf("timeline: %w", err))
	}
	return p.ledger.Timeline(ctx, actor.Tenant, id, from, limit)
}

// Audit returns leaves of the audit log: the actor's tenant's, or for an operator
// all.
func (p *Pipeline) Audit(ctx context.Context, actor registry.Actor, from uint64, limit int) ([]registry.Leaf, error) {
	if err := policy.Allow(actor, policy.ReadAudit, ""); err != nil {
		return nil, p.refuse("audit", fmt.Errorf("audit: %w", err))
	}
	tenant := actor.Tenant
	if policy.Allow(actor, policy.ReadAllAudit, "") == nil {
		tenant = ""
	}
	return p.ledger.Events(ctx, tenant, from, limit)
}

// Checkpoint returns the audit log's signed head.
func (p *Pipeline) Checkpoint(ctx context.Context, actor registry.Actor) ([]byte, error) {
	if err := policy.Allow(actor, policy.ReadAudit, ""); err != nil {
		return nil, p.refuse("audit", fmt.Errorf("checkpoint: %w", err))
	}
	return p.ledger.Checkpoint(ctx)
}

// AuditConsistency returns the proof that the log of a size begins with the log of
// an older one.
func (p *Pipeline) AuditConsistency(ctx context.Context, actor registry.Actor, old, size uint64) ([]registry.Hash, error) {
	if err := policy.Allow(actor, policy.ReadAudit, ""); err != nil {
		return nil, p.refuse("audit", fmt.Errorf("audit consistency: %w", err))
	}
	return p.ledger.ConsistencyProof(ctx, old, size)
}

// AuditProof returns the proof that a leaf is in the log of a size.
func (p *Pipeline) AuditProof(ctx context.Context, actor registry.Actor, seq, size uint64) ([]registry.Hash, error) {
	if err := policy.Allow(actor, policy.ReadAudit, ""); err != nil {
		return nil, p.refuse("audit", fmt.Errorf("audit proof: %w", err))
	}
	return p.ledger.Proof(ctx, seq, size)
}

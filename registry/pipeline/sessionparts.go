package pipeline

import (
	"context"
	"fmt"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// The sizes of a session's parts, in bytes: so large that there are at most
// maxSessionParts of them, which is well below S3's 10,000.
const (
	minSessionPart  = 8 << 20
	sessionPartUnit = 1 << 20
	maxSessionParts = 9000
)

// partSize is the size of each part but the last of a session of size bytes.
func partSize(size int64) int64 {
	units := (size + maxSessionParts*sessionPartUnit - 1) / (maxSessionParts * sessionPartUnit)
	return max(minSessionPart, units*sessionPartUnit)
}

// PartURL is a grant to put one part of a session.
type PartURL struct {
	Grant  registry.Grant
	Upload registry.Upload
	Size   int64 // bytes, exact
}

// IssuePart gives one part of a session a fresh PUT URL's grant; earlier ones of
// that part stop working. ttl 0 asks for the longest there is.
func (p *Pipeline) IssuePart(ctx context.Context, actor registry.Actor, id registry.UploadID, number int, ttl time.Duration) (PartURL, error) {
	u, err := p.issuePart(ctx, actor, id, number, ttl)
	if err != nil {
		return PartURL{}, p.refuse("reissue", fmt.Errorf("issue part url: %w", err))
	}
	p.m.issued.WithLabelValues(string(registry.GrantPut)).Inc()
	return u, nil
}

func (p *Pipeline) issuePart(ctx context.Context, actor registry.Actor, id registry.UploadID, number int, ttl time.Duration) (PartURL, error) {
	up, err := p.upload(ctx, actor, policy.PutContent, id)
	if err != nil {
		return PartURL{}, err
	}
	bucket, err := p.ledger.Bucket(ctx, actor.Tenant, up.Bucket)
	if err != nil {
		return PartURL{}, err
	}
	if ttl == 0 {
		ttl = p.limits.MaxPutURLTTL
	}
	if ttl, err = p.limits.PutURL(bucket, ttl); err != nil {
		return PartURL{}, err
	}
	g, before, err := p.ledger.IssuePartURL(ctx, actor, id, number, ttl)
	if err != nil {
		return PartURL{}, err
	}
	if before.Grant != "" {
		p.cut(ctx, func(s subject) bool { return s.tenant == actor.Tenant && s.grant == before.Grant })
	}
	return PartURL{Grant: g, Upload: up, Size: before.Size}, nil
}

// RegisterPart fixes a part that is stored, and ends what is about to replace it.
// The errors are the ledger's.
func (p *Pipeline) RegisterPart(ctx context.Context, actor registry.Actor, id registry.UploadID, number int, r registry.Registration) (registry.Part, error) {
	part, err := p.registerPart(ctx, actor, id, number, r)
	if err != nil {
		return registry.Part{}, p.refuse("register_part", fmt.Errorf("register part: %w", err))
	}
	return part, nil
}

func (p *Pipeline) registerPart(ctx context.Context, actor registry.Actor, id registry.UploadID, number int, r registry.Registration) (registry.Part, error) {
	if _, err := p.upload(ctx, actor, policy.PutContent, id); err != nil {
		return registry.Part{}, err
	}
	part, err := p.ledger.RegisterPart(ctx, actor, actor.Tenant, id, number, r)
	if err == nil {
		p.cut(ctx, func(s subject) bool { return s.tenant == actor.Tenant && s.upload == id && s.part == number })
	}
	return part, err
}

// SessionParts lists up to limit stored parts of a session behind number after, in
// their order, and whether there are more.
func (p *Pipeline) SessionParts(ctx context.Context, actor registry.Actor, id registry.UploadID, after, limit int) ([]registry.Part, bool, error) {
	if _, err := p.upload(ctx, actor, policy.ReadUpload, id); err != nil {
		return nil, false, err
	}
	return p.ledger.SessionParts(ctx, actor.Tenant, id, after, limit)
}

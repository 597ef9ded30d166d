package pipeline

import (
	"context"
	"fmt"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// BeginRequest asks for an upload session.
type BeginRequest struct {
	Filename    string
	ContentType string
	Size        int64               // bytes, exact
	SHA256      string              // hex, "" if not known yet
	Profile     registry.BucketName // "" is registry.DefaultBucket
	InParts     bool                // the bytes come part by part, each by a URL of its own
	Idempotency registry.Idempotency
}

// Begin creates a session with its object and the first PUT URL's grant, which a
// session in parts has none of. The errors are policy's, ErrNoSpace, registry.ErrNotFound for an unknown profile and
// registry.ErrIdempotencyConflict.
func (p *Pipeline) Begin(ctx context.Context, actor registry.Actor, req BeginRequest) (registry.Begun, error) {
	begun, err := p.begin(ctx, actor, req)
	if err != nil {
		return registry.Begun{}, p.refuse("begin", fmt.Errorf("begin: %w", err))
	}
	if begun.Grant.ID != "" {
		p.m.issued.WithLabelValues(string(registry.GrantPut)).Inc()
	}
	return begun, nil
}

func (p *Pipeline) begin(ctx context.Context, actor registry.Actor, req BeginRequest) (registry.Begun, error) {
	if err := policy.Allow(actor, policy.CreateUpload, actor.Principal); err != nil {
		return registry.Begun{}, err
	}
	// A repeat is told what the first was told: what policy says by now, or how
	// much room there is, is nothing to it.
	begun, err := p.ledger.Replay(ctx, actor, req.Idempotency)
	if err != nil || begun.Replayed {
		return begun, err
	}
	if req.Profile == "" {
		req.Profile = registry.DefaultBucket
	}
	bucket, err := p.ledger.Bucket(ctx, actor.Tenant, req.Profile)
	if err != nil {
		return registry.Begun{}, err
	}
	terms, err := p.limits.Upload(bucket, policy.UploadRequest{
		Filename: req.Filename, ContentType: req.ContentType, Size: req.Size, InParts: req.InParts})
	if err != nil {
		return registry.Begun{}, err
	}
	if err := p.space(req.Size); err != nil {
		return registry.Begun{}, err
	}
	n := registry.NewUpload{
		Bucket: req.Profile, Filename: req.Filename, ContentType: req.ContentType,
		Size: req.Size, SHA256: req.SHA256,
		SessionTTL: terms.SessionTTL, URLTTL: terms.URLTTL, Idempotency: req.Idempotency,
	}
	if req.InParts {
		n.PartSize = partSize(req.Size)
	}
	return p.ledger.CreateUpload(ctx, actor, n)
}

// ReissuePut gives a session a fresh PUT URL's grant; earlier ones stop working.
// ttl 0 asks for the default.
func (p *Pipeline) ReissuePut(ctx context.Context, actor registry.Actor, id registry.UploadID, ttl time.Duration) (registry.Grant, registry.Upload, error) {
	g, up, err := p.reissue(ctx, actor, id, ttl)
	if err != nil {
		return registry.Grant{}, registry.Upload{}, p.refuse("reissue", fmt.Errorf("issue put url: %w", err))
	}
	p.m.issued.WithLabelValues(string(registry.GrantPut)).Inc()
	return g, up, nil
}

func (p *Pipeline) reissue(ctx context.Context, actor registry.Actor, id registry.UploadID, ttl time.Duration) (registry.Grant, registry.Upload, error) {
	up, err := p.upload(ctx, actor, policy.PutContent, id)
	if err != nil {
		return registry.Grant{}, up, err
	}
	bucket, err := p.ledger.Bucket(ctx, actor.Tenant, up.Bucket)
	if err != nil {
		return registry.Grant{}, up, err
	}
	if ttl, err = p.limits.PutURL(bucket, ttl); err != nil {
		return registry.Grant{}, up, err
	}
	old := up.Grant
	g, err := p.ledger.IssuePutURL(ctx, actor, id, ttl)
	if err == nil && old != "" {
		p.cut(ctx, func(s subject) bool { return s.tenant == actor.Tenant && s.grant == old })
	}
	return g, up, err
}

// upload returns a session that the actor may do action on.
func (p *Pipeline) upload(ctx context.Context, actor registry.Actor, action policy.Action, id registry.UploadID) (registry.Upload, error) {
	up, err := p.ledger.Upload(ctx, actor.Tenant, id)
	if err != nil {
		return up, err
	}
	return up, policy.Allow(actor, action, up.Principal)
}

// Upload returns one session.
func (p *Pipeline) Upload(ctx context.Context, actor registry.Actor, id registry.UploadID) (registry.Upload, error) {
	return p.upload(ctx, actor, policy.ReadUpload, id)
}

// Uploads lists the sessions the actor may see, newest first.
func (p *Pipeline) Uploads(ctx context.Context, actor registry.Actor, page registry.Page) ([]registry.Upload, string, error) {
	whose := registry.PrincipalName("")
	switch policy.ScopeOf(actor, policy.ReadUpload) {
	case policy.Own:
		whose = actor.Principal
	case policy.Nothing:
		return nil, "", policy.Allow(actor, policy.ReadUpload, "")
	}
	return p.ledger.Uploads(ctx, actor.Tenant, whose, page)
}

// Finalize says that the client is done: the object goes to its scan. sha256 is
// the client's, hex, or "". It is idempotent. registry.ErrUploadNotReceived comes
// before the bytes, registry.ErrChecksumMismatch rejects the object. What came in
// parts is held against sha256 by its scan.
func (p *Pipeline) Finalize(ctx context.Context, actor registry.Actor, id registry.UploadID, sha256 string) (registry.Object, error) {
	up, err := p.upload(ctx, actor, policy.FinalizeUpload, id)
	if err != nil {
		return registry.Object{}, p.refuse("finalize", fmt.Errorf("finalize: %w", err))
	}
	o, err := p.ledger.Finalize(ctx, actor, actor.Tenant, id, sha256)
	if err != nil {
		return o, p.refuse("finalize", err)
	}
	if up.PartSize > 0 { // a part that is being replaced comes too late
		p.cut(ctx, func(s subject) bool { return s.tenant == actor.Tenant && s.upload == id && s.part > 0 })
	}
	p.queued()
	return o, nil
}

// Abort ends a session and deletes what was received. It is idempotent; a
// finalized session is registry.ErrUploadFinalized.
func (p *Pipeline) Abort(ctx context.Context, actor registry.Actor, id registry.UploadID) error {
	_, err := p.upload(ctx, actor, policy.AbortUpload, id)
	if err != nil {
		return p.refuse("abort", fmt.Errorf("abort: %w", err))
	}
	if err := p.ledger.AbortUpload(ctx, actor, actor.Tenant, id); err != nil {
		return p.refuse("abort", err)
	}
	p.cut(ctx, func(s subject) bool { return s.tenant == actor.Tenant && s.upload == id })
	p.sweepSoon()
	return nil
}

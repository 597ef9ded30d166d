package pipeline

import (
	"context"
	"fmt"
	"io"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// CreateMultipart begins a multipart upload in a bucket. The rights are S3Write's,
// and S3Lock's where Kept locks.
func (p *Pipeline) CreateMultipart(ctx context.Context, actor registry.Actor, n registry.NewMultipart) (registry.Multipart, error) {
	m, err := p.createMultipart(ctx, actor, n)
	return m, p.refuse("multipart", err)
}

func (p *Pipeline) createMultipart(ctx context.Context, actor registry.Actor, n registry.NewMultipart) (m registry.Multipart, err error) {
	bucket, err := p.destination(ctx, actor, n.Bucket, n.Key)
	if err != nil {
		return m, fmt.Errorf("create multipart: %w", err)
	}
	if n.ContentType == "" {
		n.ContentType = policy.S3Default
	}
	err = mayKeep(actor, bucket, n.Kept)
	if err == nil {
		err = p.limits.Whole(bucket, n.ContentType, 0)
	}
	if err == nil && n.ChecksumAlgorithm != "" && checksumSize(n.ChecksumAlgorithm) == 0 {
		err = fmt.Errorf("%w: unknown checksum", ErrInvalidDigest)
	}
	if err != nil {
		return m, fmt.Errorf("create multipart: %w", err)
	}
	return p.ledger.CreateMultipart(ctx, actor, n)
}

// MultipartRef names a multipart upload as S3 does.
type MultipartRef struct {
	Bucket registry.BucketName
	Key    string
	ID     registry.MultipartID
}

// multipart returns an upload that the actor may do with what S3Multipart covers,
// and its bucket. One that was completed comes back, too. Whoever has no such right at
// all learns nothing of what there is.
func (p *Pipeline) multipart(ctx context.Context, actor registry.Actor, ref MultipartRef) (m registry.Multipart, b registry.Bucket, err error) {
	if policy.ScopeOf(actor, policy.S3Multipart) == policy.Nothing {
		return m, b, policy.Allow(actor, policy.S3Multipart, "")
	}
	if b, err = p.ledger.Bucket(ctx, actor.Tenant, ref.Bucket); err != nil {
		return m, b, err
	}
	if m, err = p.ledger.Multipart(ctx, actor.Tenant, ref.Bucket, ref.Key, ref.ID); err != nil {
		return m, b, err
	}
	return m, b, policy.Allow(actor, policy.S3Multipart, m.Principal)
}

// openMultipart is multipart for what a completed upload has no more.
func (p *Pipeline) openMultipart(ctx context.Context, actor registry.Actor, ref MultipartRef) (registry.Multipart, registry.Bucket, error) {
	m, b, err := p.multipart(ctx, actor, ref)
	if err == nil && !m.CompletedAt.IsZero() {
		err = registry.ErrNoUpload
	}
	return m, b, err
}

// Complete assembles a multipart upload; the rights are S3Multipart's. In a bucket
// that inspects before it answers it reads the bytes, which takes its time: the caller
// keeps the client waiting. Repeating one that succeeded returns the object.
//
// The errors are registry.CompleteMultipart's and policy's: a size that was not known
// before is policy.ErrSizeNotAllowed.
func (p *Pipeline) Complete(ctx context.Context, actor registry.Actor, c registry.Completion) (registry.Object, error) {
	o, err := p.complete(ctx, actor, c)
	if err != nil {
		return registry.Object{}, p.refuse("complete", fmt.Errorf("complete: %w", err))
	}
	return o, nil
}

func (p *Pipeline) complete(ctx context.Context, actor registry.Actor, c registry.Completion) (o registry.Object, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := p.transfers.join(identity(actor), func() { cancel(ErrCut) })
	defer p.transfers.leave(x)

	m, bucket, err := p.multipart(ctx, actor, MultipartRef{Bucket: c.Bucket, Key: c.Key, ID: c.Multipart})
	if err != nil {
		return o, err
	}
	if m.CompletedAt.IsZero() {
		if err := p.inspect(ctx, actor, bucket, &c); err != nil {
			return o, err
		}
		// Also if somebody else was faster: what the ledger took is left alone.
		defer func() { p.dropKept(ctx, actor.Tenant, c.Renditions) }()
	}
	if !p.transfers.commit(x) {
		return o, ErrCut
	}
	if o, err = p.ledger.CompleteMultipart(context.WithoutCancel(ctx), actor, c); err != nil {
		return o, err
	}
	p.cutParts(ctx, actor.Tenant, m.ID)
	p.accepted(ctx, o)
	p.sweepSoon() // parts that were left out
	return o, nil
}

// inspect holds what a completion would make against the bucket's rules, and says in
// c what it found.
func (p *Pipeline) inspect(ctx context.Context, actor registry.Actor, b registry.Bucket, c *registry.Completion) error {
	o, err := p.ledger.Assembled(ctx, actor.Tenant, *c)
	if err != nil || o.State != "" { // somebody else was faster
		return err
	}
	if err := p.limits.Whole(b, o.ContentType, o.Size); err != nil {
		return err
	}
	if b.Intake != registry.IntakeDirect {
		return nil // judged by the scan
	}
	if c.Detected, err = p.detect(ctx, o); err != nil {
		return err
	}
	if err := p.mayShow(b, o.ContentType, c.Detected, o.Size); err != nil {
		return err
	}
	c.Inspected = o.Extents
	switch p.mode(&b) {
	case registry.ScanAsync:
	case registry.ScanInline:
		o.DetectedType, o.Principal = c.Detected, actor.Principal
		j, err := p.judge(ctx, &b, o, nil)
		if err != nil {
			return err
		}
		c.Verdict, c.SHA256, c.Renditions = j.verdict, j.sha256, j.renditions
		if j.detected != "" {
			c.Detected = j.detected
		}
	default:
		c.Verdict = p.builtIn(&b)
	}
	return nil
}

// detect returns the type of an object's content by its first bytes, "" without a
// detector.
func (p *Pipeline) detect(ctx context.Context, o registry.Object) (string, error) {
	if p.cfg.Detect == nil {
		return "", nil
	}
	head := make([]byte, min(o.Size, headSize))
	if len(head) > 0 {
		r, err := p.openExtents(ctx, o, 0, int64(len(head)))
		if err != nil {
			return "", fmt.Errorf("detect: %w", err)
		}
		defer r.Close()
		if _, err := io.ReadFull(r, head); err != nil {
			p.failed("read", err)
			return "", fmt.Errorf("detect: %w", err)
		}
	}
	return p.cfg.Detect(head), nil
}

// AbortMultipart ends a multipart upload and the parts on their way to it.
func (p *Pipeline) AbortMultipart(ctx context.Context, actor registry.Actor, ref MultipartRef) error {
	if _, _, err := p.openMultipart(ctx, actor, ref); err != nil {
		return p.refuse("multipart", fmt.Errorf("abort multipart: %w", err))
	}
	if err := p.ledger.AbortMultipart(ctx, actor, ref.Bucket, ref.Key, ref.ID); err != nil {
		return p.refuse("multipart", err)
	}
	p.cutParts(ctx, actor.Tenant, ref.ID)
	p.sweepSoon()
	return nil
}

// cutParts ends the parts that are on their way to an upload that is over.
func (p *Pipeline) cutParts(ctx context.Context, tenant registry.TenantName, id registry.MultipartID) {
	p.cut(ctx, func(s subject) bool { return s.tenant == tenant && s.multipart == id })
}

// PartListing is one page of a multipart upload's parts.
type PartListing struct {
	Upload registry.Multipart
	Parts  []registry.Part
	More   bool
}

// Parts lists the stored parts of a multipart upload behind number after; limit is at
// most 1,000.
func (p *Pipeline) Parts(ctx context.Context, actor registry.Actor, ref MultipartRef, after, limit int) (PartListing, error) {
	m, _, err := p.openMultipart(ctx, actor, ref)
	if err != nil {
		return PartListing{}, p.refuse("multipart", fmt.Errorf("parts: %w", err))
	}
	parts, more, err := p.ledger.Parts(ctx, actor.Tenant, ref.ID, after, limit)
	if err != nil {
		return PartListing{}, p.refuse("multipart", err)
	}
	return PartListing{Upload: m, Parts: parts, More: more}, nil
}

// Multiparts lists a bucket's multipart uploads.
func (p *Pipeline) Multiparts(ctx context.Context, actor registry.Actor, bucket registry.BucketName, q registry.MultipartsQuery) (registry.MultipartListing, error) {
	if err := policy.Allow(actor, policy.S3ListUploads, ""); err != nil {
		return registry.MultipartListing{}, p.refuse("list", fmt.Errorf("list multiparts: %w", err))
	}
	return p.ledger.Multiparts(ctx, actor.Tenant, bucket, q)
}

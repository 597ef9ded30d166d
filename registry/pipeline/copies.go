package pipeline

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// CopyRequest is a CopyObject through the S3 port.
type CopyRequest struct {
	Source Source
	Bucket registry.BucketName
	Key    string
	// Kept replaces what the source's row says, where the flags say so; retention,
	// legal hold and storage class always.
	Kept            registry.Kept
	ReplaceMetadata bool // content type, metadata and headers
	ReplaceTags     bool
	// ChecksumAlgorithm asks for a checksum that the source may not have; the bytes
	// are read for it then. "" keeps what the source has.
	ChecksumAlgorithm string
	Conditions        registry.Conditions
	OneUse            registry.OneUse
}

// Copied is the outcome of a copy.
type Copied struct {
	Object        registry.Object
	SourceVersion string // version id of what was copied, "" where versioning never was on
}

// ErrSelfCopy: a copy onto itself would change nothing.
var ErrSelfCopy = errors.New("pipeline: copy onto itself without a change")

// Copy makes an object of another one's bytes without moving any. Rights on both,
// the bucket's rules and both sides' conditions are checked. registry.ErrNotFound or
// *registry.MarkerError for the source (wrapped in ErrSource), ErrSelfCopy for a copy
// onto itself that changes nothing, and what PutObject returns.
func (p *Pipeline) Copy(ctx context.Context, actor registry.Actor, req CopyRequest) (Copied, error) {
	c, err := p.copyObject(ctx, actor, req)
	if err != nil {
		return Copied{}, p.refuse("copy", fmt.Errorf("copy: %w", err))
	}
	return c, nil
}

func (p *Pipeline) copyObject(ctx context.Context, actor registry.Actor, req CopyRequest) (c Copied, err error) {
	bucket, err := p.destination(ctx, actor, req.Bucket, req.Key)
	if err != nil {
		return c, err
	}
	if err := mayKeep(actor, bucket, req.Kept); err != nil {
		return c, err
	}
	if req.OneUse, err = p.unused(ctx, actor, bucket, req.OneUse); err != nil {
		return c, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := p.transfers.join(identity(actor), func() { cancel(ErrCut) })
	defer p.transfers.leave(x)

	src, err := p.source(ctx, actor, req.Source)
	if err != nil {
		return c, err
	}
	if req.changesNothing() {
		return c, ErrSelfCopy
	}
	n := registry.NewCopy{
		Source: src.ID, Bucket: req.Bucket, Key: req.Key, Kept: req.kept(&src), Conditions: req.Conditions, OneUse: req.OneUse,
	}
	if err := p.limits.Whole(bucket, n.ContentType, src.Size); err != nil {
		return c, err
	}
	if err := p.judgeCopy(ctx, actor, &bucket, src, &n); err != nil {
		return c, err
	}
	defer func() { p.dropKept(ctx, actor.Tenant, n.Renditions) }()
	if a := req.ChecksumAlgorithm; a != "" {
		sum, err := p.checksumOf(ctx, src, registry.Run{Object: src.ID, Length: src.Size}, a)
		if err != nil {
			return c, err
		}
		n.Checksums, n.ChecksumType = map[string]string{a: sum}, registry.FullObject
	}
	if c.SourceVersion, err = p.versionOf(ctx, &src); err != nil {
		return c, err
	}
	if !p.transfers.commit(x) {
		return c, ErrCut
	}
	if c.Object, err = p.ledger.CopyObject(context.WithoutCancel(ctx), actor, n); err != nil {
		return c, err
	}
	p.accepted(ctx, c.Object)
	return c, nil
}

// destination returns the bucket that the actor may write a key of.
func (p *Pipeline) destination(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key string) (registry.Bucket, error) {
	if err := policy.Allow(actor, policy.S3Write, ""); err != nil {
		return registry.Bucket{}, err
	}
	b, err := p.ledger.Bucket(ctx, actor.Tenant, bucket)
	if err != nil {
		return b, err
	}
	return b, policy.Key(key)
}

// changesNothing tells whether the copy would be what its source is. To copy an
// older version onto its key, or one that is named, brings it back.
func (r *CopyRequest) changesNothing() bool {
	return r.Bucket == r.Source.Bucket && r.Key == r.Source.Key && r.Source.Version == "" &&
		!r.ReplaceMetadata && !r.ReplaceTags && r.ChecksumAlgorithm == "" &&
		r.Kept.Retention == nil && !r.Kept.LegalHold && r.Kept.StorageClass == ""
}

func (r *CopyRequest) kept(src *registry.Object) registry.Kept {
	k := r.Kept
	if !r.ReplaceMetadata {
		k.ContentType, k.Metadata, k.Headers = src.ContentType, src.Metadata, src.Headers
	}
	if k.ContentType == "" {
		k.ContentType = policy.S3Default
	}
	if !r.ReplaceTags {
		k.Tags = src.Tags
	}
	return k
}

// judgeCopy gives a whole copy its verdict, where the bucket publishes at once: the
// source's, if that is by all the engines that the bucket's rules ask and they let pass no
// more than these. What it is declared as may be new, and is held against the content
// again.
func (p *Pipeline) judgeCopy(ctx context.Context, actor registry.Actor, b *registry.Bucket, src registry.Object, n *registry.NewCopy) error {
	if b.Intake != registry.IntakeDirect {
		return nil // judged by the scan
	}
	detected := src.DetectedType
	if detected == "" && len(b.AllowedTypes) > 0 {
		var err error
		if detected, err = p.detect(ctx, src); err != nil {
			return err
		}
	}
	if err := p.mayShow(*b, n.ContentType, detected, src.Size); err != nil {
		return err
	}
	o := src
	o.ID, o.Upload, o.Principal = "", "", actor.Principal
	o.Bucket, o.Key, o.ContentType = n.Bucket, n.Key, n.ContentType
	inherits, err := p.inherits(ctx, b, &o, &src)
	switch {
	case err != nil:
		return err
	case inherits:
		n.Verdict = *src.Verdict
	case p.mode(b) == registry.ScanInline:
		o.ID = src.ID // whose bytes they are
		j, err := p.judge(ctx, b, o, nil)
		if errors.Is(err, ErrInfected) {
			p.suspect(ctx, &src)
		}
		if err != nil {
			return err
		}
		n.Verdict, n.Renditions = j.verdict, j.renditions
	}
	return nil
}

// suspect has a published object inspected again, by the rules of its own bucket: malware
// was found in a copy of it.
func (p *Pipeline) suspect(ctx context.Context, o *registry.Object) {
	ctx, cancel := fresh(ctx)
	defer cancel()
	switch _, err := p.ledger.RescanObject(ctx, registry.System(o.Tenant), o.ID); {
	case err == nil:
		p.queued()
	case !errors.Is(err, registry.ErrConflict) && !errors.Is(err, registry.ErrNotFound):
		p.log.ErrorContext(ctx, "malware was found in a copy, and what it is of is not inspected again", "object", o.ID, "err", err)
	}
}

// inherits tells whether a copy o in bucket b need not be inspected.
func (p *Pipeline) inherits(ctx context.Context, b *registry.Bucket, o, src *registry.Object) (bool, error) {
	mode := p.mode(b)
	switch {
	case src.Verdict == nil || src.Verdict.Result != registry.VerdictClean:
		return false, nil
	case p.cfg.Judge == nil, mode == registry.ScanDefault, mode == registry.ScanOff:
		return !p.cfg.ScannerRequired, nil
	}
	from, err := p.bucketIfAny(ctx, src.Tenant, src.Bucket)
	if err != nil {
		return false, err
	}
	r, had := rules(b, o), rules(&from, src)
	return p.cfg.Judge.Covers(*src.Verdict, r) && !narrower(r, had) && !repaints(r, had, src), nil
}

// checksumOf returns a checksum of a run of an object, base64: the recorded one if
// that is of the same bytes, else by reading them.
func (p *Pipeline) checksumOf(ctx context.Context, o registry.Object, run registry.Run, algorithm string) (string, error) {
	whole := run.Offset == 0 && run.Length == o.Size && o.ChecksumType != registry.Composite
	if sum, known := o.Checksums[algorithm]; known && whole {
		return sum, nil
	}
	h := Checksum(algorithm)
	if h == nil {
		return "", fmt.Errorf("%w: unknown checksum", ErrInvalidDigest)
	}
	if err := p.hashRun(ctx, h, o, run); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

// hashBuffer is how many bytes are read at a time to hash them.
const hashBuffer = 256 << 10

func (p *Pipeline) hashRun(ctx context.Context, h hash.Hash, o registry.Object, run registry.Run) error {
	r, err := p.openExtents(ctx, o, run.Offset, run.Length)
	if err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	defer r.Close()
	// Not io.Copy: a reader that can write itself would not stop at a cut.
	buf := make([]byte, min(hashBuffer, max(run.Length, 1)))
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			p.failed("read", err)
			return fmt.Errorf("checksum: %w", err)
		}
	}
}

// identity is the subject of what moves on an actor's behalf and concerns no object
// yet.
func identity(a registry.Actor) subject {
	return subject{tenant: a.Tenant, principal: a.Principal, credential: a.Credential}
}

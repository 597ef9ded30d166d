package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// PartRequest is an UploadPart, authenticated.
type PartRequest struct {
	MultipartRef
	Number   int // 1 to registry.MaxParts
	Declared Declared
	OneUse   registry.OneUse
}

// PartTicket admits one part's body. It has changed nothing.
type PartTicket struct {
	actor registry.Actor
	req   PartRequest
	want  expected
}

// ErrChecksumAlgorithm: a part declares another checksum than the upload was created
// for.
var ErrChecksumAlgorithm = errors.New("pipeline: checksum is of another algorithm than the upload's")

// AdmitPart decides from the headers whether a part can be stored. The refusals come
// in this order: a role without the right, bucket, upload, another's upload, number,
// length, size, digests, space, a URL that was used.
func (p *Pipeline) AdmitPart(ctx context.Context, actor registry.Actor, req PartRequest) (*PartTicket, error) {
	t, err := p.admitPart(ctx, actor, req)
	if err != nil {
		return nil, p.refuse("put_part", fmt.Errorf("admit part: %w", err))
	}
	return t, nil
}

func (p *Pipeline) admitPart(ctx context.Context, actor registry.Actor, req PartRequest) (*PartTicket, error) {
	m, bucket, err := p.openMultipart(ctx, actor, req.MultipartRef)
	switch {
	case err != nil:
		return nil, err
	case req.Number < 1 || req.Number > registry.MaxParts:
		return nil, ErrPartNumber
	case req.Declared.Length < 0:
		return nil, ErrMissingLength
	}
	if err := p.limits.Part(bucket, req.Declared.Length); err != nil {
		return nil, err
	}
	want, err := req.Declared.parse()
	if err != nil {
		return nil, err
	}
	if m.ChecksumAlgorithm != "" {
		if want.checksum != "" && want.checksum != m.ChecksumAlgorithm {
			return nil, fmt.Errorf("%w: %s", ErrChecksumAlgorithm, m.ChecksumAlgorithm)
		}
		want.compute = m.ChecksumAlgorithm
	}
	if err := p.space(req.Declared.Length); err != nil {
		return nil, err
	}
	if req.OneUse, err = p.unused(ctx, actor, bucket, req.OneUse); err != nil {
		return nil, err
	}
	return &PartTicket{actor: actor, req: req, want: want}, nil
}

// PutPart stores the body. On any failure nothing of it is visible. It reads body
// no more once it returned.
func (p *Pipeline) PutPart(ctx context.Context, t *PartTicket, body Body) (registry.Part, error) {
	part, n, err := p.putPart(ctx, t, body)
	p.ended("put_part", n, err)
	if err != nil {
		return registry.Part{}, p.refuse("put_part", fmt.Errorf("put part: %w", err))
	}
	return part, nil
}

// putPart returns how many bytes came, too.
func (p *Pipeline) putPart(ctx context.Context, t *PartTicket, body Body) (part registry.Part, n int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	who := identity(t.actor)
	who.multipart = t.req.ID
	// In the table before the bytes: whoever aborts commits first and looks here
	// second, so that either the ledger or the table knows.
	x := p.transfers.join(who, func() { cancel(ErrCut) })
	defer p.transfers.leave(x)

	intent, err := p.ledger.ReserveBlob(ctx, t.actor.Tenant)
	if err != nil {
		return part, 0, err
	}
	done := false
	defer func() {
		if !done {
			p.giveUp(ctx, intent)
		}
	}()
	size := t.req.Declared.Length
	in := newIntake(body, t.want, size, &p.lanes)
	defer in.close()
	if _, err := p.cfg.Blobs.Put(ctx, blob.Key(intent.Key), in, size); err != nil {
		p.failed("put", err)
		p.unsure(intent.Key, err)
		return part, in.n.Load(), explainPut(ctx, err)
	}
	if !p.transfers.commit(x) {
		return part, size, ErrCut
	}
	// If we die here nothing points at the bytes: their intent is of a dead
	// epoch then.
	part, err = p.ledger.PutPart(context.WithoutCancel(ctx), t.actor, registry.NewPart{
		Multipart: t.req.ID, Bucket: t.req.Bucket, Key: t.req.Key, Number: t.req.Number,
		Intent: &intent, Stored: in.stored(), OneUse: t.req.OneUse,
	})
	if err != nil {
		return part, size, err
	}
	done = true
	p.sweepSoon() // the part that it may have replaced
	return part, size, nil
}

// PartCopyRequest is an UploadPartCopy.
type PartCopyRequest struct {
	MultipartRef
	Number int // 1 to registry.MaxParts
	Source Source
	// Offset and Length are the range of the source, which must lie within it;
	// Length < 0 is all of it.
	Offset, Length int64
	OneUse         registry.OneUse
}

// ErrRange: the range lies outside the source of the copy.
var ErrRange = errors.New("pipeline: range outside the source")

// CopyPart makes a part of another object's bytes without moving any; they are read
// where the upload asks for a checksum that is not recorded. It returns the source's
// version id, too, "" where versioning never was on. The rights are S3Multipart's and,
// on the source, S3Read's.
func (p *Pipeline) CopyPart(ctx context.Context, actor registry.Actor, req PartCopyRequest) (registry.Part, string, error) {
	part, version, err := p.copyPart(ctx, actor, req)
	if err != nil {
		return registry.Part{}, "", p.refuse("copy_part", fmt.Errorf("copy part: %w", err))
	}
	return part, version, nil
}

func (p *Pipeline) copyPart(ctx context.Context, actor registry.Actor, req PartCopyRequest) (part registry.Part, version string, err error) {
	m, bucket, err := p.openMultipart(ctx, actor, req.MultipartRef)
	if err != nil {
		return part, "", err
	}
	if req.Number < 1 || req.Number > registry.MaxParts {
		return part, "", ErrPartNumber
	}
	if req.OneUse, err = p.unused(ctx, actor, bucket, req.OneUse); err != nil {
		return part, "", err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	who := identity(actor)
	who.multipart = req.ID
	x := p.transfers.join(who, func() { cancel(ErrCut) })
	defer p.transfers.leave(x)

	src, err := p.source(ctx, actor, req.Source)
	if err != nil {
		return part, "", err
	}
	run, err := req.run(&src)
	if err != nil {
		return part, "", ofSource(err)
	}
	if err := p.limits.Part(bucket, run.Length); err != nil {
		return part, "", err
	}
	stored, err := p.storedRun(ctx, src, run, m.ChecksumAlgorithm)
	if err != nil {
		return part, "", err
	}
	if version, err = p.versionOf(ctx, &src); err != nil {
		return part, "", err
	}
	if !p.transfers.commit(x) {
		return part, "", ErrCut
	}
	part, err = p.ledger.PutPart(context.WithoutCancel(ctx), actor, registry.NewPart{
		Multipart: req.ID, Bucket: req.Bucket, Key: req.Key, Number: req.Number, Stored: stored, Source: run,
		OneUse: req.OneUse,
	})
	if errors.Is(err, registry.ErrNotFound) {
		err = ofSource(err)
	}
	if err == nil {
		p.sweepSoon()
	}
	return part, version, err
}

// run is what of the source is copied.
func (r *PartCopyRequest) run(src *registry.Object) (registry.Run, error) {
	run := registry.Run{Object: src.ID, Offset: r.Offset, Length: r.Length}
	if r.Length < 0 {
		run.Offset, run.Length = 0, src.Size
	}
	if run.Offset < 0 || run.Offset > src.Size || run.Length > src.Size-run.Offset {
		return run, ErrRange
	}
	return run, nil
}

// storedRun says of a run of an object what would be counted and hashed if it were
// received. Where its MD5 is not known the ETag is made of what was copied, so that
// the same copy again has the same.
func (p *Pipeline) storedRun(ctx context.Context, src registry.Object, run registry.Run, algorithm string) (registry.Stored, error) {
	s := registry.Stored{Size: run.Length}
	if run.Length == src.Size {
		s.SHA256 = src.SHA256
	}
	if b, err := hex.DecodeString(src.ETag); run.Length == src.Size && err == nil && len(b) == md5.Size {
		s.MD5 = src.ETag
	} else {
		sum := md5.Sum(fmt.Appendf(nil, "%s %d %d", run.Object, run.Offset, run.Length))
		s.MD5 = hex.EncodeToString(sum[:])
	}
	if algorithm == "" {
		return s, nil
	}
	sum, err := p.checksumOf(ctx, src, run, algorithm)
	if err != nil {
		return s, err
	}
	s.Checksums = map[string]string{algorithm: sum}
	return s, nil
}

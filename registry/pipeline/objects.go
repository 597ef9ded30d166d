package pipeline

import (
	"context"
	"errors"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/policy"
)

// ObjectRequest is a PUT of a whole object through the S3 port, authenticated.
type ObjectRequest struct {
	Bucket     registry.BucketName
	Key        string
	Declared   Declared
	Kept       registry.Kept // but for the content type, which is Declared's
	Conditions registry.Conditions
	OneUse     registry.OneUse
}

// ObjectTicket admits one object's body. It is made from headers alone and has
// changed nothing.
type ObjectTicket struct {
	actor  registry.Actor
	req    ObjectRequest
	bucket registry.Bucket
	want   expected
}

// AdmitObject decides from the headers whether a write can succeed. The refusals
// come in this order: rights, bucket, key, locks, length, type and size, digests,
// space, a URL that was used, and If-None-Match for a key that is plainly taken. What
// counts of the last two is what the write finds when it commits.
func (p *Pipeline) AdmitObject(ctx context.Context, actor registry.Actor, req ObjectRequest) (*ObjectTicket, error) {
	t, err := p.admitObject(ctx, actor, req)
	if err != nil {
		return nil, p.refuse("put_object", fmt.Errorf("admit object: %w", err))
	}
	return t, nil
}

func (p *Pipeline) admitObject(ctx context.Context, actor registry.Actor, req ObjectRequest) (*ObjectTicket, error) {
	bucket, err := p.destination(ctx, actor, req.Bucket, req.Key)
	if err != nil {
		return nil, err
	}
	if err := mayKeep(actor, bucket, req.Kept); err != nil {
		return nil, err
	}
	if req.Declared.Length < 0 {
		return nil, ErrMissingLength
	}
	if req.Declared.ContentType == "" {
		req.Declared.ContentType = policy.S3Default
	}
	if err := p.limits.Object(bucket, req.Declared.ContentType, req.Declared.Length); err != nil {
		return nil, err
	}
	req.Kept.ContentType = req.Declared.ContentType
	want, err := req.Declared.parse()
	if err != nil {
		return nil, err
	}
	if err := p.space(req.Declared.Length); err != nil {
		return nil, err
	}
	if req.OneUse, err = p.unused(ctx, actor, bucket, req.OneUse); err != nil {
		return nil, err
	}
	if req.Conditions.IfNoneMatch == "*" {
		switch _, err := p.ledger.Named(ctx, actor.Tenant, req.Bucket, req.Key); {
		case err == nil:
			return nil, registry.ErrPrecondition
		case !errors.Is(err, registry.ErrNotFound):
			return nil, err
		}
	}
	return &ObjectTicket{actor: actor, req: req, bucket: bucket, want: want}, nil
}

// PutObject stores the body and writes the object in one commit: visible at once
// in a direct bucket, queued for its scan in a quarantine one. On any failure
// nothing is visible and the bytes are left to Sweep. PutObject reads body no more
// once it returned.
func (p *Pipeline) PutObject(ctx context.Context, t *ObjectTicket, body Body) (registry.Object, error) {
	o, err := p.putObject(ctx, t, body)
	p.ended("put_object", o.Size, err)
	if err != nil {
		return registry.Object{}, p.refuse("put_object", fmt.Errorf("put object: %w", err))
	}
	return o, nil
}

func (p *Pipeline) putObject(ctx context.Context, t *ObjectTicket, body Body) (o registry.Object, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := p.transfers.join(identity(t.actor), func() { cancel(ErrCut) })
	defer p.transfers.leave(x)

	intent, err := p.ledger.ReserveBlob(ctx, t.actor.Tenant)
	if err != nil {
		return o, err
	}
	var n registry.NewObject
	done := false
	defer func() {
		if !done {
			p.dropKept(ctx, t.actor.Tenant, n.Renditions)
			p.giveUp(ctx, intent)
		}
	}()

	size := t.req.Declared.Length
	in := newIntake(body, t.want, size, &p.lanes)
	defer in.close()
	if p.cfg.Detect != nil {
		in.keepHead()
	}
	if in.tee = p.tee(ctx, &t.bucket, size); in.tee != nil {
		defer in.tee.Close()
	}
	if _, err := p.cfg.Blobs.Put(ctx, blob.Key(intent.Key), in, size); err != nil {
		p.failed("put", err)
		p.unsure(intent.Key, err)
		o.Size = in.n.Load()
		return o, p.notStored(ctx, t, in, err)
	}
	if n, err = p.newObject(ctx, t, intent, in); err != nil {
		return o, err
	}
	if !p.transfers.commit(x) {
		return o, ErrCut
	}
	// If we die here nothing points at the bytes: their intent is of a dead
	// epoch then.
	o, err = p.ledger.PutObject(context.WithoutCancel(ctx), t.actor, n)
	if err != nil {
		return o, err
	}
	done = true
	p.accepted(ctx, o)
	return o, nil
}

// accepted does what is due when a write through the S3 port was committed.
func (p *Pipeline) accepted(ctx context.Context, o registry.Object) {
	if o.State == registry.ObjectQuarantined {
		p.queued()
	}
	if o.State != registry.ObjectPublished {
		return
	}
	// What it replaced is deleted now: its URLs stop. Readers with a key of
	// their own, who asked for the name, finish what they began.
	p.cutGone(ctx, func(s subject) bool {
		return s.tenant == o.Tenant && s.bucket == o.Bucket && s.key == o.Key && s.grant != ""
	})
	p.sweepSoon()
}

// unused returns what to remember of a presigned URL: nothing in a bucket that lets
// one work again. registry.ErrURLUsed if it has worked.
func (p *Pipeline) unused(ctx context.Context, actor registry.Actor, b registry.Bucket, u registry.OneUse) (registry.OneUse, error) {
	if !b.SingleUse || u == (registry.OneUse{}) {
		return registry.OneUse{}, nil
	}
	used, err := p.ledger.URLUsed(ctx, actor.Tenant, u)
	if err == nil && used {
		err = registry.ErrURLUsed
	}
	return u, err
}

// newObject is what to tell the ledger about bytes that arrived.
func (p *Pipeline) newObject(ctx context.Context, t *ObjectTicket, intent registry.Intent, in *intake) (registry.NewObject, error) {
	n := registry.NewObject{
		Intent: intent, Bucket: t.req.Bucket, Key: t.req.Key,
		Kept: t.req.Kept, Stored: in.stored(), Conditions: t.req.Conditions, OneUse: t.req.OneUse,
	}
	if t.bucket.Intake != registry.IntakeDirect {
		return n, nil // judged by the scan
	}
	if p.cfg.Detect != nil {
		n.Detected = p.cfg.Detect(in.head)
	}
	if err := p.mayShow(t.bucket, n.ContentType, n.Detected, n.Stored.Size); err != nil {
		return n, err
	}
	switch p.mode(&t.bucket) {
	case registry.ScanAsync:
		return n, nil
	case registry.ScanInline:
		j, err := p.judge(ctx, &t.bucket, arrived(t, &n), in.tee)
		if err != nil {
			return n, err
		}
		n.Verdict, n.Renditions = j.verdict, j.renditions
		if j.detected != "" {
			n.Detected = j.detected
		}
	default:
		n.Verdict = p.builtIn(&t.bucket)
	}
	return n, nil
}

// notStored says what made a Put fail: inspection, or what explainPut knows.
func (p *Pipeline) notStored(ctx context.Context, t *ObjectTicket, in *intake, err error) error {
	if in.decided {
		o := registry.Object{Tenant: t.actor.Tenant, Principal: t.actor.Principal, Bucket: t.req.Bucket}
		if _, why := p.judge(ctx, &t.bucket, o, in.tee); why != nil {
			return why
		}
	}
	return explainPut(ctx, err)
}

// arrived is the object that bytes will be.
func arrived(t *ObjectTicket, n *registry.NewObject) registry.Object {
	return registry.Object{
		ID: n.Intent.Object, Tenant: t.actor.Tenant, Principal: t.actor.Principal, Bucket: n.Bucket, Key: n.Key,
		ContentType: n.ContentType, DetectedType: n.Detected, Filename: n.Filename,
		Size: n.Stored.Size, SHA256: n.Stored.SHA256,
		Extents: []registry.Extent{{Blob: n.Intent.Key, Length: n.Stored.Size}},
	}
}

// mayShow is the type rule of a bucket that publishes at once. One that names its
// types means the content, too. One that does not takes any label for anything, as
// S3 does.
func (p *Pipeline) mayShow(b registry.Bucket, declared, detected string, size int64) error {
	if p.cfg.Detect == nil || len(b.AllowedTypes) == 0 || policy.TypeMatches(p.content(b, declared, detected, size)) {
		return nil
	}
	return fmt.Errorf("%w: content is not what it is declared to be", policy.ErrTypeNotAllowed)
}

// builtIn is the verdict of built-in inspection before the answer. There is none where
// that alone publishes nothing: the object is queued then.
func (p *Pipeline) builtIn(b *registry.Bucket) registry.Verdict {
	if p.cfg.ScannerRequired {
		return registry.Verdict{}
	}
	v := registry.Verdict{
		Result: registry.VerdictClean, At: p.ledger.Now(), Attempts: 1,
		Engines: []registry.EngineNote{{Name: "inspect", Result: string(registry.VerdictClean)}},
	}
	if b.Scan.Mode == registry.ScanOff {
		// As scanner's Panel has it.
		v.Engines = append(v.Engines, registry.EngineNote{Name: "malware", Result: "off"})
	}
	return v
}

func (p *Pipeline) content(b registry.Bucket, declared, detected string, size int64) policy.Content {
	return policy.Content{Declared: declared, Detected: detected, Size: size, Allowed: b.AllowedTypes, Lineage: p.cfg.Lineage}
}

// Object returns an object's row, whatever its state.
func (p *Pipeline) Object(ctx context.Context, actor registry.Actor, id registry.ObjectID) (registry.Object, error) {
	return p.object(ctx, actor, policy.ReadObject, id)
}

func (p *Pipeline) object(ctx context.Context, actor registry.Actor, action policy.Action, id registry.ObjectID) (registry.Object, error) {
	o, err := p.ledger.Object(ctx, actor.Tenant, id)
	if err != nil {
		return registry.Object{}, err
	}
	if err := policy.Allow(actor, action, o.Principal); err != nil {
		return registry.Object{}, err
	}
	return o, nil
}

// Objects lists the objects the actor may see, newest first.
func (p *Pipeline) Objects(ctx context.Context, actor registry.Actor, f registry.ObjectFilter, page registry.Page) ([]registry.Object, string, error) {
	switch policy.ScopeOf(actor, policy.ListObjects) {
	case policy.Own:
		f.Principal = actor.Principal
	case policy.Nothing:
		return nil, "", policy.Allow(actor, policy.ListObjects, "")
	}
	return p.ledger.Objects(ctx, actor.Tenant, f, page)
}

// List lists a bucket's published objects by key.
func (p *Pipeline) List(ctx context.Context, actor registry.Actor, bucket registry.BucketName, q registry.ListQuery) (registry.Listing, error) {
	if err := policy.Allow(actor, policy.S3List, ""); err != nil {
		return registry.Listing{}, err
	}
	return p.ledger.List(ctx, actor.Tenant, bucket, q)
}

// Delete deletes one object, in any state. Its transfers end and its bytes go
// with the next sweep.
func (p *Pipeline) Delete(ctx context.Context, actor registry.Actor, id registry.ObjectID) error {
	if _, err := p.object(ctx, actor, policy.DeleteObject, id); err != nil {
		return p.refuse("delete", fmt.Errorf("delete: %w", err))
	}
	if err := p.ledger.DeleteObject(ctx, actor, actor.Tenant, id); err != nil {
		return p.refuse("delete", err)
	}
	p.cut(ctx, func(s subject) bool { return s.tenant == actor.Tenant && s.object == id })
	p.sweepSoon()
	return nil
}

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/policy"
)

// Found is a published object that somebody may read now. Headers can be
// answered from it; Open gives its bytes.
type Found struct {
	Object registry.Object
	// Grant is the URL's it was found by; its ID is "" otherwise.
	Grant registry.Grant
	// Rendition is what of the object was found; its name is "" for the object itself.
	// Object is then as the rendition's bytes have it.
	Rendition registry.Rendition

	p       *Pipeline
	seen    uint64
	subject subject
	again   func(context.Context) (*Found, error)
}

// FindObject finds an object by its id, for a reader of the control port.
// registry.ErrHeld if it waits for an analyst, registry.ErrNotPublished if it is in any
// other state.
func (p *Pipeline) FindObject(ctx context.Context, actor registry.Actor, id registry.ObjectID) (*Found, error) {
	f, err := p.findObject(ctx, actor, id)
	return f, p.refuse("get", err)
}

func (p *Pipeline) findObject(ctx context.Context, actor registry.Actor, id registry.ObjectID) (*Found, error) {
	seen := p.transfers.look()
	o, err := p.object(ctx, actor, policy.ReadContent, id)
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return p.found(seen, o, actor, func(ctx context.Context) (*Found, error) {
		return p.findObject(ctx, actor, id)
	})
}

// GetRequest is a GET or HEAD on a signed URL whose signature has been verified.
type GetRequest struct {
	Tenant registry.TenantName
	Object registry.ObjectID
	Grant  registry.GrantID
}

// FindGrant finds the object a signed URL stands for. The refusals come in the
// order of AdmitPut, and are *URLErrors as its are.
func (p *Pipeline) FindGrant(ctx context.Context, req GetRequest) (*Found, error) {
	f, err := p.findGrant(ctx, req)
	return f, p.refuse("get", err)
}

func (p *Pipeline) findGrant(ctx context.Context, req GetRequest) (*Found, error) {
	seen := p.transfers.look()
	t, err := p.ledger.GetTicket(ctx, req.Tenant, req.Grant)
	if err == nil && t.Object.ID != req.Object {
		err = registry.ErrGrantRevoked
	}
	if err == nil {
		err = p.mayShowInline(ctx, &t)
	}
	if err != nil {
		return nil, ofURL(t.Grant, fmt.Errorf("find: %w", err))
	}
	actor := registry.Actor{Tenant: req.Tenant, Principal: t.Grant.Principal, Credential: t.Grant.Credential}
	f, err := p.found(seen, t.Object, actor, func(ctx context.Context) (*Found, error) {
		return p.findGrant(ctx, req)
	})
	if err != nil {
		return nil, ofURL(t.Grant, err)
	}
	f.Grant, f.subject.grant = t.Grant, t.Grant.ID
	if t.Rendition.Name != "" {
		f.show(t.Rendition)
	}
	return f, nil
}

// found is the one gate between a row and its bytes.
func (p *Pipeline) found(seen uint64, o registry.Object, actor registry.Actor, again func(context.Context) (*Found, error)) (*Found, error) {
	switch {
	case o.Held:
		return nil, fmt.Errorf("find: %w", registry.ErrHeld)
	case o.State != registry.ObjectPublished:
		return nil, fmt.Errorf("find: %w", registry.ErrNotPublished)
	}
	s := subject{
		tenant: actor.Tenant, principal: actor.Principal, credential: actor.Credential,
		object: o.ID, upload: o.Upload, bucket: o.Bucket, key: o.Key, reading: true,
	}
	if err := p.transfers.allowed(s); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return &Found{Object: o, p: p, seen: seen, again: again, subject: s}, nil
}

// Open returns n bytes of the object from offset off; n < 0 means all to the end.
// It stands in the table of transfers until closed: when what allowed it is
// revoked, reads fail with ErrCut and cut is called, which must make a write that
// waits for the client fail, and not block. cut may be nil.
func (f *Found) Open(ctx context.Context, off, n int64, cut func()) (*Reading, error) {
	r, err := f.open(ctx, off, n, cut)
	return r, f.p.refuse("get", err)
}

// maxLooks bounds how often revocations of others make a reader look again.
const maxLooks = 100

func (f *Found) open(ctx context.Context, off, n int64, cut func()) (*Reading, error) {
	r := &Reading{p: f.p}
	was, of := f.Object.ID, f.Rendition
	for range maxLooks {
		r.entry = f.p.transfers.enter(f.seen, f.subject, func() {
			r.cut.Store(true)
			if cut != nil {
				cut()
			}
		})
		if r.entry != nil {
			break
		}
		now, err := f.again(ctx)
		if err != nil {
			return nil, err
		}
		if now.Object.ID != was || now.Rendition != of {
			// The headers were answered from another object.
			return nil, fmt.Errorf("open: %w", registry.ErrNotFound)
		}
		*f = *now
	}
	if r.entry == nil {
		return nil, fmt.Errorf("open: %w", blob.ErrUnavailable)
	}
	var err error
	if of.Name != "" {
		r.src, err = f.openRendition(ctx, off, n)
	} else {
		r.src, err = f.p.openExtents(ctx, f.Object, off, n)
	}
	if err != nil {
		f.p.transfers.leave(r.entry)
		return nil, fmt.Errorf("open: %w", err)
	}
	return r, nil
}

// openExtents opens a range of an object, wherever its blobs are at present.
func (p *Pipeline) openExtents(ctx context.Context, o registry.Object, off, n int64) (blob.Reader, error) {
	if off < 0 || off > o.Size {
		return nil, blob.ErrRange
	}
	if n < 0 || n > o.Size-off {
		n = o.Size - off
	}
	if len(o.Extents) == 1 {
		return p.openExtent(ctx, o, 0, off, n)
	}
	return p.openSeries(ctx, o, off, n)
}

// openExtent opens n bytes of one extent from off within it. While a promotion
// is under way the blob may be under its recorded key, under its target, or under
// keys that a newer row names.
func (p *Pipeline) openExtent(ctx context.Context, o registry.Object, i int, off, n int64) (blob.Reader, error) {
	for look := 0; ; look++ {
		e := o.Extents[i]
		keys := []registry.BlobKey{e.Blob}
		if i < len(o.Targets) && o.Targets[i] != e.Blob {
			keys = append(keys, o.Targets[i])
		}
		for _, k := range keys {
			r, err := p.cfg.Blobs.Open(ctx, blob.Key(k), e.Offset+off, n)
			if err == nil {
				return checkedLen(r, n)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				p.failed("open", err)
				return nil, err
			}
		}
		newer, err := p.ledger.Object(ctx, o.Tenant, o.ID)
		switch {
		case err != nil:
			return nil, err
		case newer.State == registry.ObjectDeleted:
			return nil, registry.ErrNotFound
		case look > 0 || i >= len(newer.Extents):
			p.m.backend.WithLabelValues("missing").Inc()
			p.log.ErrorContext(ctx, "bytes of an object are missing", "object", o.ID)
			return nil, ErrBytesMissing
		}
		o = newer
	}
}

// checkedLen refuses a blob that is shorter than its extent.
func checkedLen(r blob.Reader, n int64) (blob.Reader, error) {
	if r.Len() != n {
		r.Close()
		return nil, fmt.Errorf("%w: the blob is too short", ErrBytesMissing)
	}
	return r, nil
}

// Reading is an open range of an object. It is for one goroutine and must be
// closed.
type Reading struct {
	p      *Pipeline
	src    blob.Reader
	entry  *transfer
	cut    atomic.Bool
	n      int64
	failed string // reason, "" while all is well
	closed bool
}

var _ io.ReadCloser = (*Reading)(nil)

// Len returns the length of the range in bytes.
func (r *Reading) Len() int64 { return r.src.Len() }

// Read implements io.Reader. Bytes that end early are io.ErrUnexpectedEOF.
func (r *Reading) Read(b []byte) (int, error) {
	if r.cut.Load() {
		r.failed = reason(ErrCut)
		return 0, ErrCut
	}
	n, err := r.src.Read(b)
	r.n += int64(n)
	if err != nil && err != io.EOF {
		r.p.failed("read", err)
		r.failed = reason(err)
	}
	return n, err
}

// File returns the file the bytes lie in and their range, and false if they are
// not in a single one. Whoever sends from the file says with Sent what went.
// Closing the Reading closes it.
func (r *Reading) File() (f *os.File, off, n int64, ok bool) {
	fr, ok := r.src.(blob.FileRange)
	if !ok {
		return nil, 0, 0, false
	}
	f, off, n = fr.File()
	return f, off, n, true
}

// Sent records n bytes that were sent straight from the file, and what ended
// that, nil if all is well. It returns ErrCut if the transfer was cut.
func (r *Reading) Sent(n int64, err error) error {
	r.n += n
	if r.cut.Load() {
		err = ErrCut
	}
	if err != nil {
		r.failed = reason(err)
	}
	return err
}

// Close ends the transfer.
func (r *Reading) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.p.transfers.leave(r.entry)
	outcome := r.failed
	if outcome == "" {
		outcome = "ok"
		if r.cut.Load() {
			outcome = reason(ErrCut)
		}
	}
	r.p.m.transfers.WithLabelValues("get", outcome).Inc()
	r.p.m.bytes.WithLabelValues("out").Add(float64(r.n))
	return r.src.Close()
}

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/policy"
)

// ErrNoInline: renditions of this bucket are not to be shown in a page.
var ErrNoInline = errors.New("pipeline: inline display is not allowed")

// keepRendition stores a rendition's bytes under a key that the ledger knows. It
// becomes the object's with SettleScan; else dropKept is owed.
func (p *Pipeline) keepRendition(ctx context.Context, c registry.Claim, r registry.Rendition, body io.Reader) (registry.Rendition, error) {
	intent, err := p.ledger.ReserveBlob(ctx, c.Object.Tenant)
	if err != nil {
		return registry.Rendition{}, fmt.Errorf("rendition: %w", err)
	}
	if _, err := p.cfg.Blobs.Put(ctx, blob.Key(intent.Key), body, r.Size); err != nil {
		p.failed("put", err)
		p.unsure(intent.Key, err)
		p.giveUp(ctx, intent)
		return registry.Rendition{}, fmt.Errorf("rendition: %w", err)
	}
	r.Blob = intent.Key
	return r, nil
}

// Gallery is what was made of an object.
type Gallery struct {
	Renditions []registry.Rendition
	Inline     bool // its bucket lets them be shown in a page
}

// Renditions lists what was made of an object, for whoever may read its row.
func (p *Pipeline) Renditions(ctx context.Context, actor registry.Actor, id registry.ObjectID) (Gallery, error) {
	g, err := p.gallery(ctx, actor, id)
	return g, p.refuse("get", err)
}

func (p *Pipeline) gallery(ctx context.Context, actor registry.Actor, id registry.ObjectID) (g Gallery, err error) {
	o, err := p.object(ctx, actor, policy.ReadObject, id)
	if err != nil || o.Renditions == 0 {
		return g, err
	}
	bucket, err := p.ledger.Bucket(ctx, o.Tenant, o.Bucket)
	if err != nil {
		return g, err
	}
	g.Inline = showsInline(&bucket)
	g.Renditions, err = p.ledger.Renditions(ctx, o.Tenant, id)
	return g, err
}

// showsInline tells whether renditions of a bucket's objects may be shown in a page.
func showsInline(b *registry.Bucket) bool { return b.Scan.Image != nil && b.Scan.Image.Inline }

// FindRendition is FindObject for one of an object's renditions: what was found has its
// size, type, digest and bytes. registry.ErrNotFound if there is none of that name.
func (p *Pipeline) FindRendition(ctx context.Context, actor registry.Actor, id registry.ObjectID, name string) (*Found, error) {
	f, err := p.findRendition(ctx, actor, id, name)
	return f, p.refuse("get", err)
}

func (p *Pipeline) findRendition(ctx context.Context, actor registry.Actor, id registry.ObjectID, name string) (*Found, error) {
	f, err := p.findObject(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	list, err := p.ledger.Renditions(ctx, actor.Tenant, id)
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	for _, r := range list {
		if r.Name == name {
			f.show(r)
			f.again = func(ctx context.Context) (*Found, error) { return p.findRendition(ctx, actor, id, name) }
			return f, nil
		}
	}
	return nil, fmt.Errorf("find rendition: %w", registry.ErrNotFound)
}

// IssueRendition is IssueGet for one of an object's renditions. registry.ErrNotFound if
// there is none of that name; ErrNoInline if it may not be shown in a page.
func (p *Pipeline) IssueRendition(ctx context.Context, actor registry.Actor, id registry.ObjectID, name string, d registry.Disposition, ttl time.Duration) (registry.Grant, registry.Object, error) {
	g, o, err := p.issueGet(ctx, actor, id, ttl, func(b *registry.Bucket, ttl time.Duration) (registry.Grant, error) {
		if d == registry.Inline && !showsInline(b) {
			return registry.Grant{}, ErrNoInline
		}
		return p.ledger.IssueRenditionURL(ctx, actor, id, name, d, ttl)
	})
	return p.issued(g, o, err)
}

// mayShowInline holds an inline grant against what its bucket says now.
func (p *Pipeline) mayShowInline(ctx context.Context, t *registry.Ticket) error {
	if t.Grant.Disposition != registry.Inline {
		return nil
	}
	bucket, err := p.ledger.Bucket(ctx, t.Object.Tenant, t.Object.Bucket)
	if err == nil && (!showsInline(&bucket) || t.Rendition.Name == "") {
		err = registry.ErrGrantRevoked
	}
	return err
}

// show makes of what was found one of its renditions. The row is then as if the rendition
// were the object: nothing that was said of the object's own bytes is said of these.
func (f *Found) show(r registry.Rendition) {
	f.Rendition = r
	o := &f.Object
	o.Size, o.SHA256, o.ETag, o.ContentType, o.DetectedType = r.Size, r.SHA256, r.SHA256, r.ContentType, r.ContentType
	o.Filename = renditionFile(o.Filename, r)
	o.Checksums, o.ChecksumType, o.Metadata, o.Headers, o.Tags, o.PartCount = nil, "", nil, nil, nil, 0
	o.Extents, o.Targets = []registry.Extent{{Blob: r.Blob, Length: r.Size}}, nil
	if o.Verdict != nil && o.Verdict.At.After(o.ModifiedAt) {
		o.ModifiedAt = o.Verdict.At // a rescan may have made it anew
	}
}

// renditionFile names a rendition's file after the object's.
func renditionFile(filename string, r registry.Rendition) string {
	base := strings.TrimSuffix(filename, path.Ext(filename))
	if base == "" {
		base = "picture"
	}
	kind := ".png"
	if r.ContentType == "image/jpeg" {
		kind = ".jpg"
	}
	return base + "-" + r.Name + kind
}

// openRendition opens a range of the rendition that was found. Its bytes are under its
// one key, or gone: never may the object's own stand in for them.
func (f *Found) openRendition(ctx context.Context, off, n int64) (blob.Reader, error) {
	if off < 0 || off > f.Rendition.Size {
		return nil, blob.ErrRange
	}
	if n < 0 || n > f.Rendition.Size-off {
		n = f.Rendition.Size - off
	}
	r, err := f.p.cfg.Blobs.Open(ctx, blob.Key(f.Rendition.Blob), off, n)
	if err == nil {
		return checkedLen(r, n)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		f.p.failed("open", err)
		return nil, err
	}
	switch now, err := f.again(ctx); {
	case err != nil:
		return nil, err
	case now.Rendition.Blob != f.Rendition.Blob: // a rescan replaced it meanwhile
		return nil, registry.ErrNotFound
	}
	f.p.m.backend.WithLabelValues("missing").Inc()
	f.p.log.ErrorContext(ctx, "bytes of a rendition are missing", "object", f.Object.ID, "rendition", f.Rendition.Name)
	return nil, ErrBytesMissing
}

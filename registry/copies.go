package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Kept is what a write says about an object besides its bytes.
type Kept struct {
	ContentType  string
	Metadata     map[string]string // see Object
	Headers      map[string]string // see Object
	Tags         map[string]string
	Retention    *Retention // nil: the bucket's default
	LegalHold    bool
	StorageClass string
}

// NewCopy is an S3 copy: an object of another one's bytes, none of which move.
type NewCopy struct {
	Source ObjectID // as the caller read it; must still be published and of the same tenant
	Bucket BucketName
	Key    string
	Kept
	// Checksums replace the source's if not nil.
	Checksums    map[string]string
	ChecksumType ChecksumType
	Conditions   Conditions // on the destination
	OneUse       OneUse
	// Verdict is the source's, which a whole copy inherits, or what the
	// destination's rules made of it.
	Verdict Verdict
	// Renditions are what inspection made, as NewObject has them; none leaves it the
	// source's.
	Renditions []Rendition
}

// CopyObject accepts a copy, in one commit: as PutObject does, except that the
// bytes are shared. ErrNotFound for an unknown source or bucket, ErrConflict while
// the source's bytes are on the move, and what PutObject returns.
func (l *Ledger) CopyObject(ctx context.Context, by Actor, n NewCopy) (Object, error) {
	if !validKey(n.Key) || len(n.ContentType) > maxText {
		return Object{}, fmt.Errorf("copy object: %w: key or type", ErrInvalid)
	}
	id, err := l.ids.next(prefixObject, l.Now())
	if err != nil {
		return Object{}, fmt.Errorf("copy object: %w", err)
	}
	var o Object
	err = l.change(ctx, by, func(t *txn) (err error) {
		b, err := t.bucket(by.Tenant, n.Bucket)
		if err != nil {
			return err
		}
		if err := n.Retention.valid(t); err != nil {
			return err
		}
		if err := t.holds(n.Conditions, by.Tenant, n.Bucket, n.Key); err != nil {
			return err
		}
		if err := t.useURL(by.Tenant, n.OneUse); err != nil {
			return err
		}
		source, err := t.source(by.Tenant, n.Source)
		if err != nil {
			return err
		}
		o = n.of(&source)
		o.ID = ObjectID(id)
		return t.copyObject(by, &b, &o, &source, &n)
	})
	if err != nil {
		return Object{}, fmt.Errorf("copy object: %w", err)
	}
	return o, nil
}

// of is the copy of source, without what the ledger makes.
func (n *NewCopy) of(source *Object) Object {
	o := Object{
		Key: n.Key, Filename: source.Filename, DetectedType: source.DetectedType, Size: source.Size,
		SHA256: source.SHA256, ETag: source.ETag, Checksums: maps.Clone(source.Checksums), ChecksumType: source.ChecksumType,
		Extents: source.Extents, PartCount: source.PartCount,
	}
	if n.Checksums != nil {
		o.Checksums, o.ChecksumType = n.Checksums, n.ChecksumType
	}
	o.keep(n.Kept)
	return o
}

// copyObject lets the copy refer to the bytes before it takes its place: that may
// be the source's.
func (t *txn) copyObject(by Actor, b *Bucket, o, source *Object, n *NewCopy) error {
	for _, x := range o.Extents {
		if err := t.refer(x.Blob, o.ID, 1); err != nil {
			return err
		}
	}
	if err := t.copyRenditions(o, source); err != nil {
		return err
	}
	if len(n.Renditions) > 0 {
		o.Tenant = by.Tenant
		if err := t.settleRenditions(o, n.Verdict, n.Renditions); err != nil {
			return err
		}
	}
	if o.PartCount > 0 {
		parts, err := t.get(tObjectParts, keyOf(source.Tenant, string(source.ID)))
		if err != nil {
			return err
		}
		if err := t.Put(tObjectParts, keyOf(by.Tenant, string(o.ID)), parts); err != nil {
			return err
		}
	}
	ev := t.event(EventObjectCopied, by)
	ev.Subject = string(source.ID)
	return t.accept(by, b, o, ev, n.Verdict)
}

// source returns what a copy can be made of: ErrNotFound unless it is published,
// ErrConflict while its bytes are on the move.
func (t *txn) source(tenant TenantName, id ObjectID) (Object, error) {
	o, err := t.object(tenant, id)
	switch {
	case err != nil:
		return o, err
	case o.State != ObjectPublished || o.Marker:
		return o, ErrNotFound
	case len(o.Targets) > 0:
		return o, ErrConflict
	}
	return o, nil
}

// SetTags replaces the tags of a published version; none removes them. version is
// as for Version, and so are the errors.
func (l *Ledger) SetTags(ctx context.Context, by Actor, bucket BucketName, key, version string, tags map[string]string) (Object, error) {
	var o Object
	err := l.change(ctx, by, func(t *txn) (err error) {
		if _, err := t.bucket(by.Tenant, bucket); err != nil {
			return err
		}
		if o, err = t.version(by.Tenant, bucket, key, version); err != nil {
			return err
		}
		o.Tags = nil
		if len(tags) > 0 {
			o.Tags = maps.Clone(tags)
		}
		return t.amend(&o, t.event(EventObjectTagged, by))
	})
	if err != nil {
		return Object{}, fmt.Errorf("set tags: %w", err)
	}
	return o, nil
}

// amend writes a row in which nothing changed that an index tells of, with its
// event.
func (t *txn) amend(o *Object, ev *Event) error {
	o.describe(ev)
	_, err := t.recordFor(ev, o)
	return errors.Join(err, t.rewrite(o, func() {}))
}

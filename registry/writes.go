package registry

import (
	"context"
	"fmt"
)

// NewObject is an S3 write whose bytes are durable under Intent's key.
type NewObject struct {
	Intent Intent
	Bucket BucketName
	Key    string
	Kept
	Detected   string
	Filename   string
	Stored     Stored
	Conditions Conditions
	OneUse     OneUse
	// Verdict is what inspection said before the answer, if it was asked. A
	// direct bucket shows nothing without a clean one.
	Verdict Verdict
	// Renditions are what it made, their blobs' intents of this epoch.
	Renditions []Rendition
}

// PutObject accepts an S3 write, in one commit. In a bucket that is direct now,
// and with a clean verdict, it is published at once, and what the key had before
// is deleted or becomes noncurrent; else its inspection is queued.
//
// ErrNotFound for an unknown bucket (or If-Match on nothing), ErrPrecondition,
// ErrURLUsed, ErrFenced for an intent that was released or used, ErrConflict for a
// lock in a bucket without object lock, ErrRevoked, ErrTenantSuspended, ErrInvalid. After any error ReleaseBlob is owed.
func (l *Ledger) PutObject(ctx context.Context, by Actor, n NewObject) (Object, error) {
	if !validKey(n.Key) || n.Stored.Size < 0 || len(n.ContentType) > maxText || len(n.Filename) > maxText {
		return Object{}, fmt.Errorf("put object: %w: key, size, type or file name", ErrInvalid)
	}
	var o Object
	err := l.change(ctx, by, func(t *txn) (err error) {
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
		if n.Intent.Tenant != by.Tenant {
			return ErrFenced
		}
		if err := t.settle(n.Intent.Epoch, n.Intent.Key); err != nil {
			return err
		}
		o, err = t.putObject(by, &b, n)
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("put object: %w", err)
	}
	return o, nil
}

func (t *txn) putObject(by Actor, b *Bucket, n NewObject) (Object, error) {
	o := Object{
		ID: n.Intent.Object, Filename: n.Filename, DetectedType: n.Detected, Key: n.Key,
		Size: n.Stored.Size, SHA256: n.Stored.SHA256, ETag: n.Stored.MD5, Checksums: n.Stored.Checksums,
		Extents: []Extent{{Blob: n.Intent.Key, Length: n.Stored.Size}},
	}
	o.keep(n.Kept)
	o.Tenant = by.Tenant
	if err := t.settleRenditions(&o, n.Verdict, n.Renditions); err != nil {
		return o, err
	}
	return o, t.accept(by, b, &o, t.event(EventObjectPut, by), n.Verdict)
}

// keep takes over what a write says besides its bytes.
func (o *Object) keep(k Kept) {
	o.ContentType, o.Metadata, o.Headers, o.Tags = k.ContentType, k.Metadata, k.Headers, k.Tags
	o.Retention, o.LegalHold, o.StorageClass = k.Retention, k.LegalHold, k.StorageClass
}

// accept gives a new object with its id, key, bytes and what it keeps its place in
// the history of the key, in the tenant of by. A direct bucket publishes it at once
// if its verdict is clean; else its inspection is queued.
func (t *txn) accept(by Actor, b *Bucket, o *Object, ev *Event, v Verdict) (err error) {
	o.Tenant, o.Principal, o.Bucket = by.Tenant, by.Principal, b.Name
	o.CreatedAt, o.ModifiedAt = t.now, t.now
	if err := t.enter(b, o); err != nil {
		return err
	}
	ev.Size, ev.SHA256, ev.DetectedType = &o.Size, o.SHA256, o.DetectedType
	if b.Intake != IntakeDirect || v.Result != VerdictClean {
		return t.apply(objectIntake, o, ev, func() { o.Scan = &ScanTurn{Due: t.now} })
	}
	ev.Result, ev.Engines = v.Result, v.Engines
	if o.Noncurrent, err = t.place(by, b, o); err != nil {
		return err
	}
	return t.apply(objectPut, o, ev, func() { o.Verdict, o.PublishedAt = &v, t.now })
}

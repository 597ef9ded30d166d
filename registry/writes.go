package registry

import (
	"context"
	"fmt"
)

// NewObject is an S3 write whose bytes are durable under Intent's key.
type NewObject struct {
	Intent      Intent
	Bucket      BucketName
	Key         string
	ContentType string
	Detected    string
	Filename    string
	Stored      Stored
	Metadata    map[string]string
	Headers     map[string]string
	Conditions  Conditions
	// Verdict is what inspection said before the answer, if it was asked. A
	// direct bucket shows nothing without a clean one.
	Verdict Verdict
}

// PutObject accepts an S3 write, in one commit. In a bucket that is direct now,
// and with a clean verdict, it is published at once and what the key had before
// is deleted; else its inspection is queued.
//
// ErrNotFound for an unknown bucket (or If-Match on nothing), ErrPrecondition,
// ErrFenced for an intent that was released or used, ErrRevoked,
// ErrTenantSuspended, ErrInvalid. After any error ReleaseBlob is owed.
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
		if err := t.holds(n.Conditions, by.Tenant, n.Bucket, n.Key); err != nil {
			return err
		}
		if n.Intent.Tenant != by.Tenant {
			return ErrFenced
		}
		if err := t.settle(n.Intent.Epoch, n.Intent.Key); err != nil {
			return err
		}
		o, err = t.putObject(by, n, b.Intake)
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("put object: %w", err)
	}
	return o, nil
}

func (t *txn) putObject(by Actor, n NewObject, intake Intake) (Object, error) {
	seq, err := t.nextSeq()
	if err != nil {
		return Object{}, err
	}
	o := Object{
		ID: n.Intent.Object, Tenant: by.Tenant, Principal: by.Principal, Bucket: n.Bucket, Key: n.Key, Seq: seq,
		Filename: n.Filename, ContentType: n.ContentType, DetectedType: n.Detected,
		Size: n.Stored.Size, SHA256: n.Stored.SHA256, ETag: n.Stored.MD5, Checksums: n.Stored.Checksums,
		Metadata: n.Metadata, Headers: n.Headers,
		Extents:   []Extent{{Blob: n.Intent.Key, Length: n.Stored.Size}},
		CreatedAt: t.now, ModifiedAt: t.now,
	}
	ev := t.event(EventObjectPut, by)
	ev.Size, ev.SHA256, ev.DetectedType = &o.Size, o.SHA256, o.DetectedType
	if intake != IntakeDirect || n.Verdict.Result != VerdictClean {
		return o, t.apply(objectIntake, &o, ev, func() { o.Scan = &ScanTurn{Due: t.now} })
	}
	ev.Result, ev.Engines = n.Verdict.Result, n.Verdict.Engines
	if err := t.supersede(by, o.Tenant, o.Bucket, o.Key, seq, reasonSuperseded); err != nil {
		return Object{}, err
	}
	return o, t.apply(objectPut, &o, ev, func() {
		o.Verdict, o.PublishedAt = &n.Verdict, t.now
	})
}

package registry

import (
	"context"
	"errors"
	"fmt"
)

// Reasons of a deletion that nobody asked for by name.
const (
	reasonSuperseded = "superseded"  // a later write of the key took its place
	reasonKeyDeleted = "key_deleted" // S3 delete
)

// DeleteObject deletes an object in whatever state; a session that still runs
// is aborted with it. Its row stays, as deleted. Again changes nothing.
func (l *Ledger) DeleteObject(ctx context.Context, by Actor, tenant TenantName, id ObjectID) error {
	err := l.change(ctx, by, func(t *txn) error {
		o, err := t.object(tenant, id)
		if err != nil || o.State == ObjectDeleted {
			return err
		}
		if o.State == ObjectPending {
			u, err := t.upload(tenant, o.Upload)
			if err != nil {
				return err
			}
			return t.endUpload(uploadAbort, &u, t.event(EventUploadAborted, by))
		}
		// Other writes of its key stay what they are: if it was visible, those
		// before it made way when it became so.
		return t.deleteObject(&o, t.event(EventObjectDeleted, by))
	})
	if err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	return nil
}

// deleteBatch is how many keys are deleted in one transaction.
const deleteBatch = 100

// DeleteKeys deletes what is under each key and everything that was accepted
// for it before; a key with nothing under it counts as deleted. The errors
// stand in the order of the keys, nil for success; the last result is not nil
// if nothing could be done at all: ErrNotFound for an unknown bucket.
func (l *Ledger) DeleteKeys(ctx context.Context, by Actor, tenant TenantName, bucket BucketName, keys []string) ([]error, error) {
	if _, err := l.Bucket(ctx, tenant, bucket); err != nil {
		return nil, fmt.Errorf("delete keys: %w", err)
	}
	results := make([]error, len(keys))
	for start := 0; start < len(keys); start += deleteBatch {
		batch := keys[start:min(start+deleteBatch, len(keys))]
		err := l.change(ctx, by, func(t *txn) error {
			for _, key := range batch {
				if err := t.deleteKey(by, tenant, bucket, key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			for i := range batch {
				results[start+i] = fmt.Errorf("delete key: %w", err)
			}
		}
	}
	return results, nil
}

func (t *txn) deleteKey(by Actor, tenant TenantName, bucket BucketName, key string) error {
	if !validKey(key) {
		return nil // nothing can be under it
	}
	seq, err := t.nextSeq()
	if err != nil {
		return err
	}
	return t.supersede(by, tenant, bucket, key, seq, reasonKeyDeleted)
}

func (t *txn) deleteByID(by Actor, tenant TenantName, id ObjectID, reason string) error {
	o, err := t.object(tenant, id)
	if err != nil {
		return err
	}
	ev := t.event(EventObjectDeleted, by)
	ev.Reason = reason
	return t.deleteObject(&o, ev)
}

// deleteObject is the only way to ObjectDeleted: whatever forbids a delete has
// its say here. The bytes become garbage, except under a promotion: a Move may
// be creating its target this very moment, so they wait for Publish, which the
// promotion comes to even after a crash.
func (t *txn) deleteObject(o *Object, ev *Event) error {
	extents := o.Extents
	err := t.apply(objectDelete, o, ev, func() {
		o.Metadata, o.Headers, o.Checksums, o.Scan, o.Held = nil, nil, nil, nil, false
		if len(o.Targets) == 0 {
			o.Extents = nil
		}
	})
	if err != nil || len(o.Targets) > 0 {
		return err
	}
	for _, x := range extents {
		err = errors.Join(err, t.discard(x.Blob))
	}
	return err
}

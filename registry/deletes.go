package registry

import (
	"context"
	"errors"
	"fmt"
)

// Reasons of a deletion that nobody asked for by name.
const (
	reasonSuperseded = "superseded"         // a later write of the key took its place
	reasonKeyDeleted = "key_deleted"        // S3 delete
	reasonVersion    = "version_deleted"    // S3 delete of one version
	reasonBypassed   = "retention_bypassed" // … that governance retained
)

// DeleteObject deletes an object in whatever state; a session that still runs
// is aborted with it. Its row stays, as deleted. Again changes nothing. ErrNotFound,
// ErrLocked.
func (l *Ledger) DeleteObject(ctx context.Context, by Actor, tenant TenantName, id ObjectID) error {
	err := l.change(ctx, by, func(t *txn) error {
		o, err := t.object(tenant, id)
		if err != nil || o.State == ObjectDeleted {
			return err
		}
		switch {
		case o.Marker: // no object to anyone who knows it by its id
			return ErrNotFound
		case o.State == ObjectPending:
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

// DeleteVersions deletes what is under each key, as the bucket's versioning has it:
// for good, with everything that was accepted for it before, where it is off; else
// by a delete marker. A named version is deleted for good; so is, of a rejected
// one, the chance to be released. What is not there counts as deleted.
//
// The results stand in the order of the list, with ErrNotFound (a condition on
// nothing), ErrPrecondition, ErrLocked or ErrInvalid (what cannot be a version id)
// for one that was refused. The error is not nil if nothing could be done at all:
// ErrNotFound for an unknown bucket.
func (l *Ledger) DeleteVersions(ctx context.Context, by Actor, bucket BucketName, list []Deletion) ([]DeletionResult, error) {
	if _, err := l.Bucket(ctx, by.Tenant, bucket); err != nil {
		return nil, fmt.Errorf("delete versions: %w", err)
	}
	results := make([]DeletionResult, len(list))
	for start := 0; start < len(list); start += deleteBatch {
		end := min(start+deleteBatch, len(list))
		err := l.change(ctx, by, func(t *txn) error {
			b, err := t.bucket(by.Tenant, bucket)
			if err != nil {
				return err
			}
			for i := start; i < end; i++ {
				results[i], err = t.deleteVersion(by, &b, &list[i])
				if err != nil && !refused(err) {
					return err
				}
				results[i].Err = err
			}
			return nil
		})
		for i := start; i < end; i++ {
			if err != nil {
				results[i] = DeletionResult{Err: err}
			}
			if results[i].Err != nil {
				results[i].Err = fmt.Errorf("delete: %w", results[i].Err)
			}
		}
	}
	return results, nil
}

// refused tells whether an error is one deletion's alone: nothing was written for
// it.
func refused(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrPrecondition) || errors.Is(err, ErrLocked) || errors.Is(err, ErrInvalid)
}

// deleteVersion carries one deletion out. It refuses before it writes.
func (t *txn) deleteVersion(by Actor, b *Bucket, d *Deletion) (DeletionResult, error) {
	switch {
	case !validKey(d.Key): // nothing can be under it
		return DeletionResult{}, d.holdsFor(nil)
	case d.Version != "":
		return t.deleteNamed(by, b, d)
	}
	if d.asks() {
		last, err := t.latest(by.Tenant, b.Name, d.Key)
		if err == nil {
			err = d.holdsFor(last)
		}
		if err != nil {
			return DeletionResult{}, err
		}
	}
	return t.deleteKey(by, b, d.Key, reasonKeyDeleted)
}

// deleteKey deletes what is under a key as the bucket's versioning has it, in the
// tenant of by. ErrLocked before anything is written.
func (t *txn) deleteKey(by Actor, b *Bucket, key, reason string) (r DeletionResult, err error) {
	last, err := t.top(by.Tenant, b.Name, key)
	if err != nil {
		return r, err
	}
	if last != nil && !last.marker {
		r.Gone = last.Object
	}
	if b.Versioning == VersioningOff {
		seq, err := t.nextSeq()
		if err != nil {
			return r, err
		}
		return r, t.deleteNulls(by, b, key, seq, reason, false)
	}
	m, err := t.mark(by, b, key, reason)
	r.Marker, r.VersionID = true, m.VersionID()
	return r, err
}

// mark puts a delete marker on a key.
func (t *txn) mark(by Actor, b *Bucket, key, reason string) (Object, error) {
	id, err := t.l.ids.next(prefixObject, t.now)
	if err != nil {
		return Object{}, err
	}
	o := Object{
		ID: ObjectID(id), Tenant: by.Tenant, Principal: by.Principal, Bucket: b.Name, Key: key, Marker: true,
		CreatedAt: t.now, ModifiedAt: t.now, PublishedAt: t.now,
	}
	if err := t.enter(b, &o); err != nil {
		return Object{}, err
	}
	if o.Noncurrent, err = t.place(by, b, &o); err != nil {
		return Object{}, err
	}
	ev := t.event(EventObjectMarked, by)
	ev.Reason = reason
	return o, t.apply(objectMark, &o, ev, nil)
}

// deleteNulls deletes the null version of a key for good, as far as it was accepted
// before seq. ErrLocked before anything is written.
func (t *txn) deleteNulls(by Actor, b *Bucket, key string, seq uint64, reason string, bypass Bypass) error {
	nulls, err := t.nulls(by.Tenant, b, key, seq)
	if err != nil {
		return err
	}
	for i := range nulls {
		if nulls[i].State != ObjectRejected && t.locked(&nulls[i], bypass) {
			return ErrLocked
		}
	}
	for i := range nulls {
		if err := t.deleteOne(by, &nulls[i], reason, bypass); err != nil {
			return err
		}
	}
	return nil
}

// deleteOne deletes what was published or waits; of what was rejected it notes that
// it is over.
func (t *txn) deleteOne(by Actor, o *Object, reason string, bypass Bypass) error {
	if o.State == ObjectRejected {
		return t.rewrite(o, func() { o.Overtaken = true })
	}
	ev := t.event(EventObjectDeleted, by)
	ev.Reason = reason
	if t.locked(o, false) {
		ev.Reason = reasonBypassed
	}
	return t.remove(o, ev, bypass)
}

// deleteNamed deletes one version for good. One that is not there is nothing to do.
func (t *txn) deleteNamed(by Actor, b *Bucket, d *Deletion) (DeletionResult, error) {
	r := DeletionResult{VersionID: d.Version}
	o, err := t.named(by.Tenant, b, d.Key, d.Version)
	there := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return r, err
	}
	var last *standing
	if there && o.State != ObjectRejected {
		last = &standing{nameEntryOf(&o), o.Marker}
		r.Gone, r.Marker = o.ID, o.Marker
	}
	if err := d.holdsFor(last); err != nil {
		return DeletionResult{}, err
	}
	bypass := Bypass(d.Bypass)
	if d.Version != NullVersion {
		if !there {
			return r, nil
		}
		return r, t.deleteOne(by, &o, reasonVersion, bypass)
	}
	seq, err := t.nextSeq()
	if err != nil {
		return r, err
	}
	return r, t.deleteNulls(by, b, d.Key, seq, reasonVersion, bypass)
}

// deleteObject deletes an object for good. If it was current, what is published
// before it becomes so. ErrLocked before anything is written.
func (t *txn) deleteObject(o *Object, ev *Event) error { return t.remove(o, ev, false) }

// remove is deleteObject that can bypass governance.
func (t *txn) remove(o *Object, ev *Event, bypass Bypass) error {
	if t.locked(o, bypass) {
		return ErrLocked
	}
	current := o.State == ObjectPublished && !o.Noncurrent
	if err := t.end(o, ev); err != nil || !current {
		return err
	}
	return t.restore(o.Tenant, o.Bucket, o.Key)
}

// end is the only way to ObjectDeleted; its callers have asked whether o is
// locked. The references to bytes end, except under a promotion: a Move may be
// creating its target this very moment, so they wait for Publish, which the
// promotion comes to even after a crash.
func (t *txn) end(o *Object, ev *Event) error {
	extents := o.Extents
	err := t.apply(objectDelete, o, ev, func() {
		o.Metadata, o.Headers, o.Tags, o.Checksums = nil, nil, nil, nil
		o.Scan, o.Held, o.Noncurrent, o.Retention, o.LegalHold = nil, false, false, nil, false
		if len(o.Targets) == 0 {
			o.Extents = nil
		}
	})
	if err == nil && o.PartCount > 0 {
		err = t.Delete(tObjectParts, keyOf(o.Tenant, string(o.ID)))
	}
	if err != nil || len(o.Targets) > 0 {
		return err
	}
	for _, x := range extents {
		err = errors.Join(err, t.unrefer(x.Blob, o.ID))
	}
	return err
}

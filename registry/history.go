package registry

import (
	"errors"

	"sallyport/registry/kv"
)

// The history of a key is every write and delete that was accepted for it, in
// the order of their Seq. What was written while versioning was on is a version of
// its own and stays. The rest is the null version, of which there is one: a later
// write or delete of it takes the place of the earlier ones. Among what is
// published the latest is current; the others are Noncurrent.

// standing is what is known of a version without a look at its row.
type standing struct {
	nameEntry
	marker bool
}

// top returns the newest published version of a key, which may be a delete
// marker, or nil.
func (t *txn) top(tenant TenantName, bucket BucketName, key string) (*standing, error) {
	e, err := t.visible(tenant, bucket, key)
	switch {
	case err == nil: // the current one, so nothing is newer
		return &standing{nameEntry: e}, nil
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	var found *standing
	err = t.versionsOf(tenant, bucket, key, func(v versionEntry) error {
		found = &standing{v.nameEntry, v.Marker}
		return kv.Stop
	})
	return found, err
}

// latest returns the latest accepted write or delete of a key that was not
// rejected, published or not, or nil.
func (t *txn) latest(tenant TenantName, bucket BucketName, key string) (*standing, error) {
	last, err := t.top(tenant, bucket, key)
	if err != nil {
		return nil, err
	}
	waiting, err := t.unpublished(tenant, bucket, key)
	if err != nil {
		return nil, err
	}
	for i := len(waiting) - 1; i >= 0; i-- {
		w := waiting[i]
		if w.state == stateCode(ObjectRejected) || last != nil && w.seq < last.Seq {
			continue
		}
		o, err := t.object(tenant, w.object)
		return &standing{nameEntry: nameEntryOf(&o)}, err
	}
	return last, nil
}

// enter gives an object its place in the history of its key, behind all others,
// and what its bucket makes of new objects.
func (t *txn) enter(b *Bucket, o *Object) error {
	seq, err := t.nextSeq()
	if err != nil {
		return err
	}
	o.Seq, o.Versioned = seq, b.Versioning == VersioningEnabled
	return t.lockByDefault(b, o)
}

// place makes room for o, which is about to be published, and tells whether it
// will be noncurrent: something later is published already. An earlier one that
// was current no longer is; if o is the null version, the earlier null version goes,
// and where versioning never was on there is nothing else.
func (t *txn) place(by Actor, b *Bucket, o *Object) (noncurrent bool, err error) {
	if !o.Versioned {
		err := t.supersede(by, b, o)
		if err != nil || b.Versioning == VersioningOff {
			return false, err
		}
	}
	last, err := t.top(o.Tenant, o.Bucket, o.Key)
	if err != nil || last == nil {
		return false, err
	}
	if last.Seq > o.Seq {
		return true, nil
	}
	row, err := t.object(o.Tenant, last.Object)
	if err != nil || row.Noncurrent {
		return false, err
	}
	return false, t.rewrite(&row, func() { row.Noncurrent = true })
}

// restore makes the newest published version of a key current, after the current
// one has gone.
func (t *txn) restore(tenant TenantName, bucket BucketName, key string) error {
	last, err := t.top(tenant, bucket, key)
	if err != nil || last == nil {
		return err
	}
	row, err := t.object(tenant, last.Object)
	if err != nil || !row.Noncurrent {
		return err
	}
	return t.rewrite(&row, func() { row.Noncurrent = false })
}

// nulls returns what there is of the null version of a key, accepted before seq:
// what is published, what waits, and what was rejected.
func (t *txn) nulls(tenant TenantName, b *Bucket, key string, seq uint64) (found []Object, err error) {
	published, err := t.nullVersion(tenant, b, key)
	if err != nil {
		return nil, err
	}
	if published != nil && published.Seq < seq {
		found = append(found, *published)
	}
	waiting, err := t.unpublished(tenant, b.Name, key)
	if err != nil {
		return nil, err
	}
	for _, w := range waiting {
		if w.seq >= seq {
			continue
		}
		o, err := t.object(tenant, w.object)
		if err != nil {
			return nil, err
		}
		if !o.Versioned {
			found = append(found, o)
		}
	}
	return found, nil
}

// nullVersion returns the published null version of a key, or nil.
func (t *txn) nullVersion(tenant TenantName, b *Bucket, key string) (*Object, error) {
	e, err := t.visible(tenant, b.Name, key)
	switch {
	case err == nil:
		o, err := t.object(tenant, e.Object)
		if err != nil || !o.Versioned {
			return &o, err
		}
	case !errors.Is(err, ErrNotFound):
		return nil, err
	case b.Versioning == VersioningOff:
		return nil, nil
	}
	var id ObjectID
	err = t.versionsOf(tenant, b.Name, key, func(v versionEntry) error {
		if v.Versioned {
			return nil
		}
		id = v.Object
		return kv.Stop
	})
	if err != nil || id == "" {
		return nil, err
	}
	o, err := t.object(tenant, id)
	return &o, err
}

// supersede makes way for o as the null version of its key: those before it that
// are published or wait are deleted, and the rejected ones before it can no longer
// be released. What is later stays. One that is locked cannot go: it becomes a
// version with an id of its own.
func (t *txn) supersede(by Actor, b *Bucket, o *Object) error {
	nulls, err := t.nulls(o.Tenant, b, o.Key, o.Seq)
	if err != nil {
		return err
	}
	for i := range nulls {
		null := &nulls[i]
		switch {
		case null.State == ObjectRejected:
			err = t.rewrite(null, func() { null.Overtaken = true })
		case t.locked(null, false):
			err = t.rewrite(null, func() { null.Versioned = true })
		default:
			ev := t.event(EventObjectDeleted, by)
			ev.Reason = reasonSuperseded
			err = t.end(null, ev)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

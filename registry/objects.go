package registry

import (
	"context"
	"fmt"
)

// Object returns one object in whatever state, or ErrNotFound. A deleted one
// has lost its bytes and its metadata, not its row. Delete markers are no objects.
func (l *Ledger) Object(ctx context.Context, tenant TenantName, id ObjectID) (Object, error) {
	var row Object
	err := l.view(ctx, func(t *txn) (err error) {
		row, err = t.object(tenant, id)
		if err == nil && row.Marker {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("object: %w", err)
	}
	return row, nil
}

func (t *txn) object(tenant TenantName, id ObjectID) (row Object, err error) {
	if len(id) > maxWord {
		return row, ErrNotFound
	}
	return row, t.load(tObjects, keyOf(tenant, string(id)), &row)
}

// ObjectFilter narrows a list of objects; a zero field does not. Without a
// State, deleted objects are left out. Delete markers always are.
type ObjectFilter struct {
	Bucket    BucketName
	State     ObjectState
	Principal PrincipalName
	Held      bool // only what waits for an analyst
}

func (f ObjectFilter) matches(o *Object) bool {
	switch {
	case o.Marker,
		f.Bucket != "" && o.Bucket != f.Bucket,
		f.Principal != "" && o.Principal != f.Principal,
		f.State != "" && o.State != f.State,
		f.Held && !o.Held,
		f.State == "" && o.State == ObjectDeleted:
		return false
	}
	return true
}

// Objects lists a tenant's objects, newest first. A page looks at a bounded
// number of rows: it may be short, even empty, while there is a next one.
func (l *Ledger) Objects(ctx context.Context, tenant TenantName, f ObjectFilter, page Page) ([]Object, string, error) {
	walk := newest(tObjects, under(tenant), page)
	if f.Held && f.State == "" {
		f.State = ObjectQuarantined // which all of them are
	}
	code := stateCode(f.State)
	if code != "" { // the states that are few have an index
		walk = newest(tObjectStates, under(tenant, code), page)
	}
	var found []Object
	var more string
	err := l.view(ctx, func(t *txn) (err error) {
		found, more, err = collect(t, walk, func(t *txn, key, value []byte) (o Object, keep bool, err error) {
			switch {
			case code == "":
				err = decode(tObjects, value, &o)
			case f.Bucket != "" && BucketName(value) != f.Bucket:
				return o, false, nil
			default:
				o, err = t.object(tenant, ObjectID(lastPart(key)))
			}
			return o, f.matches(&o), err
		})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list objects: %w", err)
	}
	return found, more, nil
}

// Timeline returns the audit events that concern an object, oldest first: at
// most limit of them, those with a Seq of from or later. ErrNotFound.
func (l *Ledger) Timeline(ctx context.Context, tenant TenantName, id ObjectID, from uint64, limit int) ([]Event, error) {
	if limit <= 0 || limit > maxPage {
		return nil, fmt.Errorf("timeline: %w: limit is 1 to %d", ErrInvalid, maxPage)
	}
	var events []Event
	err := l.view(ctx, func(t *txn) error {
		o, err := t.object(tenant, id)
		if err != nil {
			return err
		}
		seqs, err := t.leaves(&o, from, limit)
		if err != nil {
			return err
		}
		events, err = leavesAt(t.Tx, tenant, seqs)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	return events, nil
}

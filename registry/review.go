package registry

import (
	"context"
	"errors"
	"fmt"
)

// Decision is an analyst's word on an object.
type Decision string

// The decisions.
const (
	Release      Decision = "release" // publish what is held or was rejected
	RejectObject Decision = "reject"  // refuse what is held or was published
)

// Review carries out an analyst's decision on an object of its tenant: a held
// one, a rejected one (release) or a published one (reject). A release comes
// too late (ErrConflict) if its key was written or deleted since, and it was not a
// version of its own, or if its bucket was. Rejecting withdraws all objects that share bytes with it,
// which it returns too, and parts of open multipart uploads; releasing is of this one alone. reason is a code.
// ErrNotFound, ErrConflict, ErrInvalid.
func (l *Ledger) Review(ctx context.Context, by Actor, id ObjectID, d Decision, reason string) (o Object, shared []Object, err error) {
	if !isWord(reason) {
		return Object{}, nil, fmt.Errorf("review: %w: the reason is a code", ErrInvalid)
	}
	err = l.change(ctx, by, func(t *txn) (err error) {
		shared = nil
		if o, err = t.object(by.Tenant, id); err != nil {
			return err
		}
		switch {
		case o.Marker:
			return ErrNotFound
		case o.State == ObjectQuarantined && !o.Held, o.State == ObjectScanning:
			return ErrConflict // still in the queue: inspection decides first
		}
		ev := t.event(EventObjectReviewed, by)
		ev.Reason = reason
		switch d {
		case Release:
			return t.release(by, &o, ev)
		case RejectObject:
			if shared, err = t.sharing(&o); err != nil {
				return err
			}
			if err := t.withdrawParts(&o); err != nil {
				return err
			}
			if err := t.withdraw(&o, ev); err != nil {
				return err
			}
			return t.withdrawAll(by, shared, o.ID)
		}
		return fmt.Errorf("%w: decision", ErrInvalid)
	})
	if err != nil {
		return Object{}, nil, fmt.Errorf("review: %w", err)
	}
	return o, shared, nil
}

// reasonShared is why an object is withdrawn that nobody asked for by name.
const reasonShared = "shares_bytes"

// withdrawAll withdraws what shares bytes with the object that was rejected.
func (t *txn) withdrawAll(by Actor, shared []Object, with ObjectID) error {
	for i := range shared {
		ev := t.event(EventObjectReviewed, by)
		ev.Reason, ev.Subject = reasonShared, string(with)
		if err := t.withdraw(&shared[i], ev); err != nil {
			return err
		}
	}
	return nil
}

// sharing returns the other objects that refer to one of its blobs and are not
// rejected already.
func (t *txn) sharing(o *Object) (found []Object, err error) {
	seen := map[ObjectID]bool{o.ID: true}
	for _, x := range o.Extents {
		holders, err := t.holders(x.Blob)
		if err != nil {
			return nil, err
		}
		for _, id := range holders {
			if seen[id] {
				continue
			}
			seen[id] = true
			other, err := t.object(o.Tenant, id)
			if errors.Is(err, ErrNotFound) {
				continue // a multipart upload: see withdrawParts
			}
			if err != nil {
				return nil, err
			}
			if other.State != ObjectRejected && other.State != ObjectDeleted {
				found = append(found, other)
			}
		}
	}
	return found, nil
}

// withdraw rejects an object; if it was current, what was published before it is.
func (t *txn) withdraw(o *Object, ev *Event) error {
	current := o.State == ObjectPublished && !o.Noncurrent
	err := t.apply(objectWithdraw, o, ev, func() { o.Held, o.Noncurrent, o.Scan = false, false, nil })
	if err != nil || !current {
		return err
	}
	return t.restore(o.Tenant, o.Bucket, o.Key)
}

// release publishes at once; blobs that have to move are found by Promoting.
func (t *txn) release(by Actor, o *Object, ev *Event) error {
	if o.Overtaken {
		return ErrConflict
	}
	b, err := t.bucket(o.Tenant, o.Bucket)
	switch {
	case err != nil:
		return err
	case o.CreatedAt.Before(b.CreatedAt):
		return ErrConflict // of an earlier bucket of this name
	}
	// Ask the table before anything makes way.
	if _, err := next(objectRelease, o.place()); err != nil {
		return err
	}
	noncurrent, err := t.place(by, &b, o)
	if err != nil {
		return err
	}
	if err := t.showBucket(&b, o); err != nil {
		return err
	}
	targets := o.Targets
	if len(targets) == 0 {
		var err error
		if targets, err = t.targets(o); err != nil {
			return err
		}
	}
	return t.apply(objectRelease, o, ev, func() {
		o.Held, o.Noncurrent, o.Targets, o.PublishedAt = false, noncurrent, targets, t.now
	})
}

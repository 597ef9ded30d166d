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
// too late (ErrConflict) if its key was written or deleted since. reason is a
// code. ErrNotFound, ErrConflict, ErrInvalid.
func (l *Ledger) Review(ctx context.Context, by Actor, id ObjectID, d Decision, reason string) (Object, error) {
	if !isWord(reason) {
		return Object{}, fmt.Errorf("review: %w: the reason is a code", ErrInvalid)
	}
	var o Object
	err := l.change(ctx, by, func(t *txn) (err error) {
		if o, err = t.object(by.Tenant, id); err != nil {
			return err
		}
		if o.State == ObjectQuarantined && !o.Held {
			return ErrConflict // still in the queue: inspection decides first
		}
		ev := t.event(EventObjectReviewed, by)
		ev.Reason = reason
		switch d {
		case Release:
			return t.release(by, &o, ev)
		case RejectObject:
			return t.apply(objectWithdraw, &o, ev, func() { o.Held = false })
		}
		return fmt.Errorf("%w: decision", ErrInvalid)
	})
	if err != nil {
		return Object{}, fmt.Errorf("review: %w", err)
	}
	return o, nil
}

// release publishes at once; blobs that have to move are found by Promoting.
func (t *txn) release(by Actor, o *Object, ev *Event) error {
	switch e, err := t.visible(o.Tenant, o.Bucket, o.Key); {
	case err == nil && e.Seq > o.Seq || o.Overtaken:
		return ErrConflict
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	if _, err := t.bucket(o.Tenant, o.Bucket); err != nil {
		return err
	}
	// Ask the table before anything makes way.
	if _, err := next(objectRelease, o.place()); err != nil {
		return err
	}
	if err := t.supersede(by, o.Tenant, o.Bucket, o.Key, o.Seq, reasonSuperseded); err != nil {
		return err
	}
	if err := t.showBucket(o); err != nil {
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
		o.Held, o.Targets, o.PublishedAt = false, targets, t.now
	})
}

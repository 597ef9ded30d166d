package registry

import (
	"context"
	"fmt"
)

// Bypass says whether governance retention stands in the way.
type Bypass bool

// Hold says whether a legal hold is on.
type Hold bool

// locked tells whether retention or a legal hold keeps the object from being
// deleted. Under a clock that nobody believes no retention has ended.
func (t *txn) locked(o *Object, bypass Bypass) bool {
	if o.LegalHold {
		return true
	}
	return t.retained(o) && (o.Retention.Mode != LockGovernance || !bool(bypass))
}

func (t *txn) retained(o *Object) bool {
	return o.Retention != nil && (t.now.Before(o.Retention.Until) || t.l.clockSound() != nil)
}

// lockByDefault gives a new object the retention of its bucket, unless it has its
// own. ErrConflict for one that is to be locked in a bucket without object lock.
func (t *txn) lockByDefault(b *Bucket, o *Object) error {
	switch {
	case b.Lock == nil && (o.Retention != nil || o.LegalHold):
		return fmt.Errorf("%w: the bucket has no object lock", ErrConflict)
	case b.Lock == nil || b.Lock.Mode == "" || o.Retention != nil || o.Marker:
		return nil
	}
	o.Retention = &Retention{Mode: b.Lock.Mode, Until: t.now.AddDate(b.Lock.Years, 0, b.Lock.Days)}
	return nil
}

// valid is ErrInvalid for a retention that nobody can ask for now; none is fine.
func (r *Retention) valid(t *txn) error {
	switch {
	case r == nil:
		return nil
	case r.Mode != LockGovernance && r.Mode != LockCompliance:
		return fmt.Errorf("%w: retention mode", ErrInvalid)
	case !r.Until.After(t.now):
		return fmt.Errorf("%w: retention ends in the past", ErrInvalid)
	}
	return nil
}

// SetRetention sets, extends or (nil) removes the retention of a published
// version. What governance retains can be shortened or removed with bypass, what
// compliance retains only extended: ErrLocked. ErrConflict in a bucket without
// object lock; ErrInvalid for a date in the past or an unknown mode; and the errors
// of Version.
func (l *Ledger) SetRetention(ctx context.Context, by Actor, bucket BucketName, key, version string, r *Retention, bypass Bypass) (Object, error) {
	o, err := l.relock(ctx, by, bucket, key, version, func(t *txn, o *Object) (*Event, error) {
		if err := r.valid(t); err != nil {
			return nil, err
		}
		ev := t.event(EventObjectLocked, by)
		ev.Reason = "retention"
		if r == nil {
			ev.Reason = "retention_removed"
		} else {
			ev.Subject, ev.ExpiresAt = string(r.Mode), r.Until
		}
		if t.loosens(o, r) {
			if o.Retention.Mode == LockCompliance || !bool(bypass) {
				return nil, ErrLocked
			}
			ev.Reason = reasonBypassed
		}
		o.Retention = nil
		if r != nil {
			kept := *r
			o.Retention = &kept
		}
		return ev, nil
	})
	if err != nil {
		return Object{}, fmt.Errorf("set retention: %w", err)
	}
	return o, nil
}

// loosens tells whether r is less than what retains the object now: it ends before,
// or is of another mode.
func (t *txn) loosens(o *Object, r *Retention) bool {
	return t.retained(o) && (r == nil || r.Mode != o.Retention.Mode || r.Until.Before(o.Retention.Until))
}

// SetLegalHold puts or lifts the legal hold of a published version. ErrConflict in a
// bucket without object lock, and the errors of Version.
func (l *Ledger) SetLegalHold(ctx context.Context, by Actor, bucket BucketName, key, version string, hold Hold) (Object, error) {
	o, err := l.relock(ctx, by, bucket, key, version, func(t *txn, o *Object) (*Event, error) {
		ev := t.event(EventObjectLocked, by)
		ev.Reason = "legal_hold_off"
		if hold {
			ev.Reason = "legal_hold_on"
		}
		o.LegalHold = bool(hold)
		return ev, nil
	})
	if err != nil {
		return Object{}, fmt.Errorf("set legal hold: %w", err)
	}
	return o, nil
}

// relock lets edit change how a published version is locked, and tells the log.
func (l *Ledger) relock(ctx context.Context, by Actor, bucket BucketName, key, version string, edit func(*txn, *Object) (*Event, error)) (o Object, err error) {
	err = l.change(ctx, by, func(t *txn) error {
		b, err := t.bucket(by.Tenant, bucket)
		if err != nil {
			return err
		}
		if b.Lock == nil {
			return fmt.Errorf("%w: the bucket has no object lock", ErrConflict)
		}
		o, err = t.version(by.Tenant, bucket, key, version)
		if err != nil {
			return err
		}
		ev, err := edit(t, &o)
		if err != nil {
			return err
		}
		return t.amend(&o, ev)
	})
	return o, err
}

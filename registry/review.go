package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Decision is an analyst's word on an object.
type Decision string

// The decisions.
const (
	Release      Decision = "release" // publish what is held or was rejected
	RejectObject Decision = "reject"  // refuse what is held or was published
	// Confirm says that inspection was right: what is held is rejected, and what was
	// rejected stays so.
	Confirm Decision = "confirm"
)

// maxNote bounds what an analyst writes, in bytes.
const maxNote = 2000

// Ruling is an analyst's decision on an object, and why.
type Ruling struct {
	Decision Decision
	Reason   string // a code, which the audit log has, too
	Note     string // for people; stays in the object's row
	// By and At are the ledger's to set.
	By PrincipalName
	At time.Time
}

func (r *Ruling) valid() error {
	switch {
	case r.Decision != Release && r.Decision != RejectObject && r.Decision != Confirm:
		return fmt.Errorf("%w: decision", ErrInvalid)
	case !isWord(r.Reason):
		return fmt.Errorf("%w: the reason is a code", ErrInvalid)
	case len(r.Note) > maxNote || !utf8.ValidString(r.Note):
		return fmt.Errorf("%w: a note has at most %d bytes of text", ErrInvalid, maxNote)
	}
	return nil
}

// Review carries out an analyst's decision on an object of its tenant: a held
// one, a rejected one (release, confirm) or a published one (reject). A release comes
// too late (ErrConflict) if its key was written or deleted since, and it was not a
// version of its own, if its bucket was, or if its bytes were destroyed. Where the
// bucket demands two persons, the first analyst's release is a proposal, which the
// returned object has, and another's carries it out. Rejecting withdraws all objects
// that share bytes with it, which it returns too, and parts of open multipart uploads;
// releasing is of this one alone. ErrNotFound, ErrConflict, ErrInvalid.
func (l *Ledger) Review(ctx context.Context, by Actor, id ObjectID, r Ruling) (o Object, shared []Object, err error) {
	if err := r.valid(); err != nil {
		return Object{}, nil, fmt.Errorf("review: %w", err)
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
		r.By, r.At = by.Principal, t.now
		ev := t.event(EventObjectReviewed, by)
		ev.Reason = r.Reason
		switch {
		case r.Decision == Release:
			return t.release(by, &o, r, ev)
		case r.Decision == Confirm && o.State == ObjectRejected:
			return t.confirm(&o, r, ev)
		case r.Decision == Confirm && !o.Held:
			return ErrConflict
		}
		shared, err = t.rejectReviewed(by, &o, r, ev)
		return err
	})
	if err != nil {
		return Object{}, nil, fmt.Errorf("review: %w", err)
	}
	return o, shared, nil
}

// confirm leaves a rejected object as it is.
func (t *txn) confirm(o *Object, r Ruling, ev *Event) error {
	o.describe(ev)
	if _, err := t.recordFor(ev, o); err != nil {
		return err
	}
	return t.rewrite(o, func() { o.Ruling, o.Proposal = &r, nil })
}

func (t *txn) rejectReviewed(by Actor, o *Object, r Ruling, ev *Event) (shared []Object, err error) {
	if shared, err = t.sharing(o); err != nil {
		return nil, err
	}
	if err := t.withdrawParts(o); err != nil {
		return nil, err
	}
	o.Ruling = &r
	if err := t.withdraw(o, ev); err != nil {
		return nil, err
	}
	return shared, t.withdrawAll(by, shared, o)
}

// reasonShared is why an object is withdrawn that nobody asked for by name.
const reasonShared = "shares_bytes"

// withdrawAll withdraws what shares bytes with the object that was rejected. It looks at
// each again: withdrawing another version of its key may have changed it. What has no
// verdict yet gets one that says why, and so does what shares what is infected.
func (t *txn) withdrawAll(by Actor, shared []Object, with *Object) error {
	v := Verdict{Result: VerdictRefused, Reason: reasonShared, At: t.now}
	infected := with.Verdict != nil && with.Verdict.Result == VerdictInfected
	if infected {
		v.Result, v.Engines = VerdictInfected, with.Verdict.Engines
	}
	for i := range shared {
		o := &shared[i]
		now, err := t.object(o.Tenant, o.ID)
		if err != nil {
			return err
		}
		*o = now
		what := EventObjectRejected
		if o.State == ObjectPublished {
			what = EventObjectWithdrawn
		}
		if infected || o.Verdict == nil {
			o.Verdict = &v
		}
		ev := t.event(what, by)
		ev.Reason, ev.Subject = reasonShared, string(with.ID)
		if err := t.withdraw(o, ev); err != nil {
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

// release publishes at once; blobs that have to move are found by Promoting. Where two
// persons are needed, and this is the first, it only notes the proposal: saying it again
// changes nothing.
func (t *txn) release(by Actor, o *Object, r Ruling, ev *Event) error {
	if o.Overtaken || o.Destroyed {
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
	if b.Scan.TwoPersons && (o.Proposal == nil || o.Proposal.By == by.Principal) {
		return t.propose(by, o, r)
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
		o.Held, o.Noncurrent, o.Targets, o.PublishedAt, o.Ruling = false, noncurrent, targets, t.now, &r
	})
}

// propose notes a release that a second analyst is to approve.
func (t *txn) propose(by Actor, o *Object, r Ruling) error {
	if o.Proposal != nil {
		return nil
	}
	ev := t.event(EventObjectProposed, by)
	ev.Reason = r.Reason
	o.describe(ev)
	if _, err := t.recordFor(ev, o); err != nil {
		return err
	}
	return t.rewrite(o, func() { o.Proposal = &r })
}

package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/registry/kv"
)

// What is published is inspected again because somebody asks, from time to time, and
// when the signatures change. It stays published meanwhile: that is no step of the
// state machine, and no event is owed before the rescan's verdict. Rescans stand in a
// queue of their own, which is looked at only when nothing waits for its first verdict.

// Rescan is a published object's place in that queue.
type Rescan struct {
	// At orders the queue, the latest first: when somebody asked for this object, else
	// when it was written.
	At   time.Time
	Turn ScanTurn // Epoch is 0 while nobody has claimed it
}

func (o *Object) rescanKey() []byte {
	k := make([]byte, 8, 9+len(o.Tenant)+len(o.ID))
	binary.BigEndian.PutUint64(k, ^millis(o.Rescan.At))
	k = append(k, o.Tenant...)
	return append(append(k, 0), o.ID...)
}

func (o *Object) rescanValue() []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 16), millis(o.Rescan.Turn.Due))
	return binary.BigEndian.AppendUint64(v, o.Rescan.Turn.Epoch)
}

// rescanOf is ErrFenced unless the claim is the object's rescan of now.
func (o *Object) rescanOf(c Claim) error {
	r := o.Rescan
	if o.State != ObjectPublished || r == nil || r.Turn.Epoch != c.Epoch || r.Turn.Number != c.Number {
		return ErrFenced
	}
	return nil
}

// RescanObject has an object of the actor's tenant inspected again: what is published
// stays so, what is held goes back to the queue. What is in a queue already stays where
// it is, or moves to the front. What was rejected is analysts' to release: ErrConflict,
// as for what is just about to be published and whatever has no bytes to inspect.
// ErrNotFound.
func (l *Ledger) RescanObject(ctx context.Context, by Actor, id ObjectID) (Object, error) {
	var o Object
	err := l.change(ctx, by, func(t *txn) (err error) {
		if o, err = t.object(by.Tenant, id); err != nil {
			return err
		}
		switch {
		case o.Marker:
			return ErrNotFound
		case o.State == ObjectScanning && o.Scan == nil:
			return ErrConflict // judged: it will be published in a moment
		case o.State == ObjectScanning, o.State == ObjectQuarantined && !o.Held:
			return nil
		case o.State == ObjectQuarantined:
			return t.requeueHeld(by, &o)
		case o.State != ObjectPublished:
			return ErrConflict
		case o.Rescan != nil:
			return t.rewrite(&o, func() { o.Rescan = &Rescan{At: t.now, Turn: o.Rescan.Turn} })
		}
		ev := t.event(EventObjectRescan, by)
		o.describe(ev)
		if _, err := t.recordFor(ev, &o); err != nil {
			return err
		}
		return t.queueRescan(&o, t.now)
	})
	if err != nil {
		return Object{}, fmt.Errorf("rescan: %w", err)
	}
	return o, nil
}

// requeueHeld starts the count of tries anew. Claims are numbered from a number that no
// earlier claim of the object had, for a late one must not count.
func (t *txn) requeueHeld(by Actor, o *Object) error {
	n, err := t.nextSeq()
	if err != nil {
		return err
	}
	return t.apply(objectRequeue, o, t.event(EventObjectRescan, by), func() {
		o.Held, o.Scan = false, &ScanTurn{Due: t.now, Number: n}
	})
}

func (t *txn) queueRescan(o *Object, at time.Time) error {
	return t.rewrite(o, func() { o.Rescan = &Rescan{At: at, Turn: ScanTurn{Due: t.now}} })
}

// nextRescan returns the first rescan that is due and that no living worker has, or
// ErrNotFound. Those that were put off stand in the way, but in a bounded number.
func (t *txn) nextRescan() (Object, error) {
	var found []byte
	looked := 0
	err := t.Scan(tRescans, kv.Range{}, func(key, value []byte) error {
		if looked++; looked > pageWork {
			return kv.Stop
		}
		if len(value) != 16 {
			return fmt.Errorf("decode a row of %s: %w", tRescans, errRow)
		}
		due, epoch := fromMillis(binary.BigEndian.Uint64(value)), binary.BigEndian.Uint64(value[8:])
		if ours := epoch == 0 || epoch == t.l.epoch; ours && t.now.Before(due) {
			return nil
		}
		found = key
		return kv.Stop
	})
	if err != nil {
		return Object{}, err
	}
	if found == nil {
		return Object{}, ErrNotFound
	}
	_, tenant, id := untimed(found)
	return t.object(tenant, ObjectID(id))
}

// claimRescan is claim for what is published. One whose workers died too often leaves
// the queue as it is.
func (t *txn) claimRescan(worker string, lease time.Duration) (c Claim, found bool, err error) {
	for range maxLapses {
		o, err := t.nextRescan()
		if errors.Is(err, ErrNotFound) {
			return Claim{}, false, nil
		}
		if err != nil {
			return Claim{}, false, err
		}
		tries := o.Rescan.Turn.Tries
		if o.Rescan.Turn.Epoch != 0 {
			tries++
		}
		if tries >= MaxScanTries {
			if err := t.doubt(&o, Verdict{Result: VerdictError, Reason: "lease_lapsed", Attempts: tries}); err != nil {
				return Claim{}, false, err
			}
			continue
		}
		n, err := t.nextSeq()
		if err != nil {
			return Claim{}, false, err
		}
		turn := ScanTurn{Due: t.now.Add(lease), Tries: tries, Number: n, Epoch: t.l.epoch, Worker: worker}
		if err := t.rewrite(&o, func() { o.Rescan = &Rescan{At: o.Rescan.At, Turn: turn} }); err != nil {
			return Claim{}, false, err
		}
		return Claim{Object: o, Number: n, Epoch: turn.Epoch, Tries: tries, Lease: lease, Rescan: true}, true, nil
	}
	return Claim{}, false, nil
}

// rescanAt moves the end of a claim's lease.
func (t *txn) rescanAt(o *Object, due time.Time) error {
	r := *o.Rescan
	r.Turn.Due = due
	return t.rewrite(o, func() { o.Rescan = &r })
}

// waitForRescan gives a claim back.
func (t *txn) waitForRescan(o *Object, due time.Time, tries int) error {
	at := o.Rescan.At
	return t.rewrite(o, func() { o.Rescan = &Rescan{At: at, Turn: ScanTurn{Due: due, Tries: tries}} })
}

func (t *txn) retryRescan(o *Object, due time.Time, cause string) error {
	tries := o.Rescan.Turn.Tries + 1
	if tries >= MaxScanTries {
		return t.doubt(o, Verdict{Result: VerdictError, Reason: word(cause), Attempts: tries})
	}
	return t.waitForRescan(o, due, tries)
}

// settleRescan writes down what a rescan concluded. What is infected is withdrawn at
// once, with everything that shares bytes with it; what is against the rules of its
// bucket, which are not another's, is withdrawn alone. Who cannot say does not withdraw
// what was clean before: the doubt is noted. A finding that analysts released the object
// in spite of is no news.
func (t *txn) settleRescan(o *Object, v Verdict) error {
	switch v.Result {
	case VerdictClean:
		return t.concludeRescan(o, v, func() { o.Verdict, o.Doubt = &v, nil })
	case VerdictInfected, VerdictRefused:
		if o.standsBy(v) {
			return t.concludeRescan(o, v, func() { o.Verdict = &v })
		}
		return t.withdrawFound(o, v)
	case VerdictIncomplete, VerdictError:
		return t.doubt(o, v)
	}
	return fmt.Errorf("%w: verdict", ErrInvalid)
}

// standsBy tells whether analysts released the object although this very thing had been
// found in it.
func (o *Object) standsBy(v Verdict) bool {
	if o.Ruling == nil || o.Ruling.Decision != Release || o.Verdict == nil {
		return false
	}
	return o.Verdict.Result == v.Result && o.Verdict.Reason == v.Reason && slices.Equal(o.Verdict.signatures(), v.signatures())
}

// signatures are the names of what engines found.
func (v *Verdict) signatures() (names []string) {
	for _, n := range v.Engines {
		if n.Signature != "" {
			names = append(names, n.Name+":"+n.Signature)
		}
	}
	return names
}

func (t *txn) doubt(o *Object, v Verdict) error {
	v.At = t.now
	return t.concludeRescan(o, v, func() { o.Doubt = &v })
}

// concludeRescan ends a rescan that leaves the object where it is.
func (t *txn) concludeRescan(o *Object, v Verdict, edit func()) error {
	ev := t.event(EventObjectVerdict, System(o.Tenant))
	ev.Result, ev.Reason, ev.Engines, ev.DetectedType = v.Result, word(v.Reason), v.Engines, o.DetectedType
	o.describe(ev)
	_, err := t.recordFor(ev, o)
	return errors.Join(err, t.rewrite(o, func() {
		o.Rescan = nil
		edit()
	}))
}

func (t *txn) withdrawFound(o *Object, v Verdict) error {
	var shared []Object
	if v.Result == VerdictInfected {
		var err error
		if shared, err = t.sharing(o); err != nil {
			return err
		}
		shared = slices.DeleteFunc(shared, func(x Object) bool { return x.standsBy(v) })
		if err := t.withdrawParts(o); err != nil {
			return err
		}
	}
	o.Verdict = &v
	ev := t.event(EventObjectWithdrawn, System(o.Tenant))
	ev.Result, ev.Reason, ev.Engines, ev.DetectedType = v.Result, word(v.Reason), v.Engines, o.DetectedType
	if err := t.withdraw(o, ev); err != nil {
		return err
	}
	return t.withdrawAll(System(o.Tenant), shared, o)
}

// withdrawTwins withdraws what has the very bytes of an object that was found infected
// before it was published: a verdict is of a list of extents, whoever has them. What
// shares a part of them only may be clean without the rest, but goes with a twin that was
// published, as it does whenever such a one is withdrawn.
func (t *txn) withdrawTwins(o *Object) error {
	if o.Verdict.Result != VerdictInfected {
		return nil
	}
	shared, err := t.sharing(o)
	if err != nil {
		return err
	}
	shared = slices.DeleteFunc(shared, func(x Object) bool { return x.standsBy(*o.Verdict) })
	twin := func(x Object) bool { return slices.Equal(x.Extents, o.Extents) }
	if !slices.ContainsFunc(shared, func(x Object) bool { return x.State == ObjectPublished && twin(x) }) {
		shared = slices.DeleteFunc(shared, func(x Object) bool { return !twin(x) })
	} else if err := t.withdrawParts(o); err != nil {
		return err
	}
	return t.withdrawAll(System(o.Tenant), shared, o)
}

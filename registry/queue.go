package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// MaxScanTries is after how many engine errors an object is held.
const MaxScanTries = 5

// Claim is a worker's turn at one object.
type Claim struct {
	Object Object
	Number uint64
	Epoch  uint64
	Tries  int // that ended in an error or not at all, before this one
	Lease  time.Duration
	// SHA256, hex, is that of the content, once the worker has had all of it read:
	// SettleScan wants to know. ClaimScan leaves it empty.
	SHA256 string
	// Rules are those of the object's bucket; the queue fills them in.
	Rules ScanRules
	// Renditions are what engines made of the object; SettleScan keeps them.
	Renditions []Rendition
	// Rescan: the object is published, and stays so while it is looked at again.
	Rescan bool
}

// ClaimScan gives the worker the object that has waited longest, for as long
// as the lease: first those whose worker is gone. If none waits for its first
// verdict, it is the newest of those that are inspected again. ErrNotFound if nothing
// is due.
func (l *Ledger) ClaimScan(ctx context.Context, worker string, lease time.Duration) (Claim, error) {
	if lease <= 0 || len(worker) > maxWord {
		return Claim{}, fmt.Errorf("claim scan: %w", ErrInvalid)
	}
	// Most of the time nothing is due: look before asking for the writer.
	err := l.view(ctx, func(t *txn) error {
		_, err := t.nextScan()
		if errors.Is(err, ErrNotFound) {
			_, err = t.nextRescan()
		}
		return err
	})
	if err != nil {
		return Claim{}, fmt.Errorf("claim scan: %w", err)
	}
	var c Claim
	var found bool
	err = l.update(ctx, func(t *txn) (err error) {
		if c, found, err = t.claim(worker, lease); err == nil && !found {
			c, found, err = t.claimRescan(worker, lease)
		}
		return err
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return Claim{}, fmt.Errorf("claim scan: %w", err)
	}
	return c, nil
}

// maxLapses bounds how many objects one claim may hold on its way.
const maxLapses = 16

// claim takes the next object; objects whose workers died too often are held
// and passed over, which has to be committed even if nothing is left to claim.
func (t *txn) claim(worker string, lease time.Duration) (c Claim, found bool, err error) {
	for range maxLapses {
		o, err := t.nextScan()
		if errors.Is(err, ErrNotFound) {
			return Claim{}, false, nil
		}
		if err != nil {
			return Claim{}, false, err
		}
		s := objectClaim
		tries := o.Scan.Tries
		if o.State == ObjectScanning {
			// Its worker hung or died on it, perhaps with the whole process. One
			// that is stopped in order gives its claims back.
			s = objectTakeOver
			tries++
		}
		if tries >= MaxScanTries {
			if err := t.hold(&o, Verdict{Result: VerdictError, Reason: "lease_lapsed"}, tries); err != nil {
				return Claim{}, false, err
			}
			continue
		}
		turn := ScanTurn{
			Due: t.now.Add(lease), Tries: tries, Number: o.Scan.Number + 1, Epoch: t.l.epoch, Worker: worker,
		}
		ev := t.event(EventObjectScanning, System(o.Tenant))
		ev.Attempt = turn.Number
		if err := t.apply(s, &o, ev, func() { o.Scan = &turn }); err != nil {
			return Claim{}, false, err
		}
		return Claim{Object: o, Number: turn.Number, Epoch: turn.Epoch, Tries: tries, Lease: lease}, true, nil
	}
	return Claim{}, false, nil
}

// nextScan returns the object to scan next: one whose worker is gone (its lease
// lapsed, or its process ended), else the one that is due longest.
func (t *txn) nextScan() (Object, error) {
	var found []byte
	err := t.Scan(tScanClaims, kv.Range{}, func(key, value []byte) error {
		due, _, _ := untimed(key)
		if t.now.Before(due) && len(value) == 8 && binary.BigEndian.Uint64(value) == t.l.epoch {
			return nil
		}
		found = key
		return kv.Stop
	})
	if err != nil {
		return Object{}, err
	}
	if found == nil {
		err = t.Scan(tScanDue, until(t.now), func(key, _ []byte) error {
			found = key
			return kv.Stop
		})
	}
	if err != nil {
		return Object{}, err
	}
	if found == nil {
		return Object{}, ErrNotFound
	}
	_, tenant, id := untimed(found)
	return t.object(tenant, ObjectID(id))
}

// claimed loads the claim's object, or ErrFenced if it is no longer its turn.
func (t *txn) claimed(c Claim) (Object, error) {
	o, err := t.object(c.Object.Tenant, c.Object.ID)
	if err != nil {
		return o, err
	}
	if c.Rescan {
		return o, o.rescanOf(c)
	}
	if o.State != ObjectScanning || o.Scan == nil || o.Scan.Number != c.Number || o.Scan.Epoch != c.Epoch {
		return o, ErrFenced
	}
	return o, nil
}

// RenewClaim keeps the claim for another lease. ErrFenced: stop.
func (l *Ledger) RenewClaim(ctx context.Context, c Claim) error {
	return l.withClaim(ctx, c, "renew claim", func(t *txn, o *Object) error {
		if c.Rescan {
			return t.rescanAt(o, t.now.Add(c.Lease))
		}
		turn := *o.Scan
		turn.Due = t.now.Add(c.Lease)
		return t.rewrite(o, func() { o.Scan = &turn })
	})
}

// RetryScan returns the object to the queue, not due before after has passed:
// an engine failed on it, which counts as a try. The fifth holds it. cause is a
// code.
func (l *Ledger) RetryScan(ctx context.Context, c Claim, after time.Duration, cause string) error {
	return l.withClaim(ctx, c, "retry scan", func(t *txn, o *Object) error {
		if c.Rescan {
			return t.retryRescan(o, t.now.Add(after), cause)
		}
		tries := o.Scan.Tries + 1
		if tries >= MaxScanTries {
			return t.hold(o, Verdict{Result: VerdictError, Reason: word(cause)}, tries)
		}
		return t.requeue(o, t.now.Add(after), tries, cause)
	})
}

// PauseScan returns the object to the queue without counting a try: the engine
// is down, which is not the object's fault. It is due again at once; when to
// claim again is the worker's to judge.
func (l *Ledger) PauseScan(ctx context.Context, c Claim) error {
	return l.withClaim(ctx, c, "pause scan", func(t *txn, o *Object) error {
		if c.Rescan {
			return t.waitForRescan(o, t.now, o.Rescan.Turn.Tries)
		}
		return t.requeue(o, t.now, o.Scan.Tries, "engine_down")
	})
}

func (l *Ledger) withClaim(ctx context.Context, c Claim, what string, fn func(*txn, *Object) error) error {
	err := l.update(ctx, func(t *txn) error {
		o, err := t.claimed(c)
		if err != nil {
			return err
		}
		return fn(t, &o)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (t *txn) requeue(o *Object, due time.Time, tries int, cause string) error {
	turn := *o.Scan
	turn.Due, turn.Tries = due, tries
	ev := t.event(EventObjectScanRetried, System(o.Tenant))
	ev.Attempt, ev.Reason = turn.Number, word(cause)
	return t.apply(objectReturn, o, ev, func() { o.Scan = &turn })
}

// hold takes the object out of the queue until an analyst decides.
func (t *txn) hold(o *Object, v Verdict, tries int) error {
	v.At, v.Attempts = t.now, tries
	ev := t.event(EventObjectHeld, System(o.Tenant))
	ev.Result, ev.Reason, ev.Engines = v.Result, word(v.Reason), v.Engines
	return t.apply(objectReturn, o, ev, func() {
		o.Held, o.Verdict, o.Scan = true, &v, nil
	})
}

// word makes a code of what a caller says, for events hold nothing else.
func word(s string) string {
	if isWord(s) {
		return s
	}
	return "other"
}

// QueueDepth is how much work lies in the queues.
type QueueDepth struct {
	Waiting   int // for a worker, due or not
	Claimed   int
	Promoting int
	Rescans   int // published objects to inspect again, claimed or not
}

// QueueDepth counts the queues by walking their keys.
func (l *Ledger) QueueDepth(ctx context.Context) (QueueDepth, error) {
	var d QueueDepth
	err := l.view(ctx, func(t *txn) (err error) {
		d = QueueDepth{}
		for _, q := range [...]struct {
			table kv.Table
			n     *int
		}{{tScanDue, &d.Waiting}, {tScanClaims, &d.Claimed}, {tPromoting, &d.Promoting}, {tRescans, &d.Rescans}} {
			if *q.n, err = t.size(q.table, kv.Range{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return QueueDepth{}, fmt.Errorf("queue depth: %w", err)
	}
	return d, nil
}

// size counts the keys of a range.
func (t *txn) size(table kv.Table, r kv.Range) (n int, err error) {
	err = t.Scan(table, r, func(_, _ []byte) error {
		n++
		return nil
	})
	return n, err
}

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// stepped keeps what follows from an object's state: when it was rejected, and that
// neither a proposal nor a rescan outlives what it was about.
func (o *Object) stepped(from string, now time.Time) {
	o.Proposal = nil
	switch {
	case o.State != ObjectRejected:
		o.RejectedAt = time.Time{}
	case from != string(ObjectRejected):
		o.RejectedAt = now
	}
	if o.State != ObjectPublished {
		o.Rescan, o.Doubt = nil, nil
	}
}

// DestroyRejected gives up the bytes of rejected objects that were kept for as long as
// their bucket says, or keep where it does not; 0 is for ever. At most limit of them,
// the longest rejected first, and it returns how many. Retention and legal holds win.
// While the clock is not believed it is ErrClockJumped.
func (l *Ledger) DestroyRejected(ctx context.Context, keep time.Duration, limit int) (int, error) {
	if err := l.clockSound(); err != nil {
		return 0, fmt.Errorf("destroy rejected: %w", err)
	}
	if keep < 0 || limit <= 0 {
		return 0, fmt.Errorf("destroy rejected: %w", ErrInvalid)
	}
	k := &keeping{keep: keep, buckets: make(map[bucketID]time.Duration)}
	if err := l.view(ctx, k.read); err != nil {
		return 0, fmt.Errorf("destroy rejected: %w", err)
	}
	destroyed := 0
	for from, more := []byte(nil), true; more && destroyed < limit; more = from != nil {
		n, next, err := l.destroySome(ctx, k, from, min(limit-destroyed, deleteBatch))
		if err != nil {
			return destroyed, fmt.Errorf("destroy rejected: %w", err)
		}
		destroyed, from = destroyed+n, next
	}
	return destroyed, nil
}

// destroySome is DestroyRejected for one page of the index. It returns where the next
// one begins, nil at the end.
func (l *Ledger) destroySome(ctx context.Context, k *keeping, from []byte, limit int) (n int, next []byte, err error) {
	var due []Object
	err = l.view(ctx, func(t *txn) (err error) {
		due, next, err = k.due(t, from, limit)
		return err
	})
	if err != nil || len(due) == 0 {
		return 0, next, err
	}
	err = l.update(ctx, func(t *txn) error {
		for i := range due {
			if err := t.destroy(due[i].Tenant, due[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	return len(due), next, err
}

// keeping knows how long each bucket's rejected bytes are kept.
type keeping struct {
	keep     time.Duration // where a bucket does not say; 0 is for ever
	shortest time.Duration // of all
	buckets  map[bucketID]time.Duration
}

func (k *keeping) read(t *txn) error {
	k.shortest = k.keep
	clear(k.buckets)
	return t.Scan(tBuckets, kv.Range{}, func(key, value []byte) error {
		var b Bucket
		if err := decode(tBuckets, value, &b); err != nil || b.Scan.KeepRejected == 0 {
			return err
		}
		tenant := TenantName(key[:len(key)-len(b.Name)-1])
		k.buckets[bucketID{tenant, b.Name}] = b.Scan.KeepRejected
		if k.shortest == 0 || b.Scan.KeepRejected < k.shortest {
			k.shortest = b.Scan.KeepRejected
		}
		return nil
	})
}

// due returns up to limit objects whose bytes are to be destroyed, and where to go on,
// nil at the end.
func (k *keeping) due(t *txn, from []byte, limit int) (found []Object, next []byte, err error) {
	if k.shortest == 0 {
		return nil, nil, nil
	}
	span := until(t.now.Add(-k.shortest))
	span.From = from
	looked := 0
	err = t.Scan(tRejected, span, func(key, value []byte) error {
		if looked == pageWork || len(found) == limit {
			next = append([]byte(nil), key...)
			return kv.Stop
		}
		looked++
		at, tenant, id := untimed(key)
		keep, own := k.buckets[bucketID{tenant, BucketName(value)}]
		if !own {
			keep = k.keep
		}
		if keep == 0 || t.now.Before(at.Add(keep)) {
			return nil
		}
		o, err := t.object(tenant, ObjectID(id))
		if err == nil && t.destroyable(&o) {
			found = append(found, o)
		}
		return err
	})
	return found, next, err
}

// destroyable tells whether a rejected object's bytes may go. Those under a promotion,
// which a release had begun, wait for its end.
func (t *txn) destroyable(o *Object) bool {
	return o.State == ObjectRejected && !o.Destroyed && len(o.Targets) == 0 && !t.locked(o, false)
}

// destroy gives up the bytes of a rejected object. Its row, with verdict and digest,
// stays, and with it what is known of its parts.
func (t *txn) destroy(tenant TenantName, id ObjectID) error {
	o, err := t.object(tenant, id)
	if err != nil || !t.destroyable(&o) {
		return err
	}
	extents := o.Extents
	ev := t.event(EventObjectDestroyed, System(tenant))
	o.describe(ev)
	ev.Size, ev.SHA256 = &o.Size, o.SHA256
	if _, err := t.recordFor(ev, &o); err != nil {
		return err
	}
	err = t.rewrite(&o, func() { o.Destroyed, o.Extents, o.Proposal = true, nil, nil })
	for _, x := range extents {
		err = errors.Join(err, t.unrefer(x.Blob, o.ID))
	}
	return err
}

// dateRejected gives rejected objects of earlier versions the time of their rejection,
// which their verdict knows, or else now: the time that they are kept for begins then.
func dateRejected(tx kv.Tx) error {
	t := txn{Tx: tx}
	var rows [][]byte
	err := tx.Scan(tObjectStates, kv.Range{}, func(key, _ []byte) error {
		// tenant 0 state 0 object
		tenant, rest, _ := bytes.Cut(key, []byte{0})
		if state, id, ok := bytes.Cut(rest, []byte{0}); ok && string(state) == stateCode(ObjectRejected) {
			rows = append(rows, keyOf(string(tenant), string(id)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	now, err := t.number(metaClock)
	if err != nil {
		return err
	}
	for _, key := range rows {
		var o Object
		if err := t.load(tObjects, key, &o); err != nil {
			return err
		}
		if !o.RejectedAt.IsZero() {
			continue
		}
		err := t.rewrite(&o, func() {
			o.RejectedAt = fromMillis(now)
			if o.Verdict != nil && o.Verdict.Result != VerdictClean && !o.Verdict.At.IsZero() {
				o.RejectedAt = o.Verdict.At
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

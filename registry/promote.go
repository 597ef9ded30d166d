package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// SettleScan writes down what inspection concluded. Clean is step 1 of
// promotion: the verdict and where each blob moves; the object stays scanning,
// and Promoting finds it, until Publish. Where no blob has to move it is
// published at once. Infected or refused rejects; incomplete or error holds.
// ErrFenced if it is no longer the claim's turn.
func (l *Ledger) SettleScan(ctx context.Context, c Claim, v Verdict, detected string) (Object, error) {
	var o Object
	err := l.update(ctx, func(t *txn) (err error) {
		if o, err = t.claimed(c); err != nil {
			return err
		}
		v := v
		v.At, v.Attempts = t.now, c.Tries+1
		if detected != "" {
			o.DetectedType = detected
		}
		if v, err = t.digested(&o, v, c.SHA256); err != nil {
			return err
		}
		if err := t.settleRenditions(&o, v, c.Renditions); err != nil {
			return err
		}
		if c.Rescan {
			return t.settleRescan(&o, v)
		}
		switch v.Result {
		case VerdictClean:
			return t.judge(&o, v)
		case VerdictInfected, VerdictRefused:
			ev := t.event(EventObjectRejected, System(o.Tenant))
			ev.Result, ev.Reason, ev.Engines, ev.DetectedType = v.Result, word(v.Reason), v.Engines, o.DetectedType
			if err := t.apply(objectReject, &o, ev, func() { o.Verdict, o.Scan = &v, nil }); err != nil {
				return err
			}
			return t.withdrawTwins(&o)
		case VerdictIncomplete, VerdictError:
			return t.hold(&o, v, v.Attempts)
		}
		return fmt.Errorf("%w: verdict", ErrInvalid)
	})
	if err != nil {
		return Object{}, fmt.Errorf("settle scan: %w", err)
	}
	return o, nil
}

func (t *txn) judge(o *Object, v Verdict) error {
	targets, err := t.targets(o)
	if err != nil {
		return err
	}
	ev := t.event(EventObjectVerdict, System(o.Tenant))
	ev.Result, ev.Reason, ev.Engines, ev.DetectedType = v.Result, word(v.Reason), v.Engines, o.DetectedType
	err = t.apply(objectJudge, o, ev, func() { o.Verdict, o.Scan, o.Targets = &v, nil, targets })
	if err != nil || len(targets) > 0 {
		return err
	}
	return t.publish(o)
}

// targets returns where each blob of the object moves when it is published,
// or nil if all of them stay.
func (t *txn) targets(o *Object) ([]BlobKey, error) {
	row, err := t.tenant(o.Tenant)
	if err != nil {
		return nil, err
	}
	moves := false
	keys := make([]BlobKey, len(o.Extents))
	for i, x := range o.Extents {
		keys[i] = x.Blob
		if strings.HasPrefix(string(x.Blob), stagingPrefix) {
			keys[i], moves = acceptedKey(row.PathHash, t.now, o.ID), true
			if o.PartCount > 0 {
				keys[i] = acceptedPartKey(row.PathHash, t.now, o.ID, i+1)
			}
		}
	}
	if !moves {
		return nil, nil
	}
	return keys, nil
}

// Promoting lists the objects whose blobs are on the move, of all tenants and in
// the order of their ids: each of them needs its blobs moved to Targets (where
// these differ from the extents' keys) and then Publish. That includes objects
// that were deleted or rejected meanwhile: Publish knows what becomes of their
// bytes. What cannot be promoted stands in nobody's way: the next page is behind
// it.
func (l *Ledger) Promoting(ctx context.Context, page Page) ([]Object, string, error) {
	var found []Object
	var more string
	err := l.view(ctx, func(t *txn) (err error) {
		found, more, err = collect(t, forward(tPromoting, "", page), func(t *txn, key, _ []byte) (o Object, keep bool, err error) {
			tenant, id, _ := strings.Cut(string(key), "\x00")
			o, err = t.object(TenantName(tenant), ObjectID(id))
			return o, true, err
		})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("promoting: %w", err)
	}
	return found, more, nil
}

// Publish is step 3 of promotion: the blobs are at their targets. It returns
// the object as it is then, published unless something overtook it: one that
// was deleted stays deleted, and its moved bytes become garbage. Doing so again
// changes nothing.
func (l *Ledger) Publish(ctx context.Context, tenant TenantName, id ObjectID) (Object, error) {
	var o Object
	err := l.update(ctx, func(t *txn) (err error) {
		if o, err = t.object(tenant, id); err != nil || len(o.Targets) == 0 {
			return err
		}
		switch o.State {
		case ObjectScanning:
			return t.publish(&o)
		case ObjectDeleted:
			return t.dropMoved(&o)
		}
		return t.rewrite(&o, o.relocate)
	})
	if err != nil {
		return Object{}, fmt.Errorf("publish: %w", err)
	}
	return o, nil
}

// publish makes the object visible in its place of the key's history.
func (t *txn) publish(o *Object) error {
	b, err := t.bucket(o.Tenant, o.Bucket)
	if err != nil {
		return err
	}
	noncurrent, err := t.place(System(o.Tenant), &b, o)
	if err != nil {
		return err
	}
	if err := t.showBucket(&b, o); err != nil {
		return err
	}
	ev := t.event(EventObjectPublished, System(o.Tenant))
	if o.Verdict != nil {
		ev.Result = o.Verdict.Result
	}
	return t.apply(objectPublish, o, ev, func() {
		o.relocate()
		o.Noncurrent, o.PublishedAt = noncurrent, t.now
	})
}

// showBucket lists the profile "default" as a bucket once it holds an object.
func (t *txn) showBucket(b *Bucket, o *Object) error {
	if b.Name != DefaultBucket || b.Listed {
		return nil
	}
	b.Listed = true
	return t.putBucket(o.Tenant, b)
}

// relocate names the blobs' new keys.
func (o *Object) relocate() {
	for i, target := range o.Targets {
		o.Extents[i].Blob = target
	}
	o.Targets = nil
}

// dropMoved gives up the bytes of an object that was deleted while they moved.
func (t *txn) dropMoved(o *Object) error {
	var err error
	for i, x := range o.Extents {
		err = errors.Join(err, t.discard(x.Blob))
		if o.Targets[i] != x.Blob {
			err = errors.Join(err, t.discard(o.Targets[i]))
		}
	}
	return errors.Join(err, t.rewrite(o, func() { o.Extents, o.Targets = nil, nil }))
}

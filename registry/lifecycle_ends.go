package registry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Reasons of what lifecycle rules end.
const (
	reasonExpired    = "lifecycle_expired"
	reasonNoncurrent = "lifecycle_noncurrent"
	reasonMarker     = "lifecycle_marker"
	reasonIncomplete = "lifecycle_incomplete"
)

// AgeResult counts what one call of Age ended.
type AgeResult struct {
	Expired    int // current versions
	Noncurrent int
	Markers    int
	Multiparts int
	Gone       []ObjectID // whose transfers by grant end
}

func (r *AgeResult) add(s AgeResult) {
	r.Expired += s.Expired
	r.Noncurrent += s.Noncurrent
	r.Markers += s.Markers
	r.Multiparts += s.Multiparts
	r.Gone = append(r.Gone, s.Gone...)
}

// Age carries a bucket's rules out from cursor on ("" begins), and returns where to
// go on ("" at the end) and how much it ended, at most limit. It looks at a bounded
// number of rows. Whatever is locked stays, and so does what a rule is about that
// was changed since. After an error the call can be repeated. While the clock is
// not believed it is ErrClockJumped; ErrInvalid for a cursor that is none.
func (l *Ledger) Age(ctx context.Context, a Aging, cursor string, limit int) (next string, ended AgeResult, err error) {
	if err := l.clockSound(); err != nil {
		return "", ended, fmt.Errorf("age: %w", err)
	}
	place, err := parseAgePlace(cursor)
	if err == nil && limit <= 0 {
		err = fmt.Errorf("%w: limit", ErrInvalid)
	}
	if err != nil {
		return "", ended, fmt.Errorf("age: %w", err)
	}
	var found []aged
	err = l.view(ctx, func(t *txn) (err error) {
		w := ageWalk{t: t, a: &a, base: append(keyOf(a.Tenant, string(a.Bucket)), 0), limit: limit}
		next, err = w.run(place)
		found = w.found
		return err
	})
	if err != nil {
		return "", ended, fmt.Errorf("age: %w", err)
	}
	for batch := range slices.Chunk(found, deleteBatch) {
		some, err := l.endAged(ctx, &a, batch)
		ended.add(some)
		if err != nil {
			return cursor, ended, fmt.Errorf("age: %w", err)
		}
	}
	return next, ended, nil
}

// endAged ends versions in one transaction, and each multipart upload, which may
// have thousands of parts, in one of its own.
func (l *Ledger) endAged(ctx context.Context, a *Aging, batch []aged) (ended AgeResult, err error) {
	versions := slices.DeleteFunc(slices.Clone(batch), func(x aged) bool { return x.phase == ageMultipart })
	chunks := [][]aged{versions}
	for i := range batch {
		if batch[i].phase == ageMultipart {
			chunks = append(chunks, batch[i:i+1])
		}
	}
	for _, chunk := range chunks {
		if len(chunk) == 0 {
			continue
		}
		var some AgeResult
		err := l.update(ctx, func(t *txn) error {
			some = AgeResult{}
			return t.endAged(a, chunk, &some)
		})
		if err != nil {
			return ended, err
		}
		ended.add(some)
	}
	return ended, nil
}

func (t *txn) endAged(a *Aging, batch []aged, ended *AgeResult) error {
	b, err := t.bucket(a.Tenant, a.Bucket)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var rules []LifecycleRule
	err = t.document(a.Tenant, a.Bucket, docLifecycle, &rules)
	if err != nil && !errors.Is(err, ErrNotConfigured) {
		return err
	}
	for _, x := range batch {
		stands := func(r LifecycleRule) bool { return r.ID == x.rule.ID && reflect.DeepEqual(r, *x.rule) }
		if !slices.ContainsFunc(rules, stands) {
			continue
		}
		switch x.phase {
		case ageCurrent:
			err = t.endCurrent(&b, a.Tenant, x, ended)
		case ageNoncurrent:
			err = t.endNoncurrent(a.Tenant, x, ended)
		case ageMultipart:
			err = t.endMultipart(a.Tenant, x, ended)
		}
		if err != nil && !refused(err) && !errors.Is(err, ErrNoUpload) {
			return err
		}
	}
	return nil
}

// endCurrent ends a current version as a delete of its key would: for good where
// versioning is off, else by a delete marker. One that a later write waits to
// replace is left to it.
func (t *txn) endCurrent(b *Bucket, tenant TenantName, x aged, ended *AgeResult) error {
	o, err := t.object(tenant, x.object)
	if err != nil || o.State != ObjectPublished {
		return err
	}
	at, _, ok := ExpiryOf([]LifecycleRule{*x.rule}, &o)
	if !ok || t.now.Before(at) {
		return nil
	}
	last, err := t.latest(tenant, b.Name, o.Key)
	if err != nil || last == nil || last.Object != o.ID {
		return err
	}
	by := System(tenant)
	if b.Versioning == VersioningOff {
		ev := t.event(EventObjectDeleted, by)
		ev.Reason = reasonExpired
		err = t.deleteObject(&o, ev)
	} else {
		_, err = t.deleteKey(by, b, o.Key, reasonExpired)
	}
	if err == nil {
		ended.Expired++
		ended.Gone = append(ended.Gone, o.ID)
	}
	return err
}

// endNoncurrent ends a noncurrent version, or a delete marker with nothing behind
// it, for good.
func (t *txn) endNoncurrent(tenant TenantName, x aged, ended *AgeResult) error {
	o, err := t.object(tenant, x.object)
	if err != nil {
		return err
	}
	due, err := t.versionDue(x.rule, &o)
	if err != nil || !due {
		return err
	}
	noncurrent := o.Noncurrent
	ev := t.event(EventObjectDeleted, System(tenant))
	ev.Reason = reasonMarker
	if noncurrent {
		ev.Reason = reasonNoncurrent
	}
	if err := t.deleteObject(&o, ev); err != nil {
		return err
	}
	if !noncurrent {
		ended.Markers++
		return nil
	}
	ended.Noncurrent++
	if !o.Marker {
		ended.Gone = append(ended.Gone, o.ID)
	}
	return nil
}

func (t *txn) endMultipart(tenant TenantName, x aged, ended *AgeResult) error {
	m, err := t.multipartByID(tenant, x.multipart)
	if err != nil || !m.CompletedAt.IsZero() || t.now.Before(midnightAfter(m.CreatedAt, x.rule.AbortDays)) {
		return err
	}
	if err := t.abortMultipart(System(tenant), &m, reasonIncomplete); err != nil {
		return err
	}
	ended.Multiparts++
	return nil
}

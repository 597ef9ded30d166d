package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Aging is a bucket with lifecycle rules that are not all disabled.
type Aging struct {
	Tenant TenantName
	Bucket BucketName
	Rules  []LifecycleRule
}

// Agings returns every bucket of every tenant that has lifecycle rules.
func (l *Ledger) Agings(ctx context.Context) ([]Aging, error) {
	var found []Aging
	for page := (Page{Limit: maxPage}); ; {
		var some []Aging
		err := l.view(ctx, func(t *txn) (err error) {
			some, page.Cursor, err = collect(t, forward(tBucketDocs, "", page), readAging)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("buckets with lifecycle rules: %w", err)
		}
		found = append(found, some...)
		if page.Cursor == "" {
			return found, nil
		}
	}
}

func readAging(_ *txn, key, value []byte) (a Aging, keep bool, err error) {
	part := strings.Split(string(key), "\x00")
	if len(part) != 3 || part[2] != docLifecycle {
		return a, false, nil
	}
	a.Tenant, a.Bucket = TenantName(part[0]), BucketName(part[1])
	err = decode(tBucketDocs, value, &a.Rules)
	return a, slices.ContainsFunc(a.Rules, func(r LifecycleRule) bool { return !r.Disabled }), err
}

// ExpiryOf says when a rule will end a current version, and which: the first of those
// that apply. Days count from midnight UTC after the object's time. ok is false if none applies.
func ExpiryOf(rules []LifecycleRule, o *Object) (at time.Time, rule string, ok bool) {
	if o.Marker || o.Noncurrent {
		return at, "", false
	}
	for i := range rules {
		r := &rules[i]
		if r.Disabled || !r.expires() || !r.covers(o.Key, o.Size) || !r.tagged(o) {
			continue
		}
		if end := r.expiry(o.ModifiedAt); !ok || end.Before(at) {
			at, rule, ok = end, r.ID, true
		}
	}
	return at, rule, ok
}

// expires tells whether the rule ends current versions.
func (r *LifecycleRule) expires() bool { return r.ExpireDays > 0 || !r.ExpireDate.IsZero() }

// expiry is when the rule ends a current version, or a delete marker with nothing
// behind it, of this time.
func (r *LifecycleRule) expiry(modified time.Time) time.Time {
	if r.ExpireDays > 0 {
		return midnightAfter(modified, r.ExpireDays)
	}
	return r.ExpireDate
}

// midnightAfter is so many days after the next midnight UTC. That is how S3 counts;
// see https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html#intro-lifecycle-rules-number-of-days.
func midnightAfter(at time.Time, days int) time.Time {
	return at.UTC().Truncate(24*time.Hour).AddDate(0, 0, days+1)
}

// covers tells whether the rule is about objects of this key and size, if they
// have its tags.
func (r *LifecycleRule) covers(key string, size int64) bool {
	switch {
	case !strings.HasPrefix(key, r.Prefix),
		r.NotEmpty && size == 0,
		r.LargerThan > 0 && size <= r.LargerThan,
		r.SmallerThan > 0 && size >= r.SmallerThan:
		return false
	}
	return true
}

func (r *LifecycleRule) tagged(o *Object) bool {
	for k, v := range r.Tags {
		if have, ok := o.Tags[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// filtered tells whether the rule asks for what delete markers do not have.
func (r *LifecycleRule) filtered() bool {
	return len(r.Tags) > 0 || r.NotEmpty || r.LargerThan > 0 || r.SmallerThan > 0
}

// coversVersion is covers and tagged for a version that may be a delete marker.
func (r *LifecycleRule) coversVersion(o *Object) bool {
	if o.Marker {
		return strings.HasPrefix(o.Key, r.Prefix) && !r.filtered()
	}
	return r.covers(o.Key, o.Size) && r.tagged(o)
}

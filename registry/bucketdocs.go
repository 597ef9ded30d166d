package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// A bucket's documents are what it is configured with besides its row: each is
// one value, replaced as a whole. Their kinds:
const (
	docCORS      = "cors"
	docLifecycle = "lifecycle"
	docTags      = "tags"
)

// CORSRule is one rule of a bucket about pages of other origins; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html.
type CORSRule struct {
	ID             string   `json:"id,omitempty"`
	AllowedOrigins []string `json:"allowed_origins"`
	AllowedMethods []string `json:"allowed_methods"`
	AllowedHeaders []string `json:"allowed_headers,omitempty"`
	ExposeHeaders  []string `json:"expose_headers,omitempty"`
	MaxAge         int      `json:"max_age,omitempty"` // seconds
}

// LifecycleRule is one rule of a bucket about the end of its objects; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html.
// A zero action does not happen.
type LifecycleRule struct {
	ID       string `json:"id"`
	Disabled bool   `json:"disabled,omitempty"`

	// What it is about: all of these.
	Prefix      string            `json:"prefix,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	LargerThan  int64             `json:"larger_than,omitempty"`  // bytes; 0 is no limit
	NotEmpty    bool              `json:"not_empty,omitempty"`    // larger than 0 bytes
	SmallerThan int64             `json:"smaller_than,omitempty"` // bytes; 0 is no limit
	// Form says which form of filter the client wrote, to give it back: "", "prefix",
	// "filter", "and".
	Form string `json:"form,omitempty"`

	ExpireDays     int       `json:"expire_days,omitempty"`
	ExpireDate     time.Time `json:"expire_date,omitzero"`
	ExpireMarkers  bool      `json:"expire_markers,omitempty"` // delete markers with nothing behind them
	NoncurrentDays int       `json:"noncurrent_days,omitempty"`
	NoncurrentKeep int       `json:"noncurrent_keep,omitempty"` // newest noncurrent versions to leave
	AbortDays      int       `json:"abort_days,omitempty"`      // multipart uploads after their beginning
}

// CORS returns a bucket's CORS rules. ErrNotConfigured, ErrNotFound.
func (l *Ledger) CORS(ctx context.Context, tenant TenantName, bucket BucketName) ([]CORSRule, error) {
	return document[[]CORSRule](ctx, l, tenant, bucket, docCORS)
}

// SetCORS replaces a bucket's CORS rules; none removes them. ErrNotFound, ErrInvalid.
func (l *Ledger) SetCORS(ctx context.Context, by Actor, bucket BucketName, rules []CORSRule) error {
	if err := validCORS(rules); err != nil {
		return fmt.Errorf("configure %s: %w", docCORS, err)
	}
	return configure(ctx, l, by, bucket, docCORS, rules, len(rules))
}

// Lifecycle returns a bucket's lifecycle rules, which are shared. ErrNotConfigured,
// ErrNotFound.
func (l *Ledger) Lifecycle(ctx context.Context, tenant TenantName, bucket BucketName) ([]LifecycleRule, error) {
	id, writes := bucketID{tenant, bucket}, l.buckets.writes.Load()
	rules, known := l.buckets.lifecycles.get(id, writes)
	if !known {
		var err error
		rules, err = document[[]LifecycleRule](ctx, l, tenant, bucket, docLifecycle)
		if err != nil && !errors.Is(err, ErrNotConfigured) {
			return nil, err
		}
		l.buckets.lifecycles.put(id, rules, writes)
	}
	if rules == nil {
		return nil, fmt.Errorf("bucket %s: %w", docLifecycle, ErrNotConfigured)
	}
	return rules, nil
}

// SetLifecycle replaces a bucket's lifecycle rules; none removes them. A rule
// without an id is given one. ErrNotFound, ErrInvalid.
func (l *Ledger) SetLifecycle(ctx context.Context, by Actor, bucket BucketName, rules []LifecycleRule) error {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].ExpireDate = rules[i].ExpireDate.UTC()
		if rules[i].ID != "" {
			continue
		}
		id, err := l.ids.next("", l.Now())
		if err != nil {
			return fmt.Errorf("configure %s: %w", docLifecycle, err)
		}
		rules[i].ID = id
	}
	if err := validLifecycle(rules); err != nil {
		return fmt.Errorf("configure %s: %w", docLifecycle, err)
	}
	return configure(ctx, l, by, bucket, docLifecycle, rules, len(rules))
}

// BucketTags returns a bucket's tags. ErrNotConfigured, ErrNotFound.
func (l *Ledger) BucketTags(ctx context.Context, tenant TenantName, bucket BucketName) (map[string]string, error) {
	return document[map[string]string](ctx, l, tenant, bucket, docTags)
}

// SetBucketTags replaces a bucket's tags; none removes them. ErrNotFound, ErrInvalid.
func (l *Ledger) SetBucketTags(ctx context.Context, by Actor, bucket BucketName, tags map[string]string) error {
	if err := validTags(tags, maxBucketTags); err != nil {
		return fmt.Errorf("configure %s: %w", docTags, err)
	}
	return configure(ctx, l, by, bucket, docTags, maps.Clone(tags), len(tags))
}

func documentKey(tenant TenantName, bucket BucketName, kind string) []byte {
	return keyOf(tenant, string(bucket), kind)
}

// document returns one of a bucket's documents.
func document[T any](ctx context.Context, l *Ledger, tenant TenantName, bucket BucketName, kind string) (doc T, err error) {
	err = l.view(ctx, func(t *txn) error {
		if _, err := t.bucket(tenant, bucket); err != nil {
			return err
		}
		return t.document(tenant, bucket, kind, &doc)
	})
	if err != nil {
		return doc, fmt.Errorf("bucket %s: %w", kind, err)
	}
	return doc, nil
}

func (t *txn) document(tenant TenantName, bucket BucketName, kind string, v any) error {
	err := t.load(tBucketDocs, documentKey(tenant, bucket, kind), v)
	if errors.Is(err, ErrNotFound) {
		return ErrNotConfigured
	}
	return err
}

// configure replaces a document of n entries, or removes it where n is 0. What
// changes nothing is no event.
func configure[T any](ctx context.Context, l *Ledger, by Actor, bucket BucketName, kind string, doc T, n int) error {
	err := l.change(ctx, by, func(t *txn) error {
		if _, err := t.bucket(by.Tenant, bucket); err != nil {
			return err
		}
		key := documentKey(by.Tenant, bucket, kind)
		var have T
		err := t.document(by.Tenant, bucket, kind, &have)
		switch {
		case errors.Is(err, ErrNotConfigured):
			if n == 0 {
				return nil
			}
		case err != nil:
			return err
		case n > 0 && reflect.DeepEqual(have, doc):
			return nil
		}
		if n == 0 {
			err = t.Delete(tBucketDocs, key)
		} else {
			err = t.put(tBucketDocs, key, doc)
		}
		if err != nil {
			return err
		}
		return t.configured(by, by.Tenant, bucket, kind)
	})
	if err != nil {
		return fmt.Errorf("configure %s: %w", kind, err)
	}
	return nil
}

// configured records that a bucket's configuration changed, and what of it.
func (t *txn) configured(by Actor, tenant TenantName, bucket BucketName, what string) error {
	ev := t.event(EventBucketConfigured, by).in(tenant)
	ev.Bucket, ev.Subject = bucket, what
	_, err := t.record(ev)
	return err
}

// dropDocuments removes what a bucket that is deleted was configured with.
func (t *txn) dropDocuments(tenant TenantName, bucket BucketName) error {
	var keys [][]byte
	err := t.Scan(tBucketDocs, under(tenant, string(bucket)), func(key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		err = errors.Join(err, t.Delete(tBucketDocs, key))
	}
	return err
}

// SetPresignMax bounds the lifetime of URLs that SDKs sign with the tenant's keys; 0 is
// the server's bound. ErrNotFound, ErrInvalid.
func (l *Ledger) SetPresignMax(ctx context.Context, by Actor, tenant TenantName, most time.Duration) (Tenant, error) {
	if most < 0 {
		return Tenant{}, fmt.Errorf("set presign max: %w: a lifetime is not negative", ErrInvalid)
	}
	var row Tenant
	err := l.change(ctx, by, func(t *txn) (err error) {
		if row, err = t.tenant(tenant); err != nil || row.PresignMaxTTL == most {
			return err
		}
		row.PresignMaxTTL = most
		if err := t.put(tTenants, keyOf(tenant), row); err != nil {
			return err
		}
		ev := t.event(EventTenantChanged, by).in(tenant)
		ev.Subject = "presign_max_ttl"
		_, err = t.record(ev)
		return err
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("set presign max: %w", err)
	}
	return row, nil
}

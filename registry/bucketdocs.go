package registry

import (
	"context"
	"time"
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
	LargerThan  int64             `json:"larger_than,omitempty"`  // bytes
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

// SetVersioning enables or suspends versioning. A bucket with object lock stays
// enabled: ErrConflict. ErrNotFound, ErrInvalid.
func (l *Ledger) SetVersioning(ctx context.Context, by Actor, bucket BucketName, v Versioning) error {
	return errNotBuilt
}

// SetBucketLock changes the object-lock configuration, or turns object lock on where
// versioning is enabled (else ErrConflict). It cannot be turned off. ErrNotFound,
// ErrInvalid.
func (l *Ledger) SetBucketLock(ctx context.Context, by Actor, bucket BucketName, lock BucketLock) error {
	return errNotBuilt
}

// CORS returns a bucket's CORS rules. ErrNotConfigured, ErrNotFound.
func (l *Ledger) CORS(ctx context.Context, tenant TenantName, bucket BucketName) ([]CORSRule, error) {
	return nil, errNotBuilt
}

// SetCORS replaces a bucket's CORS rules; none removes them. ErrNotFound, ErrInvalid.
func (l *Ledger) SetCORS(ctx context.Context, by Actor, bucket BucketName, rules []CORSRule) error {
	return errNotBuilt
}

// Lifecycle returns a bucket's lifecycle rules. ErrNotConfigured, ErrNotFound.
func (l *Ledger) Lifecycle(ctx context.Context, tenant TenantName, bucket BucketName) ([]LifecycleRule, error) {
	return nil, errNotBuilt
}

// SetLifecycle replaces a bucket's lifecycle rules; none removes them. ErrNotFound,
// ErrInvalid.
func (l *Ledger) SetLifecycle(ctx context.Context, by Actor, bucket BucketName, rules []LifecycleRule) error {
	return errNotBuilt
}

// BucketTags returns a bucket's tags. ErrNotConfigured, ErrNotFound.
func (l *Ledger) BucketTags(ctx context.Context, tenant TenantName, bucket BucketName) (map[string]string, error) {
	return nil, errNotBuilt
}

// SetBucketTags replaces a bucket's tags; none removes them. ErrNotFound, ErrInvalid.
func (l *Ledger) SetBucketTags(ctx context.Context, by Actor, bucket BucketName, tags map[string]string) error {
	return errNotBuilt
}

// SetPresignMax bounds the lifetime of URLs that SDKs sign with the tenant's keys; 0 is
// the server's bound. ErrNotFound, ErrInvalid.
func (l *Ledger) SetPresignMax(ctx context.Context, by Actor, tenant TenantName, most time.Duration) (Tenant, error) {
	return Tenant{}, errNotBuilt
}

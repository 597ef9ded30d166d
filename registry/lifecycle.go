package registry

import (
	"context"
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
	return nil, errNotBuilt
}

// Age carries a bucket's rules out on up to limit of its keys from cursor on ("" begins), and returns
// where to go on ("" at the end) and how much it ended. It looks at a bounded number of rows. Whatever is locked
// stays. While the clock is not believed it is ErrClockJumped.
func (l *Ledger) Age(ctx context.Context, a Aging, cursor string, limit int) (next string, ended AgeResult, err error) {
	return "", AgeResult{}, errNotBuilt
}

// AgeResult counts what one call of Age ended.
type AgeResult struct {
	Expired    int // current versions
	Noncurrent int
	Markers    int
	Multiparts int
	Gone       []ObjectID // whose transfers by grant end
}

// ExpiryOf says when a rule will end a current version, and which: the first of those
// that apply. Days count from midnight UTC after the object's time. ok is false if none applies.
func ExpiryOf(rules []LifecycleRule, o *Object) (at time.Time, rule string, ok bool) {
	return time.Time{}, "", false
}

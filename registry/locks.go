package registry

import "context"

// SetRetention sets, extends or (nil) removes the retention of a published
// version. What governance retains can be shortened or removed with bypass, what
// compliance retains only extended: ErrLocked. ErrConflict in a bucket without
// object lock; ErrInvalid for a date in the past or an unknown mode.
func (l *Ledger) SetRetention(ctx context.Context, by Actor, bucket BucketName, key, version string, r *Retention, bypass Bypass) (Object, error) {
	return Object{}, errNotBuilt
}

// SetLegalHold puts or lifts the legal hold of a published version. ErrConflict in a
// bucket without object lock.
func (l *Ledger) SetLegalHold(ctx context.Context, by Actor, bucket BucketName, key, version string, hold Hold) (Object, error) {
	return Object{}, errNotBuilt
}

// Bypass says whether governance retention stands in the way.
type Bypass bool

// Hold says whether a legal hold is on.
type Hold bool

package registry

import (
	"context"
	"fmt"
)

// Most that a default retention can be; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html.
const (
	maxLockYears = 100
	maxLockDays  = 100 * 365
)

// SetVersioning enables or suspends versioning. A bucket with object lock stays
// enabled: ErrConflict. ErrNotFound, ErrInvalid.
func (l *Ledger) SetVersioning(ctx context.Context, by Actor, bucket BucketName, v Versioning) error {
	if v != VersioningEnabled && v != VersioningSuspended {
		return fmt.Errorf("set versioning: %w: it is enabled or suspended", ErrInvalid)
	}
	err := l.change(ctx, by, func(t *txn) error {
		b, err := t.bucket(by.Tenant, bucket)
		switch {
		case err != nil:
			return err
		case b.Lock != nil && v != VersioningEnabled:
			return fmt.Errorf("%w: its objects can be locked", ErrConflict)
		case b.Versioning == v:
			return nil
		}
		b.Versioning = v
		if err := t.putBucket(by.Tenant, &b); err != nil {
			return err
		}
		return t.configured(by, by.Tenant, bucket, "versioning")
	})
	if err != nil {
		return fmt.Errorf("set versioning: %w", err)
	}
	return nil
}

// SetBucketLock changes the object-lock configuration, or turns object lock on where
// versioning is enabled (else ErrConflict). It cannot be turned off. ErrNotFound,
// ErrInvalid.
func (l *Ledger) SetBucketLock(ctx context.Context, by Actor, bucket BucketName, lock BucketLock) error {
	if err := lock.valid(); err != nil {
		return fmt.Errorf("set bucket lock: %w", err)
	}
	err := l.change(ctx, by, func(t *txn) error {
		b, err := t.bucket(by.Tenant, bucket)
		switch {
		case err != nil:
			return err
		case b.Versioning != VersioningEnabled:
			return fmt.Errorf("%w: versioning is not enabled", ErrConflict)
		case b.Lock != nil && *b.Lock == lock:
			return nil
		}
		kept := lock // what commits does not change with the caller's
		b.Lock = &kept
		if err := t.putBucket(by.Tenant, &b); err != nil {
			return err
		}
		return t.configured(by, by.Tenant, bucket, "lock")
	})
	if err != nil {
		return fmt.Errorf("set bucket lock: %w", err)
	}
	return nil
}

func (b *BucketLock) valid() error {
	switch b.Mode {
	case "":
		if b.Days != 0 || b.Years != 0 {
			return fmt.Errorf("%w: a retention has a mode", ErrInvalid)
		}
		return nil
	case LockGovernance, LockCompliance:
	default:
		return fmt.Errorf("%w: retention mode", ErrInvalid)
	}
	days, years := b.Days > 0 && b.Years == 0, b.Years > 0 && b.Days == 0
	if !days && !years || b.Days > maxLockDays || b.Years > maxLockYears {
		return fmt.Errorf("%w: a retention is of days or of years, at most %d", ErrInvalid, maxLockYears)
	}
	return nil
}

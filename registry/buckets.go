package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sallyport/registry/kv"
)

// CreateBucket makes a bucket of the actor's tenant, and so a profile. One whose
// objects can be locked has versioning enabled. ErrExists, ErrInvalid.
func (l *Ledger) CreateBucket(ctx context.Context, by Actor, b Bucket) error {
	if err := validBucket(b); err != nil {
		return fmt.Errorf("create bucket: %w", err)
	}
	err := l.change(ctx, by, func(t *txn) error {
		key := keyOf(by.Tenant, string(b.Name))
		if known, err := t.has(tBuckets, key); err != nil {
			return err
		} else if known {
			return ErrExists
		}
		if _, err := t.tenant(by.Tenant); err != nil {
			return err
		}
		return t.createBucket(by, b)
	})
	if err != nil {
		return fmt.Errorf("create bucket: %w", err)
	}
	return nil
}

// createBucket makes a bucket that is listed from the start.
func (t *txn) createBucket(by Actor, b Bucket) error {
	b.CreatedAt, b.Listed = t.now, true
	if b.Lock != nil {
		b.Versioning = VersioningEnabled
	}
	if err := t.putBucket(by.Tenant, &b); err != nil {
		return err
	}
	return t.bucketEvent(EventBucketCreated, by, &b)
}

func (t *txn) putBucket(tenant TenantName, b *Bucket) error {
	return t.put(tBuckets, keyOf(tenant, string(b.Name)), b)
}

// PutProfile creates a bucket of the actor's tenant or changes its policy, which
// versioning and object lock are no part of. What was accepted before keeps the
// rules it was accepted under.
func (l *Ledger) PutProfile(ctx context.Context, by Actor, b Bucket) error {
	if err := validBucket(b); err != nil {
		return fmt.Errorf("put profile: %w", err)
	}
	err := l.change(ctx, by, func(t *txn) error {
		row := b
		switch old, err := t.bucket(by.Tenant, b.Name); {
		case err == nil:
			row.CreatedAt, row.Listed, row.Versioning, row.Lock = old.CreatedAt, old.Listed, old.Versioning, old.Lock
		case errors.Is(err, ErrNotFound):
			if _, err := t.tenant(by.Tenant); err != nil {
				return err
			}
			return t.createBucket(by, b)
		default:
			return err
		}
		if err := t.putBucket(by.Tenant, &row); err != nil {
			return err
		}
		return t.bucketEvent(EventProfileChanged, by, &row)
	})
	if err != nil {
		return fmt.Errorf("put profile: %w", err)
	}
	return nil
}

// reasonScanOff marks that nobody looks for malware in a bucket from then on.
const reasonScanOff = "scan_off"

func (t *txn) bucketEvent(what EventType, by Actor, b *Bucket) error {
	ev := t.event(what, by)
	ev.Bucket = b.Name
	if b.Scan.Mode == ScanOff {
		ev.Reason = reasonScanOff
	}
	_, err := t.record(ev)
	return err
}

// Bucket returns one bucket of the tenant, or ErrNotFound. What its fields point to is
// shared.
func (l *Ledger) Bucket(ctx context.Context, tenant TenantName, name BucketName) (Bucket, error) {
	id, writes := bucketID{tenant, name}, l.buckets.writes.Load()
	row, known := l.buckets.rows.get(id, writes)
	if known {
		return row, nil
	}
	err := l.view(ctx, func(t *txn) (err error) {
		row, err = t.bucket(tenant, name)
		return err
	})
	if err != nil {
		return Bucket{}, fmt.Errorf("bucket: %w", err)
	}
	l.buckets.rows.put(id, row, writes)
	return row, nil
}

func (t *txn) bucket(tenant TenantName, name BucketName) (row Bucket, err error) {
	if len(name) > 63 || strings.IndexByte(string(name), 0) >= 0 {
		return row, ErrNotFound
	}
	return row, t.load(tBuckets, keyOf(tenant, string(name)), &row)
}

// Buckets returns all buckets of the tenant by name, unlisted ones too.
func (l *Ledger) Buckets(ctx context.Context, tenant TenantName) ([]Bucket, error) {
	var found []Bucket
	err := l.view(ctx, func(t *txn) error {
		found = nil
		return t.Scan(tBuckets, under(tenant), func(_, value []byte) error {
			var row Bucket
			if err := decode(tBuckets, value, &row); err != nil {
				return err
			}
			found = append(found, row)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	return found, nil
}

// DeleteBucket removes an empty bucket: nothing is published in it, and nothing
// accepted for it waits to be. Multipart uploads that were not completed do not
// keep it: they are aborted. ErrBucketNotEmpty, ErrNotFound; the profile "default"
// stays (ErrConflict).
func (l *Ledger) DeleteBucket(ctx context.Context, by Actor, tenant TenantName, name BucketName) error {
	for {
		left := false
		err := l.change(ctx, by, func(t *txn) (err error) {
			if _, err = t.bucket(tenant, name); err != nil {
				return err
			}
			if name == DefaultBucket {
				return ErrConflict
			}
			if err := t.bucketEmpty(tenant, name); err != nil {
				return err
			}
			// An upload may have thousands of parts: each ends by itself.
			if left, err = t.abortOne(by, tenant, name); left || err != nil {
				return err
			}
			return t.deleteBucket(by, tenant, name)
		})
		if err != nil {
			return fmt.Errorf("delete bucket: %w", err)
		}
		if !left {
			return nil
		}
	}
}

// abortOne aborts a multipart upload of a bucket, and tells whether there was one.
func (t *txn) abortOne(by Actor, tenant TenantName, bucket BucketName) (found bool, err error) {
	var id MultipartID
	err = t.Scan(tMultipartNames, under(tenant, string(bucket)), func(key, _ []byte) error {
		id, found = MultipartID(lastPart(key)), true
		return kv.Stop
	})
	if err != nil || !found {
		return false, err
	}
	m, err := t.multipartByID(tenant, id)
	if err != nil {
		return false, err
	}
	return true, t.abortMultipart(by, &m, "bucket_deleted")
}

func (t *txn) deleteBucket(by Actor, tenant TenantName, name BucketName) error {
	if err := t.dropDocuments(tenant, name); err != nil {
		return err
	}
	if err := t.Delete(tBuckets, keyOf(tenant, string(name))); err != nil {
		return err
	}
	ev := t.event(EventBucketDeleted, by).in(tenant)
	ev.Bucket = name
	_, err := t.record(ev)
	return err
}

// bucketEmpty is ErrBucketNotEmpty if anything is or may become visible in it.
func (t *txn) bucketEmpty(tenant TenantName, name BucketName) error {
	bucket := under(tenant, string(name))
	for _, table := range []kv.Table{tNames, tVersions} {
		if err := t.Scan(table, bucket, func(_, _ []byte) error { return ErrBucketNotEmpty }); err != nil {
			return err
		}
	}
	err := t.Scan(tPendingNames, bucket, func(_, value []byte) error {
		if string(value[:1]) == stateCode(ObjectRejected) {
			return nil
		}
		return ErrBucketNotEmpty
	})
	if err != nil {
		return err
	}
	// Sessions that have not been finalized have no name yet. They are few
	// enough to walk: the index says whose they are without a look at the row.
	return t.Scan(tObjectStates, under(tenant, stateCode(ObjectPending)), func(_, bucket []byte) error {
		if BucketName(bucket) == name {
			return ErrBucketNotEmpty
		}
		return nil
	})
}

// validBucket checks the name by S3's rules (3 to 63 of a-z, 0-9, '-' and '.',
// beginning and ending with a letter or digit) and the policy's numbers.
func validBucket(b Bucket) error {
	n := string(b.Name)
	if len(n) < 3 || len(n) > 63 || strings.Contains(n, "..") {
		return fmt.Errorf("%w: bucket name", ErrInvalid)
	}
	for i := range len(n) {
		c := n[i]
		inner := c == '-' || c == '.'
		if !inner && (c < 'a' || c > 'z') && (c < '0' || c > '9') || inner && (i == 0 || i == len(n)-1) {
			return fmt.Errorf("%w: bucket name", ErrInvalid)
		}
	}
	if b.Intake != IntakeDirect && b.Intake != IntakeQuarantine {
		return fmt.Errorf("%w: intake", ErrInvalid)
	}
	if b.MaxSize < 0 || b.SessionTTL < 0 || b.PutURLTTL < 0 || b.GetURLMinTTL < 0 || b.GetURLMaxTTL < 0 || b.PresignMaxTTL < 0 {
		return fmt.Errorf("%w: a limit is negative", ErrInvalid)
	}
	if b.Versioning != VersioningOff && b.Versioning != VersioningEnabled && b.Versioning != VersioningSuspended {
		return fmt.Errorf("%w: versioning", ErrInvalid)
	}
	if b.Lock != nil {
		if err := b.Lock.valid(); err != nil {
			return err
		}
	}
	return b.Scan.valid()
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// Multipart is an S3 multipart upload.
type Multipart struct {
	ID        MultipartID
	Tenant    TenantName
	Principal PrincipalName
	Bucket    BucketName
	Key       string
	Kept
	// ChecksumAlgorithm is "crc32", "crc32c", "crc64nvme", "sha1", "sha256" or ""; each
	// part has one of it then. ChecksumType is that of the whole.
	ChecksumAlgorithm string
	ChecksumType      ChecksumType
	CreatedAt         time.Time
	// CompletedAt and ETag are set once it was completed: it is kept for a day, so
	// that a completion can be repeated.
	CompletedAt time.Time
	ETag        string
	Pieces      int // extents that its parts have beyond one each
}

// multipartAge is how long a completed upload is remembered.
const multipartAge = 24 * time.Hour

// Object is the id of what the upload becomes.
func (m *Multipart) Object() ObjectID {
	return ObjectID(prefixObject + string(m.ID)[len(prefixMultipart):])
}

// NewMultipart asks for a multipart upload. Without a ChecksumType it has the one
// that AWS gives to its algorithm: FullObject for crc64nvme, else Composite.
type NewMultipart struct {
	Bucket BucketName
	Key    string
	Kept
	ChecksumAlgorithm string
	ChecksumType      ChecksumType
}

// CreateMultipart begins a multipart upload. ErrNotFound for an unknown bucket,
// ErrConflict for a lock in a bucket without object lock, ErrInvalid, ErrRevoked,
// ErrTenantSuspended.
func (l *Ledger) CreateMultipart(ctx context.Context, by Actor, n NewMultipart) (Multipart, error) {
	if err := n.check(); err != nil {
		return Multipart{}, fmt.Errorf("create multipart upload: %w", err)
	}
	id, err := l.ids.next(prefixMultipart, l.Now())
	if err != nil {
		return Multipart{}, fmt.Errorf("create multipart upload: %w", err)
	}
	var m Multipart
	err = l.change(ctx, by, func(t *txn) error {
		b, err := t.bucket(by.Tenant, n.Bucket)
		if err != nil {
			return err
		}
		if err := n.Retention.valid(t); err != nil {
			return err
		}
		if b.Lock == nil && (n.Retention != nil || n.LegalHold) {
			return fmt.Errorf("%w: the bucket has no object lock", ErrConflict)
		}
		m = Multipart{
			ID: MultipartID(id), Tenant: by.Tenant, Principal: by.Principal, Bucket: n.Bucket, Key: n.Key, Kept: n.Kept,
			ChecksumAlgorithm: n.ChecksumAlgorithm, ChecksumType: n.ChecksumType, CreatedAt: t.now,
		}
		if err := t.putMultipart(&m); err != nil {
			return err
		}
		if err := t.Put(tMultipartNames, multipartName(&m), nil); err != nil {
			return err
		}
		return t.multipartEvent(EventMultipartCreated, by, &m, "")
	})
	if err != nil {
		return Multipart{}, fmt.Errorf("create multipart upload: %w", err)
	}
	return m, nil
}

func (n *NewMultipart) check() error {
	if !validKey(n.Key) || len(n.ContentType) > maxText {
		return fmt.Errorf("%w: key or type", ErrInvalid)
	}
	if err := validTags(n.Tags, maxObjectTags); err != nil {
		return err
	}
	kind, err := checksumType(n.ChecksumAlgorithm, n.ChecksumType)
	n.ChecksumType = kind
	return err
}

func (t *txn) putMultipart(m *Multipart) error {
	return t.put(tMultiparts, keyOf(m.Tenant, string(m.ID)), m)
}

// multipartName is the upload's place among those of its bucket that are not
// completed: by key, and then by age, as ids grow.
func multipartName(m *Multipart) []byte {
	return keyOf(m.Tenant, string(m.Bucket), escaped(m.Key), string(m.ID))
}

// multipartEvent records an event of an upload under the id of what it becomes.
func (t *txn) multipartEvent(what EventType, by Actor, m *Multipart, reason string) error {
	ev := t.event(what, by).in(m.Tenant)
	ev.Bucket, ev.Object, ev.Subject, ev.Reason = m.Bucket, m.Object(), string(m.ID), reason
	_, err := t.record(ev)
	return err
}

// Multipart returns a multipart upload, also one that was completed. ErrNoUpload
// if it is unknown, was aborted, or is of another bucket or key.
func (l *Ledger) Multipart(ctx context.Context, tenant TenantName, bucket BucketName, key string, id MultipartID) (Multipart, error) {
	var m Multipart
	err := l.view(ctx, func(t *txn) (err error) {
		m, err = t.multipart(tenant, bucket, key, id)
		return err
	})
	if err != nil {
		return Multipart{}, fmt.Errorf("multipart upload: %w", err)
	}
	return m, nil
}

func (t *txn) multipart(tenant TenantName, bucket BucketName, key string, id MultipartID) (Multipart, error) {
	m, err := t.multipartByID(tenant, id)
	if err == nil && (m.Bucket != bucket || m.Key != key) {
		return Multipart{}, ErrNoUpload
	}
	return m, err
}

func (t *txn) multipartByID(tenant TenantName, id MultipartID) (m Multipart, err error) {
	if id == "" || len(id) > maxWord {
		return m, ErrNoUpload
	}
	err = t.load(tMultiparts, keyOf(tenant, string(id)), &m)
	if errors.Is(err, ErrNotFound) {
		return m, ErrNoUpload
	}
	return m, err
}

// running is multipart for what needs one that was not completed.
func (t *txn) running(tenant TenantName, bucket BucketName, key string, id MultipartID) (Multipart, error) {
	if _, err := t.bucket(tenant, bucket); err != nil {
		return Multipart{}, err
	}
	m, err := t.multipart(tenant, bucket, key, id)
	if err == nil && !m.CompletedAt.IsZero() {
		return Multipart{}, ErrNoUpload
	}
	return m, err
}

// AbortMultipart ends a multipart upload; what its parts alone refer to becomes
// garbage. ErrNoUpload, also for a completed one; ErrNotFound for an unknown bucket.
func (l *Ledger) AbortMultipart(ctx context.Context, by Actor, bucket BucketName, key string, id MultipartID) error {
	err := l.change(ctx, by, func(t *txn) error {
		m, err := t.running(by.Tenant, bucket, key, id)
		if err != nil {
			return err
		}
		return t.abortMultipart(by, &m, "")
	})
	if err != nil {
		return fmt.Errorf("abort multipart upload: %w", err)
	}
	return nil
}

// abortMultipart ends an upload. A part that is being received meanwhile finds no
// upload, and its bytes go with its intent.
func (t *txn) abortMultipart(by Actor, m *Multipart, reason string) error {
	parts, err := t.parts(m.Tenant, string(m.ID))
	if err != nil {
		return err
	}
	for i := range parts {
		if err := t.dropPart(m, &parts[i]); err != nil {
			return err
		}
	}
	if err := t.Delete(tMultipartNames, multipartName(m)); err != nil {
		return err
	}
	if err := t.Delete(tMultiparts, keyOf(m.Tenant, string(m.ID))); err != nil {
		return err
	}
	return t.multipartEvent(EventMultipartAborted, by, m, reason)
}

// forgetMultiparts forgets up to limit uploads that were completed long ago.
func (t *txn) forgetMultiparts(limit int) (n int, err error) {
	var done [][]byte
	err = t.Scan(tMultipartsDone, until(t.now.Add(-multipartAge)), func(key, _ []byte) error {
		if len(done) == limit {
			return kv.Stop
		}
		done = append(done, key)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, key := range done {
		_, tenant, id := untimed(key)
		if err := t.Delete(tMultiparts, keyOf(tenant, id)); err != nil {
			return n, err
		}
		if err := t.Delete(tMultipartsDone, key); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

package registry

import (
	"context"
	"errors"
	"time"
)

// errNotBuilt goes away with the last verb of this contract.
var errNotBuilt = errors.New("not built yet")

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
}

// Object is the id of what the upload becomes.
func (m *Multipart) Object() ObjectID {
	return ObjectID(prefixObject + string(m.ID)[len(prefixMultipart):])
}

// NewMultipart asks for a multipart upload.
type NewMultipart struct {
	Bucket BucketName
	Key    string
	Kept
	ChecksumAlgorithm string
	ChecksumType      ChecksumType
}

// CreateMultipart begins a multipart upload. ErrNotFound for an unknown bucket,
// ErrInvalid, ErrRevoked, ErrTenantSuspended.
func (l *Ledger) CreateMultipart(ctx context.Context, by Actor, n NewMultipart) (Multipart, error) {
	return Multipart{}, errNotBuilt
}

// Multipart returns a multipart upload, also one that was completed. ErrNoUpload
// if it is unknown, was aborted, or is of another bucket or key.
func (l *Ledger) Multipart(ctx context.Context, tenant TenantName, bucket BucketName, key string, id MultipartID) (Multipart, error) {
	return Multipart{}, errNotBuilt
}

// MultipartsQuery asks for one page of a bucket's multipart uploads.
type MultipartsQuery struct {
	Prefix    string
	Delimiter string
	AfterKey  string      // those behind this key (or common prefix) …
	AfterID   MultipartID // … or, where this is set, behind this one of it
	Max       int         // uploads and prefixes together, 0 to 1000
}

// MultipartListing is one page, by key and then by age.
type MultipartListing struct {
	Uploads   []Multipart
	Prefixes  []string
	Truncated bool
	NextKey   string
	NextID    MultipartID
}

// Multiparts lists the multipart uploads of a bucket that are not completed.
// ErrNotFound for an unknown bucket.
func (l *Ledger) Multiparts(ctx context.Context, tenant TenantName, bucket BucketName, q MultipartsQuery) (MultipartListing, error) {
	return MultipartListing{}, errNotBuilt
}

// AbortMultipart ends a multipart upload; what its parts alone refer to becomes
// garbage. ErrNoUpload, also for a completed one.
func (l *Ledger) AbortMultipart(ctx context.Context, by Actor, bucket BucketName, key string, id MultipartID) error {
	return errNotBuilt
}

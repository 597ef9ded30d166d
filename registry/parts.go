package registry

import (
	"context"
	"time"
)

// Most parts, and the least size of one that is not the last, in bytes; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html.
const (
	MaxParts    = 10_000
	MinPartSize = 5 << 20
)

// Part is a part of a multipart upload, or of a session.
type Part struct {
	Number    int    // from 1
	Size      int64  // bytes
	ETag      string // without quotes: the MD5 in hex; of a copied range, some 32 hex digits
	SHA256    string // hex; "" where not known
	Checksums map[string]string
	Extents   []Extent // none: nothing was stored yet
	StoredAt  time.Time

	// Of a session only: the turn, as in Upload; the grant in force; whether the
	// client has registered it, after which it cannot be replaced.
	Attempt    uint64
	Epoch      uint64
	LeaseUntil time.Time
	Staging    BlobKey
	Grant      GrantID
	Registered bool
	Used       bool // the grant in force has stored its bytes
}

// NewPart is a part of a multipart upload: bytes that are durable under Intent's
// key, or a run of another object's.
type NewPart struct {
	Multipart MultipartID
	Bucket    BucketName
	Key       string
	Number    int
	Intent    *Intent // nil for a copied part
	Stored    Stored
	// Source, Offset and Length are the run to share, of an object that is still
	// published. Stored has its digests as far as they are known, and ETag's
	// value in MD5.
	Source Run
	OneUse OneUse
}

// Run is consecutive bytes of an object.
type Run struct {
	Object         ObjectID
	Offset, Length int64
}

// OneUse makes a presigned PUT work once: its signature is remembered until it
// expires. A zero one asks for nothing.
type OneUse struct {
	Hash    string // of the signature, 32 bytes
	Expires time.Time
}

// PutPart stores a part, in one commit; it replaces an earlier one of its number.
// ErrNoUpload, ErrFenced, ErrURLUsed, ErrNotFound for a source that is gone,
// ErrInvalid, ErrRevoked, ErrTenantSuspended. After any error ReleaseBlob is owed
// for an Intent.
func (l *Ledger) PutPart(ctx context.Context, by Actor, n NewPart) (Part, error) {
	return Part{}, errNotBuilt
}

// Parts returns up to limit (at most 1,000) stored parts of a multipart upload behind number after,
// in their order, and whether there are more. ErrNoUpload.
func (l *Ledger) Parts(ctx context.Context, tenant TenantName, id MultipartID, after, limit int) ([]Part, bool, error) {
	return nil, false, errNotBuilt
}

// URLUsed tells whether a presigned PUT has worked already.
func (l *Ledger) URLUsed(ctx context.Context, tenant TenantName, u OneUse) (bool, error) {
	return false, errNotBuilt
}

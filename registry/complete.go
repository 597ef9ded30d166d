package registry

import "context"

// ListedPart is a part as a completion lists it.
type ListedPart struct {
	Number    int
	ETag      string            // without quotes
	Checksums map[string]string // what of it the client knows
}

// Completion completes a multipart upload.
type Completion struct {
	Multipart MultipartID
	Bucket    BucketName
	Key       string
	Parts     []ListedPart
	// Checksums is the client's of the whole, to compare with; Size likewise, if
	// not negative.
	Checksums    map[string]string
	ChecksumType ChecksumType
	Size         int64
	Conditions   Conditions
	// Verdict, Detected and SHA256 (hex) are what inspection of what Assembled
	// returned said before the answer, if it was asked.
	Verdict  Verdict
	Detected string
	SHA256   string
}

// Assembled is what a completion would make: its bytes, size, ETag and checksums,
// with the upload's id, bucket, key and the rest. It changes nothing, and is what
// CompleteMultipart will accept as long as no part is replaced. The refusals are
// CompleteMultipart's.
func (l *Ledger) Assembled(ctx context.Context, tenant TenantName, c Completion) (Object, error) {
	return Object{}, errNotBuilt
}

// CompleteMultipart makes the listed parts an object, in one commit, and drops the
// others. It moves no bytes. Repeating one that succeeded returns the object.
//
// ErrNoUpload, ErrPart, ErrPartOrder, ErrPartTooSmall, ErrChecksumMismatch,
// ErrPrecondition, ErrNotFound (If-Match on nothing, an unknown bucket),
// ErrInvalid, ErrRevoked, ErrTenantSuspended.
func (l *Ledger) CompleteMultipart(ctx context.Context, by Actor, c Completion) (Object, error) {
	return Object{}, errNotBuilt
}

// ObjectPart is what is remembered of a part of an object.
type ObjectPart struct {
	Number    int
	Size      int64 // bytes
	Checksums map[string]string
}

// ObjectParts returns the parts that an object was uploaded in, in their order;
// none for a single PUT.
func (l *Ledger) ObjectParts(ctx context.Context, tenant TenantName, id ObjectID) ([]ObjectPart, error) {
	return nil, errNotBuilt
}

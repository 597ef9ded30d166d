package pipeline

import (
	"context"
	"errors"
	"time"

	"sallyport/registry"
)

// errNotBuilt goes away with the last verb of this contract.
var errNotBuilt = errors.New("not built yet")

// Source names what a copy is made of.
type Source struct {
	Bucket  registry.BucketName
	Key     string
	Version string // "" is the current one
	// The conditions on it, ETags without quotes or "*"; "" and nil ask for nothing.
	IfMatch, IfNoneMatch               string
	IfModifiedSince, IfUnmodifiedSince *time.Time
}

// CopyRequest is a CopyObject through the S3 port.
type CopyRequest struct {
	Source Source
	Bucket registry.BucketName
	Key    string
	// Kept replaces what the source's row says, where the flags say so; retention,
	// legal hold and storage class always.
	Kept            registry.Kept
	ReplaceMetadata bool // content type, metadata and headers
	ReplaceTags     bool
	// ChecksumAlgorithm asks for a checksum that the source may not have; the bytes
	// are read for it then. "" keeps what the source has.
	ChecksumAlgorithm string
	Conditions        registry.Conditions
}

// Copied is the outcome of a copy.
type Copied struct {
	Object        registry.Object
	SourceVersion string // version id of what was copied, "" where versioning never was on
}

// Copy makes an object of another one's bytes without moving any. Rights on both,
// the bucket's rules and both sides' conditions are checked. registry.ErrNotFound or
// *registry.MarkerError for the source (wrapped in ErrSource), ErrSelfCopy for a copy
// onto itself that changes nothing, and what PutObject returns.
func (p *Pipeline) Copy(ctx context.Context, actor registry.Actor, req CopyRequest) (Copied, error) {
	return Copied{}, errNotBuilt
}

var (
	// ErrSource: what is wrong is wrong with a copy's source.
	ErrSource = errors.New("pipeline: source of the copy")
	// ErrSelfCopy: a copy onto itself would change nothing.
	ErrSelfCopy = errors.New("pipeline: copy onto itself without a change")
)

// FindVersion is FindKey for one version; "" is the current one. A delete marker is a
// *registry.MarkerError. If a key has nothing published but something that waits for its
// inspection or was rejected, the error is a *WaitingError.
func (p *Pipeline) FindVersion(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string) (*Found, error) {
	return nil, errNotBuilt
}

// WaitingError is registry.ErrNotFound for a key whose latest write is not published.
type WaitingError struct {
	State registry.ObjectState
}

func (e *WaitingError) Error() string { return "the latest write is " + string(e.State) }

// Unwrap makes it registry.ErrNotFound.
func (e *WaitingError) Unwrap() error { return registry.ErrNotFound }

// PartSpan returns where a part of the object lies in it, by its number from 1, and how
// many parts there are. ErrPartNumber if there is no such part; an object of a single PUT has one part.
func (f *Found) PartSpan(ctx context.Context, number int) (off, n int64, parts int, err error) {
	return 0, 0, 0, errNotBuilt
}

// ErrPartNumber: the object has no part of that number.
var ErrPartNumber = errors.New("pipeline: no such part")

// Parts returns the parts that the object was uploaded in; none for a single PUT.
func (f *Found) Parts(ctx context.Context) ([]registry.ObjectPart, error) {
	return nil, errNotBuilt
}

// SetTags, SetRetention and SetLegalHold change a published version; see registry.
func (p *Pipeline) SetTags(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string, tags map[string]string) (registry.Object, error) {
	return registry.Object{}, errNotBuilt
}

// SetRetention needs policy.S3Lock, and policy.S3BypassLock to bypass.
func (p *Pipeline) SetRetention(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string, r *registry.Retention, bypass registry.Bypass) (registry.Object, error) {
	return registry.Object{}, errNotBuilt
}

// SetLegalHold needs policy.S3Lock.
func (p *Pipeline) SetLegalHold(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string, hold registry.Hold) (registry.Object, error) {
	return registry.Object{}, errNotBuilt
}

// ListVersions lists a bucket's versions by key.
func (p *Pipeline) ListVersions(ctx context.Context, actor registry.Actor, bucket registry.BucketName, q registry.VersionsQuery) (registry.VersionListing, error) {
	return registry.VersionListing{}, errNotBuilt
}

// DeleteVersions is DeleteKeys with versions and conditions. Bypassing governance
// needs policy.S3BypassLock.
func (p *Pipeline) DeleteVersions(ctx context.Context, actor registry.Actor, bucket registry.BucketName, list []registry.Deletion) ([]registry.DeletionResult, error) {
	return nil, errNotBuilt
}

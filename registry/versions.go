package registry

import (
	"context"
	"time"
)

// MarkerError says that what was asked for is a delete marker. It is ErrMarker,
// and ErrNotFound where no version was named.
type MarkerError struct {
	VersionID  string
	ModifiedAt time.Time
	Named      bool // the marker was asked for by its version id
}

func (e *MarkerError) Error() string { return ErrMarker.Error() }

// Is makes it ErrMarker and, unless it was named, ErrNotFound.
func (e *MarkerError) Is(target error) bool {
	return target == ErrMarker || target == ErrNotFound && !e.Named
}

// Version returns a published version of a key. version "" is the current one,
// "null" the null version. A delete marker is a *MarkerError. ErrNotFound; ErrInvalid
// for what cannot be a version id.
func (l *Ledger) Version(ctx context.Context, tenant TenantName, bucket BucketName, key, version string) (Object, error) {
	return Object{}, errNotBuilt
}

// VersionsQuery asks for one page of a bucket's versions.
type VersionsQuery struct {
	Prefix       string
	Delimiter    string
	AfterKey     string // versions behind this key (a common prefix stands for all it covers) …
	AfterVersion string // … or, where this is set, behind this version of it
	Max          int    // versions and prefixes together, 0 to 1000
}

// VersionEntry is one published version or delete marker.
type VersionEntry struct {
	Entry
	VersionID string
	Latest    bool
	Marker    bool
}

// VersionListing is one page: keys in their order, of each the newest version
// first.
type VersionListing struct {
	Entries     []VersionEntry
	Prefixes    []string
	Truncated   bool
	NextKey     string // AfterKey and AfterVersion of the next page
	NextVersion string
}

// ListVersions returns one page of a bucket's published versions and delete
// markers, those of keys that were never versioned included. It seeks: a page
// costs what it returns. ErrNotFound for an unknown bucket, ErrInvalid.
func (l *Ledger) ListVersions(ctx context.Context, tenant TenantName, bucket BucketName, q VersionsQuery) (VersionListing, error) {
	return VersionListing{}, errNotBuilt
}

// Deletion asks for one key, or one version of it, to be deleted.
type Deletion struct {
	Key     string
	Version string // "" deletes as the bucket's versioning has it
	// IfMatch is an ETag without quotes or "*"; "" asks for nothing.
	IfMatch string
	// IfSize and IfModified are conditions, too; nil asks for nothing.
	IfSize     *int64
	IfModified *time.Time // to the second
	// Bypass lets an administrator delete what governance retains.
	Bypass bool
}

// DeletionResult says what became of a Deletion.
type DeletionResult struct {
	Err error // nil if it was done, or there was nothing to do
	// VersionID is that of the marker that was made, or of the version or marker
	// that was removed; "" where versioning never was on.
	VersionID string
	Marker    bool     // a marker was made or removed
	Gone      ObjectID // what was removed or is no longer current; "" if nothing
}

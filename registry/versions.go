package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
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

// versionEntry is what the index of versions says of one: of those that are
// versioned, noncurrent or delete markers.
type versionEntry struct {
	nameEntry
	Versioned, Noncurrent, Marker bool
}

// The flags of a row of versions.
const (
	flagVersioned = 1 << iota
	flagNoncurrent
	flagMarker
)

func versionEntryOf(o *Object) versionEntry {
	return versionEntry{nameEntryOf(o), o.Versioned, o.Noncurrent, o.Marker}
}

// encode writes the flags (1 byte) before what names has of a key.
func (v versionEntry) encode() []byte {
	var flags byte
	if v.Versioned {
		flags |= flagVersioned
	}
	if v.Noncurrent {
		flags |= flagNoncurrent
	}
	if v.Marker {
		flags |= flagMarker
	}
	return append([]byte{flags}, v.nameEntry.encode()...)
}

func decodeVersion(b []byte) (versionEntry, error) {
	if len(b) == 0 {
		return versionEntry{}, errors.New("decode a row of versions: it is empty")
	}
	e, err := decodeName(b[1:])
	return versionEntry{e, b[0]&flagVersioned != 0, b[0]&flagNoncurrent != 0, b[0]&flagMarker != 0}, err
}

// id is the version id, as Object.VersionID has it.
func (v *versionEntry) id() string {
	if !v.Versioned {
		return NullVersion
	}
	return strings.TrimPrefix(string(v.Object), prefixObject)
}

func versionKey(tenant TenantName, bucket BucketName, key string, seq uint64) []byte {
	return numbered(keyOf(tenant, string(bucket), escaped(key)), ^seq)
}

// versionsOf calls fn for the rows that versions has of a key, newest first.
func (t *txn) versionsOf(tenant TenantName, bucket BucketName, key string, fn func(versionEntry) error) error {
	return t.Scan(tVersions, under(tenant, string(bucket), escaped(key)), func(_, value []byte) error {
		v, err := decodeVersion(value)
		if err != nil {
			return err
		}
		return fn(v)
	})
}

// Version returns a published version of a key. version "" is the current one,
// "null" the null version. A delete marker is a *MarkerError. ErrNotFound; ErrInvalid
// for what cannot be a version id.
func (l *Ledger) Version(ctx context.Context, tenant TenantName, bucket BucketName, key, version string) (Object, error) {
	var o Object
	err := l.view(ctx, func(t *txn) (err error) {
		o, err = t.version(tenant, bucket, key, version)
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("version: %w", err)
	}
	return o, nil
}

func (t *txn) version(tenant TenantName, bucket BucketName, key, version string) (o Object, err error) {
	if version == "" {
		o, err = t.newest(tenant, bucket, key)
	} else {
		var b Bucket
		if b, err = t.bucket(tenant, bucket); err == nil {
			o, err = t.named(tenant, &b, key, version)
		}
	}
	switch {
	case err != nil:
		return Object{}, err
	case o.State != ObjectPublished:
		return Object{}, ErrNotFound
	case o.Marker:
		return Object{}, &MarkerError{VersionID: o.VersionID(), ModifiedAt: o.ModifiedAt, Named: version != ""}
	}
	return o, nil
}

// newest returns the current version of a key, be it a delete marker.
func (t *txn) newest(tenant TenantName, bucket BucketName, key string) (o Object, err error) {
	e, err := t.visible(tenant, bucket, key)
	if errors.Is(err, ErrNotFound) && validKey(key) && validBucketName(bucket) {
		var last *standing
		if last, err = t.top(tenant, bucket, key); err == nil && last == nil {
			err = ErrNotFound
		}
		if err == nil {
			e = last.nameEntry
		}
	}
	if err != nil {
		return o, err
	}
	return o, t.load(tObjects, keyOf(tenant, string(e.Object)), &o) // in place: a row is half a kilobyte
}

// named returns a version by its id, in whatever state but deleted; of the null
// version, the published one. ErrInvalid for what cannot be a version id.
func (t *txn) named(tenant TenantName, b *Bucket, key, version string) (Object, error) {
	if !validKey(key) {
		return Object{}, ErrNotFound
	}
	if version == NullVersion {
		o, err := t.nullVersion(tenant, b, key)
		if err == nil && o == nil {
			err = ErrNotFound
		}
		if err != nil {
			return Object{}, err
		}
		return *o, nil
	}
	o, err := t.everNamed(tenant, b.Name, key, version)
	if err == nil && o.State == ObjectDeleted {
		err = ErrNotFound
	}
	return o, err
}

// everNamed returns what has or had a version id of its own, also if it was
// deleted.
func (t *txn) everNamed(tenant TenantName, bucket BucketName, key, version string) (Object, error) {
	if _, err := ulid.ParseStrict(version); err != nil {
		return Object{}, fmt.Errorf("%w: version id", ErrInvalid)
	}
	o, err := t.object(tenant, ObjectID(prefixObject+version))
	if err == nil && (o.Bucket != bucket || o.Key != key || !o.Versioned) {
		err = ErrNotFound
	}
	return o, err
}

// validBucketName keeps a bucket's name from a request from reaching into another's keys.
func validBucketName(bucket BucketName) bool {
	return len(bucket) <= 63 && strings.IndexByte(string(bucket), 0) < 0
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

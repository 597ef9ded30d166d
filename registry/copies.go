package registry

import "context"

// Kept is what a write says about an object besides its bytes.
type Kept struct {
	ContentType  string
	Metadata     map[string]string // see Object
	Headers      map[string]string // see Object
	Tags         map[string]string
	Retention    *Retention // nil: the bucket's default
	LegalHold    bool
	StorageClass string
}

// NewCopy is an S3 copy: an object of another one's bytes, none of which move.
type NewCopy struct {
	Source ObjectID // as the caller read it; must still be published and of the same tenant
	Bucket BucketName
	Key    string
	Kept
	// Checksums replace the source's if not nil.
	Checksums    map[string]string
	ChecksumType ChecksumType
	Conditions   Conditions // on the destination
	// Verdict is the source's, which a whole copy inherits, or what the
	// destination's rules made of it.
	Verdict Verdict
}

// CopyObject accepts a copy, in one commit: as PutObject does, except that the
// bytes are shared. ErrNotFound for an unknown source or bucket, and what
// PutObject returns.
func (l *Ledger) CopyObject(ctx context.Context, by Actor, n NewCopy) (Object, error) {
	return Object{}, errNotBuilt
}

// SetTags replaces the tags of a published version; none removes them. version is
// as for Version.
func (l *Ledger) SetTags(ctx context.Context, by Actor, bucket BucketName, key, version string, tags map[string]string) (Object, error) {
	return Object{}, errNotBuilt
}

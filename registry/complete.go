package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

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
	// Renditions are what it made, as NewObject has them.
	Renditions []Rendition
	// Inspected is what it read: one that would be of other extents is ErrPart. An
	// ETag is too little to tell a part by that was replaced since.
	Inspected []Extent
}

// Assembled is what a completion would make: its bytes, size, ETag and checksums,
// with the upload's id, bucket, key and the rest. It changes nothing, and is what
// CompleteMultipart will accept as long as no part is replaced. The refusals are
// CompleteMultipart's. Of one that was completed before it is the object as it is:
// it has a State.
func (l *Ledger) Assembled(ctx context.Context, tenant TenantName, c Completion) (Object, error) {
	if err := c.check(); err != nil {
		return Object{}, fmt.Errorf("assemble: %w", err)
	}
	var o Object
	err := l.view(ctx, func(t *txn) error {
		a, err := t.assemble(tenant, &c)
		if err != nil {
			return err
		}
		o = a.object
		if o.State != unborn {
			return nil
		}
		return t.holds(c.Conditions, tenant, c.Bucket, c.Key)
	})
	if err != nil {
		return Object{}, fmt.Errorf("assemble: %w", err)
	}
	return o, nil
}

// CompleteMultipart makes the listed parts an object, in one commit, and drops the
// others. It moves no bytes. Repeating one that succeeded returns the object.
//
// ErrNoUpload, ErrPartOrder, ErrPart, ErrPartTooSmall, ErrChecksumMismatch,
// ErrPrecondition, ErrNotFound (If-Match on nothing, an unknown bucket),
// ErrInvalid, ErrRevoked, ErrTenantSuspended.
func (l *Ledger) CompleteMultipart(ctx context.Context, by Actor, c Completion) (Object, error) {
	if err := c.check(); err != nil {
		return Object{}, fmt.Errorf("complete multipart upload: %w", err)
	}
	var o Object
	err := l.change(ctx, by, func(t *txn) error {
		a, err := t.assemble(by.Tenant, &c)
		if err != nil {
			return err
		}
		if a.object.State == unborn {
			err = t.complete(by, &c, &a)
		}
		o = a.object
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("complete multipart upload: %w", err)
	}
	return o, nil
}

// check is what a list of parts is refused for by itself.
func (c *Completion) check() error {
	if len(c.Parts) == 0 || len(c.Parts) > MaxParts {
		return fmt.Errorf("%w: 1 to %d parts", ErrInvalid, MaxParts)
	}
	for i := range c.Parts[1:] {
		if c.Parts[i].Number >= c.Parts[i+1].Number {
			return fmt.Errorf("%w: part %d", ErrPartOrder, c.Parts[i+1].Number)
		}
	}
	return nil
}

// assembly is what the listed parts of an upload make.
type assembly struct {
	upload Multipart
	bucket Bucket
	listed []Part
	others []Part // stored, but not listed
	object Object
	merged []BlobKey // see merged
}

func (t *txn) assemble(tenant TenantName, c *Completion) (a assembly, err error) {
	if a.bucket, err = t.bucket(tenant, c.Bucket); err != nil {
		return a, err
	}
	if a.upload, err = t.multipart(tenant, c.Bucket, c.Key, c.Multipart); err != nil {
		return a, err
	}
	if !a.upload.CompletedAt.IsZero() {
		a.object, err = t.completed(&a.upload, c)
		return a, err
	}
	if err := t.choose(&a, c); err != nil {
		return a, err
	}
	return a, a.build(c)
}

// completed returns what an upload was completed to. A completion of other parts
// comes too late.
func (t *txn) completed(m *Multipart, c *Completion) (Object, error) {
	etags := make([]string, len(c.Parts))
	for i := range c.Parts {
		etags[i] = c.Parts[i].ETag
	}
	if etag, err := multipartETag(etags); err != nil || etag != m.ETag {
		return Object{}, ErrNoUpload
	}
	return t.object(m.Tenant, m.Object())
}

// choose parts the stored parts into those listed and the others. Both lists are
// in the order of the numbers.
func (t *txn) choose(a *assembly, c *Completion) error {
	stored, err := t.parts(a.upload.Tenant, string(a.upload.ID))
	if err != nil {
		return err
	}
	rest := c.Parts
	for _, p := range stored {
		if len(rest) == 0 || p.Number < rest[0].Number {
			a.others = append(a.others, p)
			continue
		}
		if !rest[0].is(&p) {
			return fmt.Errorf("%w: part %d", ErrPart, rest[0].Number)
		}
		a.listed, rest = append(a.listed, p), rest[1:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: part %d", ErrPart, rest[0].Number)
	}
	for i := range a.listed[:len(a.listed)-1] {
		if p := &a.listed[i]; p.Size < MinPartSize {
			return fmt.Errorf("%w: part %d has %d bytes", ErrPartTooSmall, p.Number, p.Size)
		}
	}
	return nil
}

// is tells whether a stored part is the one that was listed.
func (n *ListedPart) is(p *Part) bool {
	if n.Number != p.Number || !strings.EqualFold(n.ETag, p.ETag) {
		return false
	}
	for algorithm, sum := range n.Checksums {
		if have, known := p.Checksums[algorithm]; known && have != sum {
			return false
		}
	}
	return true
}

// build makes the object of the listed parts.
func (a *assembly) build(c *Completion) error {
	m, o := &a.upload, &a.object
	etags := make([]string, len(a.listed))
	for i := range a.listed {
		p := &a.listed[i]
		etags[i] = p.ETag
		o.Size += p.Size
		o.Extents = append(o.Extents, p.Extents...)
	}
	if c.Size >= 0 && c.Size != o.Size {
		return fmt.Errorf("%w: the parts have %d bytes", ErrInvalid, o.Size)
	}
	o.Extents, a.merged = merged(o.Extents)
	var err error
	if o.ETag, err = multipartETag(etags); err != nil {
		return err
	}
	o.ID, o.Tenant, o.Bucket, o.Key = m.Object(), m.Tenant, m.Bucket, m.Key
	o.PartCount, o.DetectedType, o.SHA256 = len(a.listed), c.Detected, c.SHA256
	if o.SHA256 == "" && len(a.listed) == 1 {
		o.SHA256 = a.listed[0].SHA256
	}
	o.keep(m.Kept)
	return a.sum(c)
}

// sum gives the object its checksum, and compares it with the client's.
func (a *assembly) sum(c *Completion) error {
	m, o := &a.upload, &a.object
	if c.ChecksumType != "" && c.ChecksumType != m.ChecksumType {
		return fmt.Errorf("%w: the upload has checksums of another type", ErrInvalid)
	}
	if m.ChecksumAlgorithm != "" {
		sum, ok := wholeChecksum(m.ChecksumAlgorithm, m.ChecksumType, a.listed)
		if !ok {
			return fmt.Errorf("%w: a part has no %s", ErrInvalid, m.ChecksumAlgorithm)
		}
		o.Checksums, o.ChecksumType = map[string]string{m.ChecksumAlgorithm: sum}, m.ChecksumType
	}
	for _, algorithm := range slices.Sorted(maps.Keys(c.Checksums)) {
		have, ok := o.Checksums[algorithm]
		if !ok {
			if have, ok = wholeChecksum(algorithm, FullObject, a.listed); !ok {
				return fmt.Errorf("%w: the upload has no %s", ErrInvalid, algorithm)
			}
		}
		if !sameChecksum(c.Checksums[algorithm], have) {
			return fmt.Errorf("%w: %s", ErrChecksumMismatch, algorithm)
		}
	}
	return nil
}

// complete commits an assembly. The object takes the upload's references over: the
// parts were held in its name.
func (t *txn) complete(by Actor, c *Completion, a *assembly) error {
	m := &a.upload
	if err := t.holds(c.Conditions, m.Tenant, m.Bucket, m.Key); err != nil {
		return err
	}
	if c.Inspected != nil && !slices.Equal(c.Inspected, a.object.Extents) {
		return fmt.Errorf("%w: one was replaced while they were inspected", ErrPart)
	}
	for i := range a.others {
		if err := t.dropPart(m, &a.others[i]); err != nil {
			return err
		}
	}
	for i := range a.listed {
		if err := t.Delete(tParts, partKey(m.Tenant, string(m.ID), a.listed[i].Number)); err != nil {
			return err
		}
	}
	for _, blob := range a.merged {
		if err := t.unrefer(blob, m.Object()); err != nil {
			return err
		}
	}
	notes := notesOf(a.listed)
	if err := t.put(tObjectParts, keyOf(m.Tenant, string(m.Object())), &notes); err != nil {
		return err
	}
	if err := t.Delete(tMultipartNames, multipartName(m)); err != nil {
		return err
	}
	if err := t.Put(tMultipartsDone, timed(t.now, m.Tenant, string(m.ID)), nil); err != nil {
		return err
	}
	m.CompletedAt, m.ETag, m.Pieces = t.now, a.object.ETag, 0
	if err := t.putMultipart(m); err != nil {
		return err
	}
	if err := t.settleRenditions(&a.object, c.Verdict, c.Renditions); err != nil {
		return err
	}
	return t.accept(by, &a.bucket, &a.object, t.event(EventObjectPut, by), c.Verdict)
}

// ObjectParts returns the parts that an object was uploaded in, in their order;
// none for a single PUT, and for one that was deleted.
func (l *Ledger) ObjectParts(ctx context.Context, tenant TenantName, id ObjectID) ([]ObjectPart, error) {
	if len(id) > maxWord {
		return nil, fmt.Errorf("parts of an object: %w", ErrNotFound)
	}
	var notes partNotes
	err := l.view(ctx, func(t *txn) error {
		notes = partNotes{}
		err := t.load(tObjectParts, keyOf(tenant, string(id)), &notes)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("parts of an object: %w", err)
	}
	return notes.parts(), nil
}

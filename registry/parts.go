package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
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

	// Of a session only: the turn, as in Upload, but Staging is the running
	// attempt's alone (Extents has what is stored); the grant in force; whether the
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

// PutPart stores a part, in one commit; it replaces an earlier one of its number.
// ErrNoUpload, ErrFenced, ErrURLUsed, ErrNotFound for a bucket or a source that is
// gone, ErrConflict while the source's bytes are on the move, ErrInvalid, ErrRevoked,
// ErrTenantSuspended. After any error ReleaseBlob is owed for an Intent.
func (l *Ledger) PutPart(ctx context.Context, by Actor, n NewPart) (Part, error) {
	if n.Number < 1 || n.Number > MaxParts || n.Stored.Size < 0 {
		return Part{}, fmt.Errorf("put part: %w: its number is 1 to %d", ErrInvalid, MaxParts)
	}
	if _, err := multipartETag([]string{n.Stored.MD5}); err != nil {
		return Part{}, fmt.Errorf("put part: %w", err)
	}
	var p Part
	err := l.change(ctx, by, func(t *txn) error {
		m, err := t.running(by.Tenant, n.Bucket, n.Key, n.Multipart)
		if err != nil {
			return err
		}
		if err := t.useURL(by.Tenant, n.OneUse); err != nil {
			return err
		}
		p, err = t.putPart(&m, n)
		return err
	})
	if err != nil {
		return Part{}, fmt.Errorf("put part: %w", err)
	}
	return p, nil
}

func (t *txn) putPart(m *Multipart, n NewPart) (Part, error) {
	p := Part{
		Number: n.Number, Size: n.Stored.Size, ETag: n.Stored.MD5, SHA256: n.Stored.SHA256,
		Checksums: n.Stored.Checksums, StoredAt: t.now,
	}
	if _, ok := sumOf(p.Checksums, m.ChecksumAlgorithm); m.ChecksumAlgorithm != "" && !ok {
		return Part{}, fmt.Errorf("%w: the part has no %s", ErrInvalid, m.ChecksumAlgorithm)
	}
	var err error
	if n.Intent != nil {
		p.Extents = []Extent{{Blob: n.Intent.Key, Length: p.Size}}
		err = t.settlePart(m, n.Intent)
	} else {
		p.Size = n.Source.Length
		p.Extents, err = t.run(m.Tenant, n.Source)
	}
	if err != nil {
		return Part{}, err
	}
	return p, t.replacePart(m, &p)
}

// replacePart puts a part in the place of an earlier one of its number, if any.
func (t *txn) replacePart(m *Multipart, p *Part) error {
	var earlier Part
	key := partKey(m.Tenant, string(m.ID), p.Number)
	if err := t.load(tParts, key, &earlier); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	switch changed, err := m.count(p, &earlier); {
	case err != nil:
		return err
	case changed:
		if err := t.putMultipart(m); err != nil {
			return err
		}
	}
	// New references first: the earlier part may be of the same blob.
	for _, x := range p.Extents {
		if err := t.refer(x.Blob, m.Object(), 1); err != nil {
			return err
		}
	}
	if err := t.unreferAll(earlier.Extents, m.Object()); err != nil {
		return err
	}
	return t.put(tParts, key, p)
}

func (t *txn) settlePart(m *Multipart, i *Intent) error {
	if i.Tenant != m.Tenant {
		return ErrFenced
	}
	return t.settle(i.Epoch, i.Key)
}

// run returns the extents of consecutive bytes of a published object.
func (t *txn) run(tenant TenantName, r Run) ([]Extent, error) {
	o, err := t.source(tenant, r.Object)
	switch {
	case err != nil:
		return nil, err
	case r.Offset < 0 || r.Length < 0 || r.Offset > o.Size || r.Length > o.Size-r.Offset:
		return nil, fmt.Errorf("%w: the run is not within the object", ErrInvalid)
	}
	return slice(o.Extents, r.Offset, r.Length), nil
}

// slice cuts a run out of extents. No bytes at all are an extent, too: a part that
// was stored has one.
func slice(from []Extent, offset, length int64) []Extent {
	var cut []Extent
	for _, x := range from {
		if offset > x.Length || offset == x.Length && length > 0 {
			offset -= x.Length
			continue
		}
		n := min(length, x.Length-offset)
		cut = append(cut, Extent{Blob: x.Blob, Offset: x.Offset + offset, Length: n})
		offset, length = 0, length-n
		if length == 0 {
			break
		}
	}
	return cut
}

func (t *txn) unreferAll(extents []Extent, holder ObjectID) error {
	for _, x := range extents {
		if err := t.unrefer(x.Blob, holder); err != nil {
			return err
		}
	}
	return nil
}

// dropPart removes a part of an upload and what it refers to.
func (t *txn) dropPart(m *Multipart, p *Part) error {
	if err := t.unreferAll(p.Extents, m.Object()); err != nil {
		return err
	}
	return t.Delete(tParts, partKey(m.Tenant, string(m.ID), p.Number))
}

// partKey is that of a part of an upload or multipart upload.
func partKey(tenant TenantName, id string, number int) []byte {
	return numbered(keyOf(tenant, id), uint64(number))
}

// parts returns all parts of an upload or multipart upload, in their order.
func (t *txn) parts(tenant TenantName, id string) (found []Part, err error) {
	err = t.Scan(tParts, under(tenant, id), func(_, value []byte) error {
		found = append(found, Part{})
		return decode(tParts, value, &found[len(found)-1])
	})
	return found, err
}

// Parts returns up to limit (at most 1,000) stored parts of a multipart upload
// behind number after, in their order, and whether there are more. ErrNoUpload,
// also for a completed one; ErrInvalid.
func (l *Ledger) Parts(ctx context.Context, tenant TenantName, id MultipartID, after, limit int) ([]Part, bool, error) {
	if limit < 0 || limit > maxPage || after < 0 {
		return nil, false, fmt.Errorf("parts: %w: at most %d, behind a number", ErrInvalid, maxPage)
	}
	var found []Part
	var more bool
	err := l.view(ctx, func(t *txn) error {
		found, more = nil, false
		m, err := t.multipartByID(tenant, id)
		switch {
		case err != nil:
			return err
		case !m.CompletedAt.IsZero():
			return ErrNoUpload
		}
		behind := kv.Range{From: partKey(tenant, string(id), after+1), To: under(tenant, string(id)).To}
		return t.Scan(tParts, behind, func(_, value []byte) error {
			if more = len(found) == limit; more {
				return kv.Stop
			}
			found = append(found, Part{})
			return decode(tParts, value, &found[len(found)-1])
		})
	})
	if err != nil {
		return nil, false, fmt.Errorf("parts: %w", err)
	}
	return found, more, nil
}

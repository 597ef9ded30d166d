package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/registry/kv"
)

// maxKey is the longest S3 key, in bytes.
const maxKey = 1024

// nameEntry is what the index of published names says of a key: enough for a
// list, so that a list reads no object row.
type nameEntry struct {
	Seq        uint64
	ModifiedAt time.Time
	Size       int64
	Object     ObjectID
	ETag       string
}

func nameEntryOf(o *Object) nameEntry {
	return nameEntry{Seq: o.Seq, ModifiedAt: o.ModifiedAt, Size: o.Size, Object: o.ID, ETag: o.ETag}
}

// encode writes seq, milliseconds and size (8 bytes each), the id's length (1),
// the id and the ETag. A page of a list decodes a thousand of these.
func (e nameEntry) encode() []byte {
	b := make([]byte, 0, 25+len(e.Object)+len(e.ETag))
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = binary.BigEndian.AppendUint64(b, millis(e.ModifiedAt))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Size))
	b = append(b, byte(len(e.Object)))
	b = append(b, e.Object...)
	return append(b, e.ETag...)
}

func decodeName(b []byte) (nameEntry, error) {
	if len(b) < 25 || len(b) < 25+int(b[24]) {
		return nameEntry{}, errors.New("decode a row of names: it is too short")
	}
	n := 25 + int(b[24])
	return nameEntry{
		Seq:        binary.BigEndian.Uint64(b),
		ModifiedAt: fromMillis(binary.BigEndian.Uint64(b[8:])),
		Size:       int64(binary.BigEndian.Uint64(b[16:])),
		Object:     ObjectID(b[25:n]),
		ETag:       string(b[n:]),
	}, nil
}

func nameKey(tenant TenantName, bucket BucketName, key string) []byte {
	return keyOf(tenant, string(bucket), key)
}

// pendingKey ends in a number of fixed length, so that a key with zero bytes
// in it cannot be taken for another.
func pendingKey(tenant TenantName, bucket BucketName, key string, seq uint64) []byte {
	return numbered(keyOf(tenant, string(bucket), key), seq)
}

func lastNumber(k []byte) uint64 { return binary.BigEndian.Uint64(k[len(k)-8:]) }

func validKey(key string) bool {
	return key != "" && len(key) <= maxKey && utf8.ValidString(key)
}

// Named returns what is published under an S3 key now, or ErrNotFound, which
// an unknown bucket is too.
func (l *Ledger) Named(ctx context.Context, tenant TenantName, bucket BucketName, key string) (Object, error) {
	var o Object
	err := l.view(ctx, func(t *txn) error {
		e, err := t.visible(tenant, bucket, key)
		if err != nil {
			return err
		}
		o = Object{}
		return t.load(tObjects, keyOf(tenant, string(e.Object)), &o) // in place: a row is half a kilobyte
	})
	if err != nil {
		return Object{}, fmt.Errorf("named object: %w", err)
	}
	return o, nil
}

func (t *txn) visible(tenant TenantName, bucket BucketName, key string) (nameEntry, error) {
	// A bucket's name from a request must not reach into another's keys.
	if key == "" || len(key) > maxKey || len(bucket) > 63 || strings.IndexByte(string(bucket), 0) >= 0 {
		return nameEntry{}, ErrNotFound
	}
	b, err := t.get(tNames, nameKey(tenant, bucket, key))
	if err != nil {
		return nameEntry{}, err
	}
	return decodeName(b)
}

// version is one accepted write of a key that is not visible.
type version struct {
	seq    uint64
	state  string // its state's code
	object ObjectID
}

// unpublished returns the accepted writes of a key that are not visible, in
// order: those that wait for inspection, and those it rejected.
func (t *txn) unpublished(tenant TenantName, bucket BucketName, key string) ([]version, error) {
	var found []version
	prefix := nameKey(tenant, bucket, key)
	n := len(prefix) + 9
	err := t.Scan(tPendingNames, kv.Prefix(append(prefix, 0)), func(k, value []byte) error {
		if len(k) == n && len(value) > 1 { // longer ones are other keys' with a zero byte in them
			found = append(found, version{lastNumber(k), string(value[:1]), ObjectID(value[1:])})
		}
		return nil
	})
	return found, err
}

// Conditions of a write on the latest accepted write of its key, visible or
// not. "" asks for nothing, "*" for any, else an ETag without quotes.
type Conditions struct {
	IfMatch     string
	IfNoneMatch string
}

// holds is ErrPrecondition if the conditions do not hold; an If-Match on a key
// that nothing is under is ErrNotFound.
func (t *txn) holds(c Conditions, tenant TenantName, bucket BucketName, key string) error {
	if c == (Conditions{}) {
		return nil
	}
	etag, exists, err := t.latest(tenant, bucket, key)
	switch {
	case err != nil:
		return err
	case c.IfMatch != "" && !exists:
		return ErrNotFound
	case c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != etag:
		return ErrPrecondition
	case c.IfNoneMatch != "" && exists && (c.IfNoneMatch == "*" || c.IfNoneMatch == etag):
		return ErrPrecondition
	}
	return nil
}

// latest returns the ETag of the latest accepted write of a key that was not
// rejected.
func (t *txn) latest(tenant TenantName, bucket BucketName, key string) (etag string, exists bool, err error) {
	e, err := t.visible(tenant, bucket, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", false, err
	}
	exists = err == nil
	versions, err := t.unpublished(tenant, bucket, key)
	if err != nil {
		return "", false, err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		v := versions[i]
		if v.state == stateCode(ObjectRejected) || exists && v.seq < e.Seq {
			continue
		}
		o, err := t.object(tenant, v.object)
		return o.ETag, true, err
	}
	return e.ETag, exists, nil
}

// supersede makes way for what takes its place at seq in the key's history,
// write or delete: the visible object before it and those before it that wait
// are deleted, and the rejected ones before it can no longer be released. What
// stands at seq itself or later stays.
func (t *txn) supersede(by Actor, tenant TenantName, bucket BucketName, key string, seq uint64, reason string) error {
	e, err := t.visible(tenant, bucket, key)
	switch {
	case err == nil && e.Seq < seq:
		if err := t.deleteByID(by, tenant, e.Object, reason); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	versions, err := t.unpublished(tenant, bucket, key)
	if err != nil {
		return err
	}
	for _, v := range versions {
		switch {
		case v.seq >= seq:
		case v.state == stateCode(ObjectRejected):
			err = t.bury(tenant, v.object)
		default:
			err = t.deleteByID(by, tenant, v.object, reason)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bury notes that a rejected object was overtaken in its key's history.
func (t *txn) bury(tenant TenantName, id ObjectID) error {
	o, err := t.object(tenant, id)
	if err != nil {
		return err
	}
	return t.rewrite(&o, func() { o.Overtaken = true })
}

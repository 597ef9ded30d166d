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
	Class      string // of storage; "" is STANDARD
}

func nameEntryOf(o *Object) nameEntry {
	return nameEntry{Seq: o.Seq, ModifiedAt: o.ModifiedAt, Size: o.Size, Object: o.ID, ETag: o.ETag, Class: o.StorageClass}
}

// encode writes seq, milliseconds and size (8 bytes each), the id's length (1),
// the id, the ETag and, behind a zero byte, the storage class where it is another
// than STANDARD. A page of a list decodes a thousand of these.
func (e nameEntry) encode() []byte {
	b := make([]byte, 0, 25+len(e.Object)+len(e.ETag)+1+len(e.Class))
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = binary.BigEndian.AppendUint64(b, millis(e.ModifiedAt))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Size))
	b = append(b, byte(len(e.Object)))
	b = append(b, e.Object...)
	b = append(b, e.ETag...)
	if e.Class != "" {
		b = append(append(b, 0), e.Class...)
	}
	return b
}

func decodeName(b []byte) (nameEntry, error) {
	if len(b) < 25 || len(b) < 25+int(b[24]) {
		return nameEntry{}, errors.New("decode a row of names: it is too short")
	}
	text, n := string(b[25:]), int(b[24]) // one piece of memory for all three
	etag, class, _ := strings.Cut(text[n:], "\x00")
	return nameEntry{
		Seq:        binary.BigEndian.Uint64(b),
		ModifiedAt: fromMillis(binary.BigEndian.Uint64(b[8:])),
		Size:       int64(binary.BigEndian.Uint64(b[16:])),
		Object:     ObjectID(text[:n]),
		ETag:       etag,
		Class:      class,
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

// escaped writes an S3 key without zero bytes, so that others can follow it in a
// key of ours. The order of keys, and what is a prefix of what, stay as they are.
func escaped(key string) string {
	if strings.IndexByte(key, 0) < 0 && strings.IndexByte(key, 1) < 0 {
		return key
	}
	b := make([]byte, 0, len(key)+8)
	for i := range len(key) {
		if key[i] <= 1 {
			b = append(b, 1)
			b = append(b, key[i]+1)
			continue
		}
		b = append(b, key[i])
	}
	return string(b)
}

// unescaped is the reverse of escaped.
func unescaped(s string) string {
	if strings.IndexByte(s, 1) < 0 {
		return s
	}
	key := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == 1 && i+1 < len(s) {
			i++
			c = s[i] - 1
		}
		key = append(key, c)
	}
	return string(key)
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

// waiter is one accepted write of a key that is not published.
type waiter struct {
	seq    uint64
	state  string // its state's code
	object ObjectID
}

// unpublished returns the accepted writes of a key that are not visible, in
// order: those that wait for inspection, and those it rejected.
func (t *txn) unpublished(tenant TenantName, bucket BucketName, key string) ([]waiter, error) {
	var found []waiter
	prefix := nameKey(tenant, bucket, key)
	n := len(prefix) + 9
	err := t.Scan(tPendingNames, kv.Prefix(append(prefix, 0)), func(k, value []byte) error {
		if len(k) == n && len(value) > 1 { // longer ones are other keys' with a zero byte in them
			found = append(found, waiter{lastNumber(k), string(value[:1]), ObjectID(value[1:])})
		}
		return nil
	})
	return found, err
}

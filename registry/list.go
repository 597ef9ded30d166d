package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// ListQuery asks for one page of a bucket's published keys.
type ListQuery struct {
	Prefix    string
	Delimiter string
	After     string // keys behind this one; a common prefix stands for all it covers
	Max       int    // entries and prefixes together, 0 to 1000
}

// Entry is one published key.
type Entry struct {
	Key        string
	Object     ObjectID
	Size       int64
	ETag       string // without quotes
	ModifiedAt time.Time
	// StorageClass is as in Object.
	StorageClass string
}

// Listing is one page, in the byte order of the keys.
type Listing struct {
	Entries   []Entry
	Prefixes  []string // common prefixes, delimiter included
	Truncated bool
	Next      string // After for the next page: the last key or prefix of this one
}

// List returns one page of a bucket's published keys. It seeks, and leaps over
// what a common prefix covers: a page costs what it returns. ErrNotFound for
// an unknown bucket.
func (l *Ledger) List(ctx context.Context, tenant TenantName, bucket BucketName, q ListQuery) (Listing, error) {
	if q.Max < 0 || q.Max > maxPage {
		return Listing{}, fmt.Errorf("list: %w: at most %d keys", ErrInvalid, maxPage)
	}
	if len(q.Prefix) > maxKey || len(q.After) > maxKey || len(q.Delimiter) > maxKey {
		return Listing{}, fmt.Errorf("list: %w: text is too long", ErrInvalid)
	}
	var page Listing
	err := l.view(ctx, func(t *txn) error {
		page = Listing{}
		known, err := t.has(tBuckets, keyOf(tenant, string(bucket)))
		if err != nil || !known {
			return errors.Join(err, absent(known))
		}
		if q.Max == 0 {
			return nil
		}
		w := lister{t: t, base: append(keyOf(tenant, string(bucket)), 0), q: q, page: &page}
		return w.walk()
	})
	if err != nil {
		return Listing{}, fmt.Errorf("list: %w", err)
	}
	return page, nil
}

// lister fills one page.
type lister struct {
	t    *txn
	base []byte // what all keys of the bucket begin with
	q    ListQuery
	page *Listing
}

func (w *lister) walk() error {
	span := kv.Prefix(w.key(w.q.Prefix))
	if w.q.After != "" {
		from := kv.Successor(w.key(w.q.After))
		if group, ok := commonPrefix(w.q.After, w.q.Prefix, w.q.Delimiter); ok && group == w.q.After {
			from = kv.PrefixEnd(w.key(group))
		}
		if bytes.Compare(from, span.From) > 0 {
			span.From = from
		}
	}
	for span.From != nil && bytes.Compare(span.From, span.To) < 0 {
		leap, err := w.run(span)
		if err != nil || leap == nil {
			return err
		}
		span.From = leap
	}
	return nil
}

// run adds entries until the page is full (nil) or a common prefix begins; then
// it returns where that ends.
func (w *lister) run(span kv.Range) (leap []byte, err error) {
	err = w.t.Scan(tNames, span, func(k, value []byte) error {
		if len(w.page.Entries)+len(w.page.Prefixes) == w.q.Max {
			w.page.Truncated = true
			return kv.Stop
		}
		key := string(k[len(w.base):])
		if group, ok := commonPrefix(key, w.q.Prefix, w.q.Delimiter); ok {
			w.page.Prefixes = append(w.page.Prefixes, group)
			w.page.Next = group
			leap = kv.PrefixEnd(w.key(group))
			return kv.Stop
		}
		e, err := decodeName(value)
		if err != nil {
			return err
		}
		w.page.Entries = append(w.page.Entries, Entry{
			Key: key, Object: e.Object, Size: e.Size, ETag: e.ETag, ModifiedAt: e.ModifiedAt, StorageClass: e.Class,
		})
		w.page.Next = key
		return nil
	})
	return leap, err
}

func (w *lister) key(s string) []byte {
	return append(append(make([]byte, 0, len(w.base)+len(s)+1), w.base...), s...)
}

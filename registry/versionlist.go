package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"sallyport/registry/kv"
)

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
// costs what it returns. If the version that a page begins behind was the null
// version and is gone, the page begins with the newest version of its key.
// ErrNotFound for an unknown bucket, ErrInvalid, also for what cannot be the id of a
// version of AfterKey.
func (l *Ledger) ListVersions(ctx context.Context, tenant TenantName, bucket BucketName, q VersionsQuery) (VersionListing, error) {
	switch {
	case q.Max < 0 || q.Max > maxPage:
		return VersionListing{}, fmt.Errorf("list versions: %w: at most %d", ErrInvalid, maxPage)
	case len(q.Prefix) > maxKey || len(q.AfterKey) > maxKey || len(q.Delimiter) > maxKey:
		return VersionListing{}, fmt.Errorf("list versions: %w: text is too long", ErrInvalid)
	case q.AfterVersion != "" && q.AfterKey == "":
		return VersionListing{}, fmt.Errorf("list versions: %w: a version without its key", ErrInvalid)
	}
	var page VersionListing
	err := l.view(ctx, func(t *txn) error {
		page = VersionListing{}
		b, err := t.bucket(tenant, bucket)
		if err != nil || q.Max == 0 {
			return err
		}
		w := versionLister{t: t, tenant: tenant, bucket: &b, q: q, page: &page}
		return w.walk()
	})
	if err != nil {
		return VersionListing{}, fmt.Errorf("list versions: %w", err)
	}
	return page, nil
}

// versionLister fills one page from names, which has the current versions, and
// versions, which has all others and of the current ones those with an id.
type versionLister struct {
	t      *txn
	tenant TenantName
	bucket *Bucket
	q      VersionsQuery
	page   *VersionListing

	current, all cursor
}

func (w *versionLister) walk() error {
	base := append(keyOf(w.tenant, string(w.bucket.Name)), 0)
	w.current = newCursor(w.t, tNames, base, w.q.Prefix)
	w.all = newCursor(w.t, tVersions, base, escaped(w.q.Prefix))
	before, err := w.begin()
	if err != nil {
		return err
	}
	for {
		v, key, err := w.next()
		if err != nil || v == nil {
			return err
		}
		if key == w.q.AfterKey && v.Seq >= before {
			continue
		}
		if len(w.page.Entries)+len(w.page.Prefixes) == w.q.Max {
			w.page.Truncated = true
			return nil
		}
		w.page.NextVersion = ""
		if group, ok := commonPrefix(key, w.q.Prefix, w.q.Delimiter); ok {
			w.page.Prefixes = append(w.page.Prefixes, group)
			w.page.NextKey = group
			w.leap(group)
			continue
		}
		w.page.Entries = append(w.page.Entries, VersionEntry{
			Entry:     Entry{Key: key, Object: v.Object, Size: v.Size, ETag: v.ETag, ModifiedAt: v.ModifiedAt, StorageClass: v.Class},
			VersionID: v.id(), Latest: !v.Noncurrent, Marker: v.Marker,
		})
		w.page.NextKey, w.page.NextVersion = key, v.id()
	}
}

// begin goes to where the page begins. Of AfterKey only what is before the place it
// returns is on the page.
func (w *versionLister) begin() (before uint64, err error) {
	q := &w.q
	if q.AfterKey == "" {
		return 0, nil
	}
	if q.AfterVersion == "" {
		if group, ok := commonPrefix(q.AfterKey, q.Prefix, q.Delimiter); ok && group == q.AfterKey {
			w.leap(group)
			return 0, nil
		}
		w.current.seek(kv.Successor([]byte(q.AfterKey)))
		w.all.seek(append([]byte(escaped(q.AfterKey)), 1)) // behind its versions, before any longer key
		return 0, nil
	}
	before, err = w.seqOf(q.AfterKey, q.AfterVersion)
	if err != nil {
		return 0, err
	}
	w.current.seek([]byte(q.AfterKey))
	w.all.seek(numbered([]byte(escaped(q.AfterKey)), ^before))
	return before, nil
}

// leap goes behind all keys with a prefix.
func (w *versionLister) leap(prefix string) {
	w.current.seek(kv.PrefixEnd([]byte(prefix)))
	w.all.seek(kv.PrefixEnd([]byte(escaped(prefix))))
}

// seqOf returns the place of a version in the history of its key, also if the
// version was deleted since; behind all if that was the null version.
func (w *versionLister) seqOf(key, version string) (uint64, error) {
	const last = ^uint64(0)
	if !validKey(key) {
		return 0, fmt.Errorf("%w: key", ErrInvalid)
	}
	if version == NullVersion {
		null, err := w.t.nullVersion(w.tenant, w.bucket, key)
		if err != nil || null == nil {
			return last, err
		}
		return null.Seq, nil
	}
	o, err := w.t.everNamed(w.tenant, w.bucket.Name, key, version)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: version id of another key", ErrInvalid)
	}
	return o.Seq, err
}

// next returns the next version, or nil at the end.
func (w *versionLister) next() (*versionEntry, string, error) {
	name, nameValue, err := w.current.peek()
	if err != nil {
		return nil, "", err
	}
	row, rowValue, err := w.all.peek()
	if err != nil || name == nil && row == nil {
		return nil, "", err
	}
	var v versionEntry
	var of string // the key that row is of
	if row != nil {
		of = unescaped(string(row[:len(row)-9]))
		if v, err = decodeVersion(rowValue); err != nil {
			return nil, "", err
		}
	}
	if name == nil || row != nil && of < string(name) {
		w.all.pass()
		return &v, of, nil
	}
	e, err := decodeName(nameValue)
	if err != nil {
		return nil, "", err
	}
	w.current.pass()
	if row != nil && of == string(name) && v.Seq == e.Seq { // both tell of it
		w.all.pass()
		return &v, of, nil
	}
	return &versionEntry{nameEntry: e}, string(name), nil
}

// commonPrefix returns the prefix that a delimiter makes key share with others.
func commonPrefix(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// cursor walks the keys of a table behind base, in chunks: two walks can then go
// on side by side, and one that is taken elsewhere has read little for nothing.
type cursor struct {
	t      *txn
	table  kv.Table
	base   int // bytes that all keys share
	span   kv.Range
	chunk  int // rows to read next
	buffer []kvRow
	end    bool
}

type kvRow struct{ key, value []byte }

const firstChunk = 2

// newCursor walks the keys that begin with base and prefix.
func newCursor(t *txn, table kv.Table, base []byte, prefix string) cursor {
	span := kv.Prefix(append(bytes.Clone(base), prefix...))
	return cursor{t: t, table: table, base: len(base), span: span, chunk: firstChunk}
}

// seek goes on to the first key, without base, from one on; nil is the end. It never
// goes back.
func (c *cursor) seek(key []byte) {
	if key == nil {
		c.buffer, c.end = nil, true
		return
	}
	for len(c.buffer) > 0 && bytes.Compare(c.buffer[0].key[c.base:], key) < 0 {
		c.buffer = c.buffer[1:]
	}
	if len(c.buffer) > 0 || c.end {
		return
	}
	from := append(bytes.Clone(c.span.From[:c.base]), key...)
	if bytes.Compare(from, c.span.From) > 0 {
		c.span.From = from
	}
	c.chunk = firstChunk
}

// peek returns the next row, its key without base; nil at the end.
func (c *cursor) peek() (key, value []byte, err error) {
	if len(c.buffer) == 0 && !c.end {
		if err := c.fill(); err != nil {
			return nil, nil, err
		}
	}
	if len(c.buffer) == 0 {
		return nil, nil, nil
	}
	return c.buffer[0].key[c.base:], c.buffer[0].value, nil
}

func (c *cursor) pass() { c.buffer = c.buffer[1:] }

func (c *cursor) fill() error {
	c.buffer, c.end = c.buffer[:0], true
	if c.span.To != nil && bytes.Compare(c.span.From, c.span.To) >= 0 {
		return nil
	}
	err := c.t.Scan(c.table, c.span, func(key, value []byte) error {
		if len(c.buffer) == c.chunk {
			c.end = false
			return kv.Stop
		}
		c.buffer = append(c.buffer, kvRow{key, value})
		return nil
	})
	if n := len(c.buffer); n > 0 {
		c.span.From = kv.Successor(c.buffer[n-1].key)
		c.chunk = min(4*c.chunk, maxPage)
	}
	return err
}

package registry

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"sallyport/registry/kv"
)

// MultipartsQuery asks for one page of a bucket's multipart uploads.
type MultipartsQuery struct {
	Prefix    string
	Delimiter string
	AfterKey  string      // those behind this key (or common prefix) …
	AfterID   MultipartID // … or, where this is set, behind this one of it
	Max       int         // uploads and prefixes together, 0 to 1000
}

// MultipartListing is one page, by key and then by age.
type MultipartListing struct {
	Uploads   []Multipart
	Prefixes  []string
	Truncated bool
	NextKey   string
	NextID    MultipartID // "" behind a common prefix
}

// Multiparts lists the multipart uploads of a bucket that are not completed.
// ErrNotFound for an unknown bucket.
func (l *Ledger) Multiparts(ctx context.Context, tenant TenantName, bucket BucketName, q MultipartsQuery) (MultipartListing, error) {
	if q.Max < 0 || q.Max > maxPage {
		return MultipartListing{}, fmt.Errorf("list multipart uploads: %w: at most %d", ErrInvalid, maxPage)
	}
	if len(q.Prefix) > maxKey || len(q.AfterKey) > maxKey || len(q.Delimiter) > maxKey || len(q.AfterID) > maxWord {
		return MultipartListing{}, fmt.Errorf("list multipart uploads: %w: text is too long", ErrInvalid)
	}
	var page MultipartListing
	err := l.view(ctx, func(t *txn) error {
		page = MultipartListing{}
		if _, err := t.bucket(tenant, bucket); err != nil || q.Max == 0 {
			return err
		}
		w := multipartLister{t: t, tenant: tenant, base: append(keyOf(tenant, string(bucket)), 0), q: q, page: &page}
		return w.walk()
	})
	if err != nil {
		return MultipartListing{}, fmt.Errorf("list multipart uploads: %w", err)
	}
	return page, nil
}

// multipartLister fills one page. It seeks and leaps as lister does.
type multipartLister struct {
	t      *txn
	tenant TenantName
	base   []byte // what all names of the bucket begin with
	q      MultipartsQuery
	page   *MultipartListing
}

func (w *multipartLister) walk() error {
	span := kv.Prefix(w.name(w.q.Prefix))
	if from := w.start(); bytes.Compare(from, span.From) > 0 {
		span.From = from
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

// start is where the page begins, nil at the bucket's beginning.
func (w *multipartLister) start() []byte {
	if w.q.AfterKey == "" {
		return nil
	}
	if group, ok := group(w.q.AfterKey, w.q.Prefix, w.q.Delimiter); ok && group == w.q.AfterKey {
		return kv.PrefixEnd(w.name(group))
	}
	uploads := append(w.name(w.q.AfterKey), 0) // of exactly this key
	if w.q.AfterID == "" {
		return kv.PrefixEnd(uploads)
	}
	return kv.Successor(append(uploads, w.q.AfterID...))
}

// run adds uploads until the page is full (nil) or a common prefix begins; then
// it returns where that ends.
func (w *multipartLister) run(span kv.Range) (leap []byte, err error) {
	err = w.t.Scan(tMultipartNames, span, func(k, _ []byte) error {
		if len(w.page.Uploads)+len(w.page.Prefixes) == w.q.Max {
			w.page.Truncated = true
			return kv.Stop
		}
		name, id, _ := strings.Cut(string(k[len(w.base):]), "\x00")
		key := unescaped(name)
		if group, ok := group(key, w.q.Prefix, w.q.Delimiter); ok {
			w.page.Prefixes = append(w.page.Prefixes, group)
			w.page.NextKey, w.page.NextID = group, ""
			leap = kv.PrefixEnd(w.name(group))
			return kv.Stop
		}
		m, err := w.t.multipartByID(w.tenant, MultipartID(id))
		if err != nil {
			return err
		}
		w.page.Uploads = append(w.page.Uploads, m)
		w.page.NextKey, w.page.NextID = key, m.ID
		return nil
	})
	return leap, err
}

// name is what the names of keys with a prefix begin with.
func (w *multipartLister) name(prefix string) []byte {
	s := escaped(prefix)
	return append(append(make([]byte, 0, len(w.base)+len(s)+maxWord), w.base...), s...)
}

// group returns the common prefix that covers key in a list, if one does.
func group(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

package registry

import (
	"encoding/base64"
	"fmt"

	"sallyport/registry/kv"
)

const (
	defaultPage = 100
	maxPage     = 1000
	// pageWork is how many rows one page looks at: a filter that matches
	// little gives short pages rather than long transactions.
	pageWork = 5000
)

// rows is a walk through one table for one page.
type rows struct {
	table  kv.Table
	span   kv.Range
	prefix int // bytes that all keys of the span share; the rest is the cursor
	limit  int
	err    error
}

// newest walks the span from its end: newest first.
func newest(table kv.Table, span kv.Range, page Page) rows {
	r := rows{table: table, span: span, prefix: len(span.From)}
	r.span.Reverse = true
	r.limit, r.err = page.limit()
	if page.Cursor != "" && r.err == nil {
		last, err := base64.RawURLEncoding.DecodeString(page.Cursor)
		if err != nil || len(last) == 0 || len(last) > maxCursor {
			r.err = fmt.Errorf("%w: cursor", ErrInvalid)
			return r
		}
		r.span.To = append(append([]byte(nil), span.From...), last...)
	}
	return r
}

// forward walks all keys with a prefix in their order.
func forward(table kv.Table, prefix string, page Page) rows {
	r := newest(table, kv.Prefix([]byte(prefix)), page)
	if page.Cursor != "" && r.err == nil {
		r.span.From, r.span.To = kv.Successor(r.span.To), kv.PrefixEnd([]byte(prefix))
	}
	r.span.Reverse = false
	return r
}

// maxCursor bounds what a client can make us seek for.
const maxCursor = 1500

func (p Page) limit() (int, error) {
	switch {
	case p.Limit == 0:
		return defaultPage, nil
	case p.Limit < 0 || p.Limit > maxPage:
		return 0, fmt.Errorf("%w: limit is 1 to %d", ErrInvalid, maxPage)
	}
	return p.Limit, nil
}

// collect reads one page. read says of each row what it is and whether it
// belongs on the page; the cursor of the next page is "" at the end. A page
// may be short, even empty, and not be the last.
func collect[T any](t *txn, r rows, read func(t *txn, key, value []byte) (v T, keep bool, err error)) ([]T, string, error) {
	if r.err != nil {
		return nil, "", r.err
	}
	found := make([]T, 0, min(r.limit, 16))
	more := ""
	looked := 0
	var last []byte
	err := t.Scan(r.table, r.span, func(key, value []byte) error {
		if len(found) == r.limit || looked == pageWork {
			more = base64.RawURLEncoding.EncodeToString(last[r.prefix:])
			return kv.Stop
		}
		looked++
		last = key
		v, keep, err := read(t, key, value)
		if err != nil {
			return err
		}
		if keep {
			found = append(found, v)
		}
		return nil
	})
	return found, more, err
}

package boltkv

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
)

// merge walks a range of the file and of the overlay together, in either
// direction; where both have a key, the overlay wins.
//
// The file's cursor is only ever on a transaction without writes. bbolt's
// cursors stumble over pages that deletes have emptied: Prev stops early, and
// Last may not return.
type merge struct {
	r          kv.Range
	key, value []byte // present position

	cursor     *bolt.Cursor // nil if the file has no such table
	started    bool
	bkey, bval []byte // next of the file; bkey is nil at its end

	pending *pending // nil without overlay
	lo, hi  int      // rest of pending.order that lies in the range
}

func newMerge(b *bolt.Bucket, p *pending, r kv.Range) *merge {
	m := &merge{r: r, pending: p}
	if b != nil {
		m.cursor = b.Cursor()
	}
	if p != nil {
		m.lo, _ = p.search(r.From)
		m.hi = len(p.order)
		if r.To != nil {
			m.hi, _ = p.search(r.To)
		}
	}
	return m
}

// next moves to the next key of the range. It reports false at the end.
func (m *merge) next() bool {
	if !m.started {
		m.started = true
		m.keepInside(m.first())
	} else if m.key == nil {
		return false
	}
	for {
		e := m.peek()
		switch cmp := m.compare(e); {
		case e == nil && m.bkey == nil:
			m.key, m.value = nil, nil
			return false
		case cmp < 0:
			m.key, m.value = m.bkey, m.bval
			m.advance()
			return true
		case cmp == 0:
			m.advance()
		}
		m.skip()
		if e.state == put {
			m.key, m.value = e.key, e.value
			return true
		}
	}
}

// compare tells which comes first in the walk: below zero the file's key,
// above zero the overlay's entry e.
func (m *merge) compare(e *entry) int {
	switch {
	case e == nil:
		return -1
	case m.bkey == nil:
		return 1
	case m.r.Reverse:
		return bytes.Compare(e.key, m.bkey)
	}
	return bytes.Compare(m.bkey, e.key)
}

// peek returns the overlay's next entry, or nil.
func (m *merge) peek() *entry {
	for m.lo < m.hi {
		i := m.lo
		if m.r.Reverse {
			i = m.hi - 1
		}
		if e := &m.pending.entries[m.pending.order[i]]; e.state != unknown {
			return e
		}
		m.skip()
	}
	return nil
}

func (m *merge) skip() {
	if m.r.Reverse {
		m.hi--
	} else {
		m.lo++
	}
}

// first returns where the file's cursor starts.
func (m *merge) first() (key, value []byte) {
	switch {
	case m.cursor == nil:
		return nil, nil
	case !m.r.Reverse && len(m.r.From) == 0:
		return m.cursor.First()
	case !m.r.Reverse:
		return m.cursor.Seek(m.r.From)
	case m.r.To == nil:
		return m.cursor.Last()
	}
	if key, _ = m.cursor.Seek(m.r.To); key == nil {
		return m.cursor.Last()
	}
	return m.cursor.Prev()
}

func (m *merge) advance() {
	if m.r.Reverse {
		m.keepInside(m.cursor.Prev())
	} else {
		m.keepInside(m.cursor.Next())
	}
}

// keepInside takes the cursor's key unless it has left the range.
func (m *merge) keepInside(key, value []byte) {
	m.bkey, m.bval = key, value
	if key == nil {
		return
	}
	if m.r.Reverse && bytes.Compare(key, m.r.From) < 0 ||
		!m.r.Reverse && m.r.To != nil && bytes.Compare(key, m.r.To) >= 0 {
		m.bkey, m.bval = nil, nil
	}
}

package boltkv

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
)

// snapshot is the read side of a bbolt transaction that nothing has been
// written to. It keeps what a read needs of each table.
type snapshot struct {
	tables []table
	btx    *bolt.Tx
	cursor []*bolt.Cursor // for Get, which moves it; nil until used
}

func newSnapshot(s *Store) *snapshot {
	return &snapshot{tables: s.tables, cursor: make([]*bolt.Cursor, len(s.tables))}
}

func (s *snapshot) begin(btx *bolt.Tx) { s.btx = btx }

func (s *snapshot) end() {
	s.btx = nil
	clear(s.cursor)
}

// bucket returns nil for a table that a file opened for reading lacks.
func (s *snapshot) bucket(table int) *bolt.Bucket {
	return s.tables[table].bucket(s.btx)
}

// get returns nil if there is no such key. A cursor that is used again saves
// the two allocations of Bucket.Get.
func (s *snapshot) get(table int, key []byte) []byte {
	c := s.cursor[table]
	if c == nil {
		b := s.bucket(table)
		if b == nil {
			return nil
		}
		c = b.Cursor()
		s.cursor[table] = c
	}
	k, v := c.Seek(key)
	if k == nil || !bytes.Equal(k, key) {
		return nil
	}
	return v
}

// tx is a kv.Tx. Its own memory is new for each transaction, so that one that
// is used too late meets done and not somebody else's writes.
type tx struct {
	store   *Store
	snap    *snapshot
	overlay *overlay // nil in View
	done    bool
}

func (t *tx) table(name kv.Table) (int, error) {
	if t.done {
		return 0, kv.ErrTxDone
	}
	i, ok := t.store.index[name]
	if !ok {
		return 0, fmt.Errorf("%w: %q", kv.ErrNoTable, string(name))
	}
	return i, nil
}

// Get implements kv.Tx.
func (t *tx) Get(name kv.Table, key []byte) ([]byte, error) {
	i, err := t.table(name)
	if err != nil {
		return nil, err
	}
	if t.overlay != nil {
		if e := t.overlay.tables[i].get(key); e != nil {
			if e.state == deleted {
				return nil, kv.ErrNotFound
			}
			return e.value, nil
		}
	}
	if v := t.snap.get(i, key); v != nil {
		return v, nil
	}
	return nil, kv.ErrNotFound
}

// Put implements kv.Tx.
func (t *tx) Put(name kv.Table, key, value []byte) error {
	if len(value) > kv.MaxValueSize {
		return kv.ErrValue
	}
	return t.set(name, key, value, put)
}

// Delete implements kv.Tx.
func (t *tx) Delete(name kv.Table, key []byte) error {
	return t.set(name, key, nil, deleted)
}

func (t *tx) set(name kv.Table, key, value []byte, st state) error {
	i, err := t.table(name)
	switch {
	case err != nil:
		return err
	case t.overlay == nil:
		return kv.ErrReadOnly
	case len(key) == 0 || len(key) > kv.MaxKeySize:
		return kv.ErrKey
	case t.overlay.tables[i].scanning > 0:
		return fmt.Errorf("%w: %s", kv.ErrScanning, name)
	}
	t.overlay.set(i, key, value, st)
	return nil
}

// Scan implements kv.Tx.
func (t *tx) Scan(name kv.Table, r kv.Range, fn func(key, value []byte) error) error {
	i, err := t.table(name)
	if err != nil {
		return err
	}
	var p *pending
	if t.overlay != nil {
		p = &t.overlay.tables[i]
		p.scanning++
		defer func() { p.scanning-- }()
	}
	for m := newMerge(t.snap.bucket(i), p, r); m.next(); {
		if err := fn(m.key, m.value); err != nil {
			if errors.Is(err, kv.Stop) {
				return nil
			}
			return err
		}
	}
	return nil
}

package boltkv

import (
	"bytes"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
)

// state is what the overlay knows about a key.
type state uint8

const (
	unknown state = iota // nothing: the write was undone
	put
	deleted
)

// entry is the newest pending write of one key.
type entry struct {
	key, value []byte
	state      state
}

// pending is one table's part of the overlay. order holds positions in
// entries, sorted by key: an insert moves four bytes an entry.
type pending struct {
	entries  []entry
	order    []int32
	scanning int // running scans
}

// overlay holds the writes of a group that are not in the file yet. It belongs
// to the committer's goroutine.
type overlay struct {
	tables []pending
	arena  arena
	writes int // entries that are not unknown
	log    []undo
}

// undo is what an entry was before the running update wrote it.
type undo struct {
	table int
	entry int32
	value []byte
	state state
}

func newOverlay(tables int) *overlay {
	return &overlay{tables: make([]pending, tables)}
}

// search returns the position in order of the first key >= key, and whether it
// is key.
func (p *pending) search(key []byte) (int, bool) {
	// Appending in key order is common; it needs one comparison.
	if n := len(p.order); n == 0 || bytes.Compare(p.entries[p.order[n-1]].key, key) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(p.order, key, func(i int32, key []byte) int {
		return bytes.Compare(p.entries[i].key, key)
	})
}

// get returns the pending write of key, or nil.
func (p *pending) get(key []byte) *entry {
	if i, ok := p.search(key); ok {
		if e := &p.entries[p.order[i]]; e.state != unknown {
			return e
		}
	}
	return nil
}

// set records a write, copying key and value.
func (o *overlay) set(table int, key, value []byte, st state) {
	p := &o.tables[table]
	at, ok := p.search(key)
	if !ok {
		p.order = slices.Insert(p.order, at, int32(len(p.entries)))
		p.entries = append(p.entries, entry{key: o.arena.copy(key)})
	}
	i := p.order[at]
	e := &p.entries[i]
	o.log = append(o.log, undo{table, i, e.value, e.state})
	if e.state == unknown {
		o.writes++
	}
	e.value, e.state = nil, st
	if st == put {
		e.value = o.arena.copy(value)
	}
}

// mark names the present point of the log, to undo back to.
func (o *overlay) mark() int { return len(o.log) }

// undo takes back, newest first, every write since mark.
func (o *overlay) undo(mark int) {
	for i := len(o.log) - 1; i >= mark; i-- {
		u := &o.log[i]
		e := &o.tables[u.table].entries[u.entry]
		e.value, e.state = u.value, u.state
		if u.state == unknown {
			o.writes--
		}
	}
}

// forget ends an update: what it wrote, and has not undone, stays.
func (o *overlay) forget() {
	clear(o.log)
	o.log = o.log[:0]
}

// apply writes everything to the file's transaction, in key order. The values
// must stay untouched until that has ended: bbolt does not copy them.
func (o *overlay) apply(s *Store, btx *bolt.Tx) error {
	for i := range o.tables {
		p := &o.tables[i]
		if len(p.order) == 0 {
			continue
		}
		b := s.tables[i].bucket(btx)
		b.FillPercent = s.tables[i].fillPercent
		for _, j := range p.order {
			var err error
			switch e := &p.entries[j]; e.state {
			case put:
				err = b.Put(e.key, e.value)
			case deleted:
				err = b.Delete(e.key)
			}
			if err != nil {
				return fmt.Errorf("write table %s: %w", s.tables[i].name, err)
			}
		}
	}
	return nil
}

// size returns how many bytes the writes' keys and values take.
func (o *overlay) size() (n int64) {
	for i := range o.tables {
		p := &o.tables[i]
		for j := range p.entries {
			if e := &p.entries[j]; e.state != unknown {
				n += int64(len(e.key) + len(e.value))
			}
		}
	}
	return n
}

// appendChanges appends the overlay's writes to changes, without copying keys
// and values.
func (o *overlay) appendChanges(changes []kv.Change, tables []table) []kv.Change {
	for i := range o.tables {
		p := &o.tables[i]
		for _, j := range p.order {
			if e := &p.entries[j]; e.state != unknown {
				changes = append(changes, kv.Change{
					Table: tables[i].name, Key: e.key, Value: e.value, Deleted: e.state == deleted,
				})
			}
		}
	}
	return changes
}

// keepEntries bounds what an unusually large update leaves allocated.
const keepEntries = 1 << 14

// reset empties the overlay and keeps its memory for the next group.
func (o *overlay) reset() {
	for i := range o.tables {
		p := &o.tables[i]
		if cap(p.entries) > keepEntries {
			*p = pending{}
			continue
		}
		clear(p.entries)
		p.entries, p.order, p.scanning = p.entries[:0], p.order[:0], 0
	}
	o.forget()
	if cap(o.log) > keepEntries {
		o.log = nil
	}
	o.writes = 0
	o.arena.reset()
}

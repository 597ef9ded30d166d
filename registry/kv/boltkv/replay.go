package boltkv

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// recoverLog brings the file, which bbolt has opened at the log's base, to the state
// of the log's last record, and begins a new log.
//
// If we die here, the next open starts over from the same base until that of the
// new log is in its place. All before is one transaction of bbolt, which writes
// over no page that the base needs.
func (s *Store) recoverLog(h *history) error {
	m, err := s.readMark(h)
	if err != nil {
		return err
	}
	if s.unlogged && h.base == nil {
		return s.openUnlogged(h, m)
	}
	if m.open && h.base == nil {
		// We died while the first log was made, whose header proves it. The mark
		// must not outlive that header.
		m.open = false
		if err := s.db.Update(m.write); err != nil {
			return err
		}
	}
	if s.wal, err = createWAL(s.path, h.last+1, s.lsn, s.names(), s.flush); err != nil {
		return err
	}
	s.db.NoGrowSync = true // each flush keeps the size, too
	if err := s.settle(h, mark{id: s.wal.id, open: true, lsn: s.lsn}); err != nil {
		return err
	}
	s.db.NoSync = true
	if err := s.firstBase(); err != nil {
		return err
	}
	if err := s.wal.current.rename(segmentPath(s.path, s.wal.current.seq)); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(s.path)); err != nil {
		return err
	}
	if err := removeFiles(s.path, h.files...); err != nil || !s.unlogged {
		return err
	}
	if err := s.endLog(); err != nil {
		return err
	}
	s.lsn, s.wal, s.db.NoFreelistSync = s.wal.lsn, nil, true
	return nil
}

// readMark reads the file's mark of its log, checks that the log found is that one,
// and sets the number to go on from.
func (s *Store) readMark(h *history) (m mark, err error) {
	var txid uint64
	err = s.db.View(func(btx *bolt.Tx) error {
		txid = uint64(btx.ID())
		m, err = readMark(btx)
		return err
	})
	if err != nil {
		return m, err
	}
	s.lsn = max(h.lsn, m.newest(txid))
	return m, m.agrees(h)
}

// openUnlogged is recoverLog without log, before and after.
func (s *Store) openUnlogged(h *history, m mark) error {
	s.db.NoSync = !m.open
	m.open, m.lsn = false, s.lsn+1
	s.lsn++
	if err := s.settle(h, m); err != nil {
		return err
	}
	s.db.NoSync = true
	return removeFiles(s.path, append(h.files, newSegmentPath(s.path))...)
}

// settle repeats the log's records and makes the file ready for use.
func (s *Store) settle(h *history, m mark) error {
	return s.db.Update(func(btx *bolt.Tx) error {
		// First, since a bucket is not moved with what was written to it.
		if err := s.createTables(btx); err != nil {
			return err
		}
		tables, err := lastWrites(h)
		if err != nil {
			return err
		}
		for i, rows := range tables {
			if err := s.replay(btx, h.names[i], rows); err != nil {
				return err
			}
		}
		return m.write(btx)
	})
}

// lastWrites returns what the log's records leave of each table that they write to:
// new values, nil for deleted keys.
func lastWrites(h *history) ([]map[string][]byte, error) {
	tables := make([]map[string][]byte, len(h.names))
	for _, r := range h.records {
		err := readWrites(r.payload, func(w write) error {
			if w.table >= len(tables) {
				return fmt.Errorf("%w: there is no table %d", errDamaged, w.table)
			}
			if tables[w.table] == nil {
				tables[w.table] = map[string][]byte{}
			}
			tables[w.table][string(w.key)] = w.value
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("repeat record %d of the log: %w", r.lsn, err)
		}
	}
	return tables, nil
}

// replay writes rows to a table in the order of their keys, which is the fastest: a
// page under change is a sorted slice.
func (s *Store) replay(btx *bolt.Tx, name string, rows map[string][]byte) error {
	if len(rows) == 0 {
		return nil
	}
	b := s.anyTable(btx, name)
	if b == nil {
		return fmt.Errorf("%w: there is no table %s", errDamaged, name)
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		var err error
		if value := rows[key]; value != nil {
			err = b.Put([]byte(key), value)
		} else {
			err = b.Delete([]byte(key))
		}
		if err != nil {
			return fmt.Errorf("repeat the log in table %s: %w", name, err)
		}
	}
	return nil
}

// anyTable returns the bucket of a table that a program with other tables may have
// written, or nil.
func (s *Store) anyTable(btx *bolt.Tx, name string) *bolt.Bucket {
	for i := range s.tables {
		if string(s.tables[i].name) == name {
			b := s.tables[i].bucket(btx)
			b.FillPercent = s.tables[i].fillPercent
			return b
		}
	}
	if b := btx.Bucket([]byte(name)); b != nil {
		return b
	}
	return btx.Bucket([]byte(quietBucket)).Bucket([]byte(name))
}

// endLog is the log's orderly end: the file is whole without it afterwards.
func (s *Store) endLog() error {
	if err := s.checkpoint(segmentMin); err != nil {
		return err
	}
	if err := s.unpinBase(); err != nil {
		return err
	}
	if err := s.lastCommit(); err != nil {
		return err
	}
	// If we die here, the record of the end lets the next open accept the commit.
	pin, b, err := s.pinState()
	if err != nil {
		return err
	}
	if err := s.unpin(pin); err != nil { // nothing is committed any more
		return err
	}
	b.final = true
	current, next := s.wal.current, s.wal.next
	if err := s.wal.writeBase(current, b); err != nil {
		return err
	}
	if err := s.wal.close(); err != nil {
		return err
	}
	// In this order: alone, the current one still leads to a whole state.
	if err := removeFiles(s.path, next.path); err != nil {
		return err
	}
	return removeFiles(s.path, current.path)
}

// lastCommit commits, with its own flushes, that the file needs no log, and the list
// of free pages, which the next open would have to find by a walk through the file:
// a minute and a half for 12 GiB. The first commit after it makes it void again. The
// base, not pinned, is the state before it.
func (s *Store) lastCommit() error {
	if err := s.wal.append(closeRecord, s.wal.begin()); err != nil {
		return spaceError(err)
	}
	s.db.NoSync, s.db.NoFreelistSync = false, false
	btx, err := s.db.Begin(true)
	if err != nil {
		return s.explain(err)
	}
	defer func() { _ = btx.Rollback() }() // it has ended if all went well
	m := mark{id: s.wal.id, lsn: s.wal.lsn + 1}
	return s.commitLogged(btx, m.write)
}

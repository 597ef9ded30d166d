package boltkv

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// When a checkpoint is due: after so many bytes of new pages or of log, which also
// bound what the file grows by, since no page of the base is written over until
// the next; or after so many commits, since bbolt walks over its list of freed
// pages' transactions with each. A share of the file's size, within bounds: a
// small file has a small log.
const (
	minCheckpoint     = 16 << 20
	maxCheckpoint     = 64 << 20
	checkpointShare   = 8
	checkpointCommits = 400
)

// checkpointer gives the log a new base from time to time. It belongs to the
// committer, but for what Stats reads.
type checkpointer struct {
	pin     *bolt.Tx // of the base: bbolt keeps every page it can read
	base    uint64   // LSN of the base
	running *checkpoint

	least   int64 // bound of every
	every   int64 // bytes after which the next is due
	pages   int64 // bytes of pages written since the last one began
	commits int   // since the last one began

	opened, closed atomic.Int64 // pins so far
}

// checkpoint is one change of the base: from the moment at which pin began.
type checkpoint struct {
	base    base
	pin     *bolt.Tx
	segment *segment // that follows base
	old     *segment // that becomes the next one
	oldPin  *bolt.Tx // nil at the start, and while the file is mapped anew
	keep    int64    // how large old may stay
	done    chan error
}

// begin makes the present state the next base: a read transaction keeps its pages,
// and the records that follow go into the next segment. The last checkpoint has
// ended.
func (s *Store) beginCheckpoint(keep int64) (*checkpoint, error) {
	c := &checkpoint{oldPin: s.checkpoints.pin, keep: keep, done: make(chan error, 1)}
	var err error
	if c.pin, c.base, err = s.pinState(); err != nil {
		return nil, err
	}
	c.old = s.wal.change()
	c.segment = s.wal.current
	k := &s.checkpoints
	k.pages, k.commits = 0, 0
	k.every = min(max(c.pin.Size()/checkpointShare, k.least), maxCheckpoint)
	k.running = c
	return c, nil
}

// pinState begins a read transaction and reads the meta that its state has in the
// file. Nothing is committed meanwhile.
func (s *Store) pinState() (*bolt.Tx, base, error) {
	btx, err := s.db.Begin(false)
	if err != nil {
		return nil, base{}, s.explain(err)
	}
	b := base{lsn: s.wal.lsn}
	at := meta{pageSize: int64(s.db.Info().PageSize), txid: uint64(btx.ID())}
	if _, err = s.file.ReadAt(b.meta[:], at.offset()); err == nil {
		if m, ok := b.meta.parse(); !ok || m.txid != at.txid {
			err = fmt.Errorf("the meta page of transaction %d is not in the file", at.txid)
		}
	}
	if err != nil {
		return nil, base{}, errors.Join(err, btx.Rollback())
	}
	s.checkpoints.opened.Add(1)
	s.limitFile(btx.Size())
	return btx, b, nil
}

// finish does what takes time: it may run beside the committer.
//
// If we die before the new base is flushed, recovery begins with the old one, whose
// pages are all there, and reads both segments. From then on the old segment, under
// whatever name, and the old base's pages mean nothing.
func (s *Store) finishCheckpoint(c *checkpoint) error {
	if err := s.flush(s.file); err != nil {
		return fmt.Errorf("flush the file: %w", err)
	}
	if err := s.wal.writeBase(c.segment, c.base); err != nil {
		return err
	}
	if err := s.unpin(c.oldPin); err != nil {
		return err
	}
	if err := c.old.recycle(s.path, c.segment.seq+1, c.keep); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(s.path))
}

// endCheckpoint waits for the running checkpoint, if there is one. A failed one
// breaks the store: what the file holds is unknown then.
func (s *Store) endCheckpoint() error {
	k := &s.checkpoints
	c := k.running
	if c == nil {
		return nil
	}
	err := <-c.done
	k.running, k.pin = nil, c.pin
	if err != nil {
		_ = s.unpin(c.oldPin) // which may have ended
		return s.breakDown(fmt.Errorf("checkpoint: %w", err))
	}
	s.wal.next, k.base = c.old, c.base.lsn
	return nil
}

// checkpoint makes the present state the base before it returns.
func (s *Store) checkpoint(keep int64) error {
	if err := s.endCheckpoint(); err != nil {
		return err
	}
	if s.checkpoints.base == s.wal.lsn && s.checkpoints.pin != nil {
		return nil
	}
	c, err := s.beginCheckpoint(keep)
	if err != nil {
		return err
	}
	c.done <- s.finishCheckpoint(c)
	return s.endCheckpoint()
}

// checkpointIfDue starts one in the background. It is called between groups.
func (s *Store) checkpointIfDue() {
	if s.wal == nil || s.broken.Load() != nil {
		return
	}
	k := &s.checkpoints
	if k.running != nil {
		if len(k.running.done) == 0 {
			return
		}
		if s.endCheckpoint() != nil {
			return
		}
	}
	if max(k.pages, s.wal.current.end) < k.every && k.commits < checkpointCommits {
		return
	}
	c, err := s.beginCheckpoint(k.every)
	if err != nil {
		_ = s.breakDown(fmt.Errorf("checkpoint: %w", err)) // who comes next is told
		return
	}
	go func() { c.done <- s.finishCheckpoint(c) }()
}

// firstBase makes the state that an open begins with the base of a new log.
func (s *Store) firstBase() error {
	pin, b, err := s.pinState()
	if err != nil {
		return err
	}
	k := &s.checkpoints
	k.pin, k.base, k.every = pin, b.lsn, k.least
	return s.wal.writeBase(s.wal.current, b)
}

// unpin lets bbolt use the pages of a former base.
func (s *Store) unpin(pin *bolt.Tx) error {
	if pin == nil {
		return nil
	}
	s.checkpoints.closed.Add(1)
	return pin.Rollback()
}

// spare reports whether a checkpoint would free anything.
func (s *Store) spare() bool {
	k := &s.checkpoints
	return k.commits > 0 || k.running != nil || s.wal.current.size > segmentMin || s.wal.next.size > segmentMin
}

package boltkv

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"sallyport/registry/kv"
)

// committer is what one group after another is built in. All of it is reused.
type committer struct {
	snap    *snapshot
	overlay *overlay
	group   []*update
	running *update  // whose fn has the goroutine
	btx     *bolt.Tx // open while a group is built
	changes []kv.Change
}

func newCommitter(s *Store) committer {
	return committer{snap: newSnapshot(s), overlay: newOverlay(len(s.tables))}
}

// run is the committer: it commits groups until the store is closed and nothing
// waits.
func (s *Store) run() {
	ended := false
	defer func() {
		if !ended { // runtime.Goexit in an update, as testing.T.FailNow does
			s.resume()
		}
	}()
	c := &s.committer
	for {
		s.queue.gather()
		last := s.closed.Load() // before take: after it nothing is pushed
		c.group = s.queue.take(c.group)
		switch {
		case len(c.group) > 0:
			s.commitGroup(c)
		case last:
			ended = true
			close(s.stopped)
			return
		default:
			<-s.queue.wake
		}
	}
}

// resume answers the update that ended the committer's goroutine and runs the
// rest of its group again on a new one.
func (s *Store) resume() {
	c := &s.committer
	if c.running == nil {
		panic("boltkv: an observer ended the committer's goroutine")
	}
	c.running.err = fmt.Errorf("%w: it ended its goroutine", kv.ErrPanic)
	c.running.answer()
	rest := make([]*update, 0, len(c.group))
	for _, u := range c.group {
		if u != c.running {
			u.err, u.settled = nil, false
			rest = append(rest, u)
		}
	}
	c.end()
	s.queue.requeue(rest)
	go s.run()
}

// answer lets the caller go on; u is the caller's again.
func (u *update) answer() { u.done <- struct{}{} }

// commitGroup runs the group's updates, commits what they wrote and answers
// them.
func (s *Store) commitGroup(c *committer) {
	err := s.runGroup(c)
	if err == nil && c.overlay.writes > 0 {
		err = s.write(c)
	}
	for _, u := range c.group {
		if err != nil && !u.settled {
			u.err = err
		}
		u.answer()
	}
	c.end()
	s.checkpointIfDue()
}

// runGroup runs each update on the overlay. It fails only if it cannot start.
func (s *Store) runGroup(c *committer) error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	btx, err := s.db.Begin(true)
	if err != nil {
		return s.explain(err)
	}
	c.btx = btx
	c.snap.begin(btx)
	for _, u := range c.group {
		c.running = u
		mark := c.overlay.mark()
		if u.err = s.call(u.fn, &tx{store: s, snap: c.snap, overlay: c.overlay}); u.err != nil {
			c.overlay.undo(mark)
		}
		c.overlay.forget()
		u.settled = c.overlay.writes == 0
	}
	c.running = nil
	return nil
}

// call runs fn and turns a panic into kv.ErrPanic.
func (s *Store) call(fn func(kv.Tx) error, t *tx) (err error) {
	defer func() {
		t.done = true
		if p := recover(); p != nil {
			s.log.Error("update panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", kv.ErrPanic, p)
		}
	}()
	return fn(t)
}

// write makes the overlay durable and visible. If it fails, nothing of the group
// is kept, or the store is broken.
func (s *Store) write(c *committer) error {
	c.snap.end()
	var start time.Time
	if s.onCommit != nil {
		start = s.now()
	}
	id, err := s.writeOnce(c)
	if err != nil && s.wal != nil && s.broken.Load() == nil {
		id, err = s.writeAgain(c, err)
	}
	if err != nil {
		return err // end rolls back
	}
	if s.onCommit != nil {
		s.onCommit(s.now().Sub(start), len(c.group))
	}
	if fns := s.observers.list(); len(fns) > 0 {
		c.changes = c.overlay.appendChanges(c.changes[:0], s.tables)
		for _, fn := range fns {
			fn(kv.Commit{ID: id, Changes: c.changes})
		}
		clear(c.changes)
	}
	return nil
}

// writeOnce returns the number of the group's commit.
func (s *Store) writeOnce(c *committer) (id uint64, err error) {
	switch {
	case s.wal == nil:
		return s.writeUnlogged(c)
	case s.mayOutgrow(c.btx, c.overlay):
		id, err = s.wal.lsn+1, s.writeUnpinned(c)
	default:
		id, err = s.wal.lsn+1, s.writeLogged(c)
	}
	return id, err
}

func (s *Store) writeUnlogged(c *committer) (uint64, error) {
	if err := c.overlay.apply(s, c.btx); err != nil {
		return 0, err
	}
	if err := s.commit(c.btx); err != nil {
		return 0, err
	}
	s.lsn++
	return s.lsn, nil
}

// writeLogged makes the group durable by its record, then visible.
func (s *Store) writeLogged(c *committer) error {
	if err := s.wal.append(groupRecord, c.overlay.appendWrites(s.wal.begin())); err != nil {
		return spaceError(err)
	}
	return s.commitLogged(c.btx, func(btx *bolt.Tx) error { return c.overlay.apply(s, btx) })
}

// commitLogged flushes the record that stands for btx, then commits it: nobody
// reads what is not durable. If the commit fails, the record is taken back.
//
// If we die after the flush, recovery commits the record instead.
func (s *Store) commitLogged(btx *bolt.Tx, apply func(*bolt.Tx) error) error {
	w := s.wal
	if err := w.flush(w.current.f); err != nil {
		return s.breakDown(fmt.Errorf("flush the log: %w", err))
	}
	w.accept()
	err := apply(btx)
	if err == nil {
		err = s.commit(btx)
	}
	if err == nil {
		st := btx.Stats()
		s.checkpoints.pages += st.GetPageAlloc()
		s.checkpoints.commits++
		return nil
	}
	if s.broken.Load() == nil {
		if aerr := w.abort(); aerr != nil {
			return s.breakDown(fmt.Errorf("%w; take its record back: %w", err, aerr))
		}
	}
	return err
}

// writeAgain tries once more, with err from the first time, if a checkpoint gives
// what was lacking: pages and parts of the log that only the old base needed, or
// leave to map the file anew.
func (s *Store) writeAgain(c *committer, err error) (uint64, error) {
	outgrown := errors.Is(err, berrors.ErrMaxSizeReached)
	if !outgrown && (!errors.Is(err, kv.ErrNoSpace) || !s.spare()) {
		return 0, err
	}
	_ = c.btx.Rollback() // it has ended if it was its commit that failed
	if err := s.checkpoint(segmentMin); err != nil {
		return 0, err
	}
	btx, err := s.db.Begin(true)
	if err != nil {
		return 0, s.explain(err)
	}
	c.btx = btx
	if outgrown {
		err = s.writeUnpinned(c)
	} else {
		err = s.writeLogged(c)
	}
	return s.wal.lsn, err
}

// commit commits btx, or decides what its failure means.
func (s *Store) commit(btx *bolt.Tx) error {
	id := btx.ID()
	if err := commit(btx); err != nil {
		return s.afterFailure(id, err)
	}
	return nil
}

// commit commits btx. bbolt panics if it cannot rebuild its list of free pages
// after a failed write.
func commit(btx *bolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", kv.ErrBroken, p)
		}
	}()
	return btx.Commit()
}

// afterFailure decides what a failed commit means. bbolt writes a group's pages,
// then the meta page that makes them current, and flushes each if there is no log
// that does it. Up to the meta nothing that counts has changed: bbolt has rolled
// back and the store goes on, for instance when there is space on the disk again.
// But if only the last flush failed, readers already see the new meta page while
// the disk may never get it; then nothing the store says can be trusted until the
// file has been read anew.
func (s *Store) afterFailure(id int, err error) error {
	if errors.Is(err, kv.ErrBroken) || !s.unchanged(id) {
		return s.breakDown(fmt.Errorf("commit: %w", err))
	}
	return fmt.Errorf("commit: %w", spaceError(err))
}

// breakDown makes err the answer to everything that follows.
func (s *Store) breakDown(err error) error {
	if !errors.Is(err, kv.ErrBroken) {
		err = fmt.Errorf("%w: %w", kv.ErrBroken, err)
	}
	s.broken.Store(&err)
	return err
}

// spaceError says so if it was space that lacked.
func spaceError(err error) error {
	if err != nil && noSpace(err) {
		return fmt.Errorf("%w: %w", kv.ErrNoSpace, err)
	}
	return err
}

// noSpace reports whether the file could not grow for want of space, quota or
// permitted size. bbolt keeps only the text of an error of the call that grows
// the file.
func noSpace(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, errno) || strings.HasSuffix(err.Error(), errno.Error()) {
			return true
		}
	}
	return false
}

// unchanged reports whether transaction id is still in the future for readers.
func (s *Store) unchanged(id int) bool {
	btx, err := s.db.Begin(false)
	if err != nil {
		return false
	}
	current := btx.ID()
	return btx.Rollback() == nil && current < id
}

// end forgets the group. A transaction that was not committed is rolled back;
// for one that was, that is an error without consequence.
func (c *committer) end() {
	c.snap.end()
	c.overlay.reset()
	if c.btx != nil {
		_ = c.btx.Rollback()
	}
	c.btx, c.running = nil, nil
	clear(c.group)
}

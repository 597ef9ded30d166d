package boltkv

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"

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

// write moves the overlay into the file and flushes it. If it fails, nothing of
// the group is in the file, or the store is broken.
func (s *Store) write(c *committer) error {
	id := c.btx.ID()
	c.snap.end()
	if err := c.overlay.apply(s, c.btx); err != nil {
		return err // end rolls back
	}
	if err := commit(c.btx); err != nil {
		return s.afterFailure(id, err)
	}
	if s.onCommit != nil {
		st := c.btx.Stats()
		s.onCommit(st.GetRebalanceTime()+st.GetSpillTime()+st.GetWriteTime(), len(c.group))
	}
	if fns := s.observers.list(); len(fns) > 0 {
		c.changes = c.overlay.appendChanges(c.changes[:0], s.tables)
		for _, fn := range fns {
			fn(kv.Commit{ID: uint64(id), Changes: c.changes})
		}
		clear(c.changes)
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
// flushes them, then writes the meta page that makes them current and flushes
// that. Up to there nothing that counts has changed: bbolt has rolled back and
// the store goes on, for instance when there is space on the disk again. But if
// only the last flush failed, readers already see the new meta page while the
// disk may never get it; then nothing the store says can be trusted until the
// file has been read anew.
func (s *Store) afterFailure(id int, err error) error {
	switch {
	case errors.Is(err, kv.ErrBroken):
		s.broken.Store(&err)
	case !s.unchanged(id):
		err = fmt.Errorf("%w: %w", kv.ErrBroken, err)
		s.broken.Store(&err)
	case noSpace(err):
		return fmt.Errorf("%w: %w", kv.ErrNoSpace, err)
	}
	return fmt.Errorf("commit: %w", err)
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

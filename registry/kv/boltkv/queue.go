package boltkv

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"sallyport/registry/kv"
)

// update is one call of Update on its way through the committer.
type update struct {
	fn      func(kv.Tx) error
	err     error
	settled bool          // err does not depend on the group's commit: nothing was pending
	done    chan struct{} // gets one value when err is final
}

// queue holds the updates that no group has taken yet.
type queue struct {
	wake chan struct{} // has one place: "look again"

	mu      sync.Mutex // protects waiting, and the setting of Store.closed
	waiting []*update
}

// push adds u at the end. It reports false, and adds nothing, once closed.
func (q *queue) push(u *update, closed *atomic.Bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if closed.Load() {
		return false
	}
	q.waiting = append(q.waiting, u)
	q.signal()
	return true
}

// withdraw takes u back out. It reports false if a group has taken it.
func (q *queue) withdraw(u *update) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, u)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// gather steps aside for as long as that brings new updates: callers that the
// last commit answered get to join the next one, which doubles its size. It is
// no delay: with nobody else to run it takes less than a microsecond, and on a
// busy machine it ends after the first round that brings nothing.
func (q *queue) gather() {
	for seen := -1; ; {
		n := q.len()
		if n <= seen {
			return
		}
		seen = n
		runtime.Gosched()
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// take moves everything that waits into group, whose elements it overwrites.
func (q *queue) take(group []*update) []*update {
	q.mu.Lock()
	defer q.mu.Unlock()
	group, q.waiting = q.waiting, group[:0]
	return group
}

// requeue puts updates back in front of those that came later.
func (q *queue) requeue(group []*update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.Concat(group, q.waiting)
	q.signal()
}

// close lets nothing more in. It reports false if that was done before.
func (q *queue) close(closed *atomic.Bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if closed.Swap(true) {
		return false
	}
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // the committer has yet to see the last signal
	}
}

// Update implements kv.Store. fn runs on the committer's goroutine.
func (s *Store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	u := &update{fn: fn, done: make(chan struct{}, 1)}
	if !s.queue.push(u, &s.closed) {
		return kv.ErrClosed
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		if s.queue.withdraw(u) {
			return ctx.Err()
		}
		<-u.done
	}
	return u.err
}

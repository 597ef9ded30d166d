package registry

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxClockJump is how far the wall clock may run ahead of the monotonic clock
// before expiry and sweeps wait for an operator.
const maxClockJump = 5 * time.Minute

// clock gives the ledger's time: the wall clock, but never before the last
// committed time, in whole milliseconds. A wall clock that is set back
// therefore reorders nothing and revives nothing.
type clock struct {
	wall    func() time.Time
	elapsed func() time.Duration // monotonic, since the process began
	last    atomic.Int64         // milliseconds: the latest time given to a transaction

	mu sync.Mutex // protects the fields below
	// At monotonic time mono the wall clock showed at, and was believed.
	at   time.Time
	mono time.Duration
}

func newClock(wall func() time.Time, elapsed func() time.Duration) *clock {
	if elapsed == nil {
		start := wall()
		elapsed = func() time.Duration { return wall().Sub(start) }
	}
	return &clock{wall: wall, elapsed: elapsed, at: wall().Round(0), mono: elapsed()}
}

// now returns the ledger's time, UTC.
func (c *clock) now() time.Time {
	return time.UnixMilli(max(c.wall().UnixMilli(), c.last.Load())).UTC()
}

// tick returns the ledger's time for a transaction; no later one gets an
// earlier time.
func (c *clock) tick() time.Time {
	for {
		last := c.last.Load()
		now := max(c.wall().UnixMilli(), last)
		if c.last.CompareAndSwap(last, now) {
			return time.UnixMilli(now).UTC()
		}
	}
}

// jump returns how far the wall clock ran ahead of the monotonic clock, if
// that is too far, and 0 if not.
func (c *clock) jump() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.elapsed()
	ahead := c.wall().Round(0).Sub(c.at) - (mono - c.mono)
	if ahead > maxClockJump {
		return ahead
	}
	return 0
}

func (c *clock) accept() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.mono = c.wall().Round(0), c.elapsed()
}

// Now returns the ledger's time: the wall clock, but never before the last
// committed time.
func (l *Ledger) Now() time.Time { return l.clock.now() }

// ClockJump returns by how much the wall clock leapt ahead of the monotonic
// clock, or 0 while that is at most five minutes. As long as it is not 0,
// ExpireDue, CondemnDeadIntents and Forget do nothing and return ErrClockJumped.
func (l *Ledger) ClockJump() time.Duration { return l.clock.jump() }

// AcceptClock is an operator's word that the time the wall clock shows now is
// right: expiry and sweeps go on.
func (l *Ledger) AcceptClock(ctx context.Context, by Actor) error {
	jump := l.clock.jump()
	if jump == 0 {
		return nil
	}
	err := l.change(ctx, by, func(t *txn) error {
		_, err := t.record(t.event(EventClockAccepted, by))
		return err
	})
	if err != nil {
		return fmt.Errorf("accept clock: %w", err)
	}
	l.clock.accept()
	return nil
}

// clockSound refuses what would do harm under a clock that nobody believes.
func (l *Ledger) clockSound() error {
	if l.clock.jump() != 0 {
		return ErrClockJumped
	}
	return nil
}

package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"sallyport/registry/kv"
)

// faults is a kv.Store whose commits fail on command, as a real one can: before,
// with nothing written, or after, with everything written and the store broken
// until it is opened again.
type faults struct {
	kv.Store

	mu     sync.Mutex // protects the fields below
	nth    int        // which update fails, 1 = the next; 0 = none
	after  bool
	broken bool
	held   chan struct{} // the next update waits for it to close; nil: none does
	atHold chan struct{}
}

var errFault = errors.New("the commit failed on command")

func (f *faults) fail(nth int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nth, f.after = nth, after
}

// hold makes the next update wait, tells when it does, and lets it go.
func (f *faults) hold() (reached <-chan struct{}, release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held, atHold := make(chan struct{}), make(chan struct{})
	f.held, f.atHold = held, atHold
	return atHold, func() { close(held) }
}

// wait waits if this update is held.
func (f *faults) wait() {
	f.mu.Lock()
	held, atHold := f.held, f.atHold
	f.held = nil
	f.mu.Unlock()
	if held != nil {
		close(atHold)
		<-held
	}
}

func (f *faults) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nth, f.broken = 0, false
}

func (f *faults) isBroken() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

// counting counts updates.
type counting struct {
	kv.Store
	mu      sync.Mutex // protects the field below
	updates int
}

func (c *counting) Update(ctx context.Context, fn func(kv.Tx) error) error {
	c.mu.Lock()
	c.updates++
	c.mu.Unlock()
	return c.Store.Update(ctx, fn)
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.updates
}

// scanSoon is longer than any retry of a scan in these tests waits.
const scanSoon = time.Minute

// enter returns whether this update fails after taking effect, or its error.
func (f *faults) enter() (after bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return false, kv.ErrBroken
	}
	if f.nth == 0 {
		return false, nil
	}
	if f.nth--; f.nth > 0 {
		return false, nil
	}
	if f.after {
		f.broken = true
		return true, nil
	}
	return false, errFault
}

func (f *faults) Update(ctx context.Context, fn func(kv.Tx) error) error {
	f.wait()
	after, err := f.enter()
	if err != nil {
		return err
	}
	err = f.Store.Update(ctx, fn)
	if err == nil && after {
		return kv.ErrBroken
	}
	return err
}

func (f *faults) View(ctx context.Context, fn func(kv.Tx) error) error {
	f.mu.Lock()
	broken := f.broken
	f.mu.Unlock()
	if broken {
		return kv.ErrBroken
	}
	return f.Store.View(ctx, fn)
}

// body is a request's body in memory.
type body struct {
	io.Reader
	interrupted chan struct{}
	once        sync.Once
}

func bodyOf(b []byte) *body { return bodyFrom(bytes.NewReader(b)) }

func bodyFrom(r io.Reader) *body { return &body{Reader: r, interrupted: make(chan struct{})} }

func (b *body) Interrupt() { b.once.Do(func() { close(b.interrupted) }) }

var errInterrupted = errors.New("interrupted")

// stall is a reader that gives what it has and then waits for its interruption.
type stall struct {
	body
	data    []byte
	waiting chan struct{}
	began   sync.Once
}

func stalling(data []byte) *stall {
	return &stall{body: body{interrupted: make(chan struct{})}, data: data, waiting: make(chan struct{})}
}

func (s *stall) Read(p []byte) (int, error) {
	if n := copy(p, s.data); n > 0 {
		s.data = s.data[n:]
		return n, nil
	}
	s.began.Do(func() { close(s.waiting) })
	<-s.interrupted
	return 0, errInterrupted
}

// gate is a body that waits before its last byte until it is let go.
type gate struct {
	body
	data    []byte
	reached chan struct{}
	open    chan struct{}
	began   sync.Once
}

func gated(data []byte) *gate {
	return &gate{body: body{interrupted: make(chan struct{})}, data: data, reached: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) Read(p []byte) (int, error) {
	if len(g.data) == 0 {
		return 0, io.EOF
	}
	if len(g.data) == 1 {
		g.began.Do(func() { close(g.reached) })
		select {
		case <-g.open:
		case <-g.interrupted:
			return 0, errInterrupted
		}
	}
	n := copy(p[:min(len(p), max(1, len(g.data)-1))], g.data)
	g.data = g.data[n:]
	return n, nil
}

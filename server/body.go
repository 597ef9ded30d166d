package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
)

// What Body.Read ends in, besides io.EOF at the declared end and
// io.ErrUnexpectedEOF when the client stopped before it.
var (
	ErrBodyStalled     = errors.New("request body stalled")
	ErrBodyTooSlow     = errors.New("request body too slow")
	ErrBodyInterrupted = errors.New("request body interrupted")
	ErrBodyFinished    = errors.New("request body read after its request ended")
	ErrBodyTooLarge    = errors.New("request body too large") // ReadAll only
)

// Body is the body of a request, read as it arrives. Each wait for bytes is bounded,
// and so is the average rate; the time in which nobody reads does not count against
// the client. One goroutine may Read while others Interrupt or Finish.
type Body struct {
	t *turn

	interrupted, finished atomic.Bool
	kick                  sync.Mutex // held to set a deadline in the past, so that it cannot hit a later request

	mu       sync.Mutex // held during Read; guards the fields below
	src      io.Reader  // fasthttp's pooled stream; nil once there is nothing more to read
	count    int64
	complete bool // the end was reached: the next byte on the wire starts a request
	err      error
	armed    time.Time
	waited   time.Duration
}

// BodyOf returns the body of the request that c handles.
func BodyOf(c *fiber.Ctx) *Body {
	t := turnOf(c.Context())
	if t == nil {
		return &Body{t: &turn{length: NoLength}, complete: true, err: io.EOF}
	}
	return &t.body
}

func (b *Body) open(t *turn, src io.Reader) {
	b.t = t
	if !t.hasBody() || t.refusal != nil || t.fault != nil {
		b.complete, b.err = !t.hasBody(), io.EOF
		return
	}
	b.src = src
}

// ContentLength returns the declared length in bytes, Chunked or NoLength.
func (b *Body) ContentLength() int64 { return b.t.length }

// Read reads the next bytes. Its errors are sticky.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished.Load() {
		return 0, ErrBodyFinished
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	start := b.arm()
	// After arming: a kick between the last look and the new deadline would be lost.
	if b.finished.Load() {
		return 0, ErrBodyFinished
	}
	if b.interrupted.Load() {
		b.err = ErrBodyInterrupted
		return 0, b.err
	}
	n, err := b.src.Read(p)
	b.count += int64(n)
	if b.t.length >= 0 && b.count >= b.t.length {
		b.complete = true
	}
	b.err = b.explain(err, start)
	if n > 0 && b.err == io.EOF {
		return n, nil
	}
	return n, b.err
}

// arm rolls the read deadline; a quarter of it may have been used up already.
func (b *Body) arm() time.Time {
	l := b.t.conn.l
	now := l.cfg.Now()
	if b.armed.IsZero() || now.Sub(b.armed) > l.cfg.Limits.BodyIdle/4 {
		b.armed = now
		// Fails on a closed connection only, which the read reports.
		_ = b.t.conn.SetReadDeadline(now.Add(l.cfg.Limits.BodyIdle))
	}
	return now
}

// explain turns what the stream said into what it means. The stream says io.EOF also
// when the client went away early.
func (b *Body) explain(err error, start time.Time) error {
	l := b.t.conn.l
	b.waited += l.cfg.Now().Sub(start)
	lim := l.cfg.Limits
	switch {
	case b.complete:
		return io.EOF
	case b.t.cut.Load(), b.interrupted.Load() && err != nil:
		return ErrBodyInterrupted
	// fasthttp says EOF also when the connection ended between two chunks; the last
	// chunk has been read without anybody meeting the connection's end.
	case err == io.EOF && b.t.length == Chunked && !b.t.conn.ended.Load():
		b.complete = true
		return io.EOF
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrBodyStalled
	case err != nil && isNetError(err):
		return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	case err != nil:
		return fmt.Errorf("read request body: %w", err)
	case b.waited > lim.MinRateGrace && tooSlow(b.count, b.waited, lim.MinRate):
		return ErrBodyTooSlow
	default:
		return nil
	}
}

func isNetError(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.ErrUnexpectedEOF)
}

// ReadAll returns the whole body, or ErrBodyTooLarge without reading on if it is
// longer than limit bytes.
func (b *Body) ReadAll(limit int64) ([]byte, error) {
	if b.t.length > limit {
		return nil, ErrBodyTooLarge
	}
	buf := make([]byte, 0, min(max(b.t.length, 0), 64<<10)+1)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := b.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, ErrBodyTooLarge
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// Interrupt makes a Read that waits, and every later one, return
// ErrBodyInterrupted. It may be called from any goroutine at any time and does
// nothing once the body is finished.
func (b *Body) Interrupt() {
	b.kick.Lock()
	defer b.kick.Unlock()
	if !b.finished.Load() && b.t.conn != nil {
		b.interrupted.Store(true)
		_ = b.t.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// Finish is the fence: once it returns, no Read touches the connection any more, not
// even one that another goroutine still waits in; it ends that one. The listener
// calls it after every handler; a handler calls it earlier to be sure that its answer
// does not race with readers it has lost sight of.
func (b *Body) Finish() {
	b.kick.Lock()
	b.finished.Store(true)
	waiting := !b.mu.TryLock()
	if waiting {
		_ = b.t.conn.SetReadDeadline(time.Unix(1, 0))
	}
	b.kick.Unlock()
	if waiting {
		b.mu.Lock()
	}
	b.src = nil
	b.mu.Unlock()
}

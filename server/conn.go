package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// conn is an accepted TCP connection. It embeds the concrete type, so that the
// kernel can move file bytes by itself (sendfile).
//
// Reads and writes happen on the goroutine that serves the connection, and in
// whatever reads a Body; abort may be called from anywhere.
type conn struct {
	*net.TCPConn
	l     *Listener
	isTLS bool

	linger   atomic.Bool // unread request bytes are expected when the connection closes
	received atomic.Bool // a byte has arrived
	ended    atomic.Bool // no more will
	broken   atomic.Bool // a write failed
	mute     atomic.Bool // what is written is swallowed
	closed   atomic.Bool

	mu   sync.Mutex
	turn *turn // the exchange under way; nil between two

	// The serving goroutine's own.
	armed  time.Time     // when the write deadline was last set
	probe  bool          // it passed without a byte sent: one short try is left
	sent   int64         // bytes of the current answer that the kernel took
	waited time.Duration // for the client to take them, as far as deadlines were met
}

// tlsConn is TLS over a conn. fasthttp knows it as TLS by its methods.
type tlsConn struct {
	*tls.Conn
	raw *conn
}

// connOf returns the connection under ctx, nil if no Listener accepted it.
func connOf(ctx *fasthttp.RequestCtx) *conn {
	return rawConn(ctx.Conn())
}

func rawConn(nc net.Conn) *conn {
	switch c := nc.(type) {
	case *conn:
		return c
	case *tlsConn:
		return c.raw
	default:
		return nil
	}
}

// Read notes what arrived and what never will.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.note(n, err)
	return n, err
}

func (c *conn) note(n int, err error) {
	if n > 0 && !c.received.Load() {
		c.received.Store(true)
	}
	if n == 0 && err == io.EOF {
		c.ended.Store(true)
	}
}

// Read reads decrypted bytes. TLS may report the end together with the last bytes;
// here it comes after them, as on plain TCP, so that ended says whether anybody had to
// wait for more in vain.
func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		err = nil // crypto/tls repeats it
	}
	c.raw.note(n, err)
	return n, err
}

// Write sends p whole, however slowly the client takes it, as long as it takes
// something within every BodyIdle and keeps to the minimum rate.
func (c *conn) Write(p []byte) (n int, err error) {
	if c.mute.Load() {
		return len(p), nil
	}
	for {
		c.arm()
		m, err := c.TCPConn.Write(p[n:])
		n += m
		c.sent += int64(m)
		if err == nil {
			c.probed()
			return n, nil
		}
		if !c.mayGoOn(int64(m), err) {
			c.broken.Store(true)
			return n, err
		}
	}
}

// sendSlice is how much of a file goes out between two looks at the deadline.
const sendSlice = 4 << 20

// ReadFrom lets the kernel send a limited file; anything else is copied.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	lr, ok := r.(*io.LimitedReader)
	if _, file := lrFile(lr, ok); !file || c.mute.Load() {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	for left := lr.N; left > 0; {
		want := min(left, sendSlice)
		lr.N = want
		c.arm()
		m, err := c.TCPConn.ReadFrom(lr)
		n, left = n+m, left-m
		c.sent += m
		// A deadline in the middle of a slice is no failure while bytes moved, but only
		// if nothing was taken from the file that was not sent (the kernel path).
		consumed := want - lr.N
		switch {
		case err == nil && m == want:
			c.probed()
		case err == nil: // the file is shorter than promised
			lr.N = left
			return n, nil
		case consumed == m && c.mayGoOn(m, err):
		default:
			c.broken.Store(true)
			lr.N = left
			return n, err
		}
	}
	lr.N = 0
	return n, nil
}

func lrFile(lr *io.LimitedReader, ok bool) (*os.File, bool) {
	if !ok {
		return nil, false
	}
	f, isFile := lr.R.(*os.File)
	return f, isFile
}

// arm rolls the write deadline forward. Setting it costs as much as a small system
// call, so it is set again only after a quarter of it has passed.
func (c *conn) arm() {
	now := c.l.cfg.Now()
	idle := c.l.cfg.Limits.BodyIdle
	if !c.armed.IsZero() && now.Sub(c.armed) < idle/4 {
		return
	}
	c.armed = now
	if c.probe {
		idle /= 8
	}
	// An error here is one of a closed connection, which the write reports.
	_ = c.SetWriteDeadline(now.Add(idle))
}

// probed ends a probe that succeeded, and its short deadline.
func (c *conn) probed() {
	if c.probe {
		c.probe, c.armed = false, time.Time{}
	}
}

// mayGoOn reports whether a write that ended in err after m bytes is to be continued:
// it merely met its deadline, and the client is not too slow overall. Without a byte
// moved there is one more try, since Linux wakes a writer only when a third of the
// send buffer is free again: megabytes, for which an honest client may take longer.
func (c *conn) mayGoOn(m int64, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || m == 0 && c.probe {
		return false
	}
	c.probe = m == 0
	lim := c.l.cfg.Limits
	c.waited += c.l.cfg.Now().Sub(c.armed)
	c.armed = time.Time{}
	return c.waited <= lim.MinRateGrace || !tooSlow(c.sent, c.waited, lim.MinRate)
}

func tooSlow(n int64, waited time.Duration, rate int64) bool {
	return rate > 0 && float64(n) < float64(rate)*waited.Seconds()
}

// Close ends the connection from the serving side: it records the exchange, unless
// that still runs (fasthttp closes connections it takes for idle from its shutdown),
// and lingers if request bytes were left unread.
func (c *conn) Close() error {
	if t := c.current(); t != nil && t.settled.Load() {
		c.l.finish(c)
	}
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.linger.Load() && !c.broken.Load() && !c.mute.Load() {
		c.discard()
	}
	c.l.forget(c)
	return c.TCPConn.Close()
}

// discard shuts the write side and throws away what the client still sends, so that
// it gets to read the answer: closing with unread bytes would reset the connection
// and the client would see that instead.
func (c *conn) discard() {
	select {
	case c.l.lingering <- struct{}{}:
		defer func() { <-c.l.lingering }()
	default:
		return
	}
	lim := c.l.cfg.Limits
	if c.CloseWrite() != nil || c.SetReadDeadline(c.l.cfg.Now().Add(lim.LingerTime)) != nil {
		return
	}
	// Ends with the client's own close, the deadline or the limit; all the same to us.
	_, _ = io.Copy(io.Discard, io.LimitReader(struct{ io.Reader }{c.TCPConn}, lim.LingerBytes))
}

// abort resets the connection at once; bytes still queued in the kernel are dropped.
// The serving goroutine notices by its next read or write.
func (c *conn) abort() {
	_ = c.SetLinger(0)
	_ = c.TCPConn.Close()
}

// begin makes t the exchange under way.
func (c *conn) begin(t *turn) {
	c.mu.Lock()
	c.turn = t
	c.mu.Unlock()
	c.sent, c.waited = 0, 0
}

// end takes the exchange under way off the connection.
func (c *conn) end() *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.turn
	c.turn = nil
	return t
}

func (c *conn) current() *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turn
}

// cut aborts the connection if t is still under way on it: a later exchange on the
// same connection is none of the caller's business.
func (c *conn) cut(t *turn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn == t {
		t.cut.Store(true)
		c.abort()
	}
}

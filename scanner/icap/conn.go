package icap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxHead bounds the head of one answer, in bytes.
const maxHead = 64 << 10

var (
	errTooLarge = errors.New("icap: the body is over the limit")
	// errGarbage: whoever answers does not speak ICAP.
	errGarbage = errors.New("icap: the answer is not ICAP's")
	// errSilent: the service has not answered for too long.
	errSilent = errors.New("icap: no answer in time")
)

// status is an answer that is no verdict.
type status int

func (s status) Error() string { return "icap: status " + strconv.Itoa(int(s)) }

// conn is a connection for one request. ICAP allows more, but a service may close an idle one
// at any time, and a body can be sent but once. It ends with its context.
type conn struct {
	net.Conn
	ctx    context.Context
	stop   func() bool
	engine *Engine
	head   io.LimitedReader // under in: it bounds heads
	in     *bufio.Reader
	// sent is closed when all of a body was sent, from when on the service has Timeout. It is nil for a
	// request without one: that is answered at once, or never.
	sent chan struct{}
}

func (e *Engine) dial(ctx context.Context) (*conn, error) {
	d := net.Dialer{Timeout: e.cfg.Patience}
	raw, err := d.DialContext(ctx, "tcp", e.url.Host)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, down(err)
	}
	e.m.connections.Inc()
	c := &conn{Conn: raw, ctx: ctx, engine: e}
	c.stop = context.AfterFunc(ctx, func() { _ = raw.Close() })
	c.head.R = c
	c.in = bufio.NewReader(&c.head)
	return c, nil
}

func (c *conn) close() {
	c.stop()
	_ = c.Close()
}

// request is the head of a request, ended.
func (c *conn) request(method string, lines ...string) string {
	u := c.engine.url
	return method + " " + u.String() + " ICAP/1.0\r\nHost: " + u.Host + "\r\nUser-Agent: Sallyport\r\n" +
		strings.Join(append(lines, "Connection: close"), "\r\n") + "\r\n\r\n"
}

// answer reads the head of an answer.
func (c *conn) answer() (code int, header textproto.MIMEHeader, err error) {
	first, header, err := c.readHead()
	if err != nil {
		return 0, nil, err
	}
	version, rest, _ := strings.Cut(first, " ")
	word, _, _ := strings.Cut(rest, " ")
	if code, err = strconv.Atoi(word); version != "ICAP/1.0" || err != nil || code < 100 || code > 599 {
		return 0, nil, fmt.Errorf("%w: %.80q", errGarbage, first)
	}
	return code, header, nil
}

// readHead reads a first line and headers.
func (c *conn) readHead() (first string, header textproto.MIMEHeader, err error) {
	c.head.N = maxHead
	text := textproto.NewReader(c.in)
	if first, err = text.ReadLine(); err == nil {
		header, err = text.ReadMIMEHeader()
	}
	var protocol textproto.ProtocolError
	switch {
	case err == nil:
		c.head.N = math.MaxInt64
		return first, header, nil
	case c.head.N <= 0:
		return "", nil, fmt.Errorf("%w: its head has no end", errGarbage)
	case errors.As(err, &protocol):
		return "", nil, fmt.Errorf("%w: %w", errGarbage, err)
	}
	return "", nil, fmt.Errorf("icap: the connection was lost: %w", err)
}

// Read reads what the service says. While it says nothing about a body, it is asked
// whether it is alive.
func (c *conn) Read(p []byte) (int, error) {
	for waited := time.Duration(0); ; {
		if err := c.SetReadDeadline(c.engine.cfg.Now().Add(c.engine.cfg.Patience)); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if c.sent == nil {
			return 0, errSilent
		}
		select {
		case <-c.sent:
			waited += c.engine.cfg.Patience
		default: // it waits for us
		}
		if err := c.alive(waited); err != nil {
			return 0, err
		}
	}
}

// Write sends p. While the service takes nothing, it is asked whether it is alive.
func (c *conn) Write(p []byte) (int, error) {
	done := 0
	for waited := time.Duration(0); ; {
		if err := c.SetWriteDeadline(c.engine.cfg.Now().Add(c.engine.cfg.Patience)); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(p[done:])
		if done += n; !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
		if n > 0 {
			waited = 0
		}
		waited += c.engine.cfg.Patience
		if err := c.alive(waited); err != nil {
			return done, err
		}
	}
}

// alive tells why it is of no use to wait on.
func (c *conn) alive(waited time.Duration) error {
	if _, err := c.engine.fetch(c.ctx); err != nil {
		return down(err)
	}
	if waited >= c.engine.cfg.Timeout {
		return errSilent
	}
	return nil
}

package s3blob

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	// expectFrom is the body size from which the service is asked to agree
	// before the body is sent: a refusal, or a connection that died while
	// idle, then costs no byte of a body that cannot be read again.
	expectFrom = 1 << 20
	// agreeTimeout is for services that know no 100 Continue.
	agreeTimeout = 2 * time.Second
)

var errSilent = errors.New("s3blob: the service fell silent")

// newTransport returns a transport for one service, HTTP/1.1 only. A connection
// without traffic is closed after silence, whether it idles or a request is
// stuck on it.
func newTransport(silence time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return watch(c, silence), nil
		},
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: agreeTimeout,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       silence / 2,
		DisableCompression:    true,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
}

// conn closes itself when neither side says anything for too long. A deadline
// per request would end long transfers, and one per read would end a read of
// the answer while a long body is still being sent.
type conn struct {
	net.Conn
	silence time.Duration
	timer   *time.Timer
	silent  atomic.Bool // closed by the timer
}

func watch(c net.Conn, silence time.Duration) *conn {
	w := &conn{Conn: c, silence: silence}
	w.timer = time.AfterFunc(silence, func() {
		w.silent.Store(true)
		w.Conn.Close()
	})
	return w
}

func (c *conn) touch() { c.timer.Reset(c.silence) }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.after(n, err)
}

func (c *conn) Write(p []byte) (int, error) {
	c.touch()
	n, err := c.Conn.Write(p)
	return n, c.after(n, err)
}

// copyBuffers are what request bodies go through. net/http's own is 32 KiB, which
// costs a large body eight times the system calls.
var copyBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// ReadFrom is what net/http sends a body with.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[256 << 10]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{r}, buf[:])
}

func (c *conn) after(n int, err error) error {
	if n > 0 {
		c.touch()
	}
	if err != nil && c.silent.Load() {
		return errSilent
	}
	return err
}

func (c *conn) Close() error {
	c.timer.Stop()
	return c.Conn.Close()
}

// patience keeps the connection of a request alive while it is our side that
// lets the service wait: a body that arrives slowly.
type patience struct{ c atomic.Pointer[conn] }

func (p *patience) with(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		under := info.Conn
		if secure, ok := under.(*tls.Conn); ok {
			under = secure.NetConn()
		}
		if c, ok := under.(*conn); ok {
			p.c.Store(c)
		}
	}})
}

func (p *patience) touch() {
	if c := p.c.Load(); c != nil {
		c.touch()
	}
}

// expecter adds Expect: 100-continue to requests with a large body.
type expecter struct{ next http.RoundTripper }

func (e expecter) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.ContentLength >= expectFrom {
		req = req.Clone(req.Context())
		req.Header.Set("Expect", "100-continue") // after signing: it concerns the hop only
	}
	return e.next.RoundTrip(req)
}

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// TLSFiles names a certificate chain and its private key, both PEM. The files are
// looked at again while connections arrive, so that a renewed certificate is picked
// up without a restart; a pair that does not load is logged and the old one kept.
type TLSFiles struct {
	Cert, Key string
}

// Limits bounds what a client may cost. The zero of every field is its default.
type Limits struct {
	HeaderTimeout  time.Duration // from the first byte of a request, or the connection, to the end of its header; 10 s
	BodyIdle       time.Duration // longest wait for the next byte of a body, and for a client to take the next byte of an answer; 30 s
	Idle           time.Duration // keep-alive between two requests; 60 s
	MinRate        int64         // bytes per second, averaged over the time spent waiting for the client; 1,024; negative: none
	MinRateGrace   time.Duration // waiting time after which MinRate holds; 30 s
	MaxConns       int           // open connections; those above are answered 503 and closed; 8,192
	MaxHeaderBytes int           // request line and header fields together; 16 KiB; also the read buffer of a connection
	LingerTime     time.Duration // how long an unread body is discarded after the answer; 2 s
	LingerBytes    int64         // how much of it; 64 MiB
	MaxLingering   int           // connections discarding at once; those above are closed without; 256
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.HeaderTimeout, 10*time.Second)
	orDefault(&l.BodyIdle, 30*time.Second)
	orDefault(&l.Idle, 60*time.Second)
	orDefault(&l.MinRate, 1024)
	orDefault(&l.MinRateGrace, 30*time.Second)
	orDefault(&l.MaxConns, 8192)
	orDefault(&l.MaxHeaderBytes, 16<<10)
	orDefault(&l.LingerTime, 2*time.Second)
	orDefault(&l.LingerBytes, 64<<20)
	orDefault(&l.MaxLingering, 256)
	return l
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Config is everything a Listener needs. Name, Addr, Log, Now and Routes are required.
type Config struct {
	Name   string    // s3, control or ops: the "listener" label of metrics and logs
	Addr   string    // host:port to bind; port 0 picks a free one
	TLS    *TLSFiles // nil: plain HTTP
	Limits Limits

	Log *slog.Logger
	// Now gives the wall clock with its monotonic part (time.Now). Deadlines on
	// sockets are computed from it.
	Now func() time.Time
	// NewID makes request ids; nil: 16 random hex digits.
	NewID func() string
	// IDHeader is the response header that carries the request id,
	// x-amz-request-id or X-Request-Id; empty: X-Request-Id.
	IDHeader string
	// Proxies are believed when they say who the client is and whether it came by TLS.
	Proxies TrustedProxies

	// Admit decides on the header alone whether a request may go on. It runs on the
	// connection's own goroutine before "100 Continue" is sent and before any body
	// byte is read; it may block, must not take effect, and may leave its findings
	// for the handler with ctx.SetUserValue. The request line and all header fields
	// are as they came on the wire; ctx's body and response are not to be touched.
	// nil admits everything; returning nil goes on.
	Admit func(ctx *fasthttp.RequestCtx) *Refusal
	// Routes lays out the handlers. Routing is strict and case-sensitive.
	Routes func(app *fiber.App)
	// RenderError writes the protocol's own error answer for a fault that the
	// listener found by itself. It sets status and body; nil: a plain-text line.
	RenderError func(ctx *fasthttp.RequestCtx, f Fault)
	// Observe is called once per exchange, after its last byte was sent or its
	// connection broke, on the connection's goroutine: blocking in it holds up this
	// client only. It may keep the Exchange.
	Observe func(*Exchange)
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Name == "":
		return c, errors.New("server: a listener needs a name")
	case c.Addr == "":
		return c, fmt.Errorf("server %s: no address", c.Name)
	case c.Log == nil:
		return c, fmt.Errorf("server %s: no log", c.Name)
	case c.Now == nil:
		return c, fmt.Errorf("server %s: no clock", c.Name)
	case c.Routes == nil:
		return c, fmt.Errorf("server %s: no routes", c.Name)
	}
	c.Limits = c.Limits.withDefaults()
	if c.NewID == nil {
		c.NewID = randomID
	}
	orDefault(&c.IDHeader, "X-Request-Id")
	if c.RenderError == nil {
		c.RenderError = renderPlain
	}
	return c, nil
}

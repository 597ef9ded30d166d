package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Listener is one port with its connections. Its methods may be called from any
// goroutine.
type Listener struct {
	cfg     Config
	srv     *fasthttp.Server
	routes  fasthttp.RequestHandler
	metrics *metrics
	// accessLog is cfg.Log for lines that name the listener.
	accessLog *slog.Logger
	certs     *certificates // nil: plain

	lingering chan struct{} // a token per connection that discards
	rejecting chan struct{} // a token per connection being told that there are too many

	stopped chan struct{} // closed when serving has ended

	mu     sync.Mutex // guards the fields below
	ln     *net.TCPListener
	conns  map[*conn]struct{}
	served error
}

// New makes a listener. It reads the certificate files and lays out the routes, but
// does not bind yet.
func New(cfg Config) (*Listener, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := verifyContextOf(); err != nil {
		return nil, err
	}
	l := &Listener{
		cfg:       cfg,
		accessLog: cfg.Log.With("listener", cfg.Name),
		lingering: make(chan struct{}, cfg.Limits.MaxLingering),
		rejecting: make(chan struct{}, maxRejecting),
		stopped:   make(chan struct{}),
		conns:     make(map[*conn]struct{}),
	}
	l.metrics = newMetrics(l)
	if cfg.TLS != nil {
		if l.certs, err = loadCertificates(*cfg.TLS, cfg.Now, cfg.Log); err != nil {
			return nil, fmt.Errorf("server %s: %w", cfg.Name, err)
		}
	}
	app := fiber.New(fiber.Config{
		ErrorHandler:  l.routeError,
		StrictRouting: true,
		CaseSensitive: true,
	})
	cfg.Routes(app)
	l.routes = app.Handler()
	l.srv = l.fasthttpServer()
	return l, nil
}

// fasthttpServer is Fiber's engine, set up here rather than by Fiber, which has no
// words for half of it.
func (l *Listener) fasthttpServer() *fasthttp.Server {
	lim := l.cfg.Limits
	return &fasthttp.Server{
		Handler:        l.serve,
		HeaderReceived: l.headerReceived,
		ErrorHandler:   l.readError,
		ConnState: func(nc net.Conn, s fasthttp.ConnState) {
			if s == fasthttp.StateIdle || s == fasthttp.StateClosed {
				l.finish(rawConn(nc))
			}
		},
		ReadTimeout:     lim.HeaderTimeout, // the header's only: the hook hands over to the body
		IdleTimeout:     lim.Idle,
		ReadBufferSize:  lim.MaxHeaderBytes,
		WriteBufferSize: 16 << 10, // a small object leaves with its header in one write
		// Connections are counted by accept; the workers must never be what runs out.
		Concurrency:                  lim.MaxConns + 1024,
		MaxRequestBodySize:           math.MaxInt,
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
		SecureErrorLogMessage:        true,
		Logger:                       silent{},
	}
}

// silent drops fasthttp's own log lines: what they could say of use is in the access
// log, and they quote addresses and header bytes.
type silent struct{}

func (silent) Printf(string, ...any) {}

// Start binds the address and serves in the background until Shutdown.
func (l *Listener) Start() error {
	ln, err := net.Listen("tcp", l.cfg.Addr)
	if err != nil {
		return fmt.Errorf("server %s: %w", l.cfg.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ln != nil {
		return errors.Join(fmt.Errorf("server %s: started twice", l.cfg.Name), ln.Close())
	}
	l.ln = ln.(*net.TCPListener)
	accept := &acceptor{TCPListener: l.ln, l: l}
	go func() {
		err := l.srv.Serve(accept)
		l.mu.Lock()
		l.served = err
		l.mu.Unlock()
		close(l.stopped)
	}()
	return nil
}

// Addr returns the bound address, nil before Start.
func (l *Listener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ln == nil {
		return nil
	}
	return l.ln.Addr()
}

// Wait blocks until the listener no longer accepts and returns why: nil after
// Shutdown.
func (l *Listener) Wait() error {
	<-l.stopped
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.served
}

// Reload reads the certificate files again. After an error the old pair stays in use.
func (l *Listener) Reload() error {
	if l.certs == nil {
		return nil
	}
	if err := l.certs.reload(); err != nil {
		return fmt.Errorf("server %s: %w", l.cfg.Name, err)
	}
	return nil
}

// Shutdown stops accepting and waits for the exchanges under way; idle connections
// are closed. When ctx ends first, the rest is cut and ctx's error returned.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	ln := l.ln
	l.mu.Unlock()
	if ln == nil {
		return nil
	}
	// fasthttp closes it too, but only if its own goroutine has got that far.
	_ = ln.Close()
	l.closeSilent()
	err := l.srv.ShutdownWithContext(ctx)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.abortAll()
		l.waitGone()
		return fmt.Errorf("server %s: transfers were cut: %w", l.cfg.Name, err)
	}
	return nil
}

// closeSilent ends connections that never sent a byte; fasthttp would give them five
// seconds.
func (l *Listener) closeSilent() {
	l.each(func(c *conn) {
		if !c.received.Load() {
			c.abort()
		}
	})
}

func (l *Listener) abortAll() {
	l.each(func(c *conn) {
		if t := c.current(); t != nil {
			c.cut(t)
		}
		c.abort()
	})
}

func (l *Listener) each(f func(*conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		f(c)
	}
}

// waitGone gives handlers a moment to notice that their connections were cut.
func (l *Listener) waitGone() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; l.open() > 0 && tries < 400; tries++ {
		<-tick.C
	}
}

func (l *Listener) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// remember counts a new connection in, unless there are too many.
func (l *Listener) remember(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.cfg.Limits.MaxConns {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// wrap puts TLS on a connection if the listener speaks it.
func (l *Listener) wrap(c *conn) net.Conn {
	if l.certs == nil {
		return c
	}
	c.isTLS = true
	return &tlsConn{Conn: tls.Server(c, l.certs.config()), raw: c}
}

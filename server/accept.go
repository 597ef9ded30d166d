package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// acceptor hands fasthttp the connections. fasthttp gives up on the port at the first
// error; this one outlasts those that pass.
type acceptor struct {
	*net.TCPListener
	l *Listener
}

var _ net.Listener = (*acceptor)(nil)

// Accept waits for the next connection within the limit.
func (a *acceptor) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		tc, err := a.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, io.EOF // how fasthttp likes to be told
		case err != nil:
			// Out of descriptors or memory, or the client is gone already: all of it passes.
			a.l.cfg.Log.Warn("accept", "listener", a.l.cfg.Name, "err", err, "retry_in", pause)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		c := &conn{TCPConn: tc, l: a.l}
		if a.l.remember(c) {
			return a.l.wrap(c), nil
		}
		a.l.metrics.rejected.Inc()
		a.l.reject(tc)
	}
}

// maxRejecting bounds the goroutines that tell clients about too many connections.
const maxRejecting = 64

// reject answers a connection above the limit with 503. Under TLS, or when too many
// are being told already, it is just closed.
func (l *Listener) reject(tc *net.TCPConn) {
	if l.certs == nil {
		select {
		case l.rejecting <- struct{}{}:
			go func() {
				defer func() { <-l.rejecting }()
				l.tellTooMany(tc)
			}()
			return
		default:
		}
	}
	_ = tc.Close()
}

func (l *Listener) tellTooMany(tc *net.TCPConn) {
	// The connection was never counted nor seen by fasthttp, so it is closed as such.
	c := &conn{TCPConn: tc, l: l}
	c.linger.Store(true)
	defer func() { _ = c.Close() }()

	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, tc.RemoteAddr(), nil)
	t := &turn{conn: c, length: NoLength}
	t.RequestID = l.cfg.NewID()
	ctx.SetUserValue(turnKey{}, t)
	resetResponse(&ctx)
	l.cfg.RenderError(&ctx, Fault{fasthttp.StatusServiceUnavailable, ReasonTooManyConnections})
	ctx.Response.Header.Set(l.cfg.IDHeader, t.RequestID)
	ctx.SetConnectionClose()
	bw := bufio.NewWriter(c)
	if ctx.Response.Write(bw) == nil {
		// A client that does not take it is closed all the same.
		_ = bw.Flush()
	}
}

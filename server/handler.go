package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// begin opens the exchange for a request whose header has arrived, or failed to.
func (l *Listener) begin(ctx *fasthttp.RequestCtx, c *conn) *turn {
	t := &turn{conn: c, length: NoLength}
	t.Start = l.cfg.Now()
	t.RequestID = l.cfg.NewID()
	t.Listener = l.cfg.Name
	t.Method = knownMethod(ctx.Request.Header.Method())
	t.RemoteIP = l.cfg.Proxies.ClientIP(ctx).String()
	t.TLS = l.cfg.Proxies.Secure(ctx)
	c.begin(t)
	l.metrics.inFlight.Add(1)
	return t
}

func knownMethod(m []byte) string {
	for _, known := range fiber.DefaultMethods {
		if string(m) == known {
			return known
		}
	}
	return ""
}

// serve answers one request. Whatever happens in between, settle has the last word.
func (l *Listener) serve(ctx *fasthttp.RequestCtx) {
	c := connOf(ctx)
	t := c.current()
	t.body.open(t, ctx.RequestBodyStream())
	defer l.settle(ctx, t)
	defer func() {
		if p := recover(); p != nil {
			l.panicked(&t.Exchange, p)
			l.fail(ctx, t, Fault{fasthttp.StatusInternalServerError, ReasonPanic})
			ctx.SetConnectionClose()
		}
	}()
	switch {
	case t.fault != nil:
		l.fail(ctx, t, *t.fault)
	case t.refusal != nil:
		t.Reason = t.refusal.Reason
		t.refusal.write(ctx)
	default:
		l.routes(ctx)
	}
}

// settle does what every answer owes: fence the body, close the connection if the
// body was left unread, name the request.
func (l *Listener) settle(ctx *fasthttp.RequestCtx, t *turn) {
	t.body.Finish()
	t.BytesIn = t.body.count
	if !t.body.complete && t.refusal == nil && t.fault == nil {
		ctx.SetConnectionClose()
		t.conn.linger.Store(true)
	}
	ctx.Response.Header.Set(l.cfg.IDHeader, t.RequestID)
	t.Status = ctx.Response.StatusCode()
	if !ctx.Response.IsBodyStream() {
		t.answer = nil // the handler thought better of it
		if !ctx.IsHead() {
			t.BytesOut = int64(len(ctx.Response.Body()))
		}
	}
	t.own()
	t.settled.Store(true)
}

// fail answers with the protocol's error body, in place of anything written so far.
func (l *Listener) fail(ctx *fasthttp.RequestCtx, t *turn, f Fault) {
	resetResponse(ctx)
	t.Reason = f.Reason
	defer func() {
		if p := recover(); p != nil {
			l.panicked(&t.Exchange, p)
			resetResponse(ctx)
			renderPlain(ctx, f)
		}
	}()
	l.cfg.RenderError(ctx, f)
}

func resetResponse(ctx *fasthttp.RequestCtx) {
	ctx.Response.Reset()
	ctx.Response.Header.SetNoDefaultContentType(true)
}

// routeError is Fiber's error handler: no such route, or a handler without an answer.
func (l *Listener) routeError(c *fiber.Ctx, err error) error {
	t := turnOf(c.Context())
	f := faultOfHandler(err)
	if f.Reason == ReasonInternal {
		// The text may name files or keys; its type is enough to find the handler that
		// should have had an answer.
		l.cfg.Log.Error("handler returned an error", "request_id", t.RequestID, "op", t.op(), "err_type", fmt.Sprintf("%T", err))
	}
	l.fail(c.Context(), t, f)
	return nil
}

// readError answers a request whose header or first body byte could not be read.
// fasthttp closes the connection afterwards.
func (l *Listener) readError(ctx *fasthttp.RequestCtx, err error) {
	c := connOf(ctx)
	if !c.received.Load() {
		// Nobody asked anything: a spare connection of a browser, a port check. An
		// unasked-for 408 would only confuse.
		c.mute.Store(true)
		return
	}
	t := c.current()
	if t == nil {
		t = l.begin(ctx, c)
	}
	f := faultOfRead(err)
	if t.hasBody() && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		f = Fault{fasthttp.StatusBadRequest, ReasonIncompleteBody}
	}
	l.fail(ctx, t, f)
	ctx.Response.Header.Set(l.cfg.IDHeader, t.RequestID)
	t.Status = ctx.Response.StatusCode()
	t.BytesOut = int64(len(ctx.Response.Body()))
	t.own()
	t.settled.Store(true)
	c.linger.Store(true)
}

// finish ends the exchange under way on c, if any: its answer went out, or never will.
func (l *Listener) finish(c *conn) {
	t := c.end()
	if t == nil {
		return
	}
	e := &t.Exchange
	if t.answer != nil {
		e.BytesOut = t.answer.sent
		e.Aborted = t.answer.err != nil
	}
	e.Aborted = e.Aborted || c.broken.Load() || e.Status == 0
	if e.Status == 0 {
		e.Status = statusClientGone
	}
	switch {
	case t.cut.Load():
		e.Aborted, e.Reason = true, ReasonCut
	case e.Aborted && e.Reason == "":
		e.Reason = ReasonClientGone
	}
	e.Duration = l.cfg.Now().Sub(e.Start)
	l.metrics.observe(e)
	e.access(l.accessLog)
	if l.cfg.Observe == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.panicked(e, p)
		}
	}()
	l.cfg.Observe(e)
}

// statusClientGone stands in records for the status of an answer that never was.
const statusClientGone = 499

// panicked logs a panic without what may have come from the request: a runtime error
// says where, any other value may quote data.
func (l *Listener) panicked(e *Exchange, p any) {
	what := fmt.Sprintf("%T", p)
	var re runtime.Error
	if err, ok := p.(error); ok && errors.As(err, &re) {
		what = re.Error()
	}
	l.metrics.panics.Inc()
	l.cfg.Log.LogAttrs(context.Background(), slog.LevelError, "panic",
		slog.String("request_id", e.RequestID), slog.String("op", e.op()),
		slog.String("panic", what), slog.String("stack", string(debug.Stack())))
}

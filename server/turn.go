package server

import (
	"sync/atomic"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// turn is one exchange with what the listener itself remembers about it. It hangs on
// the connection, which no client can forge.
type turn struct {
	Exchange
	conn    *conn
	length  int64 // as ContentLength
	refusal *Refusal
	fault   *Fault
	body    Body
	answer  *answer     // a streamed answer, nil for any other
	cut     atomic.Bool // Cut was called
	settled atomic.Bool // the handler is done with it; what remains is sending
}

// NoLength and Chunked are what ContentLength says when no length was declared.
const (
	Chunked  = -1 // the body comes in chunks
	NoLength = -2 // neither Content-Length nor Transfer-Encoding: no body
)

// ContentLength returns the length that the client declared for its body, Chunked or
// NoLength. In a handler this differs from the request header's own ContentLength,
// which fasthttp sets to 0 where none was declared.
func ContentLength(ctx *fasthttp.RequestCtx) int64 {
	if t := turnOf(ctx); t != nil {
		return t.length
	}
	return int64(ctx.Request.Header.ContentLength())
}

func turnOf(ctx *fasthttp.RequestCtx) *turn {
	if c := connOf(ctx); c != nil {
		return c.current()
	}
	t, _ := ctx.UserValue(turnKey{}).(*turn)
	return t
}

// turnKey is where a context without a connection keeps its turn.
type turnKey struct{}

// Cut returns a function that closes the request's connection at once, whatever is
// moving on it, and may be called from any goroutine at any time: it does nothing
// once the exchange has ended.
func Cut(c *fiber.Ctx) func() {
	t := turnOf(c.Context())
	if t == nil {
		return func() {}
	}
	return func() { t.conn.cut(t) }
}

func (t *turn) hasBody() bool {
	return t.length == Chunked || t.length > 0
}

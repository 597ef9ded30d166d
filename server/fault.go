package server

import (
	"errors"
	"net"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Field is one header field of a Refusal.
type Field struct {
	Name, Value string
}

// Refusal is an answer given instead of running the handler.
type Refusal struct {
	Status      int
	Header      []Field
	ContentType string // empty: none is sent
	Body        []byte
	// Reason labels the refusal in metrics and records. It comes from a closed set
	// (an error code, say), never from the request.
	Reason string
}

func (r *Refusal) write(ctx *fasthttp.RequestCtx) {
	ctx.SetStatusCode(r.Status)
	for _, f := range r.Header {
		ctx.Response.Header.Add(f.Name, f.Value)
	}
	if r.ContentType != "" {
		ctx.SetContentType(r.ContentType)
	}
	ctx.SetBody(r.Body)
}

// Reasons of the faults that a listener finds by itself, and of exchanges that did
// not come to an ordinary end.
const (
	ReasonBadRequest         = "bad_request"          // the request line or a header field does not parse
	ReasonAmbiguousLength    = "ambiguous_length"     // more than one statement about the body's length
	ReasonHeaderTooLarge     = "header_too_large"     //
	ReasonTimeout            = "timeout"              // header or first body byte came too late
	ReasonIncompleteBody     = "incomplete_body"      // the connection ended before the first byte of an announced body
	ReasonExpectation        = "expectation_failed"   // Expect asks for something unknown
	ReasonMethodNotAllowed   = "method_not_allowed"   //
	ReasonNotFound           = "not_found"            // no such route
	ReasonRejected           = "rejected"             // another *fiber.Error of a handler
	ReasonInternal           = "internal"             // a handler returned an error it had no answer for
	ReasonPanic              = "panic"                //
	ReasonTooManyConnections = "too_many_connections" //
	ReasonClientGone         = "client_gone"          // the client went away before the end of the answer
	ReasonCut                = "cut"                  // the transfer was cut on our side
)

// Fault is something wrong that the listener found before, around or instead of a
// handler.
type Fault struct {
	Status int    // suggested HTTP status; the protocol may have its own
	Reason string // one of the Reason constants
}

func renderPlain(ctx *fasthttp.RequestCtx, f Fault) {
	ctx.SetStatusCode(f.Status)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(fasthttp.StatusMessage(f.Status) + "\n")
}

// faultOfRead explains an error of reading a header or the first byte of a body.
func faultOfRead(err error) Fault {
	var tooLarge *fasthttp.ErrSmallBuffer
	var netErr net.Error
	switch {
	case errors.As(err, &tooLarge):
		return Fault{fasthttp.StatusRequestHeaderFieldsTooLarge, ReasonHeaderTooLarge}
	case errors.As(err, &netErr) && netErr.Timeout():
		return Fault{fasthttp.StatusRequestTimeout, ReasonTimeout}
	case errors.Is(err, fasthttp.ErrDuplicateContentLength):
		return Fault{fasthttp.StatusBadRequest, ReasonAmbiguousLength}
	default:
		return Fault{fasthttp.StatusBadRequest, ReasonBadRequest}
	}
}

// faultOfHandler explains an error that a route returned instead of answering.
func faultOfHandler(err error) Fault {
	var fe *fiber.Error
	if !errors.As(err, &fe) || fe.Code >= fasthttp.StatusInternalServerError {
		return Fault{fasthttp.StatusInternalServerError, ReasonInternal}
	}
	switch fe.Code {
	case fasthttp.StatusNotFound:
		return Fault{fe.Code, ReasonNotFound}
	case fasthttp.StatusMethodNotAllowed:
		return Fault{fe.Code, ReasonMethodNotAllowed}
	default:
		return Fault{fe.Code, ReasonRejected}
	}
}

package s3api

import (
	"github.com/valyala/fasthttp"

	"sallyport/server"
)

const hostIDHeader = "x-amz-id-2"

// refusal renders an error that Admit met.
func (a *API) refusal(ctx *fasthttp.RequestCtx, r *request, err error) *server.Refusal {
	e := a.judged(r, err)
	out := &server.Refusal{
		Status: answers[e.code].status, Reason: string(e.code),
		Header: append(a.originFields(ctx, r), e.header...),
	}
	out.Header = append(out.Header, server.Field{Name: hostIDHeader, Value: a.hostID})
	if !ctx.IsHead() {
		out.ContentType, out.Body = xmlType, a.errorBody(r, e)
	}
	return out
}

// fail renders an error that a handler met.
func (a *API) fail(ctx *fasthttp.RequestCtx, r *request, err error) {
	e := a.judged(r, err)
	r.exchange.Reason = string(e.code)
	ctx.Response.Reset()
	ctx.Response.Header.SetNoDefaultContentType(true)
	ctx.SetStatusCode(answers[e.code].status)
	for _, f := range e.header {
		ctx.Response.Header.Add(f.Name, f.Value)
	}
	if !ctx.IsHead() {
		ctx.SetContentType(xmlType)
		ctx.SetBody(a.errorBody(r, e))
	}
}

// judged is explain with a log line for what is nobody's fault but ours.
func (a *API) judged(r *request, err error) *refused {
	e := a.explain(r, err)
	// SlowDown is an answer to load, which anybody can make: metrics count it.
	if answers[e.code].status >= 500 && e.code != codeNotImplemented && e.code != codeSlowDown {
		a.log.Error("request failed", "request_id", r.exchange.RequestID, "op", r.exchange.Op, "code", string(e.code), "err", err)
	}
	return e
}

// RenderError answers what the listener found by itself; see server.Config.
func (a *API) RenderError(ctx *fasthttp.RequestCtx, f server.Fault) {
	c, ok := faults[f.Reason]
	if !ok {
		c = codeInternalError
	}
	x := server.ExchangeOf(ctx)
	x.Reason = string(c)
	ctx.SetStatusCode(answers[c].status)
	ctx.Response.Header.Set(hostIDHeader, a.hostID)
	if !ctx.IsHead() {
		ctx.SetContentType(xmlType)
		ctx.SetBody(a.errorBody(&request{exchange: x}, refuse(c)))
	}
}

// errorBody writes the error document. It repeats what the client itself named
// in its path and nothing of its query; of a signed URL it repeats nothing.
func (a *API) errorBody(r *request, e *refused) []byte {
	d := newDocument("Error")
	name := e.name
	if name == "" {
		name = string(e.code)
	}
	d.text("Code", name)
	message := e.message
	if message == "" {
		message = answers[e.code].message
	}
	d.text("Message", message)
	about := &r.target
	if e.subject != nil {
		about = e.subject
	}
	switch e.code {
	case codeNoSuchKey:
		d.text("Key", about.key)
	case codeNoSuchBucket, codeBucketNotEmpty, codeBucketAlreadyOwnedByYou, codeInvalidBucketName:
		d.text("BucketName", string(about.bucket))
	}
	for _, x := range e.details {
		d.text(x.name, x.value)
	}
	if len(r.path) > 0 {
		d.text("Resource", string(r.path))
	}
	d.text("RequestId", r.exchange.RequestID)
	d.text("HostId", a.hostID)
	return d.end()
}

package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/server"
	"sallyport/server/auth"
)

// Errors of this package's own.
var (
	errInvalid      = errors.New("invalid request")
	errPlain        = errors.New("plain HTTP")
	errUnauthorized = errors.New("unauthenticated")
	errClientGone   = errors.New("body ended early")
	errTooLarge     = fmt.Errorf("%w: the body is over %d bytes", errInvalid, maxBody)
	errUnproved     = fmt.Errorf("%w: x-amz-content-sha256 is needed for a body of over %d bytes", errUnauthorized, maxUnproved)
)

// methodError is a path without the request's method.
type methodError struct{ allowed []string }

func (*methodError) Error() string { return "method not allowed" }

// Codes that are not only the table's.
const (
	codeInvalid     = "INVALID_REQUEST"
	codeForbidden   = "FORBIDDEN"
	codeNotFound    = "NOT_FOUND"
	codeUnavailable = "UNAVAILABLE"
)

// answer is what a class of errors means to a client.
type answer struct {
	class   error
	status  int
	code    string
	message string // "" lets the error speak from the class on: its text is ours
}

// answers is the one table from errors to answers. The first match counts, so
// that narrow classes stand before wide ones; what matches none is internal.
var answers = []answer{
	{errUnauthorized, 401, "UNAUTHENTICATED", ""},
	{auth.ErrUnauthenticated, 401, "UNAUTHENTICATED", "A SigV4 header signature or a bearer token is needed."},
	{errPlain, 403, "TLS_REQUIRED", "Tokens, signed URLs, new secrets and unsigned bodies do not travel over plain HTTP: use https, or set SALLYPORT_CONTROL_ALLOW_PLAIN on a trusted network."},
	{policy.ErrForbidden, 403, codeForbidden, "The credential's roles do not allow this."},

	{pipeline.ErrNoInline, 403, codeForbidden, "Renditions are shown in a page only where the profile allows it and the server has DOWNLOADS_INLINE_URL."},

	{policy.ErrTarget, 400, codeInvalid, ""},
	{policy.ErrInvalidTTL, 400, "INVALID_TTL", ""},
	{policy.ErrTypeNotAllowed, 400, "TYPE_NOT_ALLOWED", "The profile does not allow this content type."},
	{policy.ErrSizeNotAllowed, 400, "SIZE_NOT_ALLOWED", "The size is negative, or more than the profile allows."},
	{pipeline.ErrTooLong, 400, "SIZE_NOT_ALLOWED", "The body is longer than the session's declared size."},
	{pipeline.ErrTooShort, 400, "SIZE_NOT_ALLOWED", "The body is shorter than the session's declared size."},
	{pipeline.ErrContentType, 400, codeInvalid, "The Content-Type is not the session's; leave it out or send the same."},
	{pipeline.ErrMissingLength, 400, codeInvalid, "A Content-Length is needed."},
	{pipeline.ErrIncompleteBody, 400, codeInvalid, "The body ended before its declared length."},
	{errClientGone, 400, codeInvalid, "The body ended before its declared length."},
	{server.ErrBodyStalled, 400, codeInvalid, "The body came too slowly."},
	{server.ErrBodyTooSlow, 400, codeInvalid, "The body came too slowly."},
	{pipeline.ErrInvalidDigest, 400, codeInvalid, "A declared digest is malformed."},
	{pipeline.ErrPayloadMismatch, 400, codeInvalid, "The body is not the one that was signed."},
	{pipeline.ErrBadDigest, 409, "CHECKSUM_MISMATCH", "The bytes do not have the declared digest."},

	{registry.ErrUploadNotReceived, 409, "UPLOAD_NOT_RECEIVED", "The bytes have not been received yet."},
	{registry.ErrUploadAlreadyReceived, 409, "UPLOAD_ALREADY_RECEIVED", "The bytes were already received."},
	{registry.ErrUploadInProgress, 409, "UPLOAD_IN_PROGRESS", "Another attempt is running."},
	{registry.ErrUploadFinalized, 409, "UPLOAD_FINALIZED", "The upload is finalized."},
	{registry.ErrUploadExpired, 409, "UPLOAD_EXPIRED", "The upload session has expired."},
	{registry.ErrUploadAborted, 409, "UPLOAD_ABORTED", "The upload was aborted."},
	{registry.ErrFenced, 409, "UPLOAD_IN_PROGRESS", "Another attempt took over."},
	{registry.ErrPartConflict, 409, "PART_CONFLICT", "The part that is stored has another ETag, size or digest."},
	{registry.ErrChecksumMismatch, 409, "CHECKSUM_MISMATCH", "The stored bytes do not have this digest; the object is rejected."},
	{registry.ErrHeld, 409, "OBJECT_HELD", "The object is held for review."},
	{registry.ErrNotPublished, 409, "OBJECT_NOT_PUBLISHED", "The object is not published."},
	{registry.ErrIdempotencyConflict, 400, codeInvalid, "The Idempotency-Key was used for a different request."},
	{registry.ErrExists, 409, "TENANT_EXISTS", "The tenant exists."},
	{registry.ErrRevoked, 403, codeForbidden, "The credential or its principal is revoked."},
	{registry.ErrTenantSuspended, 403, codeForbidden, "The tenant is suspended."},
	{registry.ErrNotFound, 404, codeNotFound, "There is no such thing here."},

	{pipeline.ErrTooManyWatches, 429, "RATE_LIMITED", "The tenant has as many streams of events open as it can."},
	{pipeline.ErrCut, 403, codeForbidden, "What allowed the transfer was revoked meanwhile."},
	{pipeline.ErrNoSpace, 507, "STORAGE_FULL", "There is no room for new bodies."},
	{registry.ErrStorageFull, 507, "STORAGE_FULL", "There is no room for new bodies."},
	{pipeline.ErrUnavailable, 503, codeUnavailable, "The storage behind this server is unavailable; try again later."},

	{registry.ErrConflict, 409, codeInvalid, "That is not possible in its present state."},
	{errInvalid, 400, codeInvalid, ""},
	{policy.ErrInvalid, 400, codeInvalid, ""},
	{registry.ErrInvalid, 400, codeInvalid, ""},
}

// problem is the JSON form of an error.
type problem struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
	UploadID  string `json:"upload_id,omitempty"`
	ObjectID  string `json:"object_id,omitempty"`
	URLID     string `json:"url_id,omitempty"`
}

func (p problem) line() []byte {
	body, _ := json.Marshal(p) // strings only: cannot fail
	return append(body, '\n')
}

// maxMessage bounds what an error may say for itself, in bytes: nobody is sent
// back at length what he sent.
const maxMessage = 256

// explain finds what an error means; anything unknown is logged here, once,
// and shown as nothing but itself.
func (k *call) explain(err error) (int, problem) {
	x := server.ExchangeOf(k.ctx)
	p := problem{RequestID: x.RequestID, UploadID: x.Upload, ObjectID: x.Object, URLID: x.Grant}
	var wrong *methodError
	if errors.As(err, &wrong) {
		p.Code, p.Message = codeInvalid, "This path does not have that method."
		return fasthttp.StatusMethodNotAllowed, p
	}
	for _, a := range answers {
		if !errors.Is(err, a.class) {
			continue
		}
		p.Code, p.Message = a.code, a.message
		if p.Message == "" {
			p.Message = words(err, a.class)
		}
		return a.status, p
	}
	k.cfg.Log.LogAttrs(k.context(), slog.LevelError, "control call failed",
		slog.String("op", x.Op), slog.String("request_id", x.RequestID), slog.Any("err", err))
	p.Code, p.Message = codeUnavailable, "The server could not do this now; the request id finds the reason in its log."
	return fasthttp.StatusServiceUnavailable, p
}

// words is what an error says from its class on; what stands before tells the
// way it took through the house.
func words(err, class error) string {
	text := err.Error()
	if i := strings.Index(text, class.Error()); i >= 0 {
		text = text[i:]
	}
	if len(text) > maxMessage {
		return class.Error()
	}
	return text
}

// fields are the header fields of an error.
func fields(status int, err error) []server.Field {
	list := []server.Field{{Name: "Cache-Control", Value: "no-store"}, {Name: "X-Content-Type-Options", Value: "nosniff"}}
	var wrong *methodError
	switch {
	case status == fasthttp.StatusUnauthorized:
		list = append(list, server.Field{Name: fasthttp.HeaderWWWAuthenticate, Value: "Bearer"})
	case errors.As(err, &wrong):
		list = append(list, server.Field{Name: fasthttp.HeaderAllow, Value: strings.Join(wrong.allowed, ", ")})
	}
	return list
}

// refusal renders an error that Admit found.
func (k *call) refusal(err error) *server.Refusal {
	status, p := k.explain(err)
	return &server.Refusal{
		Status: status, ContentType: jsonType, Body: p.line(), Reason: p.Code,
		Header: append(fields(status, err), k.originFields()...),
	}
}

// originFields are the CORS fields of a refusal. The response is not Admit's to
// write to, so they are made on another one.
func (k *call) originFields() []server.Field {
	if len(k.ctx.Request.Header.Peek(fasthttp.HeaderOrigin)) == 0 {
		return []server.Field{{Name: fasthttp.HeaderVary, Value: fasthttp.HeaderOrigin}}
	}
	var scratch fasthttp.RequestCtx
	k.ctx.Request.Header.CopyTo(&scratch.Request.Header)
	scratch.Response.Header.SetNoDefaultContentType(true)
	k.cfg.CORS.Decorate(&scratch)
	var list []server.Field
	for name, value := range scratch.Response.Header.All() {
		list = append(list, server.Field{Name: string(name), Value: string(value)})
	}
	return list
}

// fail renders an error of the handler.
func (k *call) fail(err error) {
	status, p := k.explain(err)
	server.ExchangeOf(k.ctx).Reason = p.Code
	for _, f := range fields(status, err) {
		k.ctx.Response.Header.Set(f.Name, f.Value)
	}
	k.render(status, jsonType, p.line())
}

// RenderError answers what the listener found by itself.
func (a *API) RenderError(ctx *fasthttp.RequestCtx, f server.Fault) {
	p := problem{Code: codeInvalid, Message: fasthttp.StatusMessage(f.Status) + ".", RequestID: server.ExchangeOf(ctx).RequestID}
	switch {
	case f.Reason == server.ReasonNotFound:
		p.Code = codeNotFound
	case f.Status >= fasthttp.StatusInternalServerError:
		p.Code = codeUnavailable
	}
	for _, field := range fields(f.Status, nil) {
		ctx.Response.Header.Set(field.Name, field.Value)
	}
	a.cfg.CORS.Decorate(ctx)
	ctx.SetStatusCode(f.Status)
	ctx.SetContentType(jsonType)
	ctx.SetBody(p.line())
}

// bodyFailure says what went wrong while a small body was read.
func bodyFailure(err error) error {
	switch {
	case errors.Is(err, server.ErrBodyTooLarge):
		return errTooLarge
	case errors.Is(err, server.ErrBodyStalled), errors.Is(err, server.ErrBodyTooSlow):
		return err
	}
	return errClientGone
}

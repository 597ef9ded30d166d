package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/server"
	"sallyport/server/auth"
	"sallyport/sigv4"
)

// Errors of this package's own.
var (
	errInvalid      = errors.New("invalid request")
	errMethod       = errors.New("method not allowed")
	errPlain        = errors.New("plain HTTP")
	errUnauthorized = errors.New("unauthenticated")
	errClientGone   = errors.New("body ended early")
)

// answer is what a class of errors means to a client.
type answer struct {
	class   error
	status  int
	code    string
	message string // "" lets the error speak, whose text is then ours throughout
}

// answers is the one table from errors to answers. The first match counts, so
// that narrow classes stand before wide ones; what matches none is internal.
var answers = []answer{
	{errUnauthorized, 401, "UNAUTHENTICATED", ""},
	{auth.ErrUnauthenticated, 401, "UNAUTHENTICATED", "A SigV4 header signature or a bearer token is needed."},
	{errPlain, 403, "TLS_REQUIRED", "Tokens and signed URLs do not travel over plain HTTP: use https, or set SALLYPORT_CONTROL_ALLOW_PLAIN on a trusted network."},
	{errMethod, 405, "INVALID_REQUEST", "This path does not have that method."},
	{policy.ErrForbidden, 403, "FORBIDDEN", "The credential's roles do not allow this."},

	{policy.ErrInvalidTTL, 400, "INVALID_TTL", ""},
	{policy.ErrTypeNotAllowed, 400, "TYPE_NOT_ALLOWED", "The profile does not allow this content type."},
	{policy.ErrSizeNotAllowed, 400, "SIZE_NOT_ALLOWED", "The size is negative, or more than the profile allows."},
	{pipeline.ErrTooLong, 400, "SIZE_NOT_ALLOWED", "The body is longer than the session's declared size."},
	{pipeline.ErrTooShort, 400, "SIZE_NOT_ALLOWED", "The body is shorter than the session's declared size."},
	{pipeline.ErrMissingLength, 400, "INVALID_REQUEST", "A Content-Length is needed."},
	{pipeline.ErrIncompleteBody, 400, "INVALID_REQUEST", "The body ended before its declared length."},
	{errClientGone, 400, "INVALID_REQUEST", "The body ended before its declared length."},
	{pipeline.ErrInvalidDigest, 400, "INVALID_REQUEST", "A declared digest is malformed."},
	{pipeline.ErrPayloadMismatch, 400, "INVALID_REQUEST", "The body is not the one that was signed."},
	{pipeline.ErrBadDigest, 409, "CHECKSUM_MISMATCH", "The bytes do not have the declared digest."},

	{registry.ErrUploadNotReceived, 409, "UPLOAD_NOT_RECEIVED", "The bytes have not been received yet."},
	{registry.ErrUploadAlreadyReceived, 409, "UPLOAD_ALREADY_RECEIVED", "The bytes were already received."},
	{registry.ErrUploadInProgress, 409, "UPLOAD_IN_PROGRESS", "Another attempt is running."},
	{registry.ErrUploadFinalized, 409, "UPLOAD_FINALIZED", "The upload is finalized."},
	{registry.ErrUploadExpired, 409, "UPLOAD_EXPIRED", "The upload session has expired."},
	{registry.ErrUploadAborted, 409, "UPLOAD_ABORTED", "The upload was aborted."},
	{registry.ErrFenced, 409, "UPLOAD_IN_PROGRESS", "Another attempt took over."},
	{registry.ErrChecksumMismatch, 409, "CHECKSUM_MISMATCH", "The stored bytes do not have this digest; the object is rejected."},
	{registry.ErrHeld, 409, "OBJECT_HELD", "The object is held for review."},
	{registry.ErrNotPublished, 409, "OBJECT_NOT_PUBLISHED", "The object is not published."},
	{registry.ErrIdempotencyConflict, 400, "INVALID_REQUEST", "The Idempotency-Key was used for a different request."},
	{registry.ErrExists, 409, "TENANT_EXISTS", "The tenant exists."},
	{registry.ErrRevoked, 403, "FORBIDDEN", "The credential or its principal is revoked."},
	{registry.ErrTenantSuspended, 403, "FORBIDDEN", "The tenant is suspended."},
	{registry.ErrNotFound, 404, "NOT_FOUND", "There is no such thing here."},

	{pipeline.ErrCut, 403, "FORBIDDEN", "What allowed the transfer was revoked meanwhile."},
	{pipeline.ErrNoSpace, 507, "STORAGE_FULL", "There is no room for new bodies."},
	{registry.ErrStorageFull, 507, "STORAGE_FULL", "There is no room for new bodies."},
	{blob.ErrFull, 507, "STORAGE_FULL", "There is no room for new bodies."},
	{blob.ErrUnavailable, 503, "UNAVAILABLE", "The storage behind this server is unavailable; try again later."},

	{registry.ErrConflict, 409, "INVALID_REQUEST", "That is not possible in its present state."},
	{errInvalid, 400, "INVALID_REQUEST", ""},
	{policy.ErrInvalid, 400, "INVALID_REQUEST", ""},
	{registry.ErrInvalid, 400, "INVALID_REQUEST", ""},
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

// explain finds what an error means; anything unknown is logged here, once,
// and shown as nothing but itself.
func (k *call) explain(err error) (int, problem) {
	x := server.ExchangeOf(k.ctx)
	p := problem{RequestID: x.RequestID, UploadID: x.Upload, ObjectID: x.Object, URLID: x.Grant}
	for _, a := range answers {
		if !errors.Is(err, a.class) {
			continue
		}
		p.Code, p.Message = a.code, a.message
		if p.Message == "" {
			p.Message = err.Error()
		}
		return a.status, p
	}
	k.cfg.Log.LogAttrs(k.ctx, slog.LevelError, "control call failed",
		slog.String("op", x.Op), slog.String("request_id", x.RequestID), slog.Any("err", err))
	p.Code, p.Message = "UNAVAILABLE", "The server could not do this now; the request id finds the reason in its log."
	return fasthttp.StatusServiceUnavailable, p
}

// refusal renders an error that Admit found.
func (k *call) refusal(err error) *server.Refusal {
	status, p := k.explain(err)
	body, _ := json.Marshal(p) // strings only: cannot fail
	r := &server.Refusal{Status: status, ContentType: jsonType, Body: append(body, '\n'), Reason: p.Code}
	r.Header = append(r.Header, server.Field{Name: "Cache-Control", Value: "no-store"},
		server.Field{Name: "X-Content-Type-Options", Value: "nosniff"})
	if status == fasthttp.StatusUnauthorized {
		r.Header = append(r.Header, server.Field{Name: "WWW-Authenticate", Value: "Bearer"})
	}
	return r
}

// fail renders an error of the handler.
func (k *call) fail(err error) {
	status, p := k.explain(err)
	server.ExchangeOf(k.ctx).Reason = p.Code
	k.ctx.Response.ResetBody()
	if sendErr := k.json(status, p); sendErr != nil {
		k.ctx.SetStatusCode(fasthttp.StatusInternalServerError)
	}
}

// RenderError answers what the listener found by itself.
func (a *API) RenderError(ctx *fasthttp.RequestCtx, f server.Fault) {
	x := server.ExchangeOf(ctx)
	p := problem{Code: "INVALID_REQUEST", Message: fasthttp.StatusMessage(f.Status) + ".", RequestID: x.RequestID}
	switch {
	case f.Reason == server.ReasonNotFound:
		p.Code = "NOT_FOUND"
	case f.Status >= fasthttp.StatusInternalServerError:
		p.Code = "UNAVAILABLE"
	}
	body, _ := json.Marshal(p) // strings only: cannot fail
	ctx.SetStatusCode(f.Status)
	ctx.SetContentType(jsonType)
	ctx.SetBody(append(body, '\n'))
}

// authFailure makes one refusal of everything that is wrong with a signature,
// with a hint where it gives nothing away.
func authFailure(err error) error {
	var e *sigv4.Error
	switch {
	case errors.Is(err, auth.ErrUnknownKey), errors.Is(err, auth.ErrMalformedHeader), errors.Is(err, sigv4.SignatureMismatch):
		return fmt.Errorf("%w: the access key is unknown or the signature does not match", errUnauthorized)
	case errors.As(err, &e) && e.Code == sigv4.KeyUnavailable:
		return err
	case errors.As(err, &e):
		return fmt.Errorf("%w: %w", errUnauthorized, e.Code)
	}
	return err
}

func bodyFailure(err error) error {
	switch {
	case errors.Is(err, server.ErrBodyTooLarge):
		return fmt.Errorf("%w: the body is over %d bytes", errInvalid, maxBody)
	case errors.Is(err, server.ErrBodyStalled), errors.Is(err, server.ErrBodyTooSlow):
		return fmt.Errorf("%w: the body came too slowly", errInvalid)
	}
	return errClientGone
}

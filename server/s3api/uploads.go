package s3api

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

// urlPart returns the number of the part that an upload URL names, 0 if it names none.
// It was signed as we wrote it: what is no number is no URL of ours.
func (r *request) urlPart() int {
	value, named := r.proof.Request.Param("partNumber")
	if !named {
		return 0
	}
	n, err := strconv.Atoi(string(value))
	if err != nil || n < 1 {
		return -1
	}
	return n
}

// admitUpload decides on a PUT on an upload URL whose signature holds: the grant,
// its expiry, the session, whether it was used or is in use, the length, and at
// last the other headers.
func (a *API) admitUpload(ctx *fasthttp.RequestCtx, r *request) error {
	r.exchange.Upload = r.id
	declared, err := r.declared(ctx)
	declared.Malformed = err
	ticket, err := a.pipeline.AdmitPut(background(), pipeline.PutRequest{
		Tenant: r.proof.Tenant, Upload: registry.UploadID(r.id), Part: r.urlPart(), Grant: r.grant(),
		RequestID: r.exchange.RequestID, Declared: declared,
	})
	if err != nil {
		return r.digestError(declared, a.urlError(err))
	}
	// The grant has an expiry of its own, which came first. This one is that of
	// the signature: it holds against a URL that was signed for longer, or dated
	// ahead.
	if err := a.cfg.Auth.CheckURLTime(ctx, &r.proof); err != nil {
		return &pipeline.URLError{Grant: ticket.Grant, Err: err}
	}
	// It is a part of what a URL is signed for.
	if declared.ContentType == "" {
		return &pipeline.URLError{Grant: ticket.Grant, Err: pipeline.ErrContentType}
	}
	r.issuedBy(&ticket.Grant)
	r.exchange.Object, r.exchange.Bucket = string(ticket.Upload.Object), string(ticket.Upload.Bucket)
	r.upload = ticket
	return nil
}

// putUpload receives the bytes of a session, or of one of its parts.
func (a *API) putUpload(c *fiber.Ctx, r *request) error {
	body, err := a.body(c, r)
	if err != nil {
		return err
	}
	stored, err := a.pipeline.Receive(background(), r.upload, body)
	if err != nil {
		return a.urlError(err)
	}
	h := &c.Context().Response.Header
	h.Set("ETag", quoted(stored.MD5))
	setChecksums(h, stored.Checksums, registry.FullObject)
	if sum, err := hex.DecodeString(stored.SHA256); err == nil {
		setChecksums(h, map[string]string{"sha256": base64.StdEncoding.EncodeToString(sum)}, registry.FullObject)
	}
	return nil
}

// urlError makes what is not there, or no longer, into what every URL without
// force gets.
func (a *API) urlError(err error) error {
	switch {
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrNotPublished):
		return &refused{code: codeAccessDenied, cause: err}
	case errors.Is(err, registry.ErrGrantExpired):
		return say(codeAccessDenied, "Request has expired", element{"ServerTime", a.cfg.Now().UTC().Format(iso)})
	}
	return err
}

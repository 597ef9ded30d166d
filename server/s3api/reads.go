package s3api

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
	"sallyport/sigv4"
)

// getObject is GetObject and HeadObject.
func (a *API) getObject(c *fiber.Ctx, r *request) error {
	found, err := a.findVersion(r)
	if err != nil {
		return err
	}
	return a.read(c, r, found, a.dressObject)
}

// dress puts the headers on an answer with content that depend on how it was
// asked for.
type dress func(h *fasthttp.ResponseHeader, r *request, o *registry.Object) error

// read answers with an object or a part of it, or says why not.
func (a *API) read(c *fiber.Ctx, r *request, found *pipeline.Found, dress dress) error {
	ctx, o := c.Context(), &found.Object
	r.exchange.Object = string(o.ID)
	modified := o.ModifiedAt.UTC().Truncate(time.Second)
	h := &ctx.Response.Header
	switch outcome, condition := r.readConditions(o.ETag, modified); outcome {
	case readFailed:
		return refuse(codePreconditionFailed, element{"Condition", condition})
	case readNotModified:
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		if err := a.identify(h, r, o, modified); err != nil {
			return err
		}
		return refresh(h, r, o, dress)
	}
	part, err := r.span(found, modified)
	if err != nil {
		return err
	}
	if err := a.identify(h, r, o, modified); err != nil {
		return err
	}
	h.Set("Accept-Ranges", "bytes")
	if part.partial {
		ctx.SetStatusCode(fasthttp.StatusPartialContent)
		h.Set("Content-Range", part.contentRange(o.Size))
	}
	if part.parts > 0 {
		h.Set("x-amz-mp-parts-count", itoa(int64(part.parts)))
	}
	if strings.EqualFold(r.header("x-amz-checksum-mode"), "ENABLED") {
		if err := setReadChecksums(h, found, part); err != nil {
			return err
		}
	}
	if err := dress(h, r, o); err != nil {
		return err
	}
	if ctx.IsHead() {
		server.SendHead(c, part.n)
		return nil
	}
	return a.send(c, found, part)
}

// refresh says for how long what the client has may be kept now, as the answer with
// the content would have (RFC 9110, section 15.4.5).
func refresh(h *fasthttp.ResponseHeader, r *request, o *registry.Object, dress dress) error {
	var whole fasthttp.ResponseHeader
	if err := dress(&whole, r, o); err != nil {
		return err
	}
	for _, name := range [...]string{"Cache-Control", "Expires"} {
		if v := whole.Peek(name); len(v) > 0 {
			h.SetBytesV(name, v)
		}
	}
	return nil
}

// setReadChecksums shows the checksums of what is sent: the whole, or one part that
// was asked for by its number. Those of the whole would be wrong of a range.
func setReadChecksums(h *fasthttp.ResponseHeader, found *pipeline.Found, part span) error {
	o := &found.Object
	switch {
	case part.number == 0 && part.partial:
		return nil
	case part.number == 0 || o.PartCount == 0:
		setChecksums(h, o.Checksums, o.ChecksumType)
		return nil
	}
	parts, err := found.Parts(background())
	if err != nil {
		return err
	}
	if part.number <= len(parts) {
		setChecksums(h, parts[part.number-1].Checksums, o.ChecksumType)
	}
	return nil
}

// send opens the bytes and hands them to the connection: the file itself where
// they lie in one. The reading stands in the table of transfers until the last
// byte went or a revocation cut it.
func (a *API) send(c *fiber.Ctx, found *pipeline.Found, part span) error {
	reading, err := found.Open(background(), part.off, part.n, server.Cut(c))
	if err != nil {
		return err
	}
	f, off, n, ok := reading.File()
	if !ok {
		server.SendReader(c, reading, part.n, nil)
		return nil
	}
	return server.SendFile(c, f, off, n, func(sent int64, err error) {
		// Both have been answered for by the listener: the exchange is marked.
		_ = reading.Sent(sent, err)
		_ = reading.Close()
	})
}

// identify says which version of what an answer is about. A URL of Sallyport's own
// is for one object; versions of a key are no business of whoever has it.
func (a *API) identify(h *fasthttp.ResponseHeader, r *request, o *registry.Object, modified time.Time) error {
	h.Set("ETag", quoted(o.ETag))
	h.Set("Last-Modified", httpDate(modified))
	if r.level != objectLevel {
		return nil
	}
	return a.setVersion(h, o)
}

func httpDate(t time.Time) string { return string(fasthttp.AppendHTTPDate(nil, t)) }

// dressObject is for reads with a user's key: the headers that the object was
// written with. In a presigned URL, which may be opened by whoever gets it, the
// content must not become a page of this origin.
func (a *API) dressObject(h *fasthttp.ResponseHeader, r *request, o *registry.Object) error {
	h.SetContentType(o.ContentType)
	for name, value := range o.Headers {
		h.Set(name, value)
	}
	for name, value := range o.Metadata {
		// In lower case on the wire: clients hand their callers what follows the
		// prefix as it came, and S3 sends it so.
		h.SetCanonical([]byte(metadataPrefix+name), []byte(value))
	}
	if err := r.override(h); err != nil {
		return err
	}
	setLock(h, o)
	if len(o.Tags) > 0 {
		h.Set("x-amz-tagging-count", itoa(int64(len(o.Tags))))
	}
	if o.StorageClass != "" && o.StorageClass != standardClass {
		h.Set(settingStorageClass, o.StorageClass)
	}
	if err := a.setExpiration(h, r, o); err != nil {
		return err
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if r.proof.Claim.Kind != sigv4.QueryAuth {
		return nil
	}
	h.Set("Content-Security-Policy", server.Sandbox)
	bucket, err := a.ledger.Bucket(background(), o.Tenant, o.Bucket)
	if err != nil {
		return err
	}
	if !bucket.AllowInline {
		h.Set("Content-Disposition", attached(string(h.Peek("Content-Disposition"))))
	}
	return nil
}

// attached turns any Content-Disposition into that of an attachment, with the
// parameters it had.
func attached(disposition string) string {
	kind, parameters, ok := strings.Cut(disposition, ";")
	switch {
	case strings.EqualFold(strings.TrimSpace(kind), "attachment"):
		return disposition
	case ok:
		return "attachment;" + parameters
	}
	return "attachment"
}

// overrides are the query parameters that replace a header of a read.
var overrides = [...]struct{ param, header string }{
	{"response-content-type", "Content-Type"},
	{"response-content-language", "Content-Language"},
	{"response-expires", "Expires"},
	{"response-cache-control", "Cache-Control"},
	{"response-content-disposition", "Content-Disposition"},
	{"response-content-encoding", "Content-Encoding"},
}

// override applies response-* parameters. Every request that comes here is
// signed, which S3 asks for.
func (r *request) override(h *fasthttp.ResponseHeader) error {
	if len(r.proof.Request.Query) == 0 {
		return nil
	}
	for _, x := range overrides {
		value, ok := r.proof.Request.Param(x.param)
		if !ok {
			continue
		}
		for _, c := range value {
			if c < ' ' || c == 0x7f {
				return say(codeInvalidArgument, "A header value cannot hold a control character.", element{"ArgumentName", x.param})
			}
		}
		h.SetBytesV(x.header, value)
	}
	return nil
}

package s3api

import (
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/server"
	"sallyport/server/auth"
	"sallyport/sigv4"
)

// formRoute is PostObject: a browser's upload by a form, see
// https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html. Its signature
// is in the body, so that admission knows nothing but the bucket.
var formRoute = route{method: "POST", level: bucketLevel, op: "PostObject", action: policy.S3Write,
	settings: []string{settingLock, "x-amz-storage-class", settingEncryption},
	admit:    (*API).admitPost, handle: (*API).postObject}

// admitPost is PostObject's look at the headers. Nothing in them is proved.
func (a *API) admitPost(ctx *fasthttp.RequestCtx, r *request) error {
	if err := auth.Wire(ctx, &r.proof.Request); err != nil {
		return err
	}
	sub, _, err := a.switchboard.subresource(r)
	if err == nil {
		err = a.switchboard.checkArguments(r, r.route)
	}
	switch {
	case err != nil:
		return err
	case sub != "":
		return refuse(codeNotImplemented)
	}
	switch n := server.ContentLength(ctx); {
	case n < 0:
		return refuse(codeMissingContentLength)
	case n > policy.MaxSinglePut+maxPreamble:
		return refuse(codeEntityTooLarge)
	}
	_, err = boundary(r.header("content-type"))
	return err
}

// postObject reads a form's fields, proves them, and stores its file.
func (a *API) postObject(c *fiber.Ctx, r *request) error {
	f, p, err := a.provedForm(c, r)
	if err != nil {
		return err
	}
	sums := r.checksumHeaders()
	kept, err := a.keptOfForm(r, f)
	if err != nil {
		return err
	}
	wire := server.BodyOf(c)
	o, err := a.pipeline.PutForm(background(), r.actor(), pipeline.FormRequest{
		Bucket: r.bucket, Key: r.key, Kept: kept, MinSize: p.minSize, MaxSize: p.maxSize,
		Checksums: sums, ContentMD5: r.header("content-md5"),
	}, &formFile{file: f.file, wire: wire})
	if err != nil {
		return a.postError(r, p, err)
	}
	// Whatever follows the file has no meaning, but it is this request's.
	_, _ = io.CopyN(io.Discard, wire, maxPreamble)
	return a.posted(c, r, f, &o)
}

// provedForm reads the form up to its file and holds it against the policy that
// came with it. From then on its fields are the request's headers: they mean the
// same.
func (a *API) provedForm(c *fiber.Ctx, r *request) (*form, *postPolicy, error) {
	client := server.ExchangeOf(c.Context()).RemoteIP
	if !a.forms.take(client) {
		return nil, nil, refuse(codeSlowDown)
	}
	defer a.forms.leave(client)
	edge, err := boundary(r.header("content-type"))
	if err != nil {
		return nil, nil, err
	}
	f, err := readForm(server.BodyOf(c), edge)
	if err != nil {
		return nil, nil, err
	}
	if err := a.proveForm(c.Context(), r, f); err != nil {
		return nil, nil, err
	}
	p, err := parsePolicy(f.fields["policy"])
	if err != nil {
		return nil, nil, err
	}
	if err := a.checkPolicyTime(r, p); err != nil {
		return nil, nil, err
	}
	if err := f.expand(); err != nil {
		return nil, nil, err
	}
	if err := p.check(f.fields, string(r.bucket)); err != nil {
		return nil, nil, err
	}
	r.proof.Request.Header = f.headers()
	if err := r.setFormKey(f.fields["key"]); err != nil {
		return nil, nil, err
	}
	if acl, ok := f.fields["acl"]; ok {
		if err := checkSetting("x-amz-acl", acl); err != nil {
			return nil, nil, err
		}
	}
	if err := r.checkSettings(); err != nil {
		return nil, nil, err
	}
	return f, p, a.checkOwner(r)
}

// proveForm finds out who signed the form.
func (a *API) proveForm(ctx *fasthttp.RequestCtx, r *request, f *form) error {
	for _, name := range [...]string{"key", "policy"} {
		if _, ok := f.fields[name]; !ok && (name == "key" || f.signed()) {
			return missingField(name)
		}
	}
	if f.fields["awsaccesskeyid"] != "" {
		return &sigv4.Error{Code: sigv4.UnsupportedAuth}
	}
	if err := a.cfg.Auth.Form(ctx, &r.proof, &sigv4.Form{
		Policy: []byte(f.fields["policy"]), Algorithm: []byte(f.fields["x-amz-algorithm"]),
		Credential: []byte(f.fields["x-amz-credential"]), Date: []byte(f.fields["x-amz-date"]),
		Signature: []byte(f.fields["x-amz-signature"]),
	}); err != nil {
		return f.explain(err)
	}
	r.proof.Actor.RequestID = r.exchange.RequestID
	who := r.actor()
	r.exchange.Tenant, r.exchange.Principal, r.exchange.AccessKey = string(who.Tenant), string(who.Principal), who.Credential
	return policy.Allow(who, r.route.action, "")
}

// signed tells whether the form means to be proved.
func (f *form) signed() bool {
	for name := range f.fields {
		if isProof(name) {
			return true
		}
	}
	return false
}

// explain says which field a malformed signature was in.
func (f *form) explain(err error) error {
	var e *sigv4.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case sigv4.MalformedAuth:
		for _, name := range [...]string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"} {
			if f.fields[name] == "" {
				return missingField(name)
			}
		}
	case sigv4.MalformedCredential:
		return say(codeInvalidRequest, `The Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	case sigv4.InvalidDate:
		return say(codeInvalidRequest, `X-Amz-Date must be formatted via ISO8601 Long format "yyyyMMdd'T'HHmmss'Z'" and be of the day of the Credential`)
	}
	return err
}

func missingField(name string) error {
	return say(codeInvalidArgument, "Bucket POST must contain a field named '"+name+"'.  If it is specified, please check the order of the fields.",
		element{"ArgumentName", name}, element{"ArgumentValue", ""})
}

// checkPolicyTime judges the policy's life as that of a presigned URL.
func (a *API) checkPolicyTime(r *request, p *postPolicy) error {
	err := a.cfg.Auth.CheckPolicyTime(&r.proof, p.expiration)
	if err == nil {
		err = a.pipeline.PresignAllowed(background(), r.actor().Tenant, r.bucket, r.proof.Claim.Expires)
	}
	switch {
	case errors.Is(err, sigv4.Expired):
		return say(codeAccessDenied, "Invalid according to Policy: Policy expired.")
	case errors.Is(err, sigv4.ExpiresTooLong), errors.Is(err, policy.ErrInvalidTTL):
		return &refused{code: codeAccessDenied, cause: err,
			message: "Invalid according to Policy: Policy expires later after x-amz-date than this server, tenant or bucket allows."}
	}
	return err
}

// setFormKey sets the key that the form names.
func (r *request) setFormKey(key string) error {
	switch {
	case key == "":
		return say(codeInvalidArgument, "User key must have a length greater than 0.", element{"ArgumentName", "key"}, element{"ArgumentValue", ""})
	case len(key) > policy.MaxKey:
		return refuse(codeKeyTooLong, element{"Size", itoa(int64(len(key)))}, element{"MaxSizeAllowed", itoa(policy.MaxKey)})
	}
	r.key = key
	r.exchange.Key = key
	return nil
}

// headers are the fields as headers of a PUT.
func (f *form) headers() []sigv4.Field {
	header := make([]sigv4.Field, 0, len(f.fields))
	for name, value := range f.fields {
		if !isProof(name) {
			header = append(header, sigv4.Field{Name: []byte(name), Value: []byte(value)})
		}
	}
	return header
}

// keptOfForm is what the fields say about the object besides its bytes. A field can
// hold what a header cannot, and it comes back as one.
func (a *API) keptOfForm(r *request, f *form) (registry.Kept, error) {
	for name, value := range f.fields {
		switch name {
		case "content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires":
			if strings.ContainsFunc(value, isControl) {
				return registry.Kept{}, say(codeInvalidArgument, "A header value cannot hold a control character.", element{"ArgumentName", name})
			}
		}
	}
	kept, err := a.kept(r)
	if err != nil {
		return kept, err
	}
	kept.ContentType = r.header("content-type")
	if doc, ok := f.fields["tagging"]; ok {
		var t taggingDocument
		if err := decodeXML([]byte(doc), &t); err != nil {
			return kept, err
		}
		if kept.Tags, err = t.tags(); err == nil && len(kept.Tags) > maxObjectTags {
			err = say(codeBadRequest, "Object tags cannot be greater than 10")
		}
	}
	return kept, err
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// formFile is the file of a form.
type formFile struct {
	file io.Reader
	wire *server.Body
}

var _ pipeline.Body = (*formFile)(nil)

// Read implements pipeline.Body. It fills p: what looks for the boundary hands out
// some kilobytes at a time.
func (b *formFile) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = b.file.Read(p[n:])
		n += m
	}
	if err != nil && err != io.EOF {
		err = formError(err)
	}
	return n, err
}

// Interrupt implements pipeline.Body.
func (b *formFile) Interrupt() { b.wire.Interrupt() }

// postError says what of the policy the file did not meet.
func (a *API) postError(r *request, p *postPolicy, err error) error {
	switch {
	case errors.Is(err, pipeline.ErrTooLong):
		return refuse(codeEntityTooLarge, element{"MaxSizeAllowed", itoa(min(p.maxSize, policy.MaxSinglePut))})
	case errors.Is(err, pipeline.ErrTooShort):
		return refuse(codeEntityTooSmall, element{"MinSizeAllowed", itoa(p.minSize)})
	}
	return r.digestError(pipeline.Declared{ContentMD5: r.header("content-md5")}, a.writeError(r, err))
}

// posted answers a form as it asks to.
func (a *API) posted(c *fiber.Ctx, r *request, f *form, o *registry.Object) error {
	ctx := c.Context()
	h := &ctx.Response.Header
	setChecksums(h, o.Checksums, o.ChecksumType)
	if err := a.setWritten(h, r, o); err != nil {
		return err
	}
	location := a.location(r)
	h.Set("Location", location)
	redirect := f.fields["success_action_redirect"]
	if redirect == "" {
		redirect = f.fields["redirect"]
	}
	if to, ok := redirection(redirect, r, o.ETag); ok {
		h.Set("Location", to)
		ctx.SetStatusCode(fasthttp.StatusSeeOther)
		return nil
	}
	switch f.fields["success_action_status"] {
	case "200":
	case "201":
		ctx.SetStatusCode(fasthttp.StatusCreated)
		d := newDocument("PostResponse")
		d.text("Location", location)
		d.text("Bucket", string(r.bucket))
		d.text("Key", r.key)
		d.text("ETag", quoted(o.ETag))
		sendXML(ctx, d)
	default:
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	}
	return nil
}

// redirection is where a browser is sent after its upload; false if the form names
// no place that there could be.
func redirection(to string, r *request, etag string) (string, bool) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", false
	}
	q := "bucket=" + url.QueryEscape(string(r.bucket)) + "&key=" + url.QueryEscape(r.key) + "&etag=" + url.QueryEscape(quoted(etag))
	if u.RawQuery != "" {
		q = u.RawQuery + "&" + q
	}
	u.RawQuery = q
	return u.String(), true
}

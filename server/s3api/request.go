package s3api

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/server"
	"sallyport/server/auth"
	"sallyport/sigv4"
)

// request is one request on its way through both gates.
type request struct {
	target
	route    *route
	proof    auth.Proof
	exchange *server.Exchange
	held     int64 // bytes of the API's documents
	late     bool  // the answer's body outlives the handler and releases the request

	upload *pipeline.PutTicket    // PUT on an upload URL
	object *pipeline.ObjectTicket // PutObject
	part   *pipeline.PartTicket   // UploadPart
	found  *pipeline.Found        // GET or HEAD on a download URL
}

// background is the context of everything a request asks for. fasthttp's own is
// used again for later requests, while what was asked for may still be under
// way; transfers end by being cut.
func background() context.Context { return context.Background() }

func (r *request) actor() registry.Actor { return r.proof.Actor }

// header returns a header by its lower-case name or, for x-amz-* in a presigned
// request, the query parameter it was hoisted to.
func (r *request) header(name string) string {
	v, _ := r.proof.Claim.Value(&r.proof.Request, name)
	return string(v)
}

// param returns a query parameter.
func (r *request) param(name string) string {
	v, _ := r.proof.Request.Param(name)
	return string(v)
}

// amz yields every x-amz-* setting, name in lower case: headers and, in a
// presigned request, what SDKs hoisted from there into the query.
func (r *request) amz() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, f := range r.proof.Request.Header {
			if !isAmz(f.Name) {
				continue
			}
			if !yield(strings.ToLower(string(f.Name)), strings.TrimSpace(string(f.Value))) {
				return
			}
		}
		if r.proof.Claim.Kind != sigv4.QueryAuth {
			return
		}
		for name, value := range r.proof.Request.Params() {
			if isAmz(name) && !yield(strings.ToLower(string(name)), string(value)) {
				return
			}
		}
	}
}

// isAmz tells whether a name begins with x-amz-, in any case.
func isAmz(name []byte) bool {
	const prefix = "x-amz-"
	return len(name) > len(prefix) && strings.EqualFold(string(name[:len(prefix)]), prefix)
}

// admit is the whole of the first gate.
func (a *API) admit(ctx *fasthttp.RequestCtx, r *request) error {
	if server.IsPreflight(ctx) {
		r.route = &preflightRoute
		r.exchange.Op = r.route.op
		return nil
	}
	path, _ := auth.Target(ctx)
	t, ok := a.locateURL(ctx.Request.Header.Host(), path)
	if a.isInlineHost(ctx) && t.level != objectURL {
		return refuse(codeAccessDenied) // no key works here, nor an upload
	}
	if ok {
		r.target = t
		return a.admitURL(ctx, r)
	}
	if isForm(ctx) {
		return a.admitForm(ctx, r, path)
	}
	return a.admitS3(ctx, r, path)
}

// isForm tells whether a browser posts a form: its signature is a field in the
// body, so that nothing is proved here. What is signed elsewhere is none, whatever
// its content type.
func isForm(ctx *fasthttp.RequestCtx) bool {
	const form = "multipart/form-data"
	kind := ctx.Request.Header.ContentType()
	if !ctx.IsPost() || len(kind) < len(form) || !strings.EqualFold(string(kind[:len(form)]), form) {
		return false
	}
	_, query := auth.Target(ctx)
	return len(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)) == 0 && !bytes.Contains(query, []byte("X-Amz-Signature="))
}

// admitForm is admit for PostObject: only what the headers say is looked at.
func (a *API) admitForm(ctx *fasthttp.RequestCtx, r *request, path []byte) error {
	r.route = &formRoute
	r.exchange.Op = r.route.op
	var err error
	if r.target, err = a.locate(ctx.Request.Header.Host(), path); err != nil {
		return err
	}
	r.exchange.Bucket = string(r.bucket)
	if r.level != bucketLevel {
		return refuse(codeMethodNotAllowed)
	}
	return r.route.admit(a, ctx, r)
}

// admitS3 is admit for requests signed with a user's key.
func (a *API) admitS3(ctx *fasthttp.RequestCtx, r *request, path []byte) error {
	if err := a.cfg.Auth.S3(ctx, &r.proof); err != nil {
		a.describe(ctx, r, path)
		return err
	}
	r.proof.Actor.RequestID = r.exchange.RequestID
	who := r.actor()
	r.exchange.Tenant, r.exchange.Principal, r.exchange.AccessKey = string(who.Tenant), string(who.Principal), who.Credential
	// The host that was proved is the one that names a bucket. Behind a proxy it
	// may be another than the one that came.
	if _, reserved := a.locateURL(r.proof.Claim.Host, path); reserved {
		return refuse(codeSignatureDoesNotMatch) // user keys never work there
	}
	var err error
	if r.target, err = a.locate(r.proof.Claim.Host, path); err != nil {
		return err
	}
	r.exchange.Bucket, r.exchange.Key = string(r.bucket), r.key
	if r.route, err = a.switchboard.find(r); err != nil {
		return err
	}
	r.exchange.Op = r.route.op
	if err := policy.Allow(who, r.route.action, ""); err != nil {
		return err
	}
	if err := r.checkSettings(); err != nil {
		return err
	}
	if err := a.checkOwner(r); err != nil {
		return err
	}
	if err := a.checkLifetime(r); err != nil {
		return err
	}
	if r.route.admit != nil {
		return r.route.admit(a, ctx, r)
	}
	return nil
}

// describe finds out what a request that nobody proved was about, for its answer
// and its record.
func (a *API) describe(ctx *fasthttp.RequestCtx, r *request, path []byte) {
	var err error
	if r.target, err = a.locate(ctx.Request.Header.Host(), path); err != nil {
		return
	}
	if route, err := a.switchboard.find(r); err == nil {
		r.exchange.Op = route.op
	}
}

// admitURL is admit for Sallyport's own URLs. Whatever is wrong with signature
// or syntax gets one answer: a URL that was altered in any way.
func (a *API) admitURL(ctx *fasthttp.RequestCtx, r *request) error {
	if r.route = urlRoute(string(ctx.Method()), r.level); r.route != nil {
		r.exchange.Op = r.route.op
	}
	if err := a.cfg.Auth.URL(ctx, &r.proof); err != nil {
		return alteredURL(err)
	}
	if r.route == nil {
		return refuse(codeSignatureDoesNotMatch) // signed, for a method that no URL is issued for
	}
	r.exchange.Tenant = string(r.proof.Tenant)
	r.exchange.Grant = string(r.grant())
	err := r.route.admit(a, ctx, r)
	if err != nil {
		// Whoever has the URL can have this as often as he likes.
		r.exchange.Countable = true
		if of, ok := errors.AsType[*pipeline.URLError](err); ok {
			r.issuedBy(&of.Grant)
		}
	}
	return err
}

// issuedBy notes at whose word a URL works.
func (r *request) issuedBy(g *registry.Grant) {
	r.exchange.Principal, r.exchange.AccessKey = string(g.Principal), g.Credential
}

// grant returns what a URL stands for.
func (r *request) grant() registry.GrantID { return registry.GrantID(r.param(grantParam)) }

// grantParam is the signed query parameter that carries the grant.
const grantParam = "X-Sp-Grant"

// checkSettings refuses settings that would change what the request means and
// that its operation does not know: to ignore them would be to do something else.
func (r *request) checkSettings() error {
	if r.proof.Claim.Payload.Streaming() && !r.route.streams {
		return refuse(codeNotImplemented)
	}
	for name, value := range r.amz() {
		if r.route.understands(name) {
			continue
		}
		if err := checkSetting(name, value); err != nil {
			return err
		}
	}
	return nil
}

// checkSetting decides on a setting that has no meaning for the operation, or the
// same one for all.
func checkSetting(name, value string) error {
	switch {
	case name == "x-amz-acl":
		if value != "private" && value != "bucket-owner-full-control" {
			return refuse(codeAccessControlListNotSupported)
		}
	case strings.HasPrefix(name, "x-amz-grant-"):
		return refuse(codeAccessControlListNotSupported)
	case name == "x-amz-storage-class":
		if value != "STANDARD" {
			return refuse(codeInvalidStorageClass)
		}
	case name == "x-amz-security-token":
		return refuse(codeInvalidToken)
	default:
		for _, prefix := range unsupportedSettings {
			if strings.HasPrefix(name, prefix) {
				return refuse(codeNotImplemented, element{"Header", name})
			}
		}
	}
	return nil
}

// unsupportedSettings are what x-amz-* names begin with that nobody may ignore:
// only the operations that understand them take them.
var unsupportedSettings = []string{
	"x-amz-copy-source", // also -range, -if-match …
	"x-amz-server-side-encryption",
	"x-amz-object-lock-",
	"x-amz-bucket-object-lock-",
	"x-amz-object-ownership",
	"x-amz-tagging",
	"x-amz-website-redirect-location",
	"x-amz-write-offset-bytes",
	"x-amz-rename-source",
	"x-amz-if-match-",
	"x-amz-mp-object-size",
}

// checkLifetime holds a presigned URL against the longest lifetime that the server,
// its tenant and its bucket allow. It was judged whether it has expired: one that
// lives for too long is refused from the start.
func (a *API) checkLifetime(r *request) error {
	claim := &r.proof.Claim
	if claim.Kind != sigv4.QueryAuth {
		return nil
	}
	err := a.pipeline.PresignAllowed(background(), r.actor().Tenant, r.bucket, claim.Expires)
	if errors.Is(err, policy.ErrInvalidTTL) {
		_, why, _ := strings.Cut(err.Error(), policy.ErrInvalidTTL.Error()+": ")
		return &refused{code: codeQueryParameters, message: "X-Amz-Expires is too long: " + why, cause: err}
	}
	return err
}

// checkOwner holds x-amz-expected-bucket-owner, and a copy's for its source, against
// the tenant: all buckets it can name are its own.
func (a *API) checkOwner(r *request) error {
	for _, name := range [...]string{"x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"} {
		want := r.header(name)
		if want == "" {
			continue
		}
		owner, err := a.owner(r)
		if err != nil {
			return err
		}
		if want != owner.id {
			return refuse(codeAccessDenied)
		}
	}
	return nil
}

package s3api

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
)

// admitDownload decides on a GET or HEAD on a download URL whose signature
// holds.
func (a *API) admitDownload(ctx *fasthttp.RequestCtx, r *request) error {
	r.exchange.Object = r.id
	found, err := a.pipeline.FindGrant(background(), pipeline.GetRequest{
		Tenant: r.proof.Tenant, Object: registry.ObjectID(r.id), Grant: r.grant(),
	})
	if err != nil {
		return a.urlError(err)
	}
	if err := a.cfg.Auth.CheckURLTime(ctx, &r.proof); err != nil {
		return &pipeline.URLError{Grant: found.Grant, Err: err}
	}
	if err := a.checkPlace(ctx, r, &found.Grant); err != nil {
		return &pipeline.URLError{Grant: found.Grant, Err: err}
	}
	r.issuedBy(&found.Grant)
	r.exchange.Bucket, r.exchange.Key = string(found.Object.Bucket), found.Object.Key
	r.found = found
	return nil
}

func (a *API) getDownload(c *fiber.Ctx, r *request) error {
	return a.urlError(a.read(c, r, r.found, a.dressDownload))
}

// dressDownload is for reads by grant: bytes of strangers, opened in browsers.
// They are labelled with what inspection found them to be.
func (a *API) dressDownload(h *fasthttp.ResponseHeader, r *request, o *registry.Object) error {
	if r.found.Grant.Disposition == registry.Inline {
		server.DressInline(h, o.ContentType, o.Filename)
		return nil
	}
	label := o.DetectedType
	if label == "" {
		label = o.ContentType
	}
	server.DressDownload(h, label, o.Filename)
	return nil
}

// isInlineHost tells whether a request came to the host that shows renditions.
func (a *API) isInlineHost(ctx *fasthttp.RequestCtx) bool {
	if a.inlineHost == "" {
		return false
	}
	host := string(ctx.Request.Header.Host())
	port := ":443"
	if strings.HasPrefix(a.cfg.InlineURL, "http://") {
		port = ":80"
	}
	return strings.EqualFold(host, a.inlineHost) || strings.EqualFold(host, a.inlineHost+port)
}

// checkPlace keeps what may be shown on the host that is there for it, and everything
// else away from it. A URL that is proved with another host than the one it came to, as
// behind a proxy, is none of that host's.
func (a *API) checkPlace(ctx *fasthttp.RequestCtx, r *request, g *registry.Grant) error {
	inline := g.Disposition == registry.Inline
	if inline != a.isInlineHost(ctx) || inline && !strings.EqualFold(string(r.proof.Claim.Host), a.inlineHost) {
		return refuse(codeAccessDenied)
	}
	return nil
}

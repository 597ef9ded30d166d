package s3api

import (
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
func (a *API) dressDownload(h *fasthttp.ResponseHeader, _ *request, o *registry.Object) error {
	label := o.DetectedType
	if label == "" {
		label = o.ContentType
	}
	server.DressDownload(h, label, o.Filename)
	return nil
}

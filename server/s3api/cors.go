package s3api

import (
	"bytes"
	"errors"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/server"
	"sallyport/server/auth"
)

// preflight answers a browser's question before its real request. It carries no
// credential: whose rules count is told by names that prove nothing, and what is
// told in turn is only whether an origin may try.
func (a *API) preflight(c *fiber.Ctx, r *request) error {
	ctx := c.Context()
	path, query := auth.Target(ctx)
	t, ok := a.locateURL(ctx.Request.Header.Host(), path)
	if !ok {
		var err error
		if t, err = a.locate(ctx.Request.Header.Host(), path); err != nil {
			return err
		}
	}
	r.target = t
	r.proof.Request.Query = query
	if !a.rules(r).Preflight(ctx) {
		e := refuse(codeAccessForbidden)
		e.header = []server.Field{{Name: "Vary", Value: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}}
		return e
	}
	return nil
}

// allowOrigin lets a page of an allowed origin read an answer.
func (a *API) allowOrigin(ctx *fasthttp.RequestCtx, r *request) {
	if r.route != &preflightRoute && len(ctx.Request.Header.Peek("Origin")) > 0 {
		a.rules(r).Decorate(ctx)
	}
}

// originFields is allowOrigin for a refusal.
func (a *API) originFields(ctx *fasthttp.RequestCtx, r *request) []server.Field {
	if len(ctx.Request.Header.Peek("Origin")) == 0 {
		return nil
	}
	return a.rules(r).Fields(ctx)
}

// rules returns the CORS rules for what a request is about: the bucket's, where it
// has some, else those of its profile's origins, else the server's. The console may
// do everything everywhere.
func (a *API) rules(r *request) server.CORSRules {
	return append(a.bucketRules(r), server.OpenCORS(a.cfg.ConsoleOrigins))
}

func (a *API) bucketRules(r *request) server.CORSRules {
	origins := a.cfg.CORSOrigins
	if b, ok := a.ruledBy(r); ok {
		tenant := a.ruledTenant(r)
		rules, err := a.ledger.CORS(background(), tenant, b)
		switch {
		case err == nil:
			return corsOf(rules)
		case !errors.Is(err, registry.ErrNotConfigured) && !errors.Is(err, registry.ErrNotFound):
			return nil // nobody knows what they would allow
		}
		if row, err := a.ledger.Bucket(background(), tenant, b); err == nil && len(row.CORSOrigins) > 0 {
			origins = row.CORSOrigins
		}
	}
	return server.CORSRules{server.OpenCORS(origins)}
}

// ruledBy finds the bucket. Behind a signed URL it is that of the session or the
// object.
func (a *API) ruledBy(r *request) (registry.BucketName, bool) {
	switch r.level {
	case bucketLevel, objectLevel:
		return r.bucket, true
	case uploadURL:
		u, err := a.ledger.Upload(background(), a.ruledTenant(r), registry.UploadID(r.id))
		return u.Bucket, err == nil
	case objectURL:
		o, err := a.ledger.Object(background(), a.ruledTenant(r), registry.ObjectID(r.id))
		return o.Bucket, err == nil
	}
	return "", false
}

// ruledTenant is the tenant that was proved, else the one of the credential that
// the query names, else the first one.
func (a *API) ruledTenant(r *request) registry.TenantName {
	if r.proof.Tenant != "" {
		return r.proof.Tenant
	}
	scope, ok := r.proof.Request.Param("X-Amz-Credential")
	if !ok {
		return registry.DefaultTenant
	}
	// From the right: an access key may hold slashes.
	id := scope
	for range 4 {
		id = id[:max(bytes.LastIndexByte(id, '/'), 0)]
	}
	if r.level.reserved() {
		if key, err := a.ledger.URLKey(background(), string(id)); err == nil {
			return key.Tenant
		}
	} else if key, err := a.ledger.Credential(background(), registry.AccessKeyID(id)); err == nil {
		return key.Tenant
	}
	return registry.DefaultTenant
}

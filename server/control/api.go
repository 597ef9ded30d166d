package control

import (
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
	"sallyport/server/auth"
)

// Config is what the API stands on. All fields but CORS, Proxies and
// AllowPlain are required.
type Config struct {
	Pipeline *pipeline.Pipeline
	Ledger   *registry.Ledger
	Auth     *auth.Authenticator
	// S3URL is scheme and host of the S3 port as clients reach it: signed URLs
	// begin with it, never with what a request says.
	S3URL string
	// InlineURL is what URLs of renditions begin with that a browser may show: scheme
	// and host of their own, see s3api.Config. "" issues none.
	InlineURL string
	CORS      server.CORSRules
	// Proxies are believed when they say that a client came by TLS.
	Proxies server.TrustedProxies
	// AllowPlain lets tokens, signed URLs and bodies that no signature covers
	// travel over plain HTTP beyond loopback.
	AllowPlain bool
	// EventBeat is how often a stream of events without any says that it is still
	// there, and looks whether it may still be; 0 is 15 s.
	EventBeat time.Duration
	Log       *slog.Logger
}

// API answers the control port. Its methods are what a server.Config needs; they
// are safe for concurrent use.
type API struct {
	cfg Config
}

// New returns an API.
func New(cfg Config) *API {
	if cfg.EventBeat <= 0 {
		cfg.EventBeat = eventBeat
	}
	return &API{cfg: cfg}
}

type callKey struct{}

// Admit decides on the header alone whether a request goes on to its handler.
func (a *API) Admit(ctx *fasthttp.RequestCtx) *server.Refusal {
	if server.IsPreflight(ctx) {
		return nil
	}
	k := &call{API: a, ctx: ctx}
	if err := k.admit(); err != nil {
		return k.refusal(err)
	}
	ctx.SetUserValue(callKey{}, k)
	return nil
}

// Routes hands every request to its handler: Admit has found the route.
func (a *API) Routes(app *fiber.App) {
	app.Use(func(c *fiber.Ctx) error {
		ctx := c.Context()
		if server.IsPreflight(ctx) {
			a.preflight(ctx)
			return nil
		}
		a.cfg.CORS.Decorate(ctx)
		k, ok := ctx.UserValue(callKey{}).(*call)
		if !ok {
			return fiber.ErrInternalServerError
		}
		k.c = c
		if err := k.run(); err != nil {
			k.fail(err)
		}
		return nil
	})
}

// preflight answers a browser that asks what a page may do.
func (a *API) preflight(ctx *fasthttp.RequestCtx) {
	x := server.ExchangeOf(ctx)
	x.Op = "Preflight"
	if !a.cfg.CORS.Preflight(ctx) {
		x.Reason = codeForbidden
		ctx.SetStatusCode(fasthttp.StatusForbidden)
	}
}

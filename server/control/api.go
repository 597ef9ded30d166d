package control

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
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
	CORS  server.CORS
	// Proxies are believed when they say that a client came by TLS.
	Proxies server.TrustedProxies
	// AllowPlain lets tokens and signed URLs travel over plain HTTP beyond
	// loopback.
	AllowPlain bool
	Now        func() time.Time
	Log        *slog.Logger
}

// API answers the control port. Its methods are what a server.Config needs.
type API struct {
	cfg Config
}

// New returns an API.
func New(cfg Config) *API { return &API{cfg: cfg} }

// maxBody bounds a JSON body, in bytes.
const maxBody = 1 << 20

// call is one admitted request. It lives in the request's user values between
// Admit and the handler.
type call struct {
	*API
	route  *route
	id     string // the route's {id}
	actor  registry.Actor
	proof  *auth.Proof // set where a SigV4 signature proved the actor
	ticket *pipeline.PutTicket

	ctx  *fasthttp.RequestCtx
	c    *fiber.Ctx // in the handler only
	body []byte     // of JSON routes, in the handler only
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

func (k *call) admit() error {
	path, _ := auth.Target(k.ctx)
	var known bool
	k.route, k.id, known = find(string(k.ctx.Method()), string(path))
	x := server.ExchangeOf(k.ctx)
	if k.route != nil {
		x.Op = k.route.op
	}
	if k.route == nil || !k.route.open {
		if err := k.authenticate(); err != nil {
			return err
		}
	}
	switch {
	case k.route == nil && known:
		return errMethod
	case k.route == nil:
		return registry.ErrNotFound
	}
	k.label(x)
	if k.route.issues && !k.secure() {
		return errPlain
	}
	if k.route.admit != nil {
		return k.route.admit(k)
	}
	return k.admitJSON()
}

// label names in the exchange what the path names.
func (k *call) label(x *server.Exchange) {
	switch {
	case strings.HasPrefix(k.id, "upl_"):
		x.Upload = k.id
	case strings.HasPrefix(k.id, "obj_"):
		x.Object = k.id
	case strings.HasPrefix(k.id, "g_"):
		x.Grant = k.id
	}
}

// authenticate finds out who calls. A token that came over plain HTTP from
// afar is refused whether it is a good one or not: it has been seen.
func (k *call) authenticate() error {
	x := server.ExchangeOf(k.ctx)
	if token := auth.Bearer(k.ctx); token != "" {
		if !k.secure() {
			return errPlain
		}
		actor, err := k.cfg.Auth.Token(k.ctx, token)
		if err != nil {
			return err
		}
		k.actor = actor
	} else {
		k.proof = new(auth.Proof)
		if err := k.cfg.Auth.Header(k.ctx, k.proof); err != nil {
			return authFailure(err)
		}
		k.actor = k.proof.Actor
	}
	x.Tenant, x.Principal, x.AccessKey = string(k.actor.Tenant), string(k.actor.Principal), k.actor.Credential
	return nil
}

// secure tells whether what is said on this connection stays between the two
// ends: TLS, a trusted proxy's word for it, or loopback.
func (k *call) secure() bool {
	if k.cfg.AllowPlain || k.cfg.Proxies.Secure(k.ctx) {
		return true
	}
	peer, err := netip.ParseAddrPort(k.ctx.RemoteAddr().String())
	return err == nil && peer.Addr().Unmap().IsLoopback() && k.cfg.Proxies.ClientIP(k.ctx).IsLoopback()
}

// admitJSON settles the limits of a small body.
func (k *call) admitJSON() error {
	length := server.ContentLength(k.ctx)
	if length > maxBody {
		return fmt.Errorf("%w: the body is over %d bytes", errInvalid, maxBody)
	}
	if k.route.in == nil && length > 0 && !k.route.anyBody {
		return fmt.Errorf("%w: this call takes no body", errInvalid)
	}
	return nil
}

// Routes hands every request to its handler: Admit has found the route.
func (a *API) Routes(app *fiber.App) {
	app.Use(func(c *fiber.Ctx) error {
		ctx := c.Context()
		if server.IsPreflight(ctx) {
			server.ExchangeOf(ctx).Op = "Preflight"
			if !a.cfg.CORS.Preflight(ctx) {
				ctx.SetStatusCode(fasthttp.StatusForbidden)
			}
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

func (k *call) run() error {
	ctx := k.ctx
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	if k.route.admit == nil {
		body, err := server.BodyOf(k.c).ReadAll(maxBody)
		if err != nil {
			return bodyFailure(err)
		}
		if err := k.bodyIsSigned(body); err != nil {
			return err
		}
		k.body = body
	}
	return k.route.handle(k)
}

// context is what the verbs run under. It is not the request's own: fasthttp
// reuses that one after the handler, and ends it as soon as a shutdown begins,
// when running transfers are still to be finished.
func (k *call) context() context.Context { return context.Background() }

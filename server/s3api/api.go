package s3api

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/semaphore"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
	"sallyport/server/auth"
)

// IDHeader is the response header for the listener's request id.
const IDHeader = "x-amz-request-id"

// Config is what an API is made of. Pipeline, Auth, Ledger, Region and Now are
// required.
type Config struct {
	Pipeline *pipeline.Pipeline
	Auth     *auth.Authenticator
	// Ledger is only read: tenants for owner ids, buckets for their rules.
	Ledger *registry.Ledger
	Region string
	// URL is scheme and host of the port as clients reach it, for answers that say
	// where something is; "" leaves it at the path.
	URL string
	// InlineURL is scheme and host at which renditions are shown in a browser, and
	// nothing else is served; "" shows none. It is none of the port's other hosts.
	InlineURL string
	// Domains are the host names, without port, below which the first labels
	// name a bucket.
	Domains []string
	// CORSOrigins may use what a bucket has no rule of its own for.
	CORSOrigins []string
	// ConsoleOrigins may use everything, whatever a bucket's rule is: the origins
	// of the console.
	ConsoleOrigins []string
	// DebugSignatures shows a client what was signed when its signature does not
	// match.
	DebugSignatures bool
	// DocumentMemory bounds what the XML documents of all requests together hold
	// in memory, in bytes; 0 is 64 MiB.
	DocumentMemory int64
	// Patience is how long a client waits for an operation that inspects what it
	// made before it is sent white space, and every half of it more; 0 is 10 s.
	Patience time.Duration
	Log      *slog.Logger // nil discards
	Now      func() time.Time
}

// API answers the S3 port. Its methods are safe for concurrent use and belong
// into the fields of a server.Config that have their names.
type API struct {
	cfg      Config
	pipeline *pipeline.Pipeline
	ledger   *registry.Ledger
	log      *slog.Logger
	domains  []string // ".example.org": lower case, with a dot in front
	// inlineHost is host[:port] of InlineURL.
	inlineHost string
	hostID     string // names this process in x-amz-id-2
	requests   sync.Pool

	switchboard switchboard

	documents *semaphore.Weighted // bytes
	forms     formSlots
	patience  time.Duration
}

// New returns an API.
func New(cfg Config) *API {
	a := &API{cfg: cfg, pipeline: cfg.Pipeline, ledger: cfg.Ledger, log: cfg.Log,
		switchboard: newSwitchboard(allRoutes())}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if cfg.DocumentMemory == 0 {
		cfg.DocumentMemory = documentMemory
	}
	a.documents = semaphore.NewWeighted(cfg.DocumentMemory)
	if a.patience = cfg.Patience; a.patience == 0 {
		a.patience = patience
	}
	_, a.inlineHost, _ = strings.Cut(cfg.InlineURL, "://")
	for _, d := range cfg.Domains {
		a.domains = append(a.domains, "."+strings.ToLower(strings.Trim(d, ".")))
	}
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails
	a.hostID = base64.StdEncoding.EncodeToString(id[:])
	a.requests.New = func() any { return new(request) }
	return a
}

// requestKey is where a request is kept between Admit and its handler.
type requestKey struct{}

// Admit decides on a request's headers; see server.Config.
func (a *API) Admit(ctx *fasthttp.RequestCtx) *server.Refusal {
	r := a.requests.Get().(*request)
	r.exchange = server.ExchangeOf(ctx)
	if err := a.admit(ctx, r); err != nil {
		refusal := a.refusal(ctx, r, err)
		a.release(r)
		return refusal
	}
	ctx.SetUserValue(requestKey{}, r)
	return nil
}

// Routes sends everything to the handler that Admit chose.
func (a *API) Routes(app *fiber.App) { app.Use(a.serve) }

func (a *API) serve(c *fiber.Ctx) error {
	ctx := c.Context()
	r, ok := ctx.UserValue(requestKey{}).(*request)
	if !ok {
		return fiber.ErrInternalServerError // a listener without our Admit
	}
	defer func() {
		if !r.late {
			a.release(r)
		}
	}()
	if err := r.route.handle(a, c, r); err != nil {
		a.fail(ctx, r, err)
	}
	ctx.Response.Header.Set(hostIDHeader, a.hostID)
	a.allowOrigin(ctx, r)
	return nil
}

// release forgets a request. Nothing that outlives the handler may point to it.
func (a *API) release(r *request) {
	a.forget(r)
	*r = request{}
	a.requests.Put(r)
}

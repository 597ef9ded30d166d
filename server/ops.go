package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// DefaultOpsAddr keeps the operators' port on this machine: it asks for no credential.
const DefaultOpsAddr = "127.0.0.1:9002"

// Importance says what a failing check means.
type Importance int

const (
	Essential Importance = iota // without it the server is not ready
	Helpful                     // without it the server is degraded, but ready
)

// Check is one condition of readiness. Probe returns nil if it holds; its error is not
// shown, it may name what should not be named.
type Check struct {
	Name       string
	Importance Importance
	Probe      func(ctx context.Context) error
}

// OpsConfig is what the operators' listener needs. Log, Now and Metrics are required.
type OpsConfig struct {
	Addr    string // empty: DefaultOpsAddr
	Log     *slog.Logger
	Now     func() time.Time
	Checks  []Check
	Metrics prometheus.Gatherer
	Timeout time.Duration // of all probes together; 2 s
}

// NewOps makes the operators' listener: /healthz answers while the process lives,
// /readyz runs the checks (503 if an essential one fails), /metrics is for Prometheus.
func NewOps(cfg OpsConfig) (*Listener, error) {
	if cfg.Metrics == nil {
		return nil, errors.New("server ops: no metrics")
	}
	orDefault(&cfg.Addr, DefaultOpsAddr)
	orDefault(&cfg.Timeout, 2*time.Second)
	ready := newReadiness(cfg)
	metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))
	return New(Config{
		Name: "ops", Addr: cfg.Addr, Log: cfg.Log, Now: cfg.Now,
		Routes: func(app *fiber.App) {
			app.Get("/healthz", func(c *fiber.Ctx) error {
				ExchangeOf(c.Context()).Op = "Health"
				return c.JSON(fiber.Map{"status": "ok"})
			})
			app.Get("/readyz", ready.answer)
			app.Get("/metrics", func(c *fiber.Ctx) error {
				ExchangeOf(c.Context()).Op = "Metrics"
				metrics(c.Context())
				return nil
			})
		},
	})
}

// readiness runs the checks.
type readiness struct {
	checks  []Check
	timeout time.Duration
	running []atomic.Bool // per check: a probe that has not come back is not sent again

	one sync.Mutex // held during a run: two at once would each find the other's probes running
}

func newReadiness(cfg OpsConfig) *readiness {
	return &readiness{checks: cfg.Checks, timeout: cfg.Timeout, running: make([]atomic.Bool, len(cfg.Checks))}
}

// report is the body of /readyz.
type report struct {
	Status string            `json:"status"` // ready, degraded or unready
	Checks map[string]string `json:"checks"` // ok, degraded or failed
}

func (r *readiness) answer(c *fiber.Ctx) error {
	ExchangeOf(c.Context()).Op = "Ready"
	rep := r.run()
	status := fasthttp.StatusOK
	if rep.Status == "unready" {
		status = fasthttp.StatusServiceUnavailable
	}
	body, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(status).Send(body)
}

func (r *readiness) run() report {
	r.one.Lock()
	defer r.one.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	results := make([]chan bool, len(r.checks))
	for i := range r.checks {
		results[i] = make(chan bool, 1)
		r.start(ctx, i, results[i])
	}
	rep := report{Status: "ready", Checks: make(map[string]string, len(r.checks))}
	for i, check := range r.checks {
		ok := false
		select {
		case ok = <-results[i]:
		case <-ctx.Done():
		}
		switch {
		case ok:
			rep.Checks[check.Name] = "ok"
		case check.Importance == Helpful:
			rep.Checks[check.Name] = "degraded"
			if rep.Status == "ready" {
				rep.Status = "degraded"
			}
		default:
			rep.Checks[check.Name] = "failed"
			rep.Status = "unready"
		}
	}
	return rep
}

// start runs one probe on its own: it may ignore its context and hang.
func (r *readiness) start(ctx context.Context, i int, result chan<- bool) {
	if r.running[i].Swap(true) {
		result <- false
		return
	}
	go func() {
		defer r.running[i].Store(false)
		ok := false
		defer func() {
			// A panic is a failed check; here it would otherwise end the process.
			_ = recover()
			result <- ok
		}()
		ok = r.checks[i].Probe(ctx) == nil
	}()
}

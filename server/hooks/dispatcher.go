package hooks

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// Config is what a Dispatcher is made of. Ledger and Now are required.
type Config struct {
	Ledger  *registry.Ledger
	Targets policy.Targets
	Now     func() time.Time
	Log     *slog.Logger // nil discards
	// Workers is how many messages are under way at once, 0 is 16. One tenant gets at
	// most a quarter of them, one webhook one.
	Workers int
	// Timeout bounds one try from the look-up of the name to the answer's header; 0 is
	// 20 s.
	Timeout time.Duration
	// Backoff is how long to wait before the second try of a message, the third, and so
	// on; a message that failed after the last is given up. nil is Schedule.
	Backoff []time.Duration
	// Pause is how long nothing is sent to a webhook that failed MaxFailures times in a
	// row, or said that it has too much to do. It doubles with every failure, up to an
	// hour. 0 is 10 s.
	Pause time.Duration
	// TLS is how targets are verified; nil is the system's way.
	TLS *tls.Config
	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver
}

// Schedule returns the recommended waits between tries, three days in all.
func Schedule() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

const (
	// MaxFailures is after how many failures in a row a target counts as down.
	MaxFailures = 5
	maxPause    = time.Hour

	// turnLength is how many messages one webhook sends before others have their turn, and
	// turnTime after how long it begins no more.
	turnLength = 32
	turnTime   = 5 * time.Second
	// restEvery bounds how often the ledger is looked at because of news.
	restEvery = 100 * time.Millisecond
	// lookEvery is when to look even without news, and again after the ledger failed.
	lookEvery = 10 * time.Second
)

// Dispatcher sends what webhooks are to get. Run it once.
type Dispatcher struct {
	cfg     Config
	log     *slog.Logger
	client  *http.Client
	metrics *metrics

	looked map[registry.WebhookID]registry.Looked // of Run's goroutine
	first  int                                    // likewise: whose turn is first

	mu    sync.Mutex // protects the fields below
	busy  map[registry.WebhookID]registry.TenantName
	block map[registry.WebhookID]time.Time // not before: the ledger failed
	freed chan struct{}                    // a worker is free
}

// New returns a Dispatcher that does nothing before Run.
func New(cfg Config) *Dispatcher {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 16
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 20 * time.Second
	}
	if cfg.Backoff == nil {
		cfg.Backoff = Schedule()
	}
	if cfg.Pause <= 0 {
		cfg.Pause = 10 * time.Second
	}
	d := &Dispatcher{
		cfg: cfg, log: cfg.Log, client: newClient(cfg),
		looked: map[registry.WebhookID]registry.Looked{},
		busy:   map[registry.WebhookID]registry.TenantName{}, block: map[registry.WebhookID]time.Time{},
		freed: make(chan struct{}, 1),
	}
	d.metrics = newMetrics(d.running)
	return d
}

// Run sends until ctx ends; then tries under way are given up, to be made again after
// the next start, and it returns.
func (d *Dispatcher) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer d.client.CloseIdleConnections()
	defer workers.Wait()
	for ctx.Err() == nil {
		news := d.cfg.Ledger.News()
		again := d.launch(ctx, &workers)
		wait := min(max(again.Sub(d.cfg.Ledger.Now()), 0), lookEvery)
		if again.IsZero() {
			wait = lookEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-d.freed:
		case <-timer.C:
		case <-news:
			pause(ctx, restEvery)
		}
		timer.Stop()
	}
}

// pause waits, or for ctx to end.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// launch has everything sent that is to be sent now and for which there are workers,
// and returns when there may be more, zero if only news can tell.
func (d *Dispatcher) launch(ctx context.Context, workers *sync.WaitGroup) (again time.Time) {
	all, err := d.webhooks(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.ErrorContext(ctx, "webhooks cannot be read", "err", err)
		}
		return d.cfg.Ledger.Now().Add(lookEvery)
	}
	d.forget(all)
	d.first++
	for i := range all {
		w := all[(d.first+i)%len(all)]
		if !d.take(w) {
			continue // a worker that is freed has us look again
		}
		message, next := d.look(ctx, w)
		if message == nil {
			d.release(w.ID)
			again = earlier(again, next)
			continue
		}
		workers.Go(func() {
			d.send(ctx, *message)
			d.release(w.ID)
			select {
			case d.freed <- struct{}{}:
			default:
			}
		})
	}
	return again
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// webhooks returns those of all tenants that are not disabled.
func (d *Dispatcher) webhooks(ctx context.Context) (all []registry.Webhook, err error) {
	for page := (registry.Page{Limit: 1000}); ; {
		some, next, err := d.cfg.Ledger.AllWebhooks(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, w := range some {
			if !w.Disabled {
				all = append(all, w)
			}
		}
		if page.Cursor = next; next == "" {
			return all, nil
		}
	}
}

// forget drops what is remembered of webhooks that are no more.
func (d *Dispatcher) forget(all []registry.Webhook) {
	if len(d.looked) <= len(all) {
		return
	}
	known := make(map[registry.WebhookID]registry.Looked, len(all))
	for _, w := range all {
		known[w.ID] = d.looked[w.ID]
	}
	d.looked = known
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.block {
		if _, ok := known[id]; !ok {
			delete(d.block, id)
		}
	}
}

// take claims a worker for a webhook, if there is one for it.
func (d *Dispatcher) take(w registry.Webhook) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.busy[w.ID]; ok || len(d.busy) >= d.cfg.Workers || d.cfg.Ledger.Now().Before(d.block[w.ID]) {
		return false
	}
	tenants := 0
	for _, t := range d.busy {
		if t == w.Tenant {
			tenants++
		}
	}
	if tenants >= max(1, d.cfg.Workers/4) {
		return false
	}
	delete(d.block, w.ID)
	d.busy[w.ID] = w.Tenant
	return true
}

func (d *Dispatcher) release(id registry.WebhookID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.busy, id)
}

func (d *Dispatcher) running() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return float64(len(d.busy))
}

// look returns a webhook's next message, or else when to look again.
func (d *Dispatcher) look(ctx context.Context, w registry.Webhook) (*registry.Message, time.Time) {
	o, err := d.cfg.Ledger.NextMessage(ctx, w.Tenant, w.ID, d.looked[w.ID])
	if err == nil && o.Save {
		err = d.cfg.Ledger.SaveLooked(ctx, w.Tenant, w.ID, o.Looked)
	}
	if err != nil {
		return nil, d.broken(ctx, w, err)
	}
	d.looked[w.ID] = o.Looked
	return o.Message, o.Again
}

// broken has a webhook wait because of an error that is not its target's.
func (d *Dispatcher) broken(ctx context.Context, w registry.Webhook, err error) time.Time {
	if errors.Is(err, registry.ErrNotFound) || ctx.Err() != nil {
		return time.Time{}
	}
	d.log.ErrorContext(ctx, "messages of a webhook cannot be sent now", "webhook", w.ID, "tenant", w.Tenant, "err", err)
	until := d.cfg.Ledger.Now().Add(lookEvery)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.block[w.ID] = until
	return until
}

// send makes one try of a message, and of what follows it for as long as a turn lasts.
func (d *Dispatcher) send(ctx context.Context, m registry.Message) {
	began := d.cfg.Now()
	for range turnLength {
		if err := d.try(ctx, m); err != nil {
			d.broken(ctx, m.Webhook, err)
			return
		}
		if d.cfg.Now().Sub(began) >= turnTime {
			return
		}
		o, err := d.cfg.Ledger.NextMessage(ctx, m.Webhook.Tenant, m.Webhook.ID, registry.Looked{})
		if err != nil || o.Message == nil || ctx.Err() != nil {
			return // Run looks again
		}
		m = *o.Message
	}
}

// try sends a message once and settles it.
func (d *Dispatcher) try(ctx context.Context, m registry.Message) error {
	keys, err := d.cfg.Ledger.SigningKeys(m.Webhook)
	if err != nil {
		return err
	}
	started := d.cfg.Now()
	a := d.post(ctx, m, keys)
	if ctx.Err() != nil && a.cause != "" {
		return nil // nobody knows whether it arrived: it is sent again
	}
	ctx = context.WithoutCancel(ctx) // what did arrive is not
	d.metrics.observe(a, d.cfg.Now().Sub(started))
	if a.cause == "" {
		return d.cfg.Ledger.Delivered(ctx, m)
	}
	f := d.consequences(m, a)
	d.log.WarnContext(ctx, "a webhook did not take a message", "webhook", m.Webhook.ID, "tenant", m.Webhook.Tenant,
		"message", m.ID(), "try", m.Tries+1, "cause", a.cause, "status", a.status, "again_in", f.Retry)
	if f.Retry == 0 {
		d.metrics.dead.Inc()
	}
	return d.cfg.Ledger.Undelivered(ctx, m, f)
}

// consequences decides what follows from a failure.
func (d *Dispatcher) consequences(m registry.Message, a answer) registry.Failure {
	f := registry.Failure{Status: a.status, Cause: a.cause, Gone: a.status == http.StatusGone}
	if m.Tries < len(d.cfg.Backoff) {
		f.Retry = max(jitter(d.cfg.Backoff[m.Tries]), a.after)
	}
	if over := m.Failures + 1 - MaxFailures; over >= 0 || a.after > 0 || busy(a.status) {
		f.Pause = max(min(jitter(d.cfg.Pause<<min(max(over, 0), 16)), maxPause), a.after)
	}
	return f
}

// busy tells whether a status says that the target has too much to do.
func busy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// jitter is up to a tenth more, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration(rand.Int64N(max(int64(d)/10, 1)))
}

// Package icap is the engine that asks an ICAP service (RFC 3507), which is how most
// commercial scanners on a site's own machines are reached. What is judged is sent as the
// body of an answer (RESPMOD) or of a request (REQMOD), whichever the service takes.
//
// A service lets pass, as "no modification", what it was configured not to look at. Two
// rules keep that from counting as clean: nothing is sent that is larger than MaxSize, which Probe
// compares with the service's own, and a service that passes a body after its preview has
// not looked at the rest, so that the object is incomplete.
package icap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
)

// Reasons of what is not clean.
const (
	// ReasonMalware: the service found something; the verdict has its name if it was said.
	ReasonMalware = "malware"
	// ReasonBlocked: the service put something else in the content's place, and did not say
	// why.
	ReasonBlocked = "icap_blocked"
	// ReasonSkipped: the service passed the content without having seen all of it.
	ReasonSkipped = "icap_skipped"
	// ReasonLimit: the content is larger than what the service looks at.
	ReasonLimit = "icap_limit"
)

// Config is what an Engine is made of.
type Config struct {
	// URL is icap://host[:port]/service; the port is 1344 if it is absent.
	URL string
	// MaxSize is the largest body that the service looks at, in bytes; 0 is 100 MiB.
	MaxSize int64
	// Timeout is how long the service may take for one scan, once it has all of it; 0
	// is 5 min.
	Timeout time.Duration
	// Patience is how long the service may stay silent before it is asked, on another
	// connection, whether it is alive; that answer must come as fast. 0 is 10 s.
	Patience time.Duration
	// Connections bounds how many scans run at once; 0 is 16. The service may bound them
	// further (Max-Connections).
	Connections int

	Now func() time.Time
	Log *slog.Logger // nil discards
}

// Engine asks one service. It is safe for concurrent use.
type Engine struct {
	cfg   Config
	url   *url.URL
	slots chan struct{}
	m     *metrics

	mu      sync.Mutex // protects the fields below
	options *options   // nil until the service has said them
}

var (
	_ scanner.Engine   = (*Engine)(nil)
	_ scanner.Streamer = (*Engine)(nil)
)

// New returns an engine that connects when it is asked something.
func New(cfg Config) (*Engine, error) {
	orDefault(&cfg.MaxSize, 100<<20)
	orDefault(&cfg.Timeout, 5*time.Minute)
	orDefault(&cfg.Patience, 10*time.Second)
	orDefault(&cfg.Connections, 16)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	u, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, url: u, slots: make(chan struct{}, cfg.Connections), m: newMetrics()}, nil
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ParseURL reads icap://host[:port]/service and adds the port.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "icap" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(u.Path) < 2 {
		return nil, fmt.Errorf("%q is not icap://host:port/service", text)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "1344")
	}
	return u, nil
}

// Name implements scanner.Engine.
func (*Engine) Name() string { return "icap" }

// Scan implements scanner.Engine.
func (e *Engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	if in.Object.Size > e.cfg.MaxSize {
		return e.limited(), nil
	}
	r, err := in.Open(ctx)
	if err != nil {
		return scanner.Result{}, fmt.Errorf("open: %w", err)
	}
	defer r.Close()
	return e.Stream(ctx, r, in.Object.Size)
}

// Stream implements scanner.Streamer. Memory is a buffer or two.
func (e *Engine) Stream(ctx context.Context, r io.Reader, size int64) (scanner.Result, error) {
	if size > e.cfg.MaxSize {
		return e.limited(), nil
	}
	result, err := e.ask(ctx, r, size, e.cfg.MaxSize)
	var s status
	if errors.As(err, &s) && ctx.Err() == nil {
		err = e.blame(ctx, err)
	}
	return result, err
}

// blame finds out whether a service that failed does so over anything: then it is down. One
// that fails over this content alone has had a try.
func (e *Engine) blame(ctx context.Context, failed error) error {
	const harmless = "Is anybody there?\n"
	if _, err := e.ask(ctx, strings.NewReader(harmless), int64(len(harmless)), e.cfg.MaxSize); err != nil && ctx.Err() == nil {
		return down(failed)
	}
	return failed
}

func (e *Engine) limited() scanner.Result {
	return scanner.Result{Result: registry.VerdictIncomplete, Reason: ReasonLimit, Version: e.version()}
}

// ask has the service look at what r gives.
func (e *Engine) ask(ctx context.Context, r io.Reader, size, limit int64) (scanner.Result, error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return scanner.Result{}, context.Cause(ctx)
	}
	result, err := e.exchange(ctx, r, size, limit)
	switch {
	case err == errTooLarge:
		return e.limited(), nil
	case err != nil && ctx.Err() != nil:
		return scanner.Result{}, context.Cause(ctx)
	}
	return result, err
}

// exchange asks for the options first, if they are not known or too old.
func (e *Engine) exchange(ctx context.Context, r io.Reader, size, limit int64) (scanner.Result, error) {
	o, err := e.current(ctx)
	if err != nil {
		return scanner.Result{}, err
	}
	c, err := e.dial(ctx)
	if err != nil {
		return scanner.Result{}, err
	}
	defer c.close()
	result, err := c.scan(o, body{r: r, size: size, limit: limit})
	result.Version = o.version()
	return result, err
}

func down(err error) error {
	if errors.Is(err, scanner.ErrDown) {
		return err
	}
	return fmt.Errorf("%w: %w", scanner.ErrDown, err)
}

package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry"
)

// ReasonEngineUnknown: the object's rules name an engine that the server has not.
const ReasonEngineUnknown = "engine_unknown"

// PanelConfig is what a Panel is made of.
type PanelConfig struct {
	// Inspect are the built-in engines, in order. They are always on.
	Inspect []Engine
	// Malware are the engines that look for malware, in order; a bucket's rules
	// choose among them. None is allowed unless Required.
	Malware []Engine
	// Required holds every object for review while Malware is empty.
	Required bool
	// SpoolDir is where copies for Input.File are written that are too large for
	// memory; "" is the system's own.
	SpoolDir string

	Now func() time.Time
	Log *slog.Logger // nil discards
}

// Panel is the engines that judge an object together. It is safe for concurrent
// use.
type Panel struct {
	cfg     PanelConfig
	seconds *prometheus.HistogramVec
}

// NewPanel returns a panel of engines.
func NewPanel(cfg PanelConfig) *Panel {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Panel{cfg: cfg, seconds: newSeconds()}
}

// Case is one object before the panel.
type Case struct {
	Object registry.Object
	Rules  registry.ScanRules
	Tries  int // that failed before this one
	Open   func(ctx context.Context) (io.ReadCloser, error)
	// Heard is what engines said already, by name, of the same bytes while they
	// were on their way: those are not asked again.
	Heard map[string]Result
}

// Opinion is what the panel concluded.
type Opinion struct {
	Verdict  registry.Verdict
	Detected string // media type of the content
	SHA256   string // hex, of the content; "" if no engine read all of it
	// Renditions are what engines made of a clean object. Close closes their files.
	Renditions []Rendition
}

// Close lets go of the renditions' files.
func (o *Opinion) Close() {
	for _, r := range o.Renditions {
		_ = r.File.Close()
	}
	o.Renditions = nil
}

var errBadResult = errors.New("scanner: engine gave no known result")

// Judge asks the engines in order and stops at the first that is not content. An
// error that wraps ErrDown says nothing of the object; any other is a failed try.
func (p *Panel) Judge(ctx context.Context, c Case) (o Opinion, err error) {
	file := &spooled{dir: p.cfg.SpoolDir, open: c.Open}
	defer file.close()
	defer func() {
		if err != nil || o.Verdict.Result != registry.VerdictClean {
			o.Close()
		}
	}()
	in := Input{Object: c.Object, Rules: c.Rules, Open: c.Open, File: file.get}
	o.Verdict = registry.Verdict{Result: registry.VerdictClean, Attempts: c.Tries + 1}
	malware, missing := p.malware(c.Rules)
	for _, engines := range [][]Engine{p.cfg.Inspect, malware} {
		for _, e := range engines {
			r, heard := c.Heard[e.Name()]
			if !heard {
				if r, err = p.ask(ctx, e, in); err != nil {
					return o, fmt.Errorf("%s: %w", e.Name(), err)
				}
			}
			if done := o.note(e.Name(), r); done {
				o.Verdict.At = p.cfg.Now()
				return o, nil
			}
			in.Detected = o.Detected
		}
	}
	switch {
	case missing:
		o.Verdict.Result, o.Verdict.Reason = registry.VerdictIncomplete, ReasonEngineUnknown
	case p.cfg.Required && len(malware) == 0:
		o.Verdict.Result, o.Verdict.Reason = registry.VerdictIncomplete, ReasonScannerRequired
	}
	o.Verdict.At = p.cfg.Now()
	return o, nil
}

// note adds an engine's result and tells whether it settles the verdict.
func (o *Opinion) note(engine string, r Result) (done bool) {
	if r.Detected != "" {
		o.Detected = r.Detected
	}
	if r.SHA256 != "" {
		o.SHA256 = r.SHA256
	}
	o.Renditions = append(o.Renditions, r.Renditions...)
	o.Verdict.Engines = append(o.Verdict.Engines, registry.EngineNote{
		Name: engine, Version: r.Version, Result: string(r.Result), Signature: r.Signature})
	if r.Result == registry.VerdictClean {
		return false
	}
	o.Verdict.Result, o.Verdict.Reason = r.Result, r.Reason
	return true
}

// malware returns the malware engines that the rules want, and whether they want
// one that is not there.
func (p *Panel) malware(rules registry.ScanRules) (engines []Engine, missing bool) {
	switch {
	case rules.Mode == registry.ScanOff:
		return nil, false
	case len(rules.Engines) == 0:
		return p.cfg.Malware, false
	}
	for _, name := range rules.Engines {
		i := slices.IndexFunc(p.cfg.Malware, func(e Engine) bool { return e.Name() == name })
		if i < 0 {
			missing = true
			continue
		}
		engines = append(engines, p.cfg.Malware[i])
	}
	return engines, missing
}

// ask runs one engine and turns its panic into an error of this object.
func (p *Panel) ask(ctx context.Context, e Engine, in Input) (r Result, err error) {
	start := p.cfg.Now()
	defer func() {
		if v := recover(); v != nil {
			p.cfg.Log.ErrorContext(ctx, "scan engine panicked", "engine", e.Name(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = panicked{v}
		}
		p.seconds.WithLabelValues(e.Name()).Observe(p.cfg.Now().Sub(start).Seconds())
	}()
	r, err = e.Scan(ctx, in)
	if err != nil {
		return Result{}, err
	}
	switch r.Result {
	case registry.VerdictClean, registry.VerdictInfected, registry.VerdictRefused, registry.VerdictIncomplete:
		return r, nil
	}
	return Result{}, errBadResult
}

// Metrics returns the panel's collectors, without a prefix.
func (p *Panel) Metrics() []prometheus.Collector { return []prometheus.Collector{p.seconds} }

// spooled is an object's bytes as a file, made when they are asked for.
type spooled struct {
	dir  string
	open func(ctx context.Context) (io.ReadCloser, error)
	file *os.File
}

// get returns the file. It is not safe for concurrent use: engines run in turn.
func (s *spooled) get(ctx context.Context) (*os.File, error) {
	if s.file != nil {
		return s.file, nil
	}
	r, err := s.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	defer r.Close()
	f, err := os.CreateTemp(s.dir, "scan-*")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	// Without a name nothing is left if we die.
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), f.Close())
	}
	if _, err := io.Copy(f, r); err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), f.Close())
	}
	s.file = f
	return f, nil
}

func (s *spooled) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

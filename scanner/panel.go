package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry"
)

const (
	// ReasonEngineUnknown: the object's rules name an engine that the server has not.
	ReasonEngineUnknown = "engine_unknown"
	// ReasonTooLarge: an engine needs the object as a file, for which there is no room
	// and never will be.
	ReasonTooLarge = "too_large_to_spool"
)

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
	cfg PanelConfig
	m   *panelMetrics
}

// NewPanel returns a panel of engines.
func NewPanel(cfg PanelConfig) *Panel {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Panel{cfg: cfg, m: newPanelMetrics()}
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

// The note of a bucket that asks no malware engine, in place of theirs.
const (
	NoteMalware = "malware"
	NoteOff     = "off"
)

// Judge asks the engines in order and stops at the first that is not content. An
// error that wraps ErrDown says nothing of the object; any other is a failed try.
func (p *Panel) Judge(ctx context.Context, c Case) (o Opinion, err error) {
	bytes := &file{dir: p.cfg.SpoolDir, size: c.Object.Size, open: c.Open}
	defer bytes.close()
	defer func() {
		if err != nil || o.Verdict.Result != registry.VerdictClean {
			o.Close()
		}
	}()
	in := Input{Object: c.Object, Rules: c.Rules, Detected: c.Object.DetectedType, Open: c.Open, File: bytes.get}
	o.Verdict = registry.Verdict{Result: registry.VerdictClean, Attempts: c.Tries + 1}
	malware, missing := p.malware(c.Rules)
	for _, e := range c.toAsk(slices.Concat(p.cfg.Inspect, malware)) {
		r, heard := c.Heard[e.Name()]
		if !heard {
			r, err = p.ask(ctx, e.Name(), func() (Result, error) { return e.Scan(ctx, in) })
			if errors.Is(err, errTooLarge) {
				r, err = Result{Result: registry.VerdictIncomplete, Reason: ReasonTooLarge}, nil
			}
			if err != nil {
				return o, fmt.Errorf("%s: %w", e.Name(), err)
			}
		}
		if done := o.note(e.Name(), r); done {
			o.Verdict.At = p.cfg.Now()
			return o, nil
		}
		if o.Detected != "" {
			in.Detected = o.Detected
		}
	}
	if c.Rules.Mode == registry.ScanOff {
		o.Verdict.Engines = append(o.Verdict.Engines, registry.EngineNote{Name: NoteMalware, Result: NoteOff})
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

// toAsk leaves out engines that were not heard yet if another has found malware:
// that is all there is to know.
func (c *Case) toAsk(engines []Engine) []Engine {
	for _, r := range c.Heard {
		if r.Result == registry.VerdictInfected {
			return slices.DeleteFunc(engines, func(e Engine) bool {
				_, heard := c.Heard[e.Name()]
				return !heard
			})
		}
	}
	return engines
}

// cutShort is the verdict on a body that one engine heard enough of.
func (p *Panel) cutShort(engine string, r Result) registry.Verdict {
	o := Opinion{Verdict: registry.Verdict{Attempts: 1, At: p.cfg.Now()}}
	o.note(engine, r)
	return o.Verdict
}

// covers tells whether a clean verdict is by all the engines that the rules ask for.
func (p *Panel) covers(v registry.Verdict, rules registry.ScanRules) bool {
	malware, missing := p.malware(rules)
	if missing || v.Result != registry.VerdictClean || p.cfg.Required && len(malware) == 0 {
		return false
	}
	for _, e := range slices.Concat(p.cfg.Inspect, malware) {
		if !slices.ContainsFunc(v.Engines, func(n registry.EngineNote) bool { return n.Name == e.Name() }) {
			return false
		}
	}
	return true
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

// ask has one engine say something and turns its panic into an error of this object.
func (p *Panel) ask(ctx context.Context, engine string, say func() (Result, error)) (r Result, err error) {
	start := p.cfg.Now()
	defer func() {
		if v := recover(); v != nil {
			p.cfg.Log.ErrorContext(ctx, "scan engine panicked", "engine", engine, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			r, err = Result{}, panicked{v}
		}
		p.m.seconds.WithLabelValues(engine).Observe(p.cfg.Now().Sub(start).Seconds())
		p.m.verdicts.WithLabelValues(engine, outcome(ctx, r, err)).Inc()
	}()
	r, err = say()
	if err != nil {
		return Result{}, err
	}
	switch r.Result {
	case registry.VerdictClean, registry.VerdictInfected, registry.VerdictRefused, registry.VerdictIncomplete:
		return r, nil
	}
	r.close()
	return Result{}, errBadResult
}

// close closes the files of renditions that nobody wants.
func (r *Result) close() {
	for _, x := range r.Renditions {
		_ = x.File.Close()
	}
	r.Renditions = nil
}

// outcome is what came of asking an engine, as a word of a closed set.
func outcome(ctx context.Context, r Result, err error) string {
	switch {
	case err == nil:
		return string(r.Result)
	case ctx.Err() != nil:
		return "stopped"
	case errors.Is(err, ErrDown):
		return "down"
	}
	return string(registry.VerdictError)
}

// Metrics returns the panel's collectors, without a prefix.
func (p *Panel) Metrics() []prometheus.Collector {
	return []prometheus.Collector{p.m.seconds, p.m.verdicts}
}

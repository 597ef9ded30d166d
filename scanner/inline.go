package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry"
)

// BuiltIn is the name of the engine that counts, hashes and tells types.
const BuiltIn = "inspect"

// Inline judges writes before they are answered. It is the pipeline's Judge; give both
// it and the Worker the same Panel:
//
//	inline := scanner.NewInline(scanner.InlineConfig{Panel: panel})
//	moves := pipeline.New(pipeline.Config{Judge: inline, …})
//
// and register its Metrics without the panel's, which are the worker's to tell.
type Inline struct {
	panel   *Panel
	slots   chan struct{} // of bodies that are heard on their way
	outcome *prometheus.CounterVec
	down    atomic.Bool
}

// InlineConfig is what an Inline is made of.
type InlineConfig struct {
	Panel *Panel
	// Streams bounds how many bodies are heard on their way at once; 0 is 16. It is to be
	// less than any engine can hear. The others
	// are read from the store when they are there: slow clients must not take all that an
	// engine can hear at a time.
	Streams int
}

// NoStreams has no body heard on its way.
const NoStreams = -1

// NewInline returns a judge that asks the panel.
func NewInline(cfg InlineConfig) *Inline {
	orDefault(&cfg.Streams, 16)
	return &Inline{panel: cfg.Panel, slots: make(chan struct{}, max(cfg.Streams, 0)), outcome: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "inline_scans_total",
		Help: "Writes that were inspected before their answer, by how that ended.",
	}, []string{"outcome"})}
}

// Metrics returns the collectors, without a prefix.
func (i *Inline) Metrics() []prometheus.Collector { return []prometheus.Collector{i.outcome} }

// Down tells whether the last inspection found an engine down.
func (i *Inline) Down() bool { return i.down.Load() }

// Malware tells whether there is any engine that looks for malware.
func (i *Inline) Malware() bool { return len(i.panel.cfg.Malware) > 0 }

// Covers tells whether a clean verdict is by all the engines that the rules ask for.
func (i *Inline) Covers(v registry.Verdict, rules registry.ScanRules) bool {
	return i.panel.covers(v, rules)
}

// Tee begins to judge a body of size bytes while it is on its way, by those of the
// malware engines that take streams. It returns nil if none of them does, or too many
// bodies are heard already. Write waits for the slowest, and fails when an engine is down
// or has said already what Judge will tell: the rest is of no use. Close gives the streams
// up, at any time and from any goroutine; after Judge it does nothing.
func (i *Inline) Tee(ctx context.Context, rules registry.ScanRules, size int64) io.WriteCloser {
	malware, _ := i.panel.malware(rules)
	var streamers []Streamer
	for _, e := range malware {
		if s, ok := e.(Streamer); ok {
			streamers = append(streamers, s)
		}
	}
	if len(streamers) == 0 {
		return nil
	}
	select {
	case i.slots <- struct{}{}:
	default:
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &tee{size: size, end: sync.OnceFunc(func() {
		cancel()
		<-i.slots
	})}
	for _, s := range streamers {
		t.streams = append(t.streams, i.panel.listen(ctx, s, size))
	}
	return t
}

// Judge ends the inspection of an object whose bytes are durable, or whose body was cut
// short by Tee's Write: it asks the engines that have not heard them from what Tee
// returned, which may be nil. An object with a digest and a detected type was counted and
// hashed as it came. What engines made of it goes through keep into the claim. An error
// that wraps ErrDown says nothing of the object, and neither does any other.
func (i *Inline) Judge(ctx context.Context, c *registry.Claim,
	open func(context.Context) (io.ReadCloser, error),
	keep func(context.Context, registry.Rendition, io.Reader) (registry.Rendition, error),
	body io.WriteCloser,
) (registry.Verdict, string, error) {
	v, detected, err := i.judge(ctx, c, open, keep, body)
	switch {
	case err == nil:
		i.down.Store(false)
		i.outcome.WithLabelValues(string(v.Result)).Inc()
	case ctx.Err() != nil:
		i.outcome.WithLabelValues("stopped").Inc()
	default:
		i.down.Store(errors.Is(err, ErrDown))
		i.outcome.WithLabelValues(outcome(ctx, Result{}, err)).Inc()
	}
	return v, detected, err
}

func (i *Inline) judge(ctx context.Context, c *registry.Claim,
	open func(context.Context) (io.ReadCloser, error),
	keep func(context.Context, registry.Rendition, io.Reader) (registry.Rendition, error),
	body io.WriteCloser,
) (registry.Verdict, string, error) {
	heard := map[string]Result{}
	if t, ok := body.(*tee); ok {
		var err error
		if heard, err = t.hear(ctx); err != nil {
			return registry.Verdict{}, "", err
		}
		if t.cut != nil {
			return i.panel.cutShort(t.cut.engine, heard[t.cut.engine]), "", nil
		}
	}
	if c.Object.SHA256 != "" && c.Object.DetectedType != "" {
		heard[BuiltIn] = Result{Result: registry.VerdictClean, Detected: c.Object.DetectedType, SHA256: c.Object.SHA256}
	}
	o, err := i.panel.Judge(ctx, Case{Object: c.Object, Rules: c.Rules, Tries: c.Tries, Open: open, Heard: heard})
	if err != nil {
		return registry.Verdict{}, "", err
	}
	defer o.Close()
	if err := o.keepIn(ctx, c, keep); err != nil {
		return registry.Verdict{}, "", err
	}
	return o.Verdict, o.Detected, nil
}

// keepIn stores what was made of an object, and notes it and the digest in its claim.
func (o *Opinion) keepIn(ctx context.Context, c *registry.Claim, keep func(context.Context, registry.Rendition, io.Reader) (registry.Rendition, error)) error {
	for _, r := range o.Renditions {
		kept, err := keep(ctx, r.Rendition, io.NewSectionReader(r.File, 0, r.Size))
		if err != nil {
			return fmt.Errorf("keep rendition: %w", err)
		}
		c.Renditions = append(c.Renditions, kept)
	}
	c.SHA256 = o.SHA256
	return nil
}

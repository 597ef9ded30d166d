// Package image is the engine that re-encodes pictures. Of a JPEG, PNG, GIF or WebP it
// makes a clean copy and thumbnails: new files, written by us from the pixels alone,
// upright and without any metadata (colour profiles included), which a browser may be
// shown. The object itself stays what it is. Of a moving picture the first frame is
// copied.
//
// Decoders are the standard library's and golang.org/x/image's. They run as Job in a
// sandboxed process, which the parent asks through a Runner and believes nothing: it
// counts, hashes and looks at what comes back.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"sallyport/registry"
	"sallyport/scanner"
)

// Reasons of a verdict. One more is "sandbox_" with what ended the process.
const (
	// ReasonMalformed: the picture is damaged or truncated. Refused.
	ReasonMalformed = "image_malformed"
	// ReasonPixels: it has more pixels than allowed, by its header. Refused.
	ReasonPixels = "image_pixels"
	// ReasonFrames: it has more frames than allowed. Refused.
	ReasonFrames = "image_frames"
	// ReasonUnsupported: it is of a kind that the decoders do not know. Incomplete.
	ReasonUnsupported = "image_unsupported"
)

// What counts where neither the bucket nor the server says otherwise.
const (
	defaultPixels    = 50_000_000
	defaultFrames    = 1000
	defaultThumbnail = 256
)

// Bounds of thumbnails, whatever rules say.
const (
	maxThumbnails = 8
	maxEdge       = 4096 // pixels
)

// Runner runs a job in a process that can do nothing else. frame is called for what it
// sends, in order. An error with a method KilledBy() string says what ended the process:
// that is a verdict on its input.
type Runner interface {
	Run(ctx context.Context, job string, in *os.File, params any, frame func(kind string, header json.RawMessage, body io.Reader) error) (json.RawMessage, error)
}

// Config is what an Engine is made of. Runner is required.
type Config struct {
	Runner Runner
	// Defaults are for what a bucket's rules leave open. Its own zero fields are this
	// package's.
	Defaults registry.ImageRules
	// SpoolDir is where renditions lie until they are stored, without names; it is made
	// when it is needed. "" is the system's own.
	SpoolDir string
}

// Engine is a scanner.Engine. It has nothing to say of objects that are no pictures, or
// in whose bucket renditions are not asked for.
type Engine struct{ cfg Config }

var _ scanner.Engine = (*Engine)(nil)

// New returns an engine.
func New(cfg Config) *Engine { return &Engine{cfg: cfg} }

// Name implements scanner.Engine.
func (*Engine) Name() string { return "image" }

// Scan implements scanner.Engine.
func (e *Engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	clean := scanner.Result{Result: registry.VerdictClean, Version: "1"}
	kind := kindOf(in.Detected)
	if in.Rules.Image == nil || kind == "" {
		return clean, nil
	}
	f, err := in.File(ctx)
	if err != nil {
		return scanner.Result{}, fmt.Errorf("file: %w", err)
	}
	p := e.params(kind, in.Rules.Image)
	c := collector{params: p, dir: e.cfg.SpoolDir}
	raw, err := e.cfg.Runner.Run(ctx, JobName, f, p, c.frame)
	result, err := settle(clean, &c, raw, err)
	if err != nil || result.Result != registry.VerdictClean {
		c.close()
	}
	return result, err
}

// settle says what the end of a job means.
func settle(clean scanner.Result, c *collector, raw json.RawMessage, err error) (scanner.Result, error) {
	var killed interface{ KilledBy() string }
	switch {
	case c.failed != nil: // ours, whatever that did to the job
		return scanner.Result{}, c.failed
	case errors.As(err, &killed):
		clean.Result, clean.Reason = registry.VerdictIncomplete, "sandbox_"+killed.KilledBy()
		return clean, nil
	case err != nil:
		return scanner.Result{}, err
	}
	var r reply
	if err := json.Unmarshal(raw, &r); err != nil {
		return scanner.Result{}, fmt.Errorf("%w: reply", errJob)
	}
	switch r.Reason {
	case "":
		if len(c.made) != len(c.params.names()) {
			return scanner.Result{}, fmt.Errorf("%w: a rendition is missing", errJob)
		}
		clean.Renditions = c.made
	case ReasonMalformed, ReasonPixels, ReasonFrames:
		clean.Result, clean.Reason = registry.VerdictRefused, r.Reason
	case ReasonUnsupported:
		clean.Result, clean.Reason = registry.VerdictIncomplete, r.Reason
	default:
		return scanner.Result{}, fmt.Errorf("%w: reason", errJob)
	}
	return clean, nil
}

// errJob is a job that does not keep to what it was told: no picture can cause it
// unless it took the process over.
var errJob = errors.New("image: job gave what was not asked for")

// kindOf returns the format that a media type stands for, "" for those that nothing is
// made of.
func kindOf(mediaType string) string {
	base, _, _ := strings.Cut(mediaType, ";")
	switch strings.ToLower(strings.TrimSpace(base)) {
	case "image/jpeg":
		return kindJPEG
	case "image/png", "image/vnd.mozilla.apng":
		return kindPNG
	case "image/gif":
		return kindGIF
	case "image/webp":
		return kindWebP
	}
	return ""
}

// params are the bucket's rules, filled up.
func (e *Engine) params(kind string, rules *registry.ImageRules) params {
	p := params{Kind: kind}
	edges := []int{defaultThumbnail}
	for _, r := range []*registry.ImageRules{rules, &e.cfg.Defaults} {
		if p.MaxPixels == 0 {
			p.MaxPixels = r.MaxPixels
		}
		if p.MaxFrames == 0 {
			p.MaxFrames = r.MaxFrames
		}
		if len(r.Thumbnails) > 0 && p.Thumbnails == nil {
			p.Thumbnails = r.Thumbnails
		}
	}
	if p.MaxPixels == 0 {
		p.MaxPixels = defaultPixels
	}
	if p.MaxFrames == 0 {
		p.MaxFrames = defaultFrames
	}
	if p.Thumbnails == nil {
		p.Thumbnails = edges
	}
	edges = slices.DeleteFunc(slices.Clone(p.Thumbnails), func(n int) bool { return n < 1 || n > maxEdge })
	slices.Sort(edges)
	edges = slices.Compact(edges)
	p.Thumbnails = edges[:min(len(edges), maxThumbnails)]
	return p
}

// Package archive is the engine that unpacks: zip, tar, gzip, zstd, bzip2, xz and 7z,
// and what is packed inside them, down to a depth. Every member is given to the
// malware engines by itself, so that nothing depends on what those unpack, skip or
// give up on without saying so.
//
// The work has two sides. The child's (Job) parses: it runs in a sandbox, reads one
// descriptor, opens one archive and writes its members out as streams. The parent's
// (Engine) never parses: it counts what comes, holds it against the limits, keeps a
// copy while engines look at it, and sends members that are archives themselves to a
// child again. A child that lies can only hide what it was given.
//
// Limits and damage make an object incomplete, for people to review. What no honest
// packer writes is refused: names and links that lead out of the folder an archive is
// unpacked in, zip files whose two directories disagree or whose members overlap.
// Whoever unpacks it later may not be as careful as we are.
package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
)

// Runner runs a job in a sandboxed child (sandbox.Pool). frame is called for each
// stream the child opens, in order; body ends with the stream and what is left of it
// is skipped. An error of frame ends the job and is returned, wrapped. A child that
// was killed gives an error with a method KilledBy() string.
type Runner interface {
	Run(ctx context.Context, job string, in *os.File, params any,
		frame func(kind string, header json.RawMessage, body io.Reader) error) (json.RawMessage, error)
}

// Config is what an Engine is made of.
type Config struct {
	// Runner has this package's Job under JobName.
	Runner Runner
	// Malware are the engines that members are given to; a bucket's rules choose
	// among them.
	Malware []scanner.Streamer
	// Defaults stand in for zero fields of a bucket's rules, and DefaultRules for
	// its own zero fields.
	Defaults registry.ArchiveRules
	// MaxTime bounds the unpacking of one object, without the time that other
	// engines take; 0 is 10 minutes.
	MaxTime time.Duration
	// MaxEngineTime bounds the time that the malware engines take over one object's
	// members; 0 is 1 hour. Each has its limit for one, of which there can be many.
	MaxEngineTime time.Duration
	// SpoolDir is where members are kept that are too large for memory or are
	// archives themselves: at most MaxBytes for each object under way. "" is the
	// system's.
	SpoolDir string

	Now func() time.Time
}

// JobName is the name that the Runner has Job under.
const JobName = "archive"

// version is written into verdicts. It changes with what the engine finds.
const version = "1"

// DefaultRules are the server's limits where nobody says otherwise. MaxDepth counts
// the object itself: a tar.gz has two archives in each other.
func DefaultRules() registry.ArchiveRules {
	return registry.ArchiveRules{MaxDepth: 8, MaxEntries: 100_000, MaxBytes: 8 << 30, MaxRatio: 200}
}

// ratioFloor is how many bytes may come out of any archive before the ratio counts:
// small files of zeros and logs pack better than any bomb needs to.
const ratioFloor = 32 << 20

// Engine is a scanner.Engine. It is safe for concurrent use.
type Engine struct {
	cfg Config
}

var _ scanner.Engine = (*Engine)(nil)

// New returns an engine.
func New(cfg Config) *Engine {
	cfg.Defaults = orDefaults(cfg.Defaults, DefaultRules())
	if cfg.MaxTime == 0 {
		cfg.MaxTime = 10 * time.Minute
	}
	if cfg.MaxEngineTime == 0 {
		cfg.MaxEngineTime = time.Hour
	}
	return &Engine{cfg: cfg}
}

// orDefaults fills the zero limits of rules.
func orDefaults(rules, defaults registry.ArchiveRules) registry.ArchiveRules {
	if rules.MaxDepth == 0 {
		rules.MaxDepth = defaults.MaxDepth
	}
	if rules.MaxEntries == 0 {
		rules.MaxEntries = defaults.MaxEntries
	}
	if rules.MaxBytes == 0 {
		rules.MaxBytes = defaults.MaxBytes
	}
	if rules.MaxRatio == 0 {
		rules.MaxRatio = defaults.MaxRatio
	}
	return rules
}

// Name implements scanner.Engine.
func (*Engine) Name() string { return "archive" }

// Scan implements scanner.Engine. What is no archive is clean. Memory is a buffer of
// memorySize and what the malware engines take, whatever the archive.
func (e *Engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	file, err := in.File(ctx)
	if err != nil {
		return scanner.Result{}, fmt.Errorf("archive: %w", err)
	}
	s := &scan{
		cfg:       e.cfg,
		rules:     orDefaults(in.Rules.Archive, e.cfg.Defaults),
		streamers: e.streamers(in.Rules),
		packed:    in.Object.Size,
		spool:     spool{dir: e.cfg.SpoolDir},
		worst:     scanner.Result{Result: registry.VerdictClean, Version: version},
	}
	defer s.spool.close()
	format, err := s.sniffer.sniff(io.NewSectionReader(file, 0, in.Object.Size))
	if err != nil {
		return scanner.Result{}, fmt.Errorf("archive: %w", err)
	}
	s.find(container{file: file, size: in.Object.Size, format: format, depth: 1})
	if err := s.run(ctx); err != nil && !errors.Is(err, errSettled) {
		return scanner.Result{}, fmt.Errorf("archive: %w", err)
	}
	return s.worst, nil
}

// streamers are the malware engines that the rules want. One that they name and the
// server has not is the panel's to complain of.
func (e *Engine) streamers(rules registry.ScanRules) []scanner.Streamer {
	if rules.Mode == registry.ScanOff {
		return nil
	}
	if len(rules.Engines) == 0 {
		return e.cfg.Malware
	}
	var wanted []scanner.Streamer
	for _, name := range rules.Engines {
		for _, s := range e.cfg.Malware {
			if s.Name() == name {
				wanted = append(wanted, s)
			}
		}
	}
	return wanted
}

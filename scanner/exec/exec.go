// Package exec is the engine for scanners that are commands. Each object is the
// standard input of a new process, which runs confined: it may read what it was
// given and the paths it was configured with, and reach nothing else. Its exit code
// is the verdict.
package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"sallyport/registry"
	"sallyport/scanner"
)

// Reasons of what is not clean. A command that was ended gives ReasonSandbox and why
// ("sandbox_timeout").
const (
	// ReasonMalware: the command's exit code says so. The verdict has the signature.
	ReasonMalware = "malware"
	// ReasonIncomplete: the command's exit code says that it has not seen everything.
	ReasonIncomplete = "exec_incomplete"
	// ReasonSize: the content is above MaxSize.
	ReasonSize = "exec_limit"
	// ReasonSandbox begins the reasons of a command that broke down.
	ReasonSandbox = "sandbox_"
)

// Runner runs a command on a file, in a sandbox (sandbox.Pool). argv[0] is an absolute
// path; paths may be read and executed. An error with a method KilledBy() string says
// what ended the command, one that wraps scanner.ErrDown that it cannot be started.
type Runner interface {
	Exec(ctx context.Context, in *os.File, argv, paths []string, stdout io.Writer) (exit int, err error)
}

// Config is what an Engine is made of. Runner and Command are required.
type Config struct {
	// Name is the engine's in verdicts and rules; "" is "exec".
	Name   string
	Runner Runner
	// Command is an absolute path and its arguments. It reads standard input.
	Command []string
	// Paths are what it may read and execute beside itself: libraries, signatures.
	Paths []string
	// Clean, Infected, Incomplete and Down are exit codes. Down ones say that the
	// command does not work at present, e.g. for want of signatures. Every other code
	// is a failed try. Without any, 0 is clean and 1 is infected.
	Clean, Infected, Incomplete, Down []int
	// Signature finds the name of what was found in the output: its first group. nil
	// takes the first line.
	Signature *regexp.Regexp
	// Version is a command that prints the version of the engine and its signatures;
	// nil if there is none.
	Version []string
	// MaxSize is how many bytes the command looks at; more is incomplete. 0 is as
	// many as there are.
	MaxSize int64
	// SpoolDir is where streams are kept until they are whole; "" is the system's own.
	SpoolDir string

	Now func() time.Time
}

// Engine runs one command. It is safe for concurrent use.
type Engine struct {
	cfg Config

	mu      sync.Mutex
	version string // guarded by mu, as is asked
	asked   time.Time
}

var (
	_ scanner.Engine   = (*Engine)(nil)
	_ scanner.Streamer = (*Engine)(nil)
)

var errConfig = errors.New("exec: bad configuration")

// New returns an engine. It does not run the command.
func New(cfg Config) (*Engine, error) {
	if cfg.Name == "" {
		cfg.Name = "exec"
	}
	for _, argv := range [][]string{cfg.Command, cfg.Version} {
		if len(argv) > 0 && !filepath.IsAbs(argv[0]) {
			return nil, fmt.Errorf("%w: %q is not an absolute path", errConfig, argv[0])
		}
	}
	if len(cfg.Command) == 0 {
		return nil, fmt.Errorf("%w: no command", errConfig)
	}
	for _, path := range cfg.Paths {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%w: %q is not an absolute path", errConfig, path)
		}
	}
	all := slices.Concat(cfg.Clean, cfg.Infected, cfg.Incomplete, cfg.Down)
	if len(all) == 0 {
		cfg.Clean, cfg.Infected = []int{0}, []int{1}
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		return nil, fmt.Errorf("%w: an exit code has two meanings", errConfig)
	}
	return &Engine{cfg: cfg}, nil
}

// Name implements scanner.Engine.
func (e *Engine) Name() string { return e.cfg.Name }

// Scan implements scanner.Engine.
func (e *Engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	if e.tooLarge(in.Object.Size) {
		return e.incomplete(ctx, ReasonSize), nil
	}
	f, err := in.File(ctx)
	if err != nil {
		return scanner.Result{}, fmt.Errorf("file: %w", err)
	}
	return e.judge(ctx, f)
}

// Stream implements scanner.Streamer. The command has the content when it is whole.
func (e *Engine) Stream(ctx context.Context, r io.Reader, size int64) (scanner.Result, error) {
	if e.tooLarge(size) {
		return e.incomplete(ctx, ReasonSize), nil
	}
	f, err := e.spool()
	if err != nil {
		return scanner.Result{}, fmt.Errorf("spool: %w", err)
	}
	defer f.Close()
	if e.cfg.MaxSize > 0 {
		r = io.LimitReader(r, e.cfg.MaxSize+1)
	}
	n, err := io.Copy(f, r)
	switch {
	case err != nil:
		return scanner.Result{}, fmt.Errorf("spool: %w", err)
	case e.tooLarge(n):
		return e.incomplete(ctx, ReasonSize), nil
	}
	return e.judge(ctx, f)
}

func (e *Engine) tooLarge(size int64) bool { return e.cfg.MaxSize > 0 && size > e.cfg.MaxSize }

func (e *Engine) incomplete(ctx context.Context, reason string) scanner.Result {
	return scanner.Result{Result: registry.VerdictIncomplete, Reason: reason, Version: e.ask(ctx)}
}

// spoolPattern names files for the moment in which they have a name. What is called
// so in the spool is cleared away at the next start.
const spoolPattern = "spool-exec-*"

// spool returns a new file without a name.
func (e *Engine) spool() (*os.File, error) {
	if e.cfg.SpoolDir != "" {
		if err := os.MkdirAll(e.cfg.SpoolDir, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.CreateTemp(e.cfg.SpoolDir, spoolPattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// judge runs the command and reads its exit code.
func (e *Engine) judge(ctx context.Context, f *os.File) (scanner.Result, error) {
	var out output
	exit, err := e.cfg.Runner.Exec(ctx, f, e.cfg.Command, e.cfg.Paths, &out)
	var killed interface{ KilledBy() string }
	switch {
	case errors.As(err, &killed):
		return e.incomplete(ctx, ReasonSandbox+killed.KilledBy()), nil
	case err != nil:
		return scanner.Result{}, err
	}
	r := scanner.Result{Version: e.ask(ctx)}
	switch {
	case slices.Contains(e.cfg.Clean, exit):
		r.Result = registry.VerdictClean
	case slices.Contains(e.cfg.Infected, exit):
		r.Result, r.Reason, r.Signature = registry.VerdictInfected, ReasonMalware, e.signature(out.String())
	case slices.Contains(e.cfg.Incomplete, exit):
		r.Result, r.Reason = registry.VerdictIncomplete, ReasonIncomplete
	case slices.Contains(e.cfg.Down, exit):
		return scanner.Result{}, fmt.Errorf("%w: exit code %d", scanner.ErrDown, exit)
	default:
		return scanner.Result{}, fmt.Errorf("exec: exit code %d has no meaning", exit)
	}
	return r, nil
}

// signature returns the name of what was found.
func (e *Engine) signature(out string) string {
	if e.cfg.Signature == nil {
		line, _, _ := strings.Cut(out, "\n")
		return plain(line)
	}
	if found := e.cfg.Signature.FindStringSubmatch(out); len(found) > 1 {
		return plain(found[1])
	}
	return ""
}

// versionAge is how long a version is believed.
const versionAge = 10 * time.Minute

// ask returns the version of the command, "" if it does not say.
func (e *Engine) ask(ctx context.Context) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.cfg.Version) == 0 || !e.asked.IsZero() && e.cfg.Now().Sub(e.asked) < versionAge {
		return e.version
	}
	version, err := e.askNow(ctx)
	if ctx.Err() != nil {
		return e.version // that says nothing of the command
	}
	if err != nil {
		version = ""
	}
	e.version, e.asked = version, e.cfg.Now()
	return e.version
}

// Probe runs the version command, or else the command itself on nothing, and returns
// the version. The error says why it does not work.
func (e *Engine) Probe(ctx context.Context) (version string, err error) {
	if len(e.cfg.Version) > 0 {
		return e.askNow(ctx)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer f.Close()
	r, err := e.judge(ctx, f)
	if err == nil && r.Result != registry.VerdictClean {
		err = fmt.Errorf("exec: empty content is %s (%s)", r.Result, r.Reason)
	}
	return "", err
}

func (e *Engine) askNow(ctx context.Context) (string, error) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var out output
	exit, err := e.cfg.Runner.Exec(ctx, f, e.cfg.Version, e.cfg.Paths, &out)
	switch {
	case err != nil:
		return "", err
	case exit != 0:
		return "", fmt.Errorf("exec: the version command ends with exit code %d", exit)
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	return plain(line), nil
}

// output keeps the head of what a command writes.
type output struct{ kept bytes.Buffer }

// outputSize is how many bytes are kept.
const outputSize = 64 << 10

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.kept.Write(p[:min(len(p), outputSize-o.kept.Len())])
	return len(p), nil
}

// String returns what was kept.
func (o *output) String() string { return o.kept.String() }

// plain makes a short word for verdicts of what a command has said.
func plain(s string) string {
	const most = 128 // bytes
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if s = strings.TrimSpace(s); len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

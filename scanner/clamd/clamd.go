// Package clamd is the engine that asks ClamAV's daemon. Bytes are sent to it
// with INSTREAM over sessions that are used again; see clamd(8) for the protocol.
//
// clamd says OK to what it has not looked at: a file, or a member of a container,
// that is over one of its limits. Nor can it be asked for them. So they are settings
// here (Limits), everything above them is incomplete, and Probe finds out whether clamd
// has at least those.
package clamd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
)

// Reasons of what is not clean.
const (
	// ReasonMalware: the verdict has the signature's name.
	ReasonMalware = "malware"
	// ReasonLimit: the content is over a limit of clamd's, or hit one inside.
	ReasonLimit = "clamd_limit"
	// ReasonEncrypted: something inside cannot be read without a password, and clamd
	// was told to say so (AlertEncrypted).
	ReasonEncrypted = "encrypted"
)

// Limits are those of clamd.conf. A zero field is clamd's default, named behind it.
type Limits struct {
	StreamMaxLength int64 // bytes of one INSTREAM; 100 MiB
	MaxFileSize     int64 // bytes of one file, or member of one; 100 MiB
	MaxScanSize     int64 // bytes of a file and of everything unpacked from it; 400 MiB
	MaxRecursion    int   // containers in containers; 17
}

// mostBytes is the longest file that ClamAV looks at, whatever its limits are.
const mostBytes = math.MaxInt32 - 2

// stream is how many bytes may be sent: of one file, all limits that count bytes
// hold.
func (l Limits) stream() int64 {
	return min(l.StreamMaxLength, l.MaxFileSize, l.MaxScanSize, mostBytes)
}

// Config is what an Engine is made of.
type Config struct {
	// Address is tcp://host:port or unix:///path.
	Address string
	Limits  Limits
	// MaxAge is how old the signature database may be before the engine counts as
	// down; one of unknown age is too old. 0 is as old as it likes.
	MaxAge time.Duration
	// Timeout is how long clamd may take for one scan, once it has all of it; 0 is
	// 5 min. It has a limit of its own, of 2 min by default (MaxScanTime).
	Timeout time.Duration
	// Patience is how long clamd may stay silent before it is asked, on another connection,
	// whether it is alive; that answer must come as fast. 0 is 10 s.
	Patience time.Duration
	// Sessions bounds how many streams are sent at once; 0 is 32. More than clamd's
	// MaxThreads is useful, since it takes a stream without a thread.
	Sessions int

	Now func() time.Time
	Log *slog.Logger // nil discards
}

// Engine asks one clamd. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	network string
	address string
	pool    *pool
	m       *metrics

	version atomic.Pointer[told] // nil until clamd has said it
}

var (
	_ scanner.Engine   = (*Engine)(nil)
	_ scanner.Streamer = (*Engine)(nil)
)

// New returns an engine that connects when it is asked something.
func New(cfg Config) (*Engine, error) {
	orDefault(&cfg.Limits.StreamMaxLength, 100<<20)
	orDefault(&cfg.Limits.MaxFileSize, 100<<20)
	orDefault(&cfg.Limits.MaxScanSize, 400<<20)
	orDefault(&cfg.Limits.MaxRecursion, 17)
	orDefault(&cfg.Timeout, 5*time.Minute)
	orDefault(&cfg.Patience, 10*time.Second)
	orDefault(&cfg.Sessions, 32)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: cfg}
	var err error
	if e.network, e.address, err = ParseAddress(cfg.Address); err != nil {
		return nil, err
	}
	e.pool = newPool(e, cfg.Sessions)
	e.m = newMetrics(e)
	return e, nil
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ParseAddress splits tcp://host:port or unix:///path into what net.Dial takes.
func ParseAddress(address string) (network, dial string, err error) {
	u, err := url.Parse(address)
	if err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		switch {
		case u.Scheme == "unix" && u.Host == "" && len(u.Path) > 1:
			return "unix", u.Path, nil
		case u.Scheme == "tcp" && u.Hostname() != "" && u.Port() != "" && u.Path == "":
			return "tcp", u.Host, nil
		}
	}
	return "", "", fmt.Errorf("%q is neither tcp://host:port nor unix:///path", address)
}

// Name implements scanner.Engine.
func (*Engine) Name() string { return "clamd" }

// Close ends the sessions that are not in use. The engine may be used on.
func (e *Engine) Close() error {
	e.pool.closeIdle()
	return nil
}

// Scan implements scanner.Engine.
func (e *Engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	if in.Object.Size > e.cfg.Limits.stream() {
		return e.tooLarge(), nil
	}
	r, err := in.Open(ctx)
	if err != nil {
		return scanner.Result{}, fmt.Errorf("open: %w", err)
	}
	defer r.Close()
	return e.Stream(ctx, r, in.Object.Size)
}

// Stream implements scanner.Streamer. Memory is one buffer.
func (e *Engine) Stream(ctx context.Context, r io.Reader, size int64) (scanner.Result, error) {
	if size > e.cfg.Limits.stream() {
		return e.tooLarge(), nil
	}
	s, err := e.pool.take(ctx)
	if err != nil {
		return scanner.Result{}, err
	}
	defer e.pool.give(s)
	if err := e.fit(); err != nil {
		return scanner.Result{}, err
	}
	answer, err := s.instream(ctx, r, e.cfg.Limits.stream())
	switch {
	case err == errTooLarge:
		return e.tooLarge(), nil
	case err != nil && ctx.Err() != nil:
		return scanner.Result{}, context.Cause(ctx)
	case err != nil:
		return scanner.Result{}, err
	}
	result, err := judge(answer)
	result.Version = e.known().String()
	return result, err
}

func (e *Engine) tooLarge() scanner.Result {
	return scanner.Result{Result: registry.VerdictIncomplete, Reason: ReasonLimit, Version: e.known().String()}
}

// dial opens a connection.
func (e *Engine) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: e.cfg.Patience}
	conn, err := d.DialContext(ctx, e.network, e.address)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", scanner.ErrDown, err)
	}
	return conn, nil
}

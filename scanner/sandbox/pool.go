package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"sallyport/scanner"
)

// Config is what a Pool is made of.
type Config struct {
	// Command starts a child: a program whose main calls Main, and its arguments.
	Command []string
	// Env is the children's whole environment, NAME=value.
	Env []string
	// Workers is how many children there are at most at a time, and how many commands
	// beside them; 0 is 1.
	Workers int
	Limits  Limits
	// Unconfined lets Exec run commands even where the kernel cannot keep them from
	// the file system.
	Unconfined bool

	Now func() time.Time // the wall clock: deadlines of the system are taken from it
	Log *slog.Logger     // nil discards
}

// Pool runs jobs in children. It is safe for concurrent use.
type Pool struct {
	cfg   Config
	slots chan *worker // one for each worker there may be; nil where none is started
	// commands are the turns of Exec. They are others than the slots: a frame of a job
	// may be what a command has to look at.
	commands chan struct{}
	starter  *starter
	metrics  metrics
	life     context.Context // ends with Close
	end      context.CancelFunc
	closing  sync.Once
	skip     []string // layers that tests leave out
}

var errClosed = errors.New("sandbox: pool is closed")

// NewPool returns a pool. Children are started when they are needed. It must be
// closed.
func NewPool(cfg Config) *Pool {
	cfg.Workers = cmp.Or(cfg.Workers, 1)
	cfg.Limits = cfg.Limits.filled()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pool{cfg: cfg, slots: make(chan *worker, cfg.Workers), commands: make(chan struct{}, cfg.Workers), starter: newStarter(), metrics: newMetrics()}
	p.life, p.end = context.WithCancel(context.Background())
	for range cfg.Workers {
		p.slots <- nil
		p.commands <- struct{}{}
	}
	return p
}

// Run has a child do a job on a file and returns the job's reply. in is given to
// it as a read-only descriptor with an offset of its own.
//
// frame is called for each stream of bytes that the job sends, one after the
// other, in the calling goroutine. It may leave the body unread; what it keeps of
// the body is its own business, the body itself ends with the call. If it returns
// an error, the child is ended at once and Run returns that error. nil skips all
// frames.
//
// The error is a *Killed if the child broke down over this object, wraps
// scanner.ErrDown if no child can be had at all, and is any other if the job
// returned one. A child that was used before and breaks down before its first frame,
// but not for the time it took, does not count: the job is run again in a new one,
// so that no object is judged by what an earlier one did.
func (p *Pool) Run(ctx context.Context, job string, in *os.File, params any, frame func(kind string, header json.RawMessage, body io.Reader) error) (json.RawMessage, error) {
	encoded, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("sandbox: params of %s: %w", job, err)
	}
	message, err := text(sayJob, task{Job: job, Params: encoded})
	if err != nil {
		return nil, err
	}
	ctx, release := p.within(ctx)
	defer release()
	for {
		w, err := p.take(ctx)
		if err != nil {
			return nil, err
		}
		used := w.objects > 0
		reply, err := w.run(ctx, message, in, frame)
		worn := used && !w.begun && maybeWorn(err)
		p.give(ctx, w, err) // from here on it is another's
		p.metrics.ended(err)
		if worn {
			continue
		}
		return reply, err
	}
}

// maybeWorn tells whether an earlier object may have a part in this end. Time is
// measured for each object by itself.
func maybeWorn(err error) bool {
	var killed *Killed
	return errors.As(err, &killed) && killed.Reason != ReasonTimeout && killed.Reason != ReasonCPU
}

// within returns a context that also ends with the pool.
func (p *Pool) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.life, func() { cancel(fmt.Errorf("%w: %w", scanner.ErrDown, errClosed)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// take waits for a slot and returns its worker, a new one if it has none.
func (p *Pool) take(ctx context.Context) (*worker, error) {
	w, err := turn(ctx, p.slots)
	if err != nil {
		return nil, err
	}
	if w != nil && !w.dead() {
		return w, nil
	}
	w, err = p.start(ctx, nil, nil, nil)
	if err != nil {
		p.slots <- nil
		return nil, err
	}
	return w, nil
}

// turn waits for something to be had from a channel. It must be given back.
func turn[T any](ctx context.Context, c <-chan T) (v T, err error) {
	if ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	select {
	case v = <-c:
		return v, nil
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}

// give puts a worker back, if it may go on.
func (p *Pool) give(ctx context.Context, w *worker, err error) {
	if err == nil && ctx.Err() == nil && !w.retired && w.objects < p.cfg.Limits.Objects {
		p.slots <- w
		return
	}
	w.kill()
	var killed *Killed
	if errors.As(err, &killed) {
		p.cfg.Log.WarnContext(ctx, "a sandboxed child was ended", "reason", killed.Reason, "state", w.state(), "stderr", w.said.String())
	}
	p.slots <- nil
}

// Close ends all children and what they run. Jobs that run fail with an error
// that wraps scanner.ErrDown.
func (p *Pool) Close() error {
	p.closing.Do(func() {
		p.end()
		for range p.cfg.Workers {
			if w := <-p.slots; w != nil {
				w.kill()
			}
			<-p.commands
		}
		p.starter.close()
	})
	return nil
}

package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"sallyport/scanner"
)

// startTime bounds how long a child may take until it is locked in, on a machine
// with everything else to do.
const startTime = 30 * time.Second

// worker is one child, seen from its parent. One goroutine uses it at a time.
type worker struct {
	limits Limits
	now    func() time.Time
	cmd    *exec.Cmd
	conn   *net.UnixConn
	r      *bufio.Reader // of the child's messages, through timed
	left   time.Duration // that may still be waited for it
	output int64         // bytes it may still send for this object

	hello   hello
	objects int   // it was given
	begun   bool  // it has sent a frame of the present object
	retired bool  // it asked for its end
	broken  error // of the connection, at the present object

	said   firstWords    // what it wrote to standard error
	reaped chan struct{} // closed when the process is gone
}

// start makes a child and waits until it is locked in. Standard input and output
// are those of the command it is to become.
func (p *Pool) start(ctx context.Context, become *command, stdin *os.File, stdout io.Writer) (*worker, error) {
	conn, theirs, err := connection()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w: %w", scanner.ErrDown, err)
	}
	w := &worker{limits: p.cfg.Limits, now: p.cfg.Now, conn: conn, reaped: make(chan struct{})}
	w.r = bufio.NewReaderSize(timed{w}, maxData+headSize)
	prepare := func() *exec.Cmd {
		cmd := exec.Command(p.cfg.Command[0], p.cfg.Command[1:]...)
		// A C library's arenas, one for each thread, are large reservations.
		cmd.Env = append([]string{"GOTRACEBACK=single", "MALLOC_ARENA_MAX=1"}, p.cfg.Env...)
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.Stderr = &w.said
		cmd.Dir = "/"
		cmd.WaitDelay = time.Second
		cmd.Stdout = stdout
		if stdin != nil {
			cmd.Stdin = stdin
		}
		return cmd
	}
	skip := p.skip
	if become == nil && filters() && !slices.Contains(skip, layerSeccomp) {
		// A worker's filter leaves nothing to a namespace, and a process with one is
		// started by a fork that copies the page tables of this one: 0.3 s were seen for
		// a gigabyte of memory on a busy machine.
		skip = append(slices.Clone(skip), layerSpaces)
	}
	w.cmd, err = p.starter.start(prepare, skip)
	// The child's end is open in the child only: its death is the end of the stream.
	_ = theirs.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w: %w", scanner.ErrDown, err), conn.Close())
	}
	p.metrics.starts.Inc()
	go w.reap()
	_, apart := spaces(w.cmd.SysProcAttr)
	if err := w.greet(ctx, setup{Limits: p.cfg.Limits, Apart: apart, Skip: p.skip, Exec: become}); err != nil {
		w.kill()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("sandbox: %w: child does not start: %w (%s) %s", scanner.ErrDown, err, w.state(), &w.said)
	}
	return w, nil
}

// greet tells the child what it has to know and hears what is in force.
func (w *worker) greet(ctx context.Context, s setup) error {
	defer context.AfterFunc(ctx, w.signal)()
	message, err := text(saySetup, s)
	if err != nil {
		return err
	}
	w.left, w.output = startTime, maxText
	if err := w.send(message, nil); err != nil {
		return err
	}
	kind, size, err := w.next()
	if err != nil {
		return err
	}
	if kind != sayHello {
		return fmt.Errorf("%w: %q for a hello", errProtocol, kind)
	}
	if err := readText(w.r, size, &w.hello); err != nil {
		return err
	}
	if w.hello.Failed != "" {
		return errors.New(w.hello.Failed)
	}
	return nil
}

// run has the child do one job. The worker may be used again if the error is nil.
func (w *worker) run(ctx context.Context, message []byte, in *os.File, frame func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	own, err := readOnly(in)
	if err != nil {
		return nil, fmt.Errorf("sandbox: input: %w", err)
	}
	defer own.Close()
	w.objects++
	w.begun, w.broken = false, nil
	w.left, w.output = w.limits.Wall, w.limits.Output

	stop := context.AfterFunc(ctx, w.signal)
	defer stop()
	if err := w.send(message, own); err != nil {
		return nil, w.verdict(ctx, err)
	}
	reply, err := w.hear(frame)
	if w.broken != nil { // whatever the callback made of it
		return nil, w.verdict(ctx, w.broken)
	}
	return reply, err
}

// hear reads what a child says of one object, to the end of it. What the child does
// wrong is in broken.
func (w *worker) hear(frame func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	for {
		kind, size, err := w.next()
		if err != nil {
			w.broken = err
			return nil, err
		}
		switch kind {
		case sayFrame:
			if err := w.frame(size, frame); err != nil {
				return nil, err
			}
		case sayReply, sayFailed:
			var e ending
			if err := readText(w.r, size, &e); err != nil {
				w.broken = err
				return nil, err
			}
			return e.result(w, kind)
		default:
			w.broken = fmt.Errorf("%w: %q is no answer", errProtocol, kind)
			return nil, w.broken
		}
	}
}

// result returns what a job ended with.
func (e ending) result(w *worker, kind byte) (json.RawMessage, error) {
	w.retired = e.Retire
	switch {
	case kind == sayReply:
		return e.Reply, nil
	case e.Files:
		return nil, &Killed{Reason: ReasonFiles}
	}
	return nil, fmt.Errorf("sandbox: job failed: %.300q", e.Failed)
}

// frame hands one stream of bytes to the callback.
func (w *worker) frame(size int, frame func(string, json.RawMessage, io.Reader) error) error {
	w.begun = true
	var o opening
	if err := readText(w.r, size, &o); err != nil {
		w.broken = err
		return err
	}
	b := &body{w: w}
	if frame != nil {
		err := frame(o.Kind, o.Header, b)
		if err != nil || w.broken != nil {
			return errors.Join(err, w.broken)
		}
	}
	_, err := io.Copy(io.Discard, b)
	return err
}

// verdict says what a broken exchange means: the context ended, or the child is
// to blame. The child is gone after it.
func (w *worker) verdict(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		w.kill()
		return context.Cause(ctx)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.kill()
		return &Killed{Reason: ReasonTimeout}
	case errors.Is(err, errProtocol):
		w.kill()
		return &Killed{Reason: ReasonOutput}
	}
	w.kill() // it has closed its end: it is dying, and keeps the cause it has
	return &Killed{Reason: w.cause()}
}

// cause tells why a process that is gone ended.
func (w *worker) cause() string {
	said := w.said.String()
	status, _ := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case status.Exited() && status.ExitStatus() == exitCPU, status.Signaled() && status.Signal() == syscall.SIGXCPU:
		return ReasonCPU
	case status.Signaled() && status.Signal() == syscall.SIGXFSZ, strings.Contains(said, "SIGXFSZ"):
		return ReasonFiles
	case slices.ContainsFunc(memoryWords, func(words string) bool { return strings.Contains(said, words) }):
		return ReasonMemory
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		// Only the kernel kills without a word: over the hard limit of processor
		// time, or because the machine has no memory left.
		if w.cmd.ProcessState.UserTime()+w.cmd.ProcessState.SystemTime() >= w.limits.CPU {
			return ReasonCPU
		}
		return ReasonMemory
	}
	return ReasonCrash
}

// memoryWords are what Go's runtime, a C library or the race detector say when
// they get no more memory.
var memoryWords = []string{"out of memory", "cannot allocate memory", "annot map pages", "failed to allocate", "address space", "errno=12", "pthread_create failed"}

// signal ends the process without waiting for it.
func (w *worker) signal() { _ = w.cmd.Process.Kill() }

// kill ends the process and waits until it is gone.
func (w *worker) kill() {
	w.signal()
	<-w.reaped
	_ = w.conn.Close()
}

// dead tells whether the process is gone.
func (w *worker) dead() bool {
	select {
	case <-w.reaped:
		return true
	default:
		return false
	}
}

// state returns how the process ended, e.g. "signal: killed".
func (w *worker) state() string {
	if !w.dead() {
		return "running"
	}
	return w.cmd.ProcessState.String()
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"sallyport/scanner"
)

// Exec runs a command on a file, which is its standard input, and returns its exit
// code. argv[0] is an absolute path; paths are the files and directories that it
// may read and execute, all else is closed to it. It may also open its input as
// /proc/self/fd/0, if the user that commands run as may read the file: nobody, where
// this process is root, else the same. What it writes to standard output goes to stdout, not more than
// Limits.Output; standard error is dropped.
//
// The error is a *Killed if the command went over a limit or died of a signal, and
// wraps scanner.ErrDown if it cannot be started, or not be confined.
func (p *Pool) Exec(ctx context.Context, in *os.File, argv, paths []string, stdout io.Writer) (exit int, err error) {
	if len(argv) == 0 {
		return 0, fmt.Errorf("sandbox: %w: no command", scanner.ErrDown)
	}
	own, err := readOnly(in)
	if err != nil {
		return 0, fmt.Errorf("sandbox: input: %w", err)
	}
	defer own.Close()
	ctx, release := p.within(ctx)
	defer release()
	mine, err := turn(ctx, p.commands)
	if err != nil {
		return 0, err
	}
	defer func() { p.commands <- mine }()

	out := &bounded{w: stdout, left: p.cfg.Limits.Output}
	become := &command{Argv: slices.Clone(argv), Paths: paths, Unconfined: p.cfg.Unconfined}
	w, err := p.start(ctx, become, own, out)
	if err != nil {
		return 0, err
	}
	defer w.kill()
	exit, err = w.wait(ctx, out)
	p.metrics.ended(err)
	return exit, err
}

var errWall = errors.New("sandbox: out of time")

// wait waits until a command has ended.
func (w *worker) wait(ctx context.Context, out *bounded) (exit int, err error) {
	limited, cancel := context.WithTimeoutCause(ctx, w.limits.Wall, errWall)
	defer cancel()
	defer context.AfterFunc(limited, w.signal)()
	// The socket's other end is closed by a successful execve.
	w.left, w.output = w.limits.Wall, maxText
	kind, size, err := w.next()
	switch {
	case err == nil && kind == sayFailed:
		var e ending
		if err := readText(w.r, size, &e); err != nil {
			return 0, w.verdict(ctx, err)
		}
		return 0, fmt.Errorf("sandbox: %w: %s", scanner.ErrDown, e.Failed)
	case !errors.Is(err, io.EOF):
		return 0, w.verdict(ctx, errors.Join(errProtocol, err))
	}
	<-w.reaped
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case out.over:
		return 0, &Killed{Reason: ReasonOutput}
	case limited.Err() != nil:
		return 0, &Killed{Reason: ReasonTimeout}
	case !w.cmd.ProcessState.Exited():
		return 0, &Killed{Reason: w.cause()}
	}
	return w.cmd.ProcessState.ExitCode(), nil
}

// bounded passes on so many bytes and then fails, which closes the command's pipe.
type bounded struct {
	w    io.Writer
	left int64
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		b.over = true
		return 0, errors.New("sandbox: more output than allowed")
	}
	b.left -= int64(len(p))
	return b.w.Write(p)
}

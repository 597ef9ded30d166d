//go:build !linux

package sandbox

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// variants are the ways to start a child.
func variants() []*syscall.SysProcAttr {
	return []*syscall.SysProcAttr{{Setpgid: true}}
}

func filters() bool { return false }

func refused(error) bool { return false }

func spaces(*syscall.SysProcAttr) (names []string, apart bool) { return nil, false }

// reap waits until the process is gone.
func (w *worker) reap() {
	defer close(w.reaped)
	_ = w.cmd.Wait() // the state says it
}

var errWritable = errors.New("sandbox: the input is open for writing")

// readOnly returns the same file once more.
func readOnly(f *os.File) (*os.File, error) {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	switch {
	case err != nil:
		return nil, err
	case flags&unix.O_ACCMODE != unix.O_RDONLY:
		return nil, errWritable
	}
	own, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(own), f.Name()), nil
}

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user that children are, where that can be chosen.
const nobody = 65534

// separate are the namespaces of a child: it is nobody of weight, and sees no
// network but its own, which has none.
const separate = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWPID

// variants are the ways to start a child, the most separate first. The kernel, a
// container's rules or the mode of our own binary may refuse any of them.
func variants() []*syscall.SysProcAttr {
	plain := func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	}
	spaces := func(host int) *syscall.SysProcAttr {
		a := plain()
		a.Cloneflags = separate
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: host, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: host, Size: 1}}
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}
		return a
	}
	if os.Getuid() != 0 {
		own := spaces(os.Getuid())
		own.GidMappings[0].HostID = os.Getgid()
		return []*syscall.SysProcAttr{own, plain()}
	}
	other, drop := spaces(nobody), plain()
	other.GidMappingsEnableSetgroups = true
	other.Credential.NoSetGroups = false // root's groups are left behind
	drop.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	return []*syscall.SysProcAttr{other, spaces(0), drop, plain()}
}

// reap waits until the process is gone, and all of its group with it.
func (w *worker) reap() {
	defer close(w.reaped)
	for {
		// Not yet reaped, the process keeps its number from others, so that the
		// signal to its group cannot meet strangers.
		err := unix.Waitid(unix.P_PID, w.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	_ = w.cmd.Wait() // the state says it
}

// readOnly opens a file anew, to be read only and with an offset of its own.
func readOnly(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	own := -1
	var failed error
	if err := raw.Control(func(fd uintptr) {
		own, failed = unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if failed == nil {
			return
		}
		// Without /proc, the same one will do if it cannot be written to.
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil && flags&unix.O_ACCMODE == unix.O_RDONLY {
			own, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		}
	}); err != nil {
		return nil, errors.Join(err, failed)
	}
	if failed != nil {
		return nil, failed
	}
	return os.NewFile(uintptr(own), f.Name()), nil
}

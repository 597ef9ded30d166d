package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user that children are, where that can be chosen.
const nobody = 65534

// separate are the namespaces of a child: it is nobody of weight, and sees no
// network but its own, which has none. Not one of processes: in one, /proc of the
// outside tells lies, which psx (under go-landlock, in builds with cgo) believes;
// and a command that were the first process of one would ignore signals.
const separate = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// variants are the ways to start a child, the most separate first. The kernel, a
// container's rules or the mode of our own binary may refuse any of them.
func variants() []*syscall.SysProcAttr {
	plain := func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	}
	within := func(host int) *syscall.SysProcAttr {
		a := plain()
		a.Cloneflags = separate
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: host, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: host, Size: 1}}
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}
		return a
	}
	if os.Getuid() != 0 {
		own := within(os.Getuid())
		own.GidMappings[0].HostID = os.Getgid()
		return []*syscall.SysProcAttr{own, plain()}
	}
	other, drop := within(nobody), plain()
	other.GidMappingsEnableSetgroups = true
	other.Credential.NoSetGroups = false // root's groups are left behind
	drop.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	return []*syscall.SysProcAttr{other, within(0), drop, plain()}
}

// refused tells whether a start failed for what the kernel does not have or does not
// let this user do, rather than for a want of the moment.
func refused(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{
		unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSYS,
		unix.ENOSPC, unix.EUSERS, // as many namespaces as there may be, which may be none
	}, func(n syscall.Errno) bool { return errors.Is(err, n) })
}

// spaces names the namespaces of a child that was started so, and tells whether
// the kernel counts its processes apart: it does for users of a namespace, but
// never for root.
func spaces(a *syscall.SysProcAttr) (names []string, apart bool) {
	for _, s := range []struct {
		flag uintptr
		name string
	}{{unix.CLONE_NEWUSER, "user"}, {unix.CLONE_NEWNET, "net"}, {unix.CLONE_NEWIPC, "ipc"}, {unix.CLONE_NEWUTS, "uts"}} {
		if a.Cloneflags&s.flag != 0 {
			names = append(names, s.name)
		}
	}
	return names, len(a.UidMappings) > 0 && a.UidMappings[0].HostID != 0
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

//go:build linux && (amd64 || arm64)

package sandbox

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in the kernel's struct seccomp_data; both architectures are little
// endian, so the low half of an argument comes first.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

// What a filter answers.
const (
	allow = unix.SECCOMP_RET_ALLOW
	kill  = unix.SECCOMP_RET_KILL_PROCESS
	deny  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	// absent makes C libraries take an older call, whose flags can be judged.
	absent     = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	noTerminal = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOTTY)
)

// filter is a program of classic BPF in the making. Each step looks at one system
// call and either answers or goes on to the next.
type filter []unix.SockFilter

func (f *filter) add(code uint16, jt, jf uint8, k uint32) {
	*f = append(*f, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
}

func (f *filter) load(offset uint32) { f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, offset) }

func (f *filter) answer(a uint32) { f.add(unix.BPF_RET|unix.BPF_K, 0, 0, a) }

// begin answers calls of another architecture: their numbers mean other things.
func (f *filter) begin() {
	f.load(dataArch)
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 1, 0, auditArch)
	f.answer(kill)
	f.load(dataNumber)
	if foreignBit != 0 {
		f.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, 0, 1, foreignBit)
		f.answer(kill)
	}
}

// each gives the same answer to all of these calls.
func (f *filter) each(a uint32, numbers ...uint32) {
	for _, n := range numbers {
		f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 1, n)
		f.answer(a)
	}
}

// oneOf answers a call by whether the low half of an argument is one of these
// values.
func (f *filter) oneOf(number, arg, is, other uint32, values ...uint32) {
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, uint8(2*len(values)+2), number)
	f.load(dataArgs + 8*arg)
	f.each(is, values...)
	f.answer(other)
}

// bits answers a call by whether any of these bits is set in the low half of an
// argument.
func (f *filter) bits(number, arg, mask, set, clear uint32) {
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 4, number)
	f.load(dataArgs + 8*arg)
	f.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, 0, 1, mask)
	f.answer(set)
	f.answer(clear)
}

// prSetVMA names memory, which Go's runtime does.
const prSetVMA = 0x53564d41

// filters tells whether the kernel takes filters at all.
func filters() bool {
	action := uint32(kill)
	_, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	return errno == 0
}

// workerFilter allows what Go's runtime and reading and writing of descriptors
// need, and nothing else: no socket, no path, no process, no memory that is run.
func workerFilter(pid int) filter {
	var f filter
	f.begin()
	f.each(allow, workerCalls...)
	f.bits(unix.SYS_CLONE, 0, unix.CLONE_THREAD, allow, deny)
	f.each(absent, unix.SYS_CLONE3)
	f.bits(unix.SYS_MMAP, 2, unix.PROT_EXEC, deny, allow)
	f.bits(unix.SYS_MPROTECT, 2, unix.PROT_EXEC, deny, allow)
	f.oneOf(unix.SYS_TGKILL, 0, allow, deny, uint32(pid))
	f.oneOf(unix.SYS_PRLIMIT64, 0, allow, deny, 0)
	f.oneOf(unix.SYS_PRCTL, 0, allow, deny, prSetVMA)
	f.oneOf(unix.SYS_FCNTL, 1, allow, deny, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_DUPFD_CLOEXEC)
	f.answer(deny)
	return f
}

var workerCalls = []uint32{
	// Most used first: a filter is read from its beginning at each call.
	unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_WRITE, unix.SYS_FUTEX, unix.SYS_RECVMSG,
	unix.SYS_MADVISE, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_GETPID, unix.SYS_GETTID,
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_LSEEK, unix.SYS_FSTAT, unix.SYS_CLOSE,
	unix.SYS_MUNMAP, unix.SYS_BRK, unix.SYS_MINCORE, unix.SYS_GETRANDOM, unix.SYS_GETRUSAGE,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_MEMBARRIER,
	unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// newSpaces are the flags of clone that make namespaces.
const newSpaces = unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS

// What <asm-generic/ioctls.h> has beside them.
const (
	fioNBIO  = 0x5421
	fioNCLEX = 0x5450
	fioCLEX  = 0x5451
)

// scopedSignals is the version of Landlock that keeps signals in.
const scopedSignals = 6

// commandFilter denies a command, of which nothing is known, the network, the
// attributes of its input, other processes of the user, and what is for
// administrators only. Landlock's version says what that does already.
func commandFilter(pid, abi int) filter {
	var f filter
	f.begin()
	f.each(deny, commandDenied...)
	f.each(deny, commandDeniedHere...)
	if abi < scopedSignals {
		f.each(deny, unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_SEND_SIGNAL)
		f.oneOf(unix.SYS_TGKILL, 0, allow, deny, uint32(pid)) // to end itself
	}
	// Of processes, its own only: the argument is 0 for that.
	for _, c := range []struct{ number, who uint32 }{
		{unix.SYS_PRLIMIT64, 0}, {unix.SYS_SETPRIORITY, 1}, {unix.SYS_IOPRIO_SET, 1},
		{unix.SYS_SCHED_SETAFFINITY, 0}, {unix.SYS_SCHED_SETSCHEDULER, 0}, {unix.SYS_SCHED_SETPARAM, 0}, {unix.SYS_SCHED_SETATTR, 0},
	} {
		f.oneOf(c.number, c.who, allow, deny, 0)
	}
	// Some change a file that is open for reading.
	f.oneOf(unix.SYS_IOCTL, 1, allow, noTerminal, unix.TCGETS, unix.TIOCGWINSZ, unix.TIOCINQ, fioNBIO, fioCLEX, fioNCLEX)
	f.bits(unix.SYS_CLONE, 0, newSpaces, deny, allow)
	f.each(absent, unix.SYS_CLONE3)
	f.oneOf(unix.SYS_FCNTL, 1, deny, allow, unix.F_SETLEASE, unix.F_NOTIFY, unix.F_SETOWN, unix.F_SETOWN_EX)
	f.answer(allow)
	return f
}

var commandDenied = []uint32{
	unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	// The input is the store's own file, which this user owns.
	unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT,
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
	unix.SYS_FLOCK,
	// Out of the process group is out of reach.
	unix.SYS_SETSID, unix.SYS_SETPGID,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_PERSONALITY,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
}

// install puts a filter in force for all threads of this process.
func install(f filter) error {
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	thread, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d is out of step", thread)
	}
	return nil
}

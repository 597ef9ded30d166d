package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// lock puts everything in force that this kernel has. What it has not is said in
// the hello; what it has but refuses is a failure.
func (c *child) lock(s setup) (h hello) {
	// For the system calls that count for one thread only, and for an execve.
	runtime.LockOSThread()
	if s.Exec == nil {
		defer runtime.UnlockOSThread()
	}
	if err := c.lockAll(s, &h); err != nil {
		h.Failed = err.Error()
		return h
	}
	h.Network, h.Files = tryNetwork(), tryFiles()
	if !h.holds(s.Exec) {
		h.Failed = "the lock that was put in force does not hold"
	}
	return h
}

// holds tells whether what is in force keeps from files what it should.
func (h *hello) holds(c *command) bool {
	switch {
	case h.Files != "", c != nil && (c.Unconfined || slices.Contains(c.Paths, "/")):
		return true
	case c != nil:
		return h.Landlock == 0
	}
	return h.Landlock == 0 && !h.Seccomp
}

func (c *child) lockAll(s setup, h *hello) error {
	has := func(layer string) bool { return !slices.Contains(s.Skip, layer) }
	// A system without /proc has no such score: then the kernel chooses for itself
	// whom to end when the machine has no memory left.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	if has(layerLimits) && s.Exec == nil {
		if err := errors.Join(c.bound(s.Limits), s.boundProcesses()); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if has(layerLandlock) {
		if err := h.landlock(s.Exec); err != nil {
			return err
		}
	}
	if s.Exec != nil && h.Landlock == 0 && !s.Exec.Unconfined {
		return errUnconfined
	}
	if s.Exec == nil {
		// No core of what it has seen, not even to a program that takes those.
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("dumpable: %w", err)
		}
	}
	if has(layerSeccomp) && filters() {
		filter := workerFilter(os.Getpid())
		if s.Exec != nil {
			filter = commandFilter(os.Getpid(), h.Landlock)
		}
		if err := install(filter); err != nil {
			return fmt.Errorf("seccomp: %w", err)
		}
		h.Seccomp = true
	}
	// Both have set it for all threads, an execve needs it for this one only.
	h.NoNewPrivs = h.Landlock > 0 || h.Seccomp || s.Exec != nil
	return nil
}

var errUnconfined = errors.New("this kernel has no Landlock to keep a command from the file system")

// landlock closes the file system but for a command's paths, the network, and
// signals and sockets to the outside.
func (h *hello) landlock(c *command) error {
	abi, err := ll.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		return nil // not in this kernel, or not switched on
	}
	var rules []landlock.Rule
	if c != nil {
		if rules, err = c.rules(); err != nil {
			return err
		}
	}
	if err := landlock.V11.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	h.Landlock = abi
	return nil
}

// rules lets a command read and execute its paths, read its input under the name
// /proc/self/fd/0, and use the devices that programs take for granted.
func (c *command) rules() ([]landlock.Rule, error) {
	rules := []landlock.Rule{
		landlock.PathAccess(ll.AccessFSReadFile, "/proc/self/fd/0"),
		landlock.RWFiles("/dev/null").IgnoreIfMissing(),
		landlock.ROFiles("/dev/zero", "/dev/urandom", "/dev/random").IgnoreIfMissing(),
	}
	for _, path := range append([]string{c.Argv[0]}, c.Paths...) {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			rules = append(rules, landlock.RODirs(path))
		default:
			rules = append(rules, landlock.ROFiles(path))
		}
	}
	return rules, nil
}

// boundProcesses limits processes and threads, if the child is counted apart from
// everything else of its user.
func (s setup) boundProcesses() error {
	if !s.Apart {
		return nil
	}
	return limit(unix.RLIMIT_NPROC, uint64(s.Limits.Processes))
}

// become makes this process the command. It returns only if that fails.
func (c *child) become(cmd command, s setup) error {
	lim := s.Limits
	if !slices.Contains(s.Skip, layerLimits) {
		err := errors.Join(
			s.boundProcesses(),
			between(unix.RLIMIT_CPU, lim.cpuSeconds(), lim.cpuSeconds()+1),
			limit(unix.RLIMIT_FSIZE, 0),
			limit(unix.RLIMIT_CORE, 0),
			limit(unix.RLIMIT_NOFILE, uint64(lim.Files)),
			limit(unix.RLIMIT_DATA, uint64(lim.Memory)),
			// Some runtimes reserve far more than they use; what is used is data, but
			// for shared memory, which this bounds.
			limit(unix.RLIMIT_AS, uint64(lim.Memory)+reserved),
		)
		if err != nil {
			return err
		}
	}
	unix.CloseOnExec(socketFD) // its end tells the parent that the command runs
	return syscall.Exec(cmd.Argv[0], cmd.Argv, commandEnv)
}

// commandEnv is all that a command learns from its environment.
var commandEnv = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/"}

// reserved is the address space that a command may have beyond its data, bytes.
const reserved = 2 << 30

// tryNetwork and tryFiles do what a child must not be able to do, and return how
// it was refused.
func tryNetwork() string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	// Nothing is sent. It fails where the only network is an own one, which is down.
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err.Error()
	}
	return ""
}

func tryFiles() string {
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	_ = unix.Close(fd)
	return ""
}

// addressSpace returns how many bytes this process has mapped.
func addressSpace() (uint64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var pages uint64
	if _, err := fmt.Fscan(bytes.NewReader(statm), &pages); err != nil {
		return 0, fmt.Errorf("statm: %w", err)
	}
	return pages * uint64(os.Getpagesize()), nil
}

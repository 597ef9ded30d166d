package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// Layers of the lock, by name in setup.Skip.
const (
	layerLimits   = "limits"
	layerLandlock = "landlock"
	layerSeccomp  = "seccomp"
	layerSpaces   = "namespaces" // left out by the parent
)

// limits is what a child keeps of its own.
type limits struct {
	seconds uint64 // of processor time for one object
	heap    uint64 // bytes; above that the worker asks for its end
}

// allowCPU allows the time of one more object. What the worker has used so far is
// behind it.
func (l *limits) allowCPU() error {
	if l.seconds == 0 {
		return nil
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CPU, &now); err != nil {
		return err
	}
	now.Cur = min(now.Max, uint64(used.Utime.Sec+used.Stime.Sec)+1+l.seconds)
	return syscall.Setrlimit(syscall.RLIMIT_CPU, &now)
}

// grown tells whether the worker has taken so much memory that the next object
// would have too little.
func (l *limits) grown() bool {
	if l.heap == 0 {
		return false
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys > l.heap
}

// watchCPU ends the process when the object's processor time is used up.
func watchCPU() {
	over := make(chan os.Signal, 1)
	signal.Notify(over, syscall.SIGXCPU)
	go func() {
		<-over
		os.Exit(exitCPU)
	}()
}

// overhead is the address space that a worker may take beside its memory, bytes: Go
// takes its heap in steps of 64 MiB, and a build with cgo 8 MiB for each thread.
const overhead = 128 << 20

// bound puts the limits of a worker in force.
func (l *limits) bound(lim Limits) error {
	taken, err := addressSpace()
	if err != nil {
		return err
	}
	l.seconds, l.heap = lim.cpuSeconds(), uint64(lim.Memory/2)
	watchCPU()
	// The collector works harder before memory ends.
	debug.SetMemoryLimit(lim.Memory / 4 * 3)
	return errors.Join(
		limit(syscall.RLIMIT_AS, taken+overhead+shadow*uint64(lim.Memory)),
		limit(syscall.RLIMIT_CPU, l.seconds*uint64(lim.Objects+1)),
		limit(syscall.RLIMIT_FSIZE, 0),
		limit(syscall.RLIMIT_CORE, 0),
		limit(syscall.RLIMIT_NOFILE, uint64(lim.Files)),
	)
}

// limit sets a limit for good.
func limit(resource int, to uint64) error { return between(resource, to, to) }

// between sets a limit that speaks at soft and ends the process at hard.
func between(resource int, soft, hard uint64) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(resource, &now); err != nil {
		return fmt.Errorf("limit %d: %w", resource, err)
	}
	hard = min(hard, now.Max)
	if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: min(soft, hard), Max: hard}); err != nil {
		return fmt.Errorf("limit %d: %w", resource, err)
	}
	return nil
}

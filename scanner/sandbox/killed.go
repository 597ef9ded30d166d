package sandbox

import "fmt"

// Reasons of a Killed.
const (
	ReasonTimeout = "timeout" // the wall clock
	ReasonMemory  = "memory"
	ReasonCPU     = "cpu"
	ReasonFiles   = "files"  // too many descriptors, or a write to a file
	ReasonCrash   = "crash"  // it panicked, or died of a signal
	ReasonOutput  = "output" // it said too much, or what nobody understands
)

// Killed is the end of a child that went over a limit or broke down over an
// object. That is a verdict of the object, not a failure of the server.
type Killed struct {
	Reason string // one of this package's reasons
}

// Error implements error.
func (k *Killed) Error() string { return fmt.Sprintf("sandbox: child ended: %s", k.Reason) }

// KilledBy returns the reason, for packages that do not import this one.
func (k *Killed) KilledBy() string { return k.Reason }

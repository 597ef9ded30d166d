package sandbox

import (
	"cmp"
	"time"
)

// Limits bound one child, and so what one object can cost. A zero field is the
// default.
type Limits struct {
	// Memory is how many bytes a worker may take beyond what it has at its start and
	// an overhead of 128 MiB, in which Go's runtime takes its steps; and how many bytes
	// of data each process of a command may have. Default 512 MiB.
	Memory int64
	// CPU is the processor time of one object; whole seconds, rounded up. Default
	// Wall.
	CPU time.Duration
	// Wall is how long one object's child may be waited for. The time that the
	// parent itself takes to use its output does not count. Default two minutes.
	Wall time.Duration
	// Output is how many bytes a child may send for one object. Default 64 GiB, for
	// unpacked archives.
	Output int64
	// Files is how many descriptors a child may have. Default 64.
	Files int
	// Processes is how many processes and threads a command may be, where the
	// kernel counts them by user namespace (and never for root). Default 64. Workers
	// start no process at all.
	Processes int
	// Objects is how many objects a worker sees before it is replaced. Default 100.
	Objects int
}

func (l Limits) filled() Limits {
	const wall = 2 * time.Minute
	return Limits{
		Memory:    cmp.Or(l.Memory, 512<<20),
		CPU:       cmp.Or(l.CPU, l.Wall, wall),
		Wall:      cmp.Or(l.Wall, wall),
		Output:    cmp.Or(l.Output, 64<<30),
		Files:     cmp.Or(l.Files, 64),
		Processes: cmp.Or(l.Processes, 64),
		Objects:   cmp.Or(l.Objects, 100),
	}
}

// cpuSeconds is CPU as the kernel counts it.
func (l Limits) cpuSeconds() uint64 {
	return uint64((l.CPU + time.Second - 1) / time.Second)
}

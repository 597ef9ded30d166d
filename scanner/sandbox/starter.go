package sandbox

import (
	"os/exec"
	"runtime"
	"slices"
	"sync/atomic"
)

// starter starts children from one thread that lives as long as they may. The
// kernel sends the signal for a parent's death when the thread that started the
// child ends, and Go's threads come and go.
type starter struct {
	work    chan func()
	ended   chan struct{}
	variant atomic.Int32 // the first one that has worked
}

func newStarter() *starter {
	s := &starter{work: make(chan func()), ended: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		defer close(s.ended)
		for do := range s.work {
			do()
		}
	}()
	return s
}

// start starts what prepare returns, with the most that the kernel allows to
// separate it from this process, but for layers to skip.
func (s *starter) start(prepare func() *exec.Cmd, skip []string) (cmd *exec.Cmd, err error) {
	done := make(chan struct{})
	s.work <- func() {
		defer close(done)
		ways := variants()
		for i := int(s.variant.Load()); i < len(ways); i++ {
			cmd = prepare()
			cmd.SysProcAttr = ways[i]
			if names, _ := spaces(ways[i]); len(names) > 0 && slices.Contains(skip, layerSpaces) {
				continue
			}
			if err = cmd.Start(); err == nil {
				s.variant.Store(int32(i))
				return
			}
		}
	}
	<-done
	return cmd, err
}

// close ends the thread. No start may follow.
func (s *starter) close() {
	close(s.work)
	<-s.ended
}

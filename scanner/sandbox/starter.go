package sandbox

import (
	"os/exec"
	"runtime"
	"slices"
	"syscall"
)

// starter starts children from one thread that lives as long as they may. The
// kernel sends the signal for a parent's death when the thread that started the
// child ends, and Go's threads come and go.
type starter struct {
	work  chan func()
	ended chan struct{}
	ways  map[bool]*syscall.SysProcAttr // that have worked, with namespaces and without; used by the thread only
}

func newStarter() *starter {
	s := &starter{work: make(chan func()), ended: make(chan struct{}), ways: map[bool]*syscall.SysProcAttr{}}
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
		cmd, err = s.try(prepare, skip)
	}
	<-done
	return cmd, err
}

// try goes through the ways to start a child. Once one has worked, there is no other:
// what is in force does not become less while the server runs.
func (s *starter) try(prepare func() *exec.Cmd, skip []string) (*exec.Cmd, error) {
	plain := slices.Contains(skip, layerSpaces)
	ways := variants()
	if s.ways[plain] != nil {
		ways = []*syscall.SysProcAttr{s.ways[plain]}
	}
	var err error
	for _, way := range ways {
		if names, _ := spaces(way); len(names) > 0 && plain {
			continue
		}
		cmd := prepare()
		cmd.SysProcAttr = way
		if err = cmd.Start(); err == nil {
			s.ways[plain] = way
			return cmd, nil
		}
		if !refused(err) {
			break
		}
	}
	return nil, err
}

// close ends the thread. No start may follow.
func (s *starter) close() {
	close(s.work)
	<-s.ended
}

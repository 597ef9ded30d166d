package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/scanner/sandbox"
)

type (
	open = func(kind string, header any) (io.WriteCloser, error)
	raw  = json.RawMessage
)

// jobs is what the children of these tests do: mostly harm.
var jobs = map[string]sandbox.Job{
	"echo":    echo,
	"pid":     func(context.Context, *os.File, raw, open) (any, error) { return os.Getpid(), nil },
	"hostile": func(context.Context, *os.File, raw, open) (any, error) { return hostile{PID: os.Getpid()}, nil },
	"fails":   func(context.Context, *os.File, raw, open) (any, error) { return nil, fmt.Errorf("no way") },
	"attack":  attack,

	"panics":   func(context.Context, *os.File, raw, open) (any, error) { panic("over and out") },
	"segv":     func(context.Context, *os.File, raw, open) (any, error) { return **new(*int), nil },
	"stack":    func(context.Context, *os.File, raw, open) (any, error) { return deep(0), nil },
	"exits":    func(context.Context, *os.File, raw, open) (any, error) { os.Exit(0); return nil, nil },
	"memory":   memory,
	"shared":   shared,
	"spins":    spins,
	"deaf":     deaf,
	"sleeps":   func(context.Context, *os.File, raw, open) (any, error) { select {} },
	"opens":    opens,
	"writes":   writes,
	"babbles":  babbles,
	"garbage":  func(context.Context, *os.File, raw, open) (any, error) { return say("no message at all") },
	"huge":     func(context.Context, *os.File, raw, open) (any, error) { return say("R\xff\xff\xff\xff") },
	"stutters": func(context.Context, *os.File, raw, open) (any, error) { return say("D\x00\x00\x00\x01x") },
	"truncate": truncate,
	"unclosed": unclosed,
	"overlap":  overlap,
	"second":   second,
	"frames":   frames,
}

func echo(_ context.Context, in *os.File, params raw, frame open) (any, error) {
	w, err := frame("copy", params)
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(w, in)
	if err != nil {
		return nil, err
	}
	return n, w.Close()
}

type hostile struct{ PID int }

func (hostile) Hostile() bool { return true }

func deep(n int) int {
	if n < 0 {
		return n
	}
	var room [1 << 16]byte
	room[n%len(room)] = byte(n)
	return deep(n+1) + int(room[n%7])
}

func memory(context.Context, *os.File, raw, open) (any, error) {
	var all [][]byte
	for range 128 {
		b := make([]byte, 32<<20)
		for i := range len(b) / 4096 {
			b[i*4096] = 1
		}
		all = append(all, b)
	}
	return len(all), nil
}

// shared takes memory past Go's heap, then some of the heap. It gives a little back
// before: Go's collector says nothing that can be understood when it gets none at all.
func shared(ctx context.Context, in *os.File, params raw, frame open) (any, error) {
	var last []byte
	for range 128 {
		block, err := unix.Mmap(-1, 0, 24<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_SHARED)
		if err != nil {
			if err := unix.Munmap(last); err != nil {
				return nil, err
			}
			return memory(ctx, in, params, frame)
		}
		last = block
	}
	return "3 GiB", nil
}

func spins(context.Context, *os.File, raw, open) (any, error) {
	for i := 0; ; i++ {
		if i < 0 {
			return nil, nil
		}
	}
}

// deaf spins and does not hear that its time is over.
func deaf(ctx context.Context, in *os.File, params raw, frame open) (any, error) {
	signal.Reset(syscall.SIGXCPU)
	signal.Ignore(syscall.SIGXCPU)
	return spins(ctx, in, params, frame)
}

func opens(_ context.Context, in *os.File, _ raw, _ open) (any, error) {
	for range 1000 {
		if _, err := unix.FcntlInt(in.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("duplicate: %w", err)
		}
	}
	return "a thousand", nil
}

// writes writes to a file that has no name.
func writes(context.Context, *os.File, raw, open) (any, error) {
	fd, err := unix.MemfdCreate("scratch", 0)
	if err != nil {
		return nil, err
	}
	_, err = unix.Write(fd, []byte("x"))
	return "written", err
}

func babbles(_ context.Context, _ *os.File, _ raw, frame open) (any, error) {
	w, err := frame("endless", nil)
	if err != nil {
		return nil, err
	}
	for {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return nil, err
		}
	}
}

// say goes behind the framework's back.
func say(s string) (any, error) {
	_, err := unix.Write(3, []byte(s))
	return nil, err
}

// truncate dies within a frame.
func truncate(_ context.Context, _ *os.File, _ raw, frame open) (any, error) {
	w, err := frame("half", nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		return nil, err
	}
	panic("in the middle")
}

func unclosed(_ context.Context, _ *os.File, _ raw, frame open) (any, error) {
	_, err := frame("open", nil)
	return nil, err
}

func overlap(_ context.Context, _ *os.File, _ raw, frame open) (any, error) {
	if _, err := frame("one", nil); err != nil {
		return nil, err
	}
	_, err := frame("two", nil)
	return nil, err
}

var calls atomic.Int32

// second breaks down the second time it is called in a worker.
func second(context.Context, *os.File, raw, open) (any, error) {
	if calls.Add(1) > 1 {
		panic("worn out")
	}
	return os.Getpid(), nil
}

// frames sends as many frames as it is told, of some bytes each.
func frames(_ context.Context, _ *os.File, params raw, frame open) (any, error) {
	var n int
	if err := json.Unmarshal(params, &n); err != nil {
		return nil, err
	}
	for i := range n {
		w, err := frame("some", i)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(bytes.Repeat([]byte{byte(i)}, i%100)); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// targets is what an attack aims at.
type targets struct {
	File, Dir string // of the data folder
	TCP, UDP  string // where somebody listens
	Unix      string // socket, by path
	Abstract  string // socket, by name
	PID       int    // of the parent
}

// attack tries what a child must not be able to do. It returns the error of each
// attempt, "" for those that succeed.
func attack(_ context.Context, in *os.File, params raw, _ open) (any, error) {
	var to targets
	if err := json.Unmarshal(params, &to); err != nil {
		return nil, err
	}
	said := map[string]string{}
	for name, try := range attempts(in, to) {
		said[name] = ""
		if err := try(); err != nil {
			said[name] = err.Error()
		}
	}
	return said, nil
}

// patience of one attempt on the network.
const patience = 2 * time.Second

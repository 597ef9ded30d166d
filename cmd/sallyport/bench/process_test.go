//go:build bench && linux

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to start or to end.
const patience = time.Minute

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on
// every architecture Go runs on.
const tick = time.Second / 100

// process is a server of its own.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	log  string        // path
}

// launch starts a program that ends with t. Its output goes to a file, as a
// server's does.
func launch(t *testing.T, logs string, env []string, name string, args ...string) *process {
	t.Helper()
	f, err := os.CreateTemp(logs, filepath.Base(name)+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{}), log: f.Name()}
	p.cmd.Env = append(cleanEnvironment(), env...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread() // the child dies with the thread that made it
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // it is ended by stop, or its log says why
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
	return p
}

// cleanEnvironment is ours without what would configure a server.
func cleanEnvironment() []string {
	var clean []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SALLYPORT_") && !strings.HasPrefix(variable, "MINIO_") && !strings.HasPrefix(variable, "VGW_") {
			clean = append(clean, variable)
		}
	}
	return clean
}

func (p *process) stop(t *testing.T) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // or it has ended
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Errorf("%s does not end", p.cmd.Path)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if t.Failed() {
		t.Logf("the log of %s:\n%s", p.cmd.Path, p.tail())
	}
}

func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-4096):])
}

// await polls until ready returns true.
func (p *process) await(t *testing.T, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ready() {
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", p.cmd.Path, p.tail())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready:\n%s", p.cmd.Path, p.tail())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cpu is the processor time it has used so far.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// The second field is a name that may hold anything, in parentheses.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime, the 14th and 15th of all
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// rssAnon is the memory it holds that no file stands behind, in bytes.
func (p *process) rssAnon(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the kernel does not tell RssAnon")
	return 0
}

// ownCPU is the processor time of this process so far.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Package clamdtest runs a real clamd for tests, with a database of its own in
// which EICAR's test file is the only malware there is.
package clamdtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// missing says how to get what Start needs.
const missing = "no clamd; get one with: apt-get install clamav-daemon"

// Clamd is a clamd of its own for one test and its subtests.
type Clamd struct {
	Unix string // its address in the form of the setting, unix:///path
	TCP  string // the other one, tcp://127.0.0.1:port

	tb       testing.TB
	bin, dir string
	settings []string
	cmd      *exec.Cmd     // nil while stopped
	done     chan struct{} // closed when cmd has ended
}

// Start starts a clamd on a socket and on a free port of the loopback, which takes
// about a quarter of a second. Settings are lines of clamd.conf, such as "MaxFileSize 1M". It
// is stopped when tb ends.
//
// Without clamd the test is skipped; with SALLYPORT_TEST_REQUIRE=all in the
// environment it fails.
func Start(tb testing.TB, settings ...string) *Clamd {
	tb.Helper()
	c := &Clamd{tb: tb, bin: find(tb), settings: settings}
	// The name of a socket has room for 108 bytes, a test's own folder may not.
	var err error
	if c.dir, err = os.MkdirTemp("", "clamd-"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		c.Kill()
		_ = os.RemoveAll(c.dir)
	})
	for _, folder := range []string{"db", "tmp"} {
		if err := os.Mkdir(filepath.Join(c.dir, folder), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c.TCP = "tcp://" + listener.Addr().String()
	c.Unix = "unix://" + c.socket()
	listener.Close()
	c.Sign(1, time.Now())
	c.Start()
	return c
}

func find(tb testing.TB) string {
	tb.Helper()
	for _, path := range []string{"clamd", "/usr/sbin/clamd", "/usr/local/sbin/clamd"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

func (c *Clamd) socket() string { return filepath.Join(c.dir, "s") }

// Sign puts a database of that version and time in place of the last one. A clamd
// that runs takes it with Reload.
func (c *Clamd) Sign(version int, at time.Time) {
	c.tb.Helper()
	database, err := Database(version, at)
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "db", "daily.cud"), database, 0o600); err != nil {
		c.tb.Fatal(err)
	}
}

// Reload has clamd read its database again and returns when it answers from the
// new one.
func (c *Clamd) Reload(version int) {
	c.tb.Helper()
	if _, err := c.ask("RELOAD"); err != nil {
		c.tb.Fatal(err)
	}
	c.await("another database", func() bool {
		answer, err := c.ask("VERSION")
		return err == nil && strings.Contains(answer, fmt.Sprintf("/%d/", version))
	})
}

// Start starts clamd again after Kill, at the same addresses, and returns once it
// answers.
func (c *Clamd) Start() {
	c.tb.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(c.TCP, "tcp://"))
	if err != nil {
		c.tb.Fatal(err)
	}
	lines := append([]string{
		"Foreground yes", "DatabaseDirectory " + filepath.Join(c.dir, "db"), "TemporaryDirectory " + filepath.Join(c.dir, "tmp"),
		"LocalSocket " + c.socket(), "TCPAddr " + host, "TCPSocket " + port,
	}, c.settings...)
	conf := filepath.Join(c.dir, "clamd.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		c.tb.Fatal(err)
	}
	_ = os.Remove(c.socket()) // of a life that was killed
	var log bytes.Buffer
	cmd := exec.Command(c.bin, "--config-file", conf)
	cmd.Stdout, cmd.Stderr = &log, &log
	c.done = make(chan struct{})
	started := make(chan error, 1)
	go func(done chan struct{}) {
		defer close(done)
		// The child dies with the thread that made it, so that a test binary
		// which is killed or panics leaves no clamd behind: keep the thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		dieWithParent(cmd)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed, or it says why in the log
		}
	}(c.done)
	if err := <-started; err != nil {
		c.tb.Fatalf("start clamd: %v", err)
	}
	c.cmd = cmd
	c.await("answering", func() bool {
		select {
		case <-c.done:
			c.tb.Fatalf("clamd ended early:\n%s", log.String())
		default:
		}
		answer, err := c.ask("PING")
		return err == nil && answer == "PONG\x00"
	})
}

// await polls until done says yes.
func (c *Clamd) await(what string, done func() bool) {
	c.tb.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			c.tb.Fatalf("clamd: not %s after a minute", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ask gives one command on a connection of its own.
func (c *Clamd) ask(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(c.TCP, "tcp://"), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("z" + command + "\x00")); err != nil {
		return "", err
	}
	answer := make([]byte, 256)
	n, err := conn.Read(answer)
	return string(answer[:n]), err
}

// Kill ends clamd at once, as a crash would. It may be called again.
func (c *Clamd) Kill() {
	if c.cmd == nil {
		return
	}
	c.signal(syscall.SIGKILL)
	<-c.done
	c.cmd = nil
}

// Freeze stops clamd without closing its connections; Thaw lets it go on.
func (c *Clamd) Freeze() { c.signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (c *Clamd) Thaw() { c.signal(syscall.SIGCONT) }

func (c *Clamd) signal(s syscall.Signal) {
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.tb.Errorf("signal clamd: %v", err)
	}
}

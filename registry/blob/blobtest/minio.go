package blobtest

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// MinIO is a MinIO server of its own for one test and its subtests.
type MinIO struct {
	Endpoint  string // URL
	AccessKey string
	SecretKey string
	RawDir    string // where it keeps its files

	tb   testing.TB
	bin  string
	cmd  *exec.Cmd     // nil while stopped
	done chan struct{} // closed when cmd has ended
}

// StartMinIO starts a server on a free port of the loopback and an empty
// folder. It is stopped, and its folder removed, when tb ends. Start-up takes
// about a second, so subtests should share one.
//
// Without a minio binary in PATH or GOPATH/bin the test is skipped; with
// SALLYPORT_TEST_REQUIRE=all in the environment it fails.
func StartMinIO(tb testing.TB) *MinIO {
	tb.Helper()
	m := &MinIO{tb: tb, AccessKey: "blobtest", SecretKey: "blobtest-secret", RawDir: tb.TempDir()}
	m.bin = findMinIO(tb)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	m.Endpoint = "http://" + listener.Addr().String()
	listener.Close()
	m.Start()
	tb.Cleanup(m.Kill)
	return m
}

func findMinIO(tb testing.TB) string {
	tb.Helper()
	if path, err := exec.LookPath("minio"); err == nil {
		return path
	}
	gopath := os.Getenv("GOPATH")
	if gopath == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			tb.Fatal(err)
		}
		gopath = filepath.Join(home, "go")
	}
	path := filepath.Join(filepath.SplitList(gopath)[0], "bin", "minio")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	const missing = "no minio binary; get one with: make minio"
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

// Start starts the server again after Kill, on the same port and folder, and
// returns once it answers.
func (m *MinIO) Start() {
	m.tb.Helper()
	var log strings.Builder
	cmd := exec.Command(m.bin, "server", "--quiet", "--anonymous",
		"--address", strings.TrimPrefix(m.Endpoint, "http://"), "--console-address", "127.0.0.1:0", m.RawDir)
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+m.AccessKey, "MINIO_ROOT_PASSWORD="+m.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on")
	cmd.Stdout, cmd.Stderr = &log, &log
	m.done = make(chan struct{})
	started := make(chan error, 1)
	go func(done chan struct{}) {
		defer close(done)
		// The child dies with the thread that made it, so that a test binary
		// which is killed or panics leaves no server behind: keep the thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		dieWithParent(cmd)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed, or it says why in the log
		}
	}(m.done)
	if err := <-started; err != nil {
		m.tb.Fatalf("start minio: %v", err)
	}
	m.cmd = cmd
	if err := m.awaitReady(); err != nil {
		m.Kill()
		m.tb.Fatalf("minio: %v\n%s", err, log.String())
	}
}

func (m *MinIO) awaitReady() error {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case <-m.done:
			return errors.New("ended early")
		case <-deadline:
			return errors.New("not ready after a minute")
		case <-tick.C:
		}
		resp, err := client.Get(m.Endpoint + "/minio/health/ready")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
}

// Kill ends the server at once, as a crash would. It may be called again.
func (m *MinIO) Kill() {
	if m.cmd == nil {
		return
	}
	m.signal(syscall.SIGKILL)
	<-m.done
	m.cmd = nil
}

// Freeze stops the server without closing its connections, as an overloaded or
// swapping machine does; Thaw lets it go on.
func (m *MinIO) Freeze() { m.signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (m *MinIO) Thaw() { m.signal(syscall.SIGCONT) }

func (m *MinIO) signal(s syscall.Signal) {
	if err := m.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.tb.Errorf("signal minio: %v", err)
	}
}

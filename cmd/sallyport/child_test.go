package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childVariable makes the test binary behave as sallyport itself: children are
// the real program, under the race detector when the tests are.
const childVariable = "SALLYPORT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" || len(os.Args) == 2 && os.Args[1] == sandboxName {
		main()
		return
	}
	os.Exit(m.Run())
}

// childTime is how long a child may take to do what it is waited for.
const childTime = 30 * time.Second

// command prepares a child with no SALLYPORT_ variables but those given.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*childTime)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SALLYPORT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(append(cmd.Env, childVariable+"=1"), env...)
	return cmd
}

// result is what a command that ended left.
type result struct {
	code           int
	stdout, stderr string
}

// sallyport runs one command to its end.
func sallyport(t *testing.T, env []string, args ...string) result {
	t.Helper()
	cmd := command(t, env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// mustSallyport is sallyport for commands that must succeed.
func mustSallyport(t *testing.T, env []string, args ...string) string {
	t.Helper()
	r := sallyport(t, env, args...)
	if r.code != 0 {
		t.Fatalf("sallyport %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// running is a child that serves.
type running struct {
	endpoints
	t      *testing.T
	data   string
	cmd    *exec.Cmd
	stdout lockedBuffer
	stderr lockedBuffer
	ended  bool
}

// serve starts a server on free ports of the loopback and waits until it
// listens. It is ended with the test.
func serve(t *testing.T, data string, env []string, args ...string) *running {
	t.Helper()
	s := &running{t: t, data: data}
	args = append([]string{
		"serve", "--data", data, "--data-min-free", "1MiB",
		"--s3-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0",
	}, args...)
	s.cmd = command(t, env, args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.ended {
			s.stop()
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.stderr.String())
		}
	})
	deadline := time.Now().Add(childTime)
	for {
		var err error
		if s.endpoints, err = readEndpoints(data); err == nil && s.PID == s.cmd.Process.Pid {
			return s
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not listen after %s", childTime)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// stop ends the server with SIGTERM and returns its exit code.
func (s *running) stop() int {
	s.t.Helper()
	s.ended = true
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Error(err)
	}
	_ = s.cmd.Wait() // the code says it
	return s.cmd.ProcessState.ExitCode()
}

// root returns the environment of a client with the root key.
func (s *running) root() []string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.data, rootCredentialsFile))
	if err != nil {
		s.t.Fatal(err)
	}
	var c rootCredentials
	if err := json.Unmarshal(data, &c); err != nil {
		s.t.Fatal(err)
	}
	return s.as(c.AccessKey, c.SecretKey)
}

// as returns the environment of a client with a key.
func (s *running) as(accessKey, secretKey string) []string {
	return []string{"SALLYPORT_ENDPOINT=" + s.Control, "SALLYPORT_ACCESS_KEY=" + accessKey, "SALLYPORT_SECRET_KEY=" + secretKey}
}

// lockedBuffer is written by a child's copier and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// eventually polls until done says yes.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	within(t, patience, what, done)
}

func within(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not after %s: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Server is a sallyport of its own, on ports and a data directory that it keeps
// from start to start.
type Server struct {
	S3, Control, Ops string // URLs
	Data             string

	t       testing.TB
	program string
	on      backend
	extra   []string // settings
	seen    *seen
	web     *http.Client
	root    *Client
	child   *child // nil while stopped
	logs    string // of the children that ended
}

// region is what its clients sign for.
func (s *Server) region() string {
	for _, setting := range s.extra {
		if other, ok := strings.CutPrefix(setting, "S3_REGION="); ok {
			return other
		}
	}
	return region
}

// ready is what /readyz says.
func (s *Server) ready() int {
	s.t.Helper()
	a, err := s.get(s.Ops + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	return a.Status
}

// child is one life of a server.
type child struct {
	cmd  *exec.Cmd
	log  lockedBuffer
	done chan struct{} // closed when it has ended
}

// serve starts a server. Settings are environment variables, NAME=VALUE without
// SALLYPORT_. It is stopped, and its log searched, when the test ends.
func serve(t testing.TB, on backend, settings ...string) *Server {
	t.Helper()
	return serveProgram(t, program(t), newData(t), on, settings...)
}

// newData returns a data directory that is still to be made.
func newData(t testing.TB) string { return filepath.Join(t.TempDir(), "hidden-data") }

func serveProgram(t testing.TB, program, data string, on backend, settings ...string) *Server {
	t.Helper()
	s := &Server{
		Data: data, t: t, program: program, on: on, extra: settings, seen: newSeen(),
		web: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
	s.Start()
	t.Cleanup(func() {
		if s.child != nil {
			s.searchAnswers()
			s.Stop()
		}
		s.web.CloseIdleConnections()
		s.searchLog()
		if t.Failed() {
			t.Logf("the server's log ends:\n%s", tail(s.logs, 100))
			if _, report, ok := strings.Cut(s.logs, "WARNING: DATA RACE"); ok {
				t.Logf("a data race:%s", report[:min(len(report), 8<<10)])
			}
		}
	})
	return s
}

// in makes a subtest answer for what fails until it ends.
func (s *Server) in(t testing.TB) {
	outer := s.t
	s.t = t
	t.Cleanup(func() { s.t = outer })
}

// Start starts the server and returns once it listens.
func (s *Server) Start() {
	s.t.Helper()
	cmd := s.command("serve")
	c := &child{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &c.log, &c.log
	started := make(chan error, 1)
	go func() {
		defer close(c.done)
		// A child dies with the thread that started it, so the thread is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		dieWithParent(cmd)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is asked for where it matters
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.child = c
	eventually(s.t, "the server listens", func() bool {
		select {
		case <-c.done:
			s.logs += c.log.String()
			s.child = nil
			s.t.Fatal("the server does not start")
		default:
		}
		return s.readEndpoints(cmd.Process.Pid)
	})
	s.readRoot()
}

// command prepares the program with the server's settings.
func (s *Server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SALLYPORT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env,
		"SALLYPORT_DATA_DIR="+s.Data, "SALLYPORT_DATA_MIN_FREE=1MiB", "SALLYPORT_LOG_LEVEL=debug",
		"SALLYPORT_S3_ADDR="+address(s.S3), "SALLYPORT_CONTROL_ADDR="+address(s.Control), "SALLYPORT_OPS_ADDR="+address(s.Ops))
	cmd.Env = append(cmd.Env, s.on.settings()...)
	for _, setting := range s.extra {
		cmd.Env = append(cmd.Env, "SALLYPORT_"+setting)
	}
	return cmd
}

// address is host and port of a URL, and a free port before there is one.
func address(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		return u.Host
	}
	return "127.0.0.1:0"
}

// readEndpoints learns where that process listens.
func (s *Server) readEndpoints(pid int) bool {
	data, err := os.ReadFile(filepath.Join(s.Data, "endpoints.json"))
	if err != nil {
		return false
	}
	var e struct {
		S3, Control, Ops string
		PID              int
	}
	if err := json.Unmarshal(data, &e); err != nil || e.PID != pid {
		return false // of a former life
	}
	s.S3, s.Control, s.Ops = e.S3, e.Control, e.Ops
	return true
}

func (s *Server) readRoot() {
	if s.root != nil {
		return
	}
	data, err := os.ReadFile(filepath.Join(s.Data, "root-credentials.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var c struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		s.t.Fatal(err)
	}
	s.root = s.as(c.AccessKey, c.SecretKey)
}

// Kill ends the server as a crash would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server as an operator would, and fails the test if it does not
// end well.
func (s *Server) Stop() {
	s.t.Helper()
	cmd := s.child.cmd
	s.end(syscall.SIGTERM)
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("the server ended with %d", code)
	}
}

// Restart kills the server and starts it again.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.Start()
}

func (s *Server) end(how syscall.Signal) {
	s.t.Helper()
	c := s.child
	_ = c.cmd.Process.Signal(how) // if it has ended already, all the better
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.done
		s.t.Errorf("the server does not end after %s", patience)
	}
	s.web.CloseIdleConnections()
	s.logs += c.log.String()
	s.child = nil
}

// blobs is what the backend holds.
func (s *Server) blobs() map[string]int64 { return s.on.blobs(s.t, s.Data) }

// holds waits until the backend holds that many blobs and nothing moves any more.
func (s *Server) holds(want int) {
	s.t.Helper()
	n := -1
	defer func() {
		if n != want {
			s.t.Logf("the backend holds %d blobs, want %d", n, want)
		}
	}()
	eventually(s.t, "the backend holds what belongs there", func() bool {
		n = len(s.blobs())
		return n == want && s.metric("transfers_running") == 0
	})
}

// cli runs a command of the program against the server and its data and returns
// what it printed and whether it succeeded.
func (s *Server) cli(args ...string) (string, bool) {
	s.t.Helper()
	cmd := s.command(args...)
	cmd.Env = append(cmd.Env, "SALLYPORT_ENDPOINT="+s.Control,
		"SALLYPORT_ACCESS_KEY="+s.root.access, "SALLYPORT_SECRET_KEY="+s.root.secret)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// mustFsck compares ledger and bytes of a stopped server.
func (s *Server) mustFsck() {
	s.t.Helper()
	if out, ok := s.cli("fsck", "--content"); !ok {
		s.t.Errorf("fsck: %s", out)
	}
}

// metrics returns what /metrics says.
func (s *Server) metrics() string {
	resp, err := s.web.Get(s.Ops + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// metric returns the sum of a metric over all its labels.
func (s *Server) metric(name string) float64 {
	s.t.Helper()
	sum, found := 0.0, false
	for line := range strings.Lines(s.metrics()) {
		rest, ok := strings.CutPrefix(line, "sallyport_"+name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		sum, found = sum+v, true
	}
	if !found && !strings.HasSuffix(name, "_total") {
		s.t.Fatalf("there is no metric %s", name)
	}
	return sum
}

// swept waits until nothing is left to delete.
func (s *Server) swept() {
	s.t.Helper()
	eventually(s.t, "the sweep is done", func() bool { return s.metric("ledger_garbage") == 0 })
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
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

package sandbox_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/scanner"
	"sallyport/scanner/sandbox"
)

// system is what a shell and what it calls need to read.
func system(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat("/bin/bash"); err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal("bash is missing: apt-get install bash")
		}
		t.Skip("bash is missing: apt-get install bash")
	}
	var paths []string
	for _, path := range []string{"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"} {
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// shell runs a script and returns its output without spaces around, and its exit code.
func shell(t *testing.T, p *sandbox.Pool, script string) (string, int, error) {
	t.Helper()
	var out bytes.Buffer
	in := file(t, "content\n")
	if err := in.Chmod(0o644); err != nil { // for nobody, to open it by name
		t.Fatal(err)
	}
	exit, err := p.Exec(t.Context(), in, []string{"/bin/bash", "-c", script}, system(t), &out)
	return strings.TrimSpace(out.String()), exit, err
}

func TestExec(t *testing.T) {
	p := newPool(t, sandbox.Limits{})
	for _, test := range []struct {
		script, out string
		exit        int
	}{
		{"cat", "content", 0},
		{"cat /proc/self/fd/0", "content", 0},
		{"head -c 4 | tr a-z A-Z; exit 7", "CONT", 7},
		{"echo noise >&2; echo $PATH > /dev/null; echo -n $(env | wc -l)", "", 0},
	} {
		out, exit, err := shell(t, p, test.script)
		if err != nil || exit != test.exit || test.out != "" && out != test.out {
			t.Errorf("%s: %q, exit %d, %v", test.script, out, exit, err)
		}
	}
	// The input's own offset has not moved.
	in := file(t, "once")
	if _, err := in.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var out bytes.Buffer
		if _, err := p.Exec(t.Context(), in, []string{"/bin/cat"}, system(t), &out); err != nil || out.String() != "once" {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}

// TestExecLocked runs commands that want more than their paths.
func TestExecLocked(t *testing.T) {
	to := aim(t)
	_, port, err := net.SplitHostPort(to.TCP)
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{
		"tcp":            fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%s", port),
		"udp":            "exec 3<>/dev/udp/127.0.0.1/9 && echo x >&3",
		"read file":      "cat " + to.File,
		"list folder":    "ls " + to.Dir,
		"list root":      "ls /",
		"write file":     "echo x > " + to.File,
		"make file":      "echo x > " + to.Dir + "/new",
		"passwords":      "cat /etc/passwd",
		"environment":    fmt.Sprintf("cat /proc/%d/environ", to.PID),
		"own":            "cat /proc/self/environ",
		"kill parent":    fmt.Sprintf("kill -0 %d", to.PID),
		"mode of input":  "chmod 777 /proc/self/fd/0",
		"write input":    "echo x > /proc/self/fd/0",
		"touch input":    "touch /proc/self/fd/0",
		"leave group":    "setsid --wait true",
		"parent's limit": fmt.Sprintf("prlimit --pid %d --nofile=1:1", to.PID),
		"parent's nice":  fmt.Sprintf("renice -n 5 -p %d", to.PID),
		"user namespace": "unshare -U true",
	}
	p := newPool(t, sandbox.Limits{})
	for name, script := range scripts {
		out, exit, err := shell(t, p, script)
		if err != nil || exit == 0 || out != "" {
			t.Errorf("%s: %q, exit %d, %v", name, out, exit, err)
		}
		// The same with nothing in force does something else, or it shows nothing.
		if name == "list root" || name == "read file" || name == "passwords" || name == "leave group" {
			bare := newUnconfined(t, sandbox.LayerLandlock, sandbox.LayerSeccomp)
			if _, exit, err := shell(t, bare, script); err != nil || exit != 0 {
				t.Errorf("%s, unconfined: exit %d, %v", name, exit, err)
			}
		}
	}
	if got, err := os.ReadFile(to.File); err != nil || string(got) != "secret" {
		t.Errorf("the data folder's file is %q, %v", got, err)
	}
}

// TestExecSignals: where Landlock does not keep signals in, the filter does, also
// those to the command itself.
func TestExecSignals(t *testing.T) {
	const script = "kill -0 $$"
	if _, exit, err := shell(t, newUnconfined(t, sandbox.LayerLandlock), script); err != nil || exit == 0 {
		t.Errorf("without Landlock: exit %d, %v", exit, err)
	}
	if r := report(t); r.Landlock < 6 {
		t.Skipf("Landlock %d does not keep signals in", r.Landlock)
	}
	if _, exit, err := shell(t, newPool(t, sandbox.Limits{}), script); err != nil || exit != 0 {
		t.Errorf("exit %d, %v", exit, err)
	}
}

// newUnconfined returns a pool whose commands lack layers of the lock.
func newUnconfined(t *testing.T, without ...string) *sandbox.Pool {
	t.Helper()
	c := config(sandbox.Limits{}, 1)
	c.Unconfined = true
	p := sandbox.NewPool(c)
	t.Cleanup(func() { _ = p.Close() })
	sandbox.Skip(p, without...)
	return p
}

func TestExecKilled(t *testing.T) {
	for _, test := range []struct {
		name, script, reason string
		limits               sandbox.Limits
	}{
		{"cpu", "while :; do :; done", sandbox.ReasonCPU, sandbox.Limits{CPU: time.Second}},
		{"wall clock", "sleep 100", sandbox.ReasonTimeout, sandbox.Limits{Wall: 300 * time.Millisecond}},
		{"output", "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", sandbox.ReasonOutput, sandbox.Limits{Output: 1 << 20}},
		{"signal", "kill -SEGV $$", sandbox.ReasonCrash, sandbox.Limits{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := shell(t, newPool(t, test.limits), test.script)
			var killed *sandbox.Killed
			if !errors.As(err, &killed) || killed.Reason != test.reason {
				t.Errorf("error %v, not %q", err, test.reason)
			}
		})
	}
}

// TestExecBounded checks the limits that a command hears of by itself.
func TestExecBounded(t *testing.T) {
	p := newPool(t, sandbox.Limits{Memory: 64 << 20, Files: 16})
	for name, script := range map[string]string{
		"memory": `x=$(head -c 200000000 /dev/zero | tr '\0' x); echo ${#x}`,
		"files":  "for i in $(seq 10 40); do eval \"exec $i</dev/null\" || exit 1; done; echo opened",
	} {
		out, exit, err := shell(t, p, script)
		if exit == 0 && err == nil || out != "" {
			t.Errorf("%s: %q, exit %d, %v", name, out, exit, err)
		}
	}
	for name, script := range map[string]string{"core": "ulimit -c", "file size": "ulimit -f"} {
		if out, _, err := shell(t, p, script); err != nil || out != "0" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// TestExecLeavesNothing starts processes that would outlive the command.
func TestExecLeavesNothing(t *testing.T) {
	out, exit, err := shell(t, newPool(t, sandbox.Limits{}), "sleep 1000 >/dev/null 2>&1 & echo $!; exit 3")
	if err != nil || exit != 3 {
		t.Fatalf("exit %d, %v", exit, err)
	}
	gone(t, out)
}

func TestExecDown(t *testing.T) {
	p := newPool(t, sandbox.Limits{})
	in := file(t, "")
	for name, test := range map[string]struct{ argv, paths []string }{
		"no command":    {},
		"absent":        {argv: []string{"/nonexistent"}},
		"absent path":   {argv: []string{"/bin/true"}, paths: []string{"/nonexistent"}},
		"no executable": {argv: []string{"/etc/passwd"}},
	} {
		if _, err := p.Exec(t.Context(), in, test.argv, test.paths, os.Stderr); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// Without Landlock a command is not run, unless that is what was asked for.
	bare := newPool(t, sandbox.Limits{})
	sandbox.Skip(bare, sandbox.LayerLandlock)
	if _, _, err := shell(t, bare, "exit 0"); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("error %v", err)
	}
	if _, exit, err := shell(t, newUnconfined(t, sandbox.LayerLandlock), "exit 5"); err != nil || exit != 5 {
		t.Errorf("exit %d, %v", exit, err)
	}
}

// TestExecInFrame runs a command over what a job sends, with one worker only.
func TestExecInFrame(t *testing.T) {
	p := newPool(t, sandbox.Limits{})
	_, err := p.Run(t.Context(), "echo", file(t, "member"), nil, func(string, json.RawMessage, io.Reader) error {
		_, _, err := shell(t, p, "exit 0")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

package sandbox_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"sallyport/scanner/sandbox"
)

// aim makes things to attack that anybody may use, but for the lock.
func aim(t *testing.T) targets {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sandbox-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	to := targets{Dir: dir, File: filepath.Join(dir, "blob"), Unix: filepath.Join(dir, "socket"), Abstract: "@" + filepath.Base(dir), PID: os.Getpid()}
	if err := os.WriteFile(to.File, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o777, to.File: 0o666} { // past the umask
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	listen := func(network, address string) net.Listener {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	to.TCP = listen("tcp4", "127.0.0.1:0").Addr().String()
	listen("unix", to.Unix)
	listen("unix", to.Abstract)
	if err := os.Chmod(to.Unix, 0o777); err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = udp.Close() })
	to.UDP = udp.LocalAddr().String()
	return to
}

// TestAttempts checks that the attempts below can succeed: they do where nothing
// forbids them.
func TestAttempts(t *testing.T) {
	to := aim(t)
	tries := network(to)
	for _, name := range []string{"read file", "list folder", "list root", "write file", "make file", "make folder", "own environment"} {
		tries[name] = files(to)[name]
	}
	in := file(t, "content")
	tries["write input"], tries["reopen input"] = input(in)["write input"], input(in)["reopen input"]
	tries["kill parent"] = processes(to)["kill parent"]
	tries["start a program"] = processes(to)["start a program"]
	delete(tries, "mptcp") // not in every kernel
	for name, try := range tries {
		if err := try(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLocked has a child try to get out, with every layer of the lock in force
// and with each one left out in turn.
func TestLocked(t *testing.T) {
	r := report(t, sandbox.LayerSeccomp)
	for _, test := range []struct {
		name string
		skip []string
		open []string // attempts that may succeed
	}{
		{name: "all layers"},
		{name: "seccomp alone", skip: []string{sandbox.LayerLandlock}},
		// Then there are namespaces. A socket by path is out of Landlock's reach before its version 9.
		{name: "no seccomp", skip: []string{sandbox.LayerSeccomp}, open: []string{"unix"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if slices.Contains(test.skip, sandbox.LayerSeccomp) && (r.Landlock == 0 || len(r.Namespaces) == 0) {
				t.Skip("this machine has no Landlock, or no namespaces for this user")
			}
			p := newPool(t, sandbox.Limits{})
			sandbox.Skip(p, test.skip...)
			to := aim(t)
			in := file(t, "content")
			reply, err := p.Run(t.Context(), "attack", in, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			var said map[string]string
			if err := json.Unmarshal(reply, &said); err != nil {
				t.Fatal(err)
			}
			if len(said) != len(attempts(in, to)) {
				t.Errorf("%d attempts were made", len(said))
			}
			for name, refused := range said {
				if refused == "" && !slices.Contains(test.open, name) {
					t.Errorf("%s: not refused", name)
				}
				t.Logf("%s: %s", name, refused)
			}
			if got, err := os.ReadFile(to.File); err != nil || string(got) != "secret" {
				t.Errorf("the data folder's file is %q, %v", got, err)
			}
			if got, err := os.ReadFile(in.Name()); err != nil || string(got) != "content" {
				t.Errorf("the input is %q, %v", got, err)
			}
		})
	}
}

// report is what this machine has, which on Linux must be enough.
func report(t *testing.T, skip ...string) sandbox.Report {
	t.Helper()
	p := newPool(t, sandbox.Limits{})
	sandbox.Skip(p, skip...)
	r, err := p.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReport(t *testing.T) {
	r := report(t)
	t.Log(r)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can close a child in")
	}
	if !r.Closed() || !r.NoNewPrivs {
		t.Errorf("a child is not closed in: %+v", r)
	}
	if r.Limits.Objects != 100 {
		t.Errorf("limits %+v", r.Limits)
	}
	// With nothing in force, the report must not say otherwise.
	bare := report(t, sandbox.LayerLandlock, sandbox.LayerSeccomp, sandbox.LayerSpaces)
	t.Log(bare)
	if bare.Network != "" || bare.Files != "" || bare.Landlock != 0 || bare.Seccomp || len(bare.Namespaces) > 0 || bare.Closed() {
		t.Errorf("with nothing in force: %+v", bare)
	}
}

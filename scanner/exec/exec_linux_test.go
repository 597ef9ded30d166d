package exec_test

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/exec"
	"sallyport/scanner/sandbox"
)

// TestMain makes the test binary its own children.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "sandbox" {
		os.Exit(sandbox.Main(nil))
	}
	os.Exit(m.Run())
}

// eicar is the test file that every scanner knows, in two pieces so that none finds
// it here.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// script is a scanner as simple as they come.
const script = `
while IFS= read -r line || [ -n "$line" ]; do
	case "$line" in
	*EICAR-STANDARD-ANTIVIRUS-TEST-FILE*) echo "stdin: Eicar-Test FOUND"; exit 1 ;;
	partly) exit 3 ;;
	broken) exit 9 ;;
	reload) exit 4 ;;
	hang) sleep 60 ;;
	crash) kill -SEGV $$ ;;
	peek) cat /etc/passwd && exit 0; exit 3 ;;
	esac
done
exit 0`

func config(t *testing.T) exec.Config {
	t.Helper()
	if _, err := os.Stat("/bin/bash"); err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal("bash is missing: apt-get install bash")
		}
		t.Skip("bash is missing: apt-get install bash")
	}
	pool := sandbox.NewPool(sandbox.Config{
		Command: []string{"/proc/self/exe", "sandbox"}, Workers: 2, Now: time.Now,
		Limits: sandbox.Limits{Wall: 3 * time.Second},
	})
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	var paths []string
	for _, path := range []string{"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"} {
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return exec.Config{
		Runner: pool, Command: []string{"/bin/bash", "-c", script}, Paths: paths,
		Clean: []int{0}, Infected: []int{1}, Incomplete: []int{3}, Down: []int{4},
		Signature: regexp.MustCompile(`: (\S+) FOUND`),
		Version:   []string{"/bin/bash", "-c", "echo 'Scanner 1.0/27'; echo more"},
		SpoolDir:  t.TempDir(), Now: time.Now,
	}
}

func newEngine(t *testing.T, cfg exec.Config) *exec.Engine {
	t.Helper()
	e, err := exec.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// input makes a scan of a content.
func input(t *testing.T, content string) scanner.Input {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "in")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return scanner.Input{
		Object: registry.Object{Size: int64(len(content))},
		File:   func(context.Context) (*os.File, error) { return f, nil },
	}
}

func TestVerdicts(t *testing.T) {
	e := newEngine(t, config(t))
	for _, test := range []struct {
		content, reason, signature string
		result                     registry.VerdictResult
	}{
		{content: eicar, result: registry.VerdictInfected, reason: exec.ReasonMalware, signature: "Eicar-Test"},
		{content: strings.Repeat("good\n", 10_000) + eicar, result: registry.VerdictInfected, reason: exec.ReasonMalware, signature: "Eicar-Test"},
		{content: "partly", result: registry.VerdictIncomplete, reason: exec.ReasonIncomplete},
		{content: "hang", result: registry.VerdictIncomplete, reason: "sandbox_timeout"},
		{content: "crash", result: registry.VerdictIncomplete, reason: "sandbox_crash"},
		{content: "peek", result: registry.VerdictIncomplete, reason: exec.ReasonIncomplete}, // it was not let
		{content: "", result: registry.VerdictClean},
		{content: "harmless", result: registry.VerdictClean},
	} {
		check := func(how string, r scanner.Result, err error) {
			t.Helper()
			if err != nil || r.Result != test.result || r.Reason != test.reason || r.Signature != test.signature || r.Version != "Scanner 1.0/27" {
				t.Errorf("%s %.10q: %+v, %v", how, test.content, r, err)
			}
		}
		r, err := e.Scan(t.Context(), input(t, test.content))
		check("scan", r, err)
		r, err = e.Stream(t.Context(), strings.NewReader(test.content), -1)
		check("stream", r, err)
	}
}

func TestErrors(t *testing.T) {
	e := newEngine(t, config(t))
	if _, err := e.Scan(t.Context(), input(t, "broken")); err == nil || errors.Is(err, scanner.ErrDown) {
		t.Errorf("an unknown exit code: %v", err)
	}
	if _, err := e.Scan(t.Context(), input(t, "reload")); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("an exit code of a scanner that does not work: %v", err)
	}
	cfg := config(t)
	cfg.Command, cfg.Version = []string{"/nonexistent"}, nil
	absent := newEngine(t, cfg)
	if _, err := absent.Scan(t.Context(), input(t, "x")); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("no scanner: %v", err)
	}
	if _, err := absent.Probe(t.Context()); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("probe of no scanner: %v", err)
	}
	errRead := errors.New("lost")
	if _, err := e.Stream(t.Context(), io.MultiReader(strings.NewReader("x"), failing{errRead}), -1); !errors.Is(err, errRead) {
		t.Errorf("a stream that breaks: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Scan(ctx, input(t, "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestMaxSize(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize = 10
	e := newEngine(t, cfg)
	for _, content := range []string{strings.Repeat("x", 10), strings.Repeat("x", 11)} {
		want := registry.VerdictClean
		if len(content) > 10 {
			want = registry.VerdictIncomplete
		}
		if r, err := e.Scan(t.Context(), input(t, content)); err != nil || r.Result != want {
			t.Errorf("%d bytes: %+v, %v", len(content), r, err)
		}
		for _, size := range []int64{-1, int64(len(content))} {
			if r, err := e.Stream(t.Context(), strings.NewReader(content), size); err != nil || r.Result != want {
				t.Errorf("stream of %d bytes: %+v, %v", len(content), r, err)
			}
		}
	}
}

// TestSignature checks what is made of a scanner's words: they end in verdicts.
func TestSignature(t *testing.T) {
	for _, test := range []struct{ prints, want string }{
		{`Trojan.A\nsecond line\n`, "Trojan.A"},
		{`\033[31mTrojan\007\t.B \n`, "[31mTrojan.B"},
		{`\377\376Trojan.C\n`, "Trojan.C"},
		{strings.Repeat("ü", 100), strings.Repeat("ü", 64)},
		{"", ""},
	} {
		cfg := config(t)
		cfg.Command = []string{"/bin/bash", "-c", "printf '" + test.prints + "'; exit 1"}
		cfg.Signature = nil
		r, err := newEngine(t, cfg).Scan(t.Context(), input(t, "x"))
		if err != nil || r.Result != registry.VerdictInfected || r.Signature != test.want {
			t.Errorf("%q: %+v, %v", test.prints, r, err)
		}
	}
}

func TestVersion(t *testing.T) {
	cfg := config(t)
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	cfg.Version = []string{"/bin/bash", "-c", "echo $RANDOM$RANDOM"}
	e := newEngine(t, cfg)
	version := func() string {
		r, err := e.Scan(t.Context(), input(t, "x"))
		if err != nil {
			t.Fatal(err)
		}
		return r.Version
	}
	first := version()
	if again := version(); again != first || first == "" {
		t.Errorf("version %q, then %q", first, again)
	}
	now = now.Add(time.Hour)
	if later := version(); later == first {
		t.Errorf("version %q after an hour", later)
	}
	if v, err := e.Probe(t.Context()); err != nil || v == "" {
		t.Errorf("probe: %q, %v", v, err)
	}
	cfg.Version = nil
	if v, err := newEngine(t, cfg).Probe(t.Context()); err != nil || v != "" {
		t.Errorf("probe without a version: %q, %v", v, err)
	}
}

func TestNew(t *testing.T) {
	for name, cfg := range map[string]exec.Config{
		"no command":    {},
		"relative":      {Command: []string{"scan"}},
		"relative path": {Command: []string{"/scan"}, Paths: []string{"usr"}},
		"two meanings":  {Command: []string{"/scan"}, Clean: []int{0}, Down: []int{0}},
	} {
		if _, err := exec.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if e := newEngine(t, exec.Config{Command: []string{"/scan"}, Name: "other"}); e.Name() != "other" {
		t.Errorf("name %q", e.Name())
	}
}

func TestLeavesNoFiles(t *testing.T) {
	cfg := config(t)
	if _, err := newEngine(t, cfg).Stream(t.Context(), strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(cfg.SpoolDir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

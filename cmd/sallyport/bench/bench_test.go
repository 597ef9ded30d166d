//go:build bench && linux

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// What makes this binary another program than the benchmark.
const (
	proxyVariable     = "SALLYPORT_BENCH_PROXY"     // the address to copy to
	namespaceVariable = "SALLYPORT_BENCH_NAMESPACE" // set in a mount namespace of its own
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(proxyVariable) != "":
		runProxy(os.Getenv(proxyVariable))
	case os.Geteuid() == 0 && os.Getenv(namespaceVariable) == "":
		os.Exit(inNamespace(m))
	default:
		os.Exit(m.Run())
	}
}

// inNamespace runs this binary again in a mount namespace of its own: whatever
// ends it, its mounts go with it. Where that is not allowed it just runs.
func inNamespace(m *testing.M) int {
	self, err := os.Executable()
	if err != nil {
		return m.Run()
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), namespaceVariable+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return m.Run() // it did not start
	}
}

// bench is what the parts share.
type bench struct {
	vol    volume
	binary string // sallyport
	rounds int
	only   *regexp.Regexp // the rows of objects to measure
	report *report
}

func TestBench(t *testing.T) {
	began := time.Now()
	b := &bench{rounds: int(number(t, "SALLYPORT_BENCH_ROUNDS", 5)), report: newReport(os.Stdout)}
	var err error
	if b.only, err = regexp.Compile(os.Getenv("SALLYPORT_BENCH_ROWS")); err != nil {
		t.Fatal(err)
	}
	b.binary = buildSallyport(t)
	b.vol = newVolume(t)
	b.report.machine(b.vol)
	parts := []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"signing", benchSigning},
		{"sessions", benchSessions},
		{"disk", benchDisk},
		{"front", benchFront},
		{"objects", benchObjects},
		{"multipart", benchMultipart},
		{"copy", benchCopy},
		{"complete", benchComplete},
		{"list", benchList},
		{"ledger", benchLedger},
		{"memory", benchMemory},
		{"scanning", benchScanning},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) { part.run(t, b) })
		b.vol.trim()
	}
	b.report.aims()
	b.report.printf("\n%s in all\n", time.Since(began).Round(time.Second))
}

// number reads a positive number from the environment.
func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		t.Fatal(fmt.Errorf("%s is not a positive number: %q", name, text))
	}
	return n
}

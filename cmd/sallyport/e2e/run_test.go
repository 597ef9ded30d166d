package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sallyport/registry/blob/blobtest"
)

// run is what the tests of one run share.
var run struct {
	dir string // gone afterwards

	mu       sync.Mutex // protects the fields below
	binaries map[bool]string
	minio    *blobtest.MinIO
	cleanups []func()
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if run.dir, err = os.MkdirTemp("", "sallyport-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(run.dir)
		defer func() {
			for _, end := range run.cleanups {
				end()
			}
		}()
		return m.Run()
	}())
}

// program builds sallyport on first use: as the tests are, with the race
// detector or without.
func program(t testing.TB) string { return build(t, raceEnabled) }

// staticProgram builds sallyport as it is shipped.
func staticProgram(t testing.TB) string { return build(t, false) }

func build(t testing.TB, race bool) string {
	t.Helper()
	run.mu.Lock()
	defer run.mu.Unlock()
	if path := run.binaries[race]; path != "" {
		return path
	}
	path := filepath.Join(run.dir, fmt.Sprintf("race-%t", race), "sallyport")
	// The flags are those of the Makefile, so that what it has built is built no
	// second time.
	args, env := []string{"build", "-trimpath", "-buildvcs=false", "-o", path}, "CGO_ENABLED=0"
	if race {
		args, env = []string{"build", "-race", "-buildvcs=false", "-o", path}, "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "sallyport/cmd/sallyport")...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if run.binaries == nil {
		run.binaries = map[bool]string{}
	}
	run.binaries[race] = path
	return path
}

// sharedMinIO is one MinIO for all tests that leave it as it is.
func sharedMinIO(t testing.TB) *blobtest.MinIO {
	t.Helper()
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.minio == nil {
		run.minio = blobtest.StartMinIO(runTB{t})
	}
	return run.minio
}

// runTB is a TB whose folder and cleanups last as long as the run.
type runTB struct{ testing.TB }

func (r runTB) TempDir() string {
	dir, err := os.MkdirTemp(run.dir, "minio-")
	if err != nil {
		r.Fatal(err)
	}
	return dir
}

// Cleanup is called under run.mu, from sharedMinIO.
func (r runTB) Cleanup(f func()) { run.cleanups = append(run.cleanups, f) }

// need skips a test whose component is absent, or fails it where everything is
// required.
func need(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

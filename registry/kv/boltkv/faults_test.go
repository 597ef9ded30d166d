//go:build linux

package boltkv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

// childVar, if set, makes the test binary play one of the children below on the
// folder it names.
const (
	childVar = "BOLTKV_TEST_CHILD"
	dirVar   = "BOLTKV_TEST_DIR"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "limit":
		os.Exit(limitChild(os.Getenv(dirVar)))
	case "kill":
		os.Exit(killChild(os.Getenv(dirVar)))
	}
	os.Exit(m.Run())
}

func child(role, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+role, dirVar+"="+dir)
	return cmd
}

// full plays a store whose medium fills up and then has space again.
type full struct {
	store *boltkv.Store
	path  string       // of the store's file
	spare string       // a folder with space of its own
	begin func() error // limits the space
	relax func() error // gives space again

	mu         sync.Mutex // protects the fields below
	kept, lost []string   // keys of acknowledged and of failed updates
}

// rowSize is large, so that the space is soon used up.
const rowSize = 64 << 10

func (f *full) write(key string) error {
	return f.store.Update(context.Background(), func(tx kv.Tx) error {
		return tx.Put(kvtest.Rows, []byte(key), make([]byte, rowSize))
	})
}

// play fills the store in the middle of concurrent updates and checks that it
// loses nothing, keeps reading and goes on.
func (f *full) play() error {
	if err := errors.Join(f.write("before"), f.begin()); err != nil {
		return err
	}
	const callers = 16
	errs := [callers]error{}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { errs[i] = f.fill(i) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	ctx := context.Background()
	if err := errors.Join(f.failedGroup(), f.store.View(ctx, f.check)); err != nil {
		return err
	}
	// A process killed now would leave no more and no less.
	copyStore(childT{}, f.path, filepath.Join(f.spare, "killed.db"))
	if err := f.relax(); err != nil {
		return err
	}
	killed, err := boltkv.Open(filepath.Join(f.spare, "killed.db"), options())
	if err != nil {
		return fmt.Errorf("killed with the disk full: %w", err)
	}
	if err := errors.Join(killed.View(ctx, f.check), killed.Check(ctx), killed.Close()); err != nil {
		return fmt.Errorf("killed with the disk full: %w", err)
	}
	for i := range 100 {
		if err := f.write(fmt.Sprint("after", i)); err != nil {
			return fmt.Errorf("with space again: %w", err)
		}
	}
	return f.store.View(ctx, f.check)
}

// failedGroup has three updates in one group whose commit fails: one that failed
// on what is committed gets its own error, one that failed after a neighbour's
// write may have failed because of it and gets the commit's.
func (f *full) failedGroup() error {
	ctx := context.Background()
	running, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = f.store.Update(ctx, func(kv.Tx) error { close(running); <-release; return errOdd })
	})
	<-running
	odd := func(kv.Tx) error { return errOdd }
	fns := []func(kv.Tx) error{odd, func(tx kv.Tx) error {
		return tx.Put(kvtest.Rows, []byte("group"), make([]byte, 32<<20)) // more than there is in all
	}, odd}
	errs := make([]error, len(fns))
	for i, fn := range fns {
		wg.Go(func() { errs[i] = f.store.Update(ctx, fn) })
		for f.store.Waiting() <= i {
			runtime.Gosched()
		}
	}
	close(release)
	wg.Wait()
	for i, want := range []error{errOdd, kv.ErrNoSpace, kv.ErrNoSpace} {
		if !errors.Is(errs[i], want) {
			return fmt.Errorf("update %d of a group that fails: %v, want %v", i, errs[i], want)
		}
	}
	return nil
}

// fill writes rows until three have failed.
func (f *full) fill(caller int) error {
	failed := 0
	for n := 0; failed < 3; n++ {
		key := fmt.Sprintf("%02d/%04d", caller, n)
		err := f.write(key)
		if err != nil && !errors.Is(err, kv.ErrNoSpace) {
			return fmt.Errorf("write %s: %w, want ErrNoSpace", key, err)
		}
		f.mu.Lock()
		if err != nil {
			f.lost = append(f.lost, key)
			failed++
		} else {
			f.kept = append(f.kept, key)
		}
		f.mu.Unlock()
	}
	return nil
}

func (f *full) check(tx kv.Tx) error {
	if len(f.kept) == 0 {
		return errors.New("no update was acknowledged")
	}
	for _, k := range f.kept {
		if v, err := tx.Get(kvtest.Rows, []byte(k)); err != nil || len(v) != rowSize {
			return fmt.Errorf("acknowledged %s: %d bytes, %v", k, len(v), err)
		}
	}
	for _, k := range f.lost {
		if _, err := tx.Get(kvtest.Rows, []byte(k)); !errors.Is(err, kv.ErrNotFound) {
			return fmt.Errorf("failed %s: %v, want ErrNotFound", k, err)
		}
	}
	return nil
}

// TestDiskFull runs out of space on a small file system of its own.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		missing(t, "mounting a small tmpfs needs root (CAP_SYS_ADMIN): %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	s := mustOpen(t, dir, options())
	f := full{
		store: s, path: filepath.Join(dir, "ledger.db"), spare: t.TempDir(),
		begin: func() error { return nil },
		relax: func() error { return syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=64m") },
	}
	if err := f.play(); err != nil {
		t.Error(err)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFileLimit lets the file hit the process's limit on file sizes, which
// takes no rights but a process of its own.
func TestFileLimit(t *testing.T) {
	dir := t.TempDir()
	if out, err := child("limit", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := mustOpen(t, dir, options())
	if err := errors.Join(s.Check(context.Background()), s.Close()); err != nil {
		t.Error(err)
	}
}

func limitChild(dir string) int {
	signal.Ignore(syscall.SIGXFSZ) // writes then fail with EFBIG
	t := childT{}
	s := mustOpen(t, dir, options())
	var limit syscall.Rlimit
	f := full{
		store: s, path: filepath.Join(dir, "ledger.db"), spare: dir,
		begin: func() error {
			if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				return err
			}
			fi, err := os.Stat(filepath.Join(dir, "ledger.db"))
			if err != nil {
				return err
			}
			return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(fi.Size()) + 20<<20, Max: limit.Max})
		},
		relax: func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) },
	}
	if err := errors.Join(f.play(), s.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// childT stands in for a test in a child process.
type childT struct{ testing.TB }

func (childT) Helper() {}

func (childT) Fatal(args ...any) {
	fmt.Println(args...)
	os.Exit(1)
}

// TestBroken checks that a store of which a flush failed says nothing more, and
// that what it had acknowledged is there when it is opened again.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	var failing atomic.Bool
	s, err := boltkv.OpenFlushing(filepath.Join(dir, "ledger.db"), options(), 1<<20, func(f *os.File) error {
		if failing.Load() {
			return syscall.EIO
		}
		return boltkv.Flush(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "v")
	failing.Store(true)
	err = s.Update(context.Background(), func(tx kv.Tx) error { return tx.Put(kvtest.Rows, []byte("l"), nil) })
	if !errors.Is(err, kv.ErrBroken) || !errors.Is(err, syscall.EIO) {
		t.Errorf("failed flush: %v, want ErrBroken and EIO", err)
	}
	failing.Store(false)
	none := func(kv.Tx) error { t.Error("ran on a broken store"); return nil }
	for what, err := range map[string]error{
		"update": s.Update(context.Background(), none),
		"view":   s.View(context.Background(), none),
		"check":  s.Check(context.Background()),
	} {
		if !errors.Is(err, kv.ErrBroken) {
			t.Errorf("%s: %v, want ErrBroken", what, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, options())
	put(t, s, "l", "again")
	err = s.View(context.Background(), func(tx kv.Tx) error {
		v, err := tx.Get(kvtest.Rows, []byte("k"))
		if err == nil && string(v) != "v" {
			t.Errorf("reopened: %q", v)
		}
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// missing skips a test for want of something outside, or fails it where
// everything is required.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// killed reads what a killed child acknowledged.
func killed(t *testing.T, dir string, acks int) []string {
	t.Helper()
	cmd := child("kill", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	buf := make([]byte, 4096)
	for dead := false; ; {
		n, err := out.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
		if !dead && bytes.Count(all.Bytes(), []byte("\n")) >= acks {
			dead = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("child ended with %v, want SIGKILL", err)
	}
	lines := bytes.Split(all.Bytes(), []byte("\n"))
	keys := make([]string, 0, len(lines))
	for _, l := range lines[:len(lines)-1] { // the last one has no newline
		keys = append(keys, string(l))
	}
	return keys
}

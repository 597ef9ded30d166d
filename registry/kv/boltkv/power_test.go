package boltkv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

// moment is what the files held after an update had been acknowledged.
type moment struct {
	file  []byte            // the bbolt file as a reader sees it
	floor []byte            // the oldest version of each page that the disk may have
	since int               // the moment of floor: later ones may be mixed in
	log   map[string][]byte // segments by name, all flushed
	rows  string            // what the store held
}

// recorder takes moments of a store that one goroutine updates.
type recorder struct {
	path    string
	moments []moment

	mu    sync.Mutex // held while an update runs; protects the fields below
	floor []byte     // the file at the start of its last completed flush
	since int
}

// flush plays the disk: what is in the bbolt file now will be on it.
func (r *recorder) flush(f *os.File) error {
	if f.Name() != r.path {
		return nil // the log is taken as flushed when a moment is
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := os.ReadFile(r.path)
	r.floor, r.since = b, len(r.moments)
	return err
}

// logFiles reads the segments, which a checkpoint may be renaming.
func (r *recorder) logFiles(t *testing.T) map[string][]byte {
	t.Helper()
	for range 100 {
		before, _ := filepath.Glob(r.path + ".log.*")
		files, whole := map[string][]byte{}, true
		for _, name := range before {
			b, err := os.ReadFile(name)
			files[name[len(r.path):]], whole = b, whole && err == nil
		}
		if after, _ := filepath.Glob(r.path + ".log.*"); whole && strings.Join(before, " ") == strings.Join(after, " ") {
			return files
		}
	}
	t.Fatal("the log does not hold still")
	return nil
}

// step runs an update and takes the moment after it.
func (r *recorder) step(t *testing.T, s *boltkv.Store, fn func(tx kv.Tx) error) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
	m := moment{rows: dump(t, s), log: r.logFiles(t)}
	m.floor, m.since = r.floor, r.since // after the log: a base follows its flush
	var err error
	if m.file, err = os.ReadFile(r.path); err != nil {
		t.Fatal(err)
	}
	r.moments = append(r.moments, m)
}

// dump returns everything a store holds.
func dump(t testing.TB, s kv.Store) string {
	t.Helper()
	var b strings.Builder
	err := s.View(context.Background(), func(tx kv.Tx) error {
		for _, table := range kvtest.Tables() {
			err := tx.Scan(table, kv.Range{}, func(k, v []byte) error {
				_, err := fmt.Fprintf(&b, "%s %x %d %x\n", table, k, len(v), v[:min(8, len(v))])
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// scribble is an update of some rows, large and small, in every table.
func scribble(rng *rand.Rand) func(tx kv.Tx) error {
	return func(tx kv.Tx) error {
		for range 1 + rng.IntN(8) {
			table := kvtest.Tables()[rng.IntN(len(kvtest.Tables()))]
			key := fmt.Appendf(nil, "%03d", rng.IntN(150))
			var err error
			if rng.IntN(4) == 0 {
				err = tx.Delete(table, key)
			} else {
				value := make([]byte, rng.IntN(400)*rng.IntN(1+rng.IntN(30)))
				for i := range value {
					value[i] = byte(rng.Uint32())
				}
				err = tx.Put(table, key, value)
			}
			if err != nil {
				return err
			}
		}
		return tx.Put(kvtest.Rows, []byte("count"), fmt.Append(nil, rng.Uint64()))
	}
}

const page = 4096

// mixed returns a file of which each page is one of versions, the first of which has
// reached the disk.
func mixed(rng *rand.Rand, versions [][]byte) []byte {
	n := len(versions[rng.IntN(len(versions))])
	for _, v := range versions[:1] {
		n = max(n, len(v))
	}
	b := make([]byte, n)
	for at := 0; at < n; at += page {
		v := versions[rng.IntN(len(versions))]
		if at < len(v) {
			copy(b[at:min(at+page, n)], v[at:])
		} else if at < len(versions[0]) {
			copy(b[at:min(at+page, n)], versions[0][at:])
		}
	}
	return b
}

// crash writes the files that a power cut after moment i might leave. With torn, the
// record of the next update was being written. It reports whether that may be so:
// the next update may then be there.
func (r *recorder) crash(t *testing.T, rng *rand.Rand, i int, torn bool, path string) bool {
	t.Helper()
	m := r.moments[i]
	next := m
	if torn && i+1 < len(r.moments) && fmt.Sprint(names(m.log)) == fmt.Sprint(names(r.moments[i+1].log)) {
		next = r.moments[i+1] // whose log may have a base that only its floor allows for
	}
	versions := [][]byte{next.floor}
	for _, later := range r.moments[next.since:max(next.since, i+1)] {
		versions = append(versions, later.file)
	}
	write(t, path, mixed(rng, versions))
	for name, b := range m.log {
		b = bytes.Clone(b)
		for at := 0; at < len(next.log[name]); at += 512 {
			if at >= len(b) {
				b = append(b, make([]byte, 512)...)
			}
			if rng.IntN(3) > 0 {
				copy(b[at:at+512], next.log[name][at:])
			}
		}
		write(t, path+name, b)
	}
	return torn
}

func names(files map[string][]byte) map[string]bool {
	n := map[string]bool{}
	for name := range files {
		n[name] = true
	}
	return n
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// record plays a store for a number of updates and leaves it running.
func record(t *testing.T, rng *rand.Rand, updates int) (*recorder, *boltkv.Store) {
	t.Helper()
	r := &recorder{path: filepath.Join(t.TempDir(), "ledger.db")}
	s, err := boltkv.OpenFlushing(r.path, options(), 300<<10, r.flush)
	if err != nil {
		t.Fatal(err)
	}
	if r.floor, err = os.ReadFile(r.path); err != nil {
		t.Fatal(err)
	}
	for range updates {
		r.step(t, s, scribble(rng))
	}
	return r, s
}

// TestPowerLoss cuts the power at random moments: the disk then holds, of each page
// of the file, any version since its last flush, and of the log all that was
// flushed, with perhaps a part of the next record.
func TestPowerLoss(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	r, s := record(t, rng, 250)
	defer s.Close()
	checkpoints := 0
	for i := range r.moments {
		if i > 0 && r.moments[i].since != r.moments[i-1].since {
			checkpoints++
		}
	}
	if checkpoints < 3 {
		t.Errorf("only %d checkpoints", checkpoints)
	}
	for range 120 {
		i := rng.IntN(len(r.moments))
		path := filepath.Join(t.TempDir(), "ledger.db")
		torn := r.crash(t, rng, i, rng.IntN(2) == 0, path)
		want := []string{r.moments[i].rows}
		if torn && i+1 < len(r.moments) {
			want = append(want, r.moments[i+1].rows)
		}
		if rng.IntN(2) == 0 {
			dieRecovering(t, rng, path)
		}
		if !comesBack(t, path, want) {
			t.Fatalf("seed %d, moment %d, torn %t", seed, i, torn)
		}
	}
}

// comesBack opens the store at path twice: it holds one of want, is sound, and
// takes updates.
func comesBack(t *testing.T, path string, want []string) bool {
	t.Helper()
	s, err := boltkv.Open(path, options())
	if err != nil {
		t.Error(err)
		return false
	}
	got := dump(t, s)
	found := false
	for _, w := range want {
		found = found || got == w
	}
	if !found {
		t.Errorf("holds %d bytes of rows, want %d of the last acknowledged update", len(got), len(want[0]))
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	put(t, s, "after", "the crash")
	got = dump(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left after close: %v", left)
	}
	s = mustOpen(t, filepath.Dir(path), options())
	if dump(t, s) != got {
		t.Error("closed and opened, it holds something else")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return found && !t.Failed()
}

// dieRecovering opens the store, fails at some flush, and leaves of the file's pages
// any version.
func dieRecovering(t *testing.T, rng *rand.Rand, path string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	left := 1 + rng.IntN(3)
	s, err := boltkv.OpenFlushing(path, options(), 1<<20, func(*os.File) error {
		if left--; left == 0 {
			return syscall.EIO
		}
		return nil
	})
	if err == nil {
		s.Close()
		t.Fatal("opened without a flush")
	}
	if !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, mixed(rng, [][]byte{before, after}))
}

// TestDieClosing has an orderly end fail at each of its flushes: what is left is as
// good as after a crash.
func TestDieClosing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const flushes = 4 // the file and the base of the checkpoint, the record, the base
	for n := 1; n <= flushes+1; n++ {
		path := filepath.Join(t.TempDir(), "ledger.db")
		var left atomic.Int64
		left.Store(1 << 30)
		s, err := boltkv.OpenFlushing(path, options(), 1<<30, func(*os.File) error {
			if left.Add(-1) == 0 {
				return syscall.EIO
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if err := s.Update(context.Background(), scribble(rng)); err != nil {
				t.Fatal(err)
			}
		}
		rows := dump(t, s)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		left.Store(int64(n))
		err = s.Close()
		if failed := n <= flushes; failed != errors.Is(err, syscall.EIO) {
			t.Errorf("close with flush %d failing: %v", n, err)
		}
		if n < flushes { // the last but one is of the file, by bbolt
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, mixed(rng, [][]byte{before, after}))
		}
		comesBack(t, path, []string{rows})
	}
}

// TestDieCreating opens what is left of a first open that died at its flushes, and
// before any of its log was in place.
func TestDieCreating(t *testing.T) {
	for n := 1; n <= 3; n++ {
		path := filepath.Join(t.TempDir(), "ledger.db")
		left := n
		_, err := boltkv.OpenFlushing(path, options(), 1<<20, func(*os.File) error {
			if left--; left == 0 {
				return syscall.EIO
			}
			return nil
		})
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("flush %d failing: %v", n, err)
		}
		comesBack(t, path, []string{""})
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	write(t, path+".log.new", make([]byte, 3*page))
	write(t, path+".log.2", make([]byte, page))
	comesBack(t, path, []string{""})
}

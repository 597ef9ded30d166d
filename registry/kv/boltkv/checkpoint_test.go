package boltkv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

// unflushed is a disk that is never slow.
func unflushed(*os.File) error { return nil }

func openQuick(t testing.TB, path string, every int64) *boltkv.Store {
	t.Helper()
	s, err := boltkv.OpenFlushing(path, options(), every, unflushed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCheckpointsUnderViews commits on, checkpoint after checkpoint, while views keep
// reading what they began with.
func TestCheckpointsUnderViews(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := openQuick(t, path, 64<<10)
	set := func(n int) error {
		return s.Update(context.Background(), func(tx kv.Tx) error {
			for i := range 20 {
				if err := tx.Put(kvtest.Rows, fmt.Append(nil, i), fmt.Appendf(make([]byte, 0, 1000), "%0900d", n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := set(0); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var views sync.WaitGroup
	for range 4 {
		views.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := s.View(context.Background(), steady); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 1500 {
		if err := set(n); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	views.Wait()
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if st.FileBytes > 16<<20 || st.OpenViews != 0 {
		t.Errorf("1500 updates of 20 KiB left %+v", st)
	}
	if err := errors.Join(s.Check(context.Background()), s.Close()); err != nil {
		t.Error(err)
	}
}

// steady reads all rows twice, with time for some checkpoints between.
func steady(tx kv.Tx) error {
	var first string
	for range 3 {
		err := tx.Scan(kvtest.Rows, kv.Range{}, func(_, v []byte) error {
			if first == "" {
				first = string(v)
			}
			if string(v) != first {
				return fmt.Errorf("a view sees %.20q and %.20q", first, v)
			}
			return nil
		})
		if err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// still counts the rows twice.
func still(tx kv.Tx) error {
	var n [2]int
	for i := range n {
		err := tx.Scan(kvtest.Rows, kv.Range{}, func(_, v []byte) error { n[i] += len(v); return nil })
		if err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	if n[0] != n[1] || n[0] == 0 {
		return fmt.Errorf("a view sees %d and %d bytes", n[0], n[1])
	}
	return nil
}

// TestMapping outgrows the mapping of the file with views open. Most commits that
// do are foreseen; a small one next to large values is not.
func TestMapping(t *testing.T) {
	for _, name := range []string{"foreseen", "unforeseen"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.db")
			o := options()
			o.InitialMmapSize = 1
			s, err := boltkv.OpenFlushing(path, o, 1<<30, unflushed)
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, "b", string(make([]byte, 12<<20)))
			put(t, s, "d", string(make([]byte, 12<<20)))
			done := make(chan struct{})
			var views sync.WaitGroup
			views.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if err := s.View(context.Background(), still); err != nil {
						t.Error(err)
						return
					}
				}
			})
			for n := range 6 {
				if name == "foreseen" {
					put(t, s, fmt.Sprintf("z%02d", n), string(make([]byte, 8<<20)))
				} else {
					put(t, s, "c", fmt.Sprint(n)) // in the leaf of b and d
				}
			}
			close(done)
			views.Wait()
			rows := dump(t, s)
			crashed := filepath.Join(t.TempDir(), "ledger.db")
			copyStore(t, path, crashed)
			st, err := s.Stats()
			if err := errors.Join(err, s.Check(context.Background()), s.Close()); err != nil {
				t.Fatal(err)
			}
			if st.FileBytes < 64<<20 {
				t.Errorf("the file has only %d bytes", st.FileBytes)
			}
			comesBack(t, crashed, []string{rows})
		})
	}
}

// TestCommitIDs checks that they grow across every kind of end.
func TestCommitIDs(t *testing.T) {
	dir := t.TempDir()
	var last uint64
	for round, noSync := range []bool{false, false, true, true, false, true, false} {
		path := filepath.Join(dir, "ledger.db")
		o := options()
		o.NoSync = noSync
		s := mustOpen(t, dir, o)
		stop := s.Observe(func(c kv.Commit) {
			if c.ID <= last {
				t.Errorf("round %d: commit %d after %d", round, c.ID, last)
			}
			last = c.ID
		})
		for range 5 {
			put(t, s, "k", "v")
		}
		stop()
		if round%2 == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		dir = t.TempDir() // go on with what a killed process would leave
		copyStore(t, path, filepath.Join(dir, "ledger.db"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplayTime opens a ledger that was killed with thousands of groups in its log.
func TestReplayTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	// A checkpoint that does not end keeps the groups in the log.
	begun, release := make(chan struct{}, 1), make(chan struct{})
	s, err := boltkv.OpenFlushing(path, options(), 1, func(f *os.File) error {
		if f.Name() == path {
			begun <- struct{}{}
			<-release
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const groups = 1000
	for n := range groups {
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			for i := range 8 {
				key := fmt.Appendf(nil, "%x", uint64(n*8+i)*0x9e3779b97f4a7c15)
				if err := tx.Put(kvtest.Rows, key, make([]byte, 300)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := dump(t, s)
	crashed := filepath.Join(t.TempDir(), "ledger.db")
	<-begun
	copyStore(t, path, crashed)
	go func() {
		for range begun {
		}
	}()
	close(release)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	close(begun)
	start := time.Now()
	s = openQuick(t, crashed, 1<<20)
	took := time.Since(start)
	t.Logf("%d groups in %v", groups, took)
	if took > time.Second {
		t.Errorf("replay took %v", took)
	}
	if dump(t, s) != rows {
		t.Error("rows are missing")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

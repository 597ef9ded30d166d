package boltkv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

// TestObserve rebuilds the rows of a store from its change feed alone.
func TestObserve(t *testing.T) {
	s := mustOpen(t, t.TempDir(), options())
	defer s.Close()
	put(t, s, "before", "unseen")

	copied := map[string]string{}
	var last uint64
	stop := s.Observe(func(c kv.Commit) {
		if c.ID <= last || len(c.Changes) == 0 {
			t.Errorf("commit %d with %d changes after %d", c.ID, len(c.Changes), last)
		}
		last = c.ID
		previous := ""
		for _, ch := range c.Changes {
			at := fmt.Sprintf("%d/%s", tableNumber(ch.Table), ch.Key)
			if at <= previous {
				t.Errorf("change %q after %q", at, previous)
			}
			previous = at
			if ch.Deleted {
				delete(copied, at)
			} else {
				copied[at] = string(ch.Value)
			}
		}
	})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx kv.Tx) error { return observed(tx, i) })
			if err != nil && !errors.Is(err, errOdd) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	compareCopy(t, s, copied)
	stop()
	put(t, s, "after", "unseen")
	if _, ok := copied["0/after"]; ok {
		t.Error("observed a commit after stop")
	}
}

var errOdd = errors.New("odd one")

// observed is an update of which every fifth fails and every third deletes.
func observed(tx kv.Tx, i int) error {
	key := fmt.Appendf(nil, "k%02d", i%40)
	if err := errors.Join(tx.Put(kvtest.Rows, key, fmt.Append(nil, i)), tx.Put(kvtest.Index, key, nil)); err != nil {
		return err
	}
	switch {
	case i%5 == 0:
		return errOdd
	case i%3 == 0:
		return tx.Delete(kvtest.Rows, key)
	}
	return nil
}

func tableNumber(t kv.Table) int {
	for i, name := range kvtest.Tables() {
		if name == t {
			return i
		}
	}
	return -1
}

func compareCopy(t *testing.T, s kv.Store, copied map[string]string) {
	t.Helper()
	rows := 0
	err := s.View(context.Background(), func(tx kv.Tx) error {
		for _, table := range []kv.Table{kvtest.Rows, kvtest.Index} {
			err := tx.Scan(table, kv.Prefix([]byte("k")), func(k, v []byte) error {
				rows++
				at := fmt.Sprintf("%d/%s", tableNumber(table), k)
				if got, ok := copied[at]; !ok || got != string(v) {
					t.Errorf("feed has %q, %t for %s, want %q", got, ok, at, v)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || rows != len(copied) || rows == 0 {
		t.Errorf("store has %d rows, feed %d, %v", rows, len(copied), err)
	}
}

// TestOnCommit checks that updates are counted, and committed in groups.
func TestOnCommit(t *testing.T) {
	commits, updates := 0, 0
	o := options()
	o.Now = time.Now
	o.OnCommit = func(d time.Duration, n int) {
		if d <= 0 || n <= 0 {
			t.Errorf("commit of %d updates took %v", n, d)
		}
		commits++
		updates += n
	}
	s := mustOpen(t, t.TempDir(), o)
	const callers, each = 32, 10
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range each {
				put(t, s, fmt.Sprint(i), "")
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if updates != callers*each || commits > updates/2 {
		t.Errorf("%d updates in %d commits, want %d in at most half as many", updates, commits, callers*each)
	}
}

// TestNoWriteNoCommit checks that updates that write nothing cost no flush.
func TestNoWriteNoCommit(t *testing.T) {
	commits := 0
	o := options()
	o.Now = time.Now
	o.OnCommit = func(time.Duration, int) { commits++ }
	s := mustOpen(t, t.TempDir(), o)
	if err := s.Update(context.Background(), func(kv.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		return errors.Join(tx.Put(kvtest.Rows, []byte("k"), nil), errOdd)
	})
	if !errors.Is(err, errOdd) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if commits != 0 {
		t.Errorf("%d commits, want none", commits)
	}
}

func TestPanicIsLogged(t *testing.T) {
	var log bytes.Buffer
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := mustOpen(t, t.TempDir(), o)
	defer s.Close()
	err := s.Update(context.Background(), func(kv.Tx) error { panic("at the disco") })
	if !errors.Is(err, kv.ErrPanic) {
		t.Errorf("error %v, want ErrPanic", err)
	}
	for _, want := range []string{"at the disco", "TestPanicIsLogged"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestStats(t *testing.T) {
	s := mustOpen(t, t.TempDir(), options())
	put(t, s, "k", strings.Repeat("v", 100_000))
	put(t, s, "k", "v")
	put(t, s, "k", "w")
	var inside boltkv.Stats
	err := s.View(context.Background(), func(kv.Tx) (err error) {
		inside, err = s.Stats()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside.FileBytes < 100_000 || inside.PageBytes < 512 || inside.FreePages+inside.PendingPages == 0 || inside.OpenViews != 1 {
		t.Errorf("stats %+v", inside)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stats(); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("stats of a closed store: %v", err)
	}
	if err := s.Check(context.Background()); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("check of a closed store: %v", err)
	}
}

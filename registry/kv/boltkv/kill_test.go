//go:build linux

package boltkv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"sallyport/registry/kv"
	"sallyport/registry/kv/kvtest"
)

// TestKill kills a process with SIGKILL while it commits, again and again on
// the same file: all it acknowledged is there, and every update is there whole
// or not at all.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 6 {
		acked := killed(t, dir, 50+rand.IntN(500))
		s := mustOpen(t, dir, options())
		err := s.View(context.Background(), func(tx kv.Tx) error {
			for _, key := range acked {
				if _, err := tx.Get(kvtest.Rows, []byte(key)); err != nil {
					t.Errorf("round %d: acknowledged %q: %v", round, key, err)
				}
			}
			return wholeUpdates(tx)
		})
		if err := errors.Join(err, s.Check(context.Background()), s.Close()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

// wholeUpdates checks that each update of killChild wrote all its rows or none.
func wholeUpdates(tx kv.Tx) error {
	rows, index := 0, 0
	err := tx.Scan(kvtest.Rows, kv.Range{}, func(k, v []byte) error {
		rows++
		if w, err := tx.Get(kvtest.Index, k); err != nil || string(w) != string(v) {
			return fmt.Errorf("row %q has %d bytes, its index %d, %w", k, len(v), len(w), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Scan(kvtest.Index, kv.Range{}, func(_, _ []byte) error { index++; return nil })
	if err == nil && (rows != index || rows == 0) {
		err = fmt.Errorf("%d rows, %d in index", rows, index)
	}
	return err
}

// killChild updates rows until it is killed and prints the key of each once it
// is acknowledged.
func killChild(dir string) int {
	s := mustOpen(childT{}, dir, options())
	run := rand.Uint32()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%08x/%d/%d", run, i, n)
				err := s.Update(context.Background(), func(tx kv.Tx) error {
					value := make([]byte, rand.IntN(3000))
					return errors.Join(tx.Put(kvtest.Rows, []byte(key), value), tx.Put(kvtest.Index, []byte(key), value))
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(key) // one write: lines of two goroutines do not mix
			}
		})
	}
	wg.Wait()
	return 0
}

package kvtest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"sallyport/registry/kv"
)

func testReadOnly(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "1")
	view(t, s, func(tx kv.Tx) error {
		wantErr(t, "put in view", tx.Put(Rows, []byte("b"), nil), kv.ErrReadOnly)
		wantErr(t, "delete in view", tx.Delete(Rows, []byte("a")), kv.ErrReadOnly)
		return nil
	})
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, "a")
		return nil
	})
}

func testNoTable(t *testing.T, open Open) {
	s := start(t, open)
	fn := func(tx kv.Tx) error {
		_, err := tx.Get("nowhere", []byte("k"))
		wantErr(t, "get", err, kv.ErrNoTable)
		wantErr(t, "put", tx.Put("nowhere", []byte("k"), nil), kv.ErrNoTable)
		wantErr(t, "delete", tx.Delete("nowhere", []byte("k")), kv.ErrNoTable)
		wantErr(t, "scan", tx.Scan("nowhere", kv.Range{}, nil), kv.ErrNoTable)
		return nil
	}
	update(t, s, fn)
}

func testKeyAndValue(t *testing.T, open Open) {
	s := start(t, open)
	long := bytes.Repeat([]byte{0xff}, kv.MaxKeySize)
	update(t, s, func(tx kv.Tx) error {
		wantErr(t, "put nil key", tx.Put(Rows, nil, nil), kv.ErrKey)
		wantErr(t, "put empty key", tx.Put(Rows, []byte{}, nil), kv.ErrKey)
		wantErr(t, "delete empty key", tx.Delete(Rows, nil), kv.ErrKey)
		wantErr(t, "put long key", tx.Put(Rows, append(long, 0), nil), kv.ErrKey)
		wantErr(t, "put long value", tx.Put(Rows, []byte("k"), make([]byte, kv.MaxValueSize+1)), kv.ErrValue)
		_, err := tx.Get(Rows, nil)
		wantErr(t, "get empty key", err, kv.ErrNotFound)
		return tx.Put(Rows, long, []byte("longest"))
	})
	view(t, s, func(tx kv.Tx) error {
		wantValue(t, tx, string(long), "longest")
		return nil
	})
}

func testScanning(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "1", "b", "2")
	seen := 0
	update(t, s, func(tx kv.Tx) error {
		seen = 0
		err := tx.Scan(Rows, kv.Range{}, func(k, _ []byte) error {
			seen++
			wantErr(t, "put while scanning", tx.Put(Rows, k, nil), kv.ErrScanning)
			wantErr(t, "delete while scanning", tx.Delete(Rows, k), kv.ErrScanning)
			return tx.Put(Index, k, nil)
		})
		if err != nil {
			return err
		}
		return tx.Delete(Rows, []byte("a"))
	})
	if seen != 2 {
		t.Errorf("scan saw %d rows, want 2", seen)
	}
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, "b")
		return nil
	})
}

func testTxDone(t *testing.T, open Open) {
	s := start(t, open)
	var late kv.Tx
	keep := func(tx kv.Tx) error { late = tx; return nil }
	check := func(what string) {
		_, err := late.Get(Rows, []byte("k"))
		wantErr(t, what+" get", err, kv.ErrTxDone)
		wantErr(t, what+" put", late.Put(Rows, []byte("k"), nil), kv.ErrTxDone)
		wantErr(t, what+" delete", late.Delete(Rows, []byte("k")), kv.ErrTxDone)
		wantErr(t, what+" scan", late.Scan(Rows, kv.Range{}, nil), kv.ErrTxDone)
	}
	update(t, s, keep)
	check("update")
	view(t, s, keep)
	check("view")
}

func testClosed(t *testing.T, open Open) {
	s := start(t, open)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	none := func(kv.Tx) error { t.Error("ran on a closed store"); return nil }
	wantErr(t, "update", s.Update(context.Background(), none), kv.ErrClosed)
	wantErr(t, "view", s.View(context.Background(), none), kv.ErrClosed)
	wantErr(t, "close", s.Close(), kv.ErrClosed)
}

func testCancelled(t *testing.T, open Open) {
	s := start(t, open)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	none := func(kv.Tx) error { t.Error("ran under a cancelled context"); return nil }
	wantErr(t, "update", s.Update(ctx, none), context.Canceled)
	wantErr(t, "view", s.View(ctx, none), context.Canceled)
}

// testWithdrawn cancels one update while it waits behind another, which is
// cancelled too but already runs.
func testWithdrawn(t *testing.T, open Open) {
	s := start(t, open)
	ctx, cancel := context.WithCancel(context.Background())
	running, release, first := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		first <- s.Update(ctx, func(tx kv.Tx) error {
			close(running)
			<-release
			return tx.Put(Rows, []byte("first"), nil)
		})
	}()
	<-running
	waiting, stop := context.WithCancel(context.Background())
	second := make(chan error)
	go func() {
		second <- s.Update(waiting, func(tx kv.Tx) error { return tx.Put(Rows, []byte("second"), nil) })
	}()
	stop()
	wantErr(t, "waiting update", <-second, context.Canceled)
	cancel()
	close(release)
	if err := <-first; err != nil {
		t.Errorf("running update: %v, want its outcome", err)
	}
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, "first")
		return nil
	})
}

func testFailureLeavesNothing(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "1", "b", "2")
	boom := errors.New("boom")
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		for _, err := range []error{
			tx.Put(Rows, []byte("a"), []byte("changed")),
			tx.Put(Rows, []byte("new"), nil),
			tx.Delete(Rows, []byte("b")),
			tx.Put(Index, []byte("new"), nil),
		} {
			if err != nil {
				t.Errorf("write: %v", err)
			}
		}
		return boom
	})
	wantErr(t, "update", err, boom)
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, "a b")
		wantValue(t, tx, "a", "1")
		_, err := tx.Get(Index, []byte("new"))
		wantErr(t, "other table", err, kv.ErrNotFound)
		return nil
	})
}

// testFailureAmongNeighbours has concurrent updates write the same and
// different keys, of which some fail after they wrote.
func testFailureAmongNeighbours(t *testing.T, open Open) {
	s := start(t, open)
	boom := errors.New("boom")
	const callers = 200
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			errs[i] = s.Update(context.Background(), func(tx kv.Tx) error {
				key := []byte{'k', byte(i)}
				if err := tx.Put(Rows, key, key); err != nil {
					return err
				}
				if _, err := add(tx, []byte("count"), 1); err != nil {
					return err
				}
				switch i % 7 {
				case 1:
					return boom
				case 2:
					panic("boom")
				}
				return nil
			})
		})
	}
	wg.Wait()
	kept := uint64(0)
	view(t, s, func(tx kv.Tx) error {
		for i, err := range errs {
			key := string([]byte{'k', byte(i)})
			switch i % 7 {
			case 1:
				wantErr(t, "failing update", err, boom)
				wantAbsent(t, tx, key)
			case 2:
				wantErr(t, "panicking update", err, kv.ErrPanic)
				wantAbsent(t, tx, key)
			default:
				if err != nil {
					t.Errorf("neighbour: %v", err)
				}
				wantValue(t, tx, key, key)
				kept++
			}
		}
		if n := count(t, tx, []byte("count")); n != kept {
			t.Errorf("count = %d, want %d", n, kept)
		}
		return nil
	})
}

func testPanic(t *testing.T, open Open) {
	s := start(t, open)
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		return tx.Scan(Rows, kv.Prefix(nil), nil)
	})
	if err != nil {
		t.Errorf("scan of an empty table: %v", err)
	}
	set(t, s, "a", "1")
	err = s.Update(context.Background(), func(tx kv.Tx) error {
		return tx.Scan(Rows, kv.Range{}, func(k, _ []byte) error { panic("in " + string(k)) })
	})
	wantErr(t, "update", err, kv.ErrPanic)
	if err != nil && !strings.Contains(err.Error(), "in a") {
		t.Errorf("error %q does not say what panicked", err)
	}
	set(t, s, "a", "2") // not ErrScanning
}

// testGoexit ends the goroutine that runs an update, as FailNow does.
func testGoexit(t *testing.T, open Open) {
	s := start(t, open)
	var wg sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		wg.Go(func() {
			errs[i] = kv.ErrPanic // for a store that runs it on this goroutine
			errs[i] = s.Update(context.Background(), func(tx kv.Tx) error {
				if err := tx.Put(Rows, []byte{byte('A' + i)}, nil); err != nil {
					return err
				}
				if i%4 == 0 {
					runtime.Goexit()
				}
				return nil
			})
		})
	}
	wg.Wait()
	view(t, s, func(tx kv.Tx) error {
		for i, err := range errs {
			key := string([]byte{byte('A' + i)})
			if i%4 == 0 {
				wantErr(t, "ending update", err, kv.ErrPanic)
				wantAbsent(t, tx, key)
			} else {
				wantErr(t, "neighbour", err, nil)
				wantValue(t, tx, key, "")
			}
		}
		return nil
	})
}

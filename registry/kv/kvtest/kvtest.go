// Package kvtest is the conformance suite of kv.Store: what every
// implementation must do, as tests.
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"sallyport/registry/kv"
)

// Open opens the store that is kept in dir, creating it if it is not there,
// with the tables of Tables. The suite closes it. Open ends the test on error.
type Open func(t testing.TB, dir string) kv.Store

// The suite's tables. Log is written in key order by the suite, so that it may
// be opened as an append-only table.
const (
	Rows  kv.Table = "rows"
	Index kv.Table = "index"
	Log   kv.Table = "log"
)

// Tables returns the tables that a store under test must be opened with.
func Tables() []kv.Table { return []kv.Table{Rows, Index, Log} }

// Test runs the suite. Each test uses a store of its own.
func Test(t *testing.T, open Open) {
	tests := []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"ErrReadOnly", testReadOnly},
		{"ErrNoTable", testNoTable},
		{"ErrKeyAndValue", testKeyAndValue},
		{"ErrScanning", testScanning},
		{"ErrTxDone", testTxDone},
		{"ErrClosed", testClosed},
		{"Cancelled", testCancelled},
		{"WithdrawnInQueue", testWithdrawn},
		{"FailureLeavesNothing", testFailureLeavesNothing},
		{"FailureAmongNeighbours", testFailureAmongNeighbours},
		{"Panic", testPanic},
		{"Goexit", testGoexit},
		{"Values", testValues},
		{"CopiesArguments", testCopiesArguments},
		{"ReadsOwnWrites", testReadsOwnWrites},
		{"ScanRanges", testScanRanges},
		{"ScanEmptiedTable", testScanEmptied},
		{"ScanEndsEarly", testScanEndsEarly},
		{"NestedScans", testNestedScans},
		{"Snapshot", testSnapshot},
		{"ConcurrentIncrements", testIncrements},
		{"CreateOnce", testCreateOnce},
		{"CloseDrains", testCloseDrains},
		{"Reopen", testReopen},
		{"LargeUpdate", testLargeUpdate},
		{"Simulation", testSimulation},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open) })
	}
}

// start opens a new store that is closed at the end of the test.
func start(t *testing.T, open Open) kv.Store {
	t.Helper()
	s := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, kv.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func update(t testing.TB, s kv.Store, fn func(kv.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t testing.TB, s kv.Store, fn func(kv.Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// set puts pairs of key and value into Rows.
func set(t testing.TB, s kv.Store, pairs ...string) {
	t.Helper()
	update(t, s, func(tx kv.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Put(Rows, []byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
}

// wantKeys compares the keys of a scan of Rows, written as one string.
func wantKeys(t testing.TB, tx kv.Reader, r kv.Range, want string) {
	t.Helper()
	got := ""
	err := tx.Scan(Rows, r, func(k, _ []byte) error {
		got += string(k) + " "
		return nil
	})
	if err != nil {
		t.Errorf("scan %s: %v", show(r), err)
	}
	if want != "" {
		want += " "
	}
	if got != want {
		t.Errorf("scan %s = %q, want %q", show(r), got, want)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func wantValue(t testing.TB, tx kv.Reader, key, want string) {
	t.Helper()
	v, err := tx.Get(Rows, []byte(key))
	if err != nil || string(v) != want {
		t.Errorf("get %q = %q, %v, want %q", key, v, err, want)
	}
}

func wantAbsent(t testing.TB, tx kv.Reader, key string) {
	t.Helper()
	if v, err := tx.Get(Rows, []byte(key)); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("get %q = %q, %v, want ErrNotFound", key, v, err)
	}
}

func show(r kv.Range) string {
	to := "end"
	if r.To != nil {
		to = fmt.Sprintf("%q", r.To)
	}
	way := "forward"
	if r.Reverse {
		way = "reverse"
	}
	return fmt.Sprintf("[%q, %s) %s", r.From, to, way)
}

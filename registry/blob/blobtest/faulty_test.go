package blobtest_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/diskblob"
)

func newFaulty(t *testing.T) *blobtest.Faulty {
	t.Helper()
	s, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return blobtest.NewFaulty(s)
}

// A Faulty without faults is a store like any other, even one that stutters.
func TestConformance(t *testing.T) {
	blobtest.Test(t, func(tb testing.TB) blob.Store { return newFaulty(t) })
	if testing.Short() {
		return
	}
	t.Run("Stutter", func(t *testing.T) {
		blobtest.Test(t, func(tb testing.TB) blob.Store {
			f := newFaulty(t)
			f.ShortReads(1000)
			return f
		})
	})
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	put := func(s blob.Store) error {
		_, err := s.Put(t.Context(), "new", strings.NewReader("1234"), 4)
		return err
	}
	move := func(s blob.Store) error { return s.Move(t.Context(), "old", "new") }
	del := func(s blob.Store) error { return s.Delete(t.Context(), "old") }
	read := func(s blob.Store) error {
		r, err := s.Open(t.Context(), "old", 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil && string(got) != "12" {
			t.Errorf("read %q before the fault; want half", got)
		}
		return err
	}
	stat := func(s blob.Store) error { _, err := s.Stat(t.Context(), "old"); return err }
	check := func(s blob.Store) error { return s.Check(t.Context()) }
	list := func(s blob.Store) error {
		for _, err := range s.List(t.Context(), "") {
			return err
		}
		return nil
	}
	for _, row := range []struct {
		op       blobtest.Op
		when     blobtest.When
		do       func(blob.Store) error
		old, new bool // what is there afterwards
	}{
		{blobtest.Put, blobtest.Before, put, true, false},
		{blobtest.Put, blobtest.Midway, put, true, false},
		{blobtest.Put, blobtest.After, put, true, true},
		{blobtest.Move, blobtest.Before, move, true, false},
		{blobtest.Move, blobtest.Midway, move, true, true},
		{blobtest.Move, blobtest.After, move, false, true},
		{blobtest.Delete, blobtest.Before, del, true, false},
		{blobtest.Delete, blobtest.After, del, false, false},
		{blobtest.Open, blobtest.Before, func(s blob.Store) error {
			_, err := s.Open(t.Context(), "old", 0, -1)
			return err
		}, true, false},
		{blobtest.Open, blobtest.Midway, read, true, false},
		{blobtest.Stat, blobtest.Before, stat, true, false},
		{blobtest.Check, blobtest.After, check, true, false},
		{blobtest.List, blobtest.Before, list, true, false},
	} {
		t.Run(string(row.op)+" "+string(row.when), func(t *testing.T) {
			f := newFaulty(t)
			if _, err := f.Put(t.Context(), "old", strings.NewReader("1234"), 4); err != nil {
				t.Fatal(err)
			}
			f.Inject(blobtest.Fault{Op: row.op, When: row.when, Nth: 1, Err: broken})
			if err := row.do(f); !errors.Is(err, broken) {
				t.Errorf("got %v; want the fault", err)
			}
			for key, want := range map[blob.Key]bool{"old": row.old, "new": row.new} {
				if _, err := f.Stat(t.Context(), key); (err == nil) != want || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("stat of %q: %v; want present = %v", string(key), err, want)
				}
			}
			if row.op != blobtest.Put && row.op != blobtest.Delete {
				if err := row.do(f); err != nil {
					t.Errorf("the second call: %v; the fault was for the first", err)
				}
			}
		})
	}
}

func TestFaultyCountsAndHeals(t *testing.T) {
	f := newFaulty(t)
	f.Inject(blobtest.Fault{Op: blobtest.Check, When: blobtest.Before, Nth: 2}, blobtest.Fault{Op: blobtest.Stat, When: blobtest.Before})
	for nth, want := range []error{nil, blob.ErrUnavailable, nil} {
		if err := f.Check(t.Context()); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("check %d: %v; want %v", nth+1, err, want)
		}
		if _, err := f.Stat(t.Context(), "a"); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("stat %d: %v; want ErrUnavailable each time", nth+1, err)
		}
	}
	if f.Calls(blobtest.Check) != 3 || f.Calls(blobtest.Put) != 0 {
		t.Errorf("calls: %d checks, %d puts; want 3, 0", f.Calls(blobtest.Check), f.Calls(blobtest.Put))
	}
	f.SetFree(7)
	if n, err := f.Free(); n != 7 || err != nil {
		t.Errorf("free = %d, %v; want 7", n, err)
	}
	f.Delay(blobtest.Check, time.Hour)
	f.Heal()
	if n, err := f.Free(); n <= 7 || err != nil {
		t.Errorf("free = %d, %v; want the disk's", n, err)
	}
	if err := f.Check(t.Context()); err != nil {
		t.Errorf("check after Heal: %v", err)
	}
	if _, err := f.Stat(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat after Heal: %v", err)
	}
}

package boltkv_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged.db")
	if err := os.WriteFile(damaged, []byte(strings.Repeat("not a ledger ", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		o          boltkv.Options
		want       error  // nil: any
		says       string // part of the message
	}{
		{"missing folder", filepath.Join(dir, "nowhere", "l.db"), options(), fs.ErrNotExist, "nowhere"},
		{"not a ledger", damaged, options(), nil, "damaged.db"},
		{"table twice", filepath.Join(dir, "a.db"), boltkv.Options{Tables: []kv.Table{"t", "t"}}, nil, `"t"`},
		{"table without name", filepath.Join(dir, "a.db"), boltkv.Options{Tables: []kv.Table{""}}, nil, "empty"},
		{"unknown quiet table", filepath.Join(dir, "a.db"),
			boltkv.Options{Tables: []kv.Table{"t"}, QuietTables: []kv.Table{"u"}}, kv.ErrNoTable, `"u"`},
		{"unknown append table", filepath.Join(dir, "a.db"),
			boltkv.Options{Tables: []kv.Table{"t"}, AppendTables: []kv.Table{"u"}}, kv.ErrNoTable, `"u"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := boltkv.Open(tt.path, tt.o)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q, want %v and %q in it", err, tt.want, tt.says)
			}
		})
	}
}

func TestOpenInUse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	s := mustOpen(t, dir, options())
	o := options()
	o.LockTimeout = 10 * time.Millisecond
	if _, err := boltkv.Open(path, o); !errors.Is(err, kv.ErrInUse) {
		t.Errorf("second open: %v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, o)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFileMode(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, options())
	defer s.Close()
	fi, err := os.Stat(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", fi.Mode().Perm())
	}
}

// TestNewTables opens a file with more and with fewer tables than before.
func TestNewTables(t *testing.T) {
	dir := t.TempDir()
	for _, tables := range [][]kv.Table{{"a"}, {"b", "a"}, {"a"}, {"a", "b"}} {
		s := mustOpen(t, dir, boltkv.Options{Tables: tables})
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			for _, table := range tables {
				if err := tx.Put(table, []byte("of"), []byte(table)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		err = s.View(context.Background(), func(tx kv.Tx) error {
			for _, table := range tables {
				if v, err := tx.Get(table, []byte("of")); err != nil || string(v) != string(table) {
					t.Errorf("table %s holds %q, %v", table, v, err)
				}
			}
			return nil
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQuietTables opens a file with tables that become quiet and cease to be, short
// ones, which lie inside another's page, and long ones.
func TestQuietTables(t *testing.T) {
	dir := t.TempDir()
	tables := []kv.Table{"a", "b", "c"}
	rows := map[kv.Table]int{"a": 1, "b": 3000, "c": 0}
	for round, quiet := range [][]kv.Table{nil, {"a", "b"}, {"a", "b", "c"}, {"b"}, {"c"}, nil} {
		s := mustOpen(t, dir, boltkv.Options{Tables: tables, QuietTables: quiet})
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			for _, table := range tables {
				for i := range rows[table] {
					key, was := fmt.Appendf(nil, "%s%d", table, i), fmt.Append(nil, round-1)
					if v, err := tx.Get(table, key); round > 0 && string(v) != string(was) {
						return fmt.Errorf("table %s holds %q, %w", table, v, err)
					}
					if err := tx.Put(table, key, fmt.Append(nil, round)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err := errors.Join(err, s.Check(context.Background()), s.Close()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// TestAppendTables checks that an append-only table fills its pages.
func TestAppendTables(t *testing.T) {
	s := mustOpen(t, t.TempDir(), options())
	defer s.Close()
	for i := range 50 {
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			for j := range 40 {
				key := fmt.Appendf(nil, "%06d", i*40+j)
				err := errors.Join(tx.Put(kvtest.Rows, key, key), tx.Put(kvtest.Log, key, key))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.LeafPages(kvtest.Rows)
	if err != nil {
		t.Fatal(err)
	}
	log, err := s.LeafPages(kvtest.Log)
	if err != nil {
		t.Fatal(err)
	}
	if log > rows*2/3 {
		t.Errorf("append-only table takes %d pages, another %d for the same rows", log, rows)
	}
}

// TestCheckFindsDamage changes a page in the middle of a file: Check finds it in
// an open store, and so does the open after a crash, which walks through the file.
func TestCheckFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	s, err := boltkv.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		put(t, s, strings.Repeat(string(rune('a'+i%26)), 1+i/26), strings.Repeat("v", 300))
	}
	if err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	damage(t, path)
	if err := s.Check(context.Background()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("check of a damaged file: %v", err)
	}
	crashed := filepath.Join(t.TempDir(), "ledger.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(crashed, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := boltkv.Open(crashed, options()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("open of a damaged file: %v", err)
		if err == nil {
			s.Close()
		}
	}
}

// damage changes a key of a leaf in place: the page stays readable, its order is
// wrong.
func damage(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page, damaged := make([]byte, os.Getpagesize()), 0
	for at := int64(2 * len(page)); ; at += int64(len(page)) {
		if _, err := f.ReadAt(page, at); err != nil {
			break // the end
		}
		i := strings.Index(string(page), "bbb"+strings.Repeat("v", 300))
		if i < 0 {
			continue
		}
		if _, err := f.WriteAt([]byte("z"), at+int64(i)); err != nil {
			t.Fatal(err)
		}
		damaged++
	}
	if damaged == 0 {
		t.Fatal("found no page to damage")
	}
}

func put(t testing.TB, s kv.Store, key, value string) {
	t.Helper()
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		return tx.Put(kvtest.Rows, []byte(key), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An orderly end spares the next open the walk through the file, and what is written
// after that does not lean on a list that has become old.
func TestCloseKeepsFreelist(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	for round := range 3 {
		s := mustOpen(t, dir, options())
		for i := range 50 {
			key := []byte(fmt.Sprintf("%d", (round*31+i)%60))
			err := s.Update(context.Background(), func(tx kv.Tx) error {
				if i%3 == 0 {
					return tx.Delete(options().Tables[0], key)
				}
				return tx.Put(options().Tables[0], key, make([]byte, 3000))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := boltkv.Freelist(path); err != nil || kept {
			t.Fatalf("round %d, open: a list of free pages in the file: %v, %v", round, kept, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if kept, err := boltkv.Freelist(path); err != nil || !kept {
			t.Fatalf("round %d, closed: a list of free pages in the file: %v, %v", round, kept, err)
		}
	}
}

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
	if _, err := boltkv.OpenReadOnly(filepath.Join(dir, "absent.db"), options()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read-only open of an absent file: %v, want fs.ErrNotExist", err)
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
	if _, err := boltkv.OpenReadOnly(path, o); !errors.Is(err, kv.ErrInUse) {
		t.Errorf("read-only open: %v, want ErrInUse", err)
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

func TestOpenReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	s := mustOpen(t, dir, options())
	put(t, s, "k", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	o := options()
	o.Tables = append(o.Tables, "later") // not in the file
	r, err := boltkv.OpenReadOnly(path, o)
	if err != nil {
		t.Fatal(err)
	}
	second, err := boltkv.OpenReadOnly(path, o)
	if err != nil {
		t.Fatalf("second reader: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	err = r.View(context.Background(), func(tx kv.Tx) error {
		if v, err := tx.Get(kvtest.Rows, []byte("k")); err != nil || string(v) != "v" {
			t.Errorf("get = %q, %v", v, err)
		}
		if _, err := tx.Get("later", []byte("k")); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("get from a missing table: %v", err)
		}
		return tx.Scan("later", kv.Range{Reverse: true}, func(_, _ []byte) error { return errors.New("row") })
	})
	if err != nil {
		t.Error(err)
	}
	err = r.Update(context.Background(), func(kv.Tx) error { t.Error("ran"); return nil })
	if !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("update: %v, want ErrReadOnly", err)
	}
	if err := r.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
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

// TestCheckFindsDamage overwrites a page in the middle of a file.
func TestCheckFindsDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	s := mustOpen(t, dir, options())
	for i := range 200 {
		put(t, s, strings.Repeat(string(rune('a'+i%26)), 1+i/26), strings.Repeat("v", 300))
	}
	if err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Swap two keys of a leaf: the page stays readable, its order is wrong.
	page := os.Getpagesize()
	damaged := 0
	for at := 2 * page; at+page <= len(data); at += page {
		leaf := data[at : at+page]
		if i := strings.Index(string(leaf), "bbb"+strings.Repeat("v", 300)); i > 0 {
			leaf[i] = 'z'
			damaged++
		}
	}
	if damaged == 0 {
		t.Fatal("found no page to damage")
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := boltkv.OpenReadOnly(path, options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Check(context.Background()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("check of a damaged file: %v", err)
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

package boltkv_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

// The layout of a segment, in blocks: header, base, records.
const block = 4096

// crashed is what a killed process left: the file and its segments.
type crashed struct {
	t     *testing.T
	path  string
	rows  []string // after each update
	files []string // names of the segments behind path, oldest first
}

// crashedStore returns the files of a store that was killed after some updates. With
// half, a checkpoint was running: its segment has records and no base yet.
func crashedStore(t *testing.T, half bool) *crashed {
	t.Helper()
	live := filepath.Join(t.TempDir(), "ledger.db")
	every := int64(100 << 20)
	if half {
		every = 1
	}
	release := make(chan struct{})
	s, err := boltkv.OpenFlushing(live, options(), every, func(f *os.File) error {
		if f.Name() == live && half {
			<-release
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &crashed{t: t, path: filepath.Join(t.TempDir(), "ledger.db")}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		if err := s.Update(context.Background(), scribble(rng)); err != nil {
			t.Fatal(err)
		}
		c.rows = append(c.rows, dump(t, s))
	}
	copyStore(t, live, c.path)
	close(release)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.files, err = filepath.Glob(c.path + ".log.*")
	if err != nil || len(c.files) != 2 {
		t.Fatalf("segments %v, %v", c.files, err)
	}
	return c
}

// copyStore copies the file at path and its segments.
func copyStore(t testing.TB, path, to string) {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(to+strings.TrimPrefix(name, path), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// change rewrites a segment.
func (c *crashed) change(segment int, fn func(b []byte)) {
	c.t.Helper()
	b, err := os.ReadFile(c.files[segment])
	if err != nil {
		c.t.Fatal(err)
	}
	fn(b)
	write(c.t, c.files[segment], b)
}

func (c *crashed) remove(segments ...int) {
	c.t.Helper()
	for _, i := range segments {
		if err := os.Remove(c.files[i]); err != nil {
			c.t.Fatal(err)
		}
	}
}

// records returns where in a segment its records stand.
func records(b []byte) (at []int) {
	seq := b[32:40]
	for i := 2 * block; i < len(b) && bytes.Equal(b[i+8:i+24], b[16:32]) && bytes.Equal(b[i+24:i+32], seq); {
		at = append(at, i)
		i += (48 + int(binary.LittleEndian.Uint64(b[i+40:])) + block - 1) / block * block
	}
	return at
}

// TestDamagedLog opens ledgers whose log is not as it was left: what can be told from
// a torn end is refused, and what is refused is left as it was.
func TestDamagedLog(t *testing.T) {
	const all = 12
	tests := []struct {
		name   string
		half   bool // see crashedStore
		damage func(c *crashed)
		says   string // "": it opens
		after  int    // with what was there after this many updates
	}{
		{"none", false, func(*crashed) {}, "", all},
		{"none, checkpoint running", true, func(*crashed) {}, "", all},
		{"no header", false, func(c *crashed) { c.change(0, func(b []byte) { clear(b[:block]) }) }, "damaged", 0},
		{"no base", false, func(c *crashed) { c.change(0, func(b []byte) { clear(b[block : 2*block]) }) }, "damaged", 0},
		{"no base, checkpoint running", true, func(c *crashed) { c.change(0, func(b []byte) { clear(b[block : 2*block]) }) }, "damaged", 0},
		{"a bit of the base", false, func(c *crashed) { c.change(0, func(b []byte) { b[block+60] ^= 1 }) }, "damaged", 0},
		{"last record, which the file knows of", false, func(c *crashed) {
			c.change(0, func(b []byte) { at := records(b); b[at[len(at)-1]+50] ^= 1 })
		}, "newer than its log", 0},
		{"record in the middle", false, func(c *crashed) {
			c.change(0, func(b []byte) { b[records(b)[5]+50] ^= 4 })
		}, "damaged", 0},
		{"last record of a full segment", true, func(c *crashed) {
			c.change(0, func(b []byte) { at := records(b); b[at[len(at)-1]+50] ^= 1 })
		}, "damaged", 0},
		{"record left out", false, func(c *crashed) {
			c.change(0, func(b []byte) { at := records(b); copy(b[at[3]:at[4]], bytes.Clone(b[at[4]:at[5]])) })
		}, "damaged", 0},
		{"header of the second segment", true, func(c *crashed) { c.change(1, func(b []byte) { b[40] ^= 1 }) }, "damaged", 0},
		{"first segment gone", true, func(c *crashed) { c.remove(0) }, "damaged", 0},
		{"second segment gone", true, func(c *crashed) { c.remove(1) }, "not whole", 0},
		{"segment with base gone", false, func(c *crashed) { c.remove(0) }, "missing", 0},
		{"empty segment gone", false, func(c *crashed) { c.remove(1) }, "not whole", 0},
		{"all segments gone", false, func(c *crashed) { c.remove(0, 1) }, "missing", 0},
		{"log of another ledger", false, func(c *crashed) {
			c.remove(0, 1)
			copySegments(t, crashedStore(t, false), c)
		}, "not its own", 0},
		{"ledger gone", false, func(c *crashed) { write(t, c.path, nil) }, "shorter", 0},
		{"ledger of another time", false, func(c *crashed) {
			dir := t.TempDir()
			if err := mustOpen(t, dir, options()).Close(); err != nil {
				t.Fatal(err)
			}
			copyStore(t, filepath.Join(dir, "ledger.db"), c.path)
		}, "not its own", 0},
		{"written by an older program", false, func(c *crashed) { older(t, c.path, true) }, "older program", 0},
		{"written by an older program that kept its free pages", false, func(c *crashed) { older(t, c.path, false) }, "older program", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := crashedStore(t, tt.half)
			c.t = t
			tt.damage(c)
			if tt.says == "" {
				comesBack(t, c.path, []string{c.rows[tt.after-1]})
				return
			}
			before, err := os.ReadFile(c.path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := boltkv.Open(c.path, options())
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q, want %q in it", err, tt.says)
			}
			if after, err := os.ReadFile(c.path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}

// copySegments copies the log of one store beside another's file.
func copySegments(t *testing.T, from, to *crashed) {
	t.Helper()
	for _, name := range from.files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, to.path+strings.TrimPrefix(name, from.path), b)
	}
}

// older writes to the file like a program that knows no log.
func older(t *testing.T, path string, noFreelist bool) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: noFreelist, FreelistType: bolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(kvtest.Rows)).Put([]byte("older"), nil) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestOlderFile opens a file that never had a log, and one that an older program
// wrote to after an orderly end.
func TestOlderFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	o := options()
	o.NoSync = true
	s := mustOpen(t, dir, o)
	put(t, s, "k", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		older(t, path, round%2 == 0)
		s := mustOpen(t, dir, options())
		put(t, s, fmt.Sprint(round), "v")
		rows := dump(t, s)
		for _, key := range []string{"k", "older", fmt.Sprint(round)} {
			if !strings.Contains(rows, fmt.Sprintf("%s %x ", kvtest.Rows, key)) {
				t.Errorf("round %d: no %q in\n%s", round, key, rows)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplayTables recovers with other tables than those the log was written with.
func TestReplayTables(t *testing.T) {
	for _, o := range []boltkv.Options{
		{Tables: []kv.Table{kvtest.Log, "new", kvtest.Index, kvtest.Rows}},
		{Tables: kvtest.Tables(), QuietTables: []kv.Table{kvtest.Rows, kvtest.Log}},
		{Tables: []kv.Table{kvtest.Log}, QuietTables: []kv.Table{kvtest.Log}},
		{Tables: kvtest.Tables(), NoSync: true},
	} {
		c := crashedStore(t, true)
		s, err := boltkv.Open(c.path, o)
		if err != nil {
			t.Fatal(err)
		}
		put := func(tx kv.Tx) error { return tx.Put(kvtest.Log, []byte("z"), nil) }
		if err := errors.Join(s.Update(context.Background(), put), s.Check(context.Background()), s.Close()); err != nil {
			t.Error(err)
		}
		s = mustOpen(t, filepath.Dir(c.path), options())
		want := c.rows[len(c.rows)-1] + fmt.Sprintf("%s %x 0 \n", kvtest.Log, "z")
		if got := dump(t, s); !sameLines(got, want) {
			t.Errorf("with %v it holds\n%swant\n%s", o.Tables, got, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func sameLines(a, b string) bool {
	lines := map[string]int{}
	for l := range strings.Lines(a) {
		lines[l]++
	}
	for l := range strings.Lines(b) {
		lines[l]--
	}
	for _, n := range lines {
		if n != 0 {
			return false
		}
	}
	return true
}

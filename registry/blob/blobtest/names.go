package blobtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"

	"sallyport/registry/blob"
)

func testMove(t *testing.T, s blob.Store) {
	for _, row := range []struct {
		name   string
		before map[blob.Key]string
		err    error
		after  map[blob.Key]string
	}{
		{"neither", nil, fs.ErrNotExist, nil},
		{"both, different size",
			map[blob.Key]string{"from": "abc", "to": "other"}, fs.ErrExist,
			map[blob.Key]string{"from": "abc", "to": "other"}},
		{"source only", map[blob.Key]string{"from": "abc"}, nil, map[blob.Key]string{"to": "abc"}},
		{"empty blob", map[blob.Key]string{"from": ""}, nil, map[blob.Key]string{"to": ""}},
		{"done already", map[blob.Key]string{"to": "abc"}, nil, map[blob.Key]string{"to": "abc"}},
		{"half done", map[blob.Key]string{"from": "abc", "to": "abc"}, nil, map[blob.Key]string{"to": "abc"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := blob.Key(fmt.Sprintf("move/%d/", len(t.Name())))
			for key, text := range row.before {
				mustPut(t, s, dir+key, text)
			}
			for range 2 { // the second time is the repeat after a lost answer
				if err := s.Move(t.Context(), dir+"from", dir+"to"); !errors.Is(err, row.err) || row.err == nil && err != nil {
					t.Fatalf("move: %v; want %v", err, row.err)
				}
			}
			for _, key := range []blob.Key{"from", "to"} {
				if want, ok := row.after[key]; ok {
					wantContent(t, s, dir+key, want)
				} else {
					wantAbsent(t, s, dir+key)
				}
			}
			if err := errors.Join(s.Delete(t.Context(), dir+"from"), s.Delete(t.Context(), dir+"to")); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("onto itself", func(t *testing.T) {
		mustPut(t, s, "self", "abc")
		if err := s.Move(t.Context(), "self", "self"); err != nil {
			t.Errorf("move: %v", err)
		}
		wantContent(t, s, "self", "abc")
		if err := s.Move(t.Context(), "absent", "absent"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("move of an absent blob onto itself: %v; want fs.ErrNotExist", err)
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		mustPut(t, s, "move/race", "abc")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := s.Move(t.Context(), "move/race", "move/won"); err != nil {
					t.Errorf("move: %v", err)
				}
			})
		}
		wg.Wait()
		wantAbsent(t, s, "move/race")
		wantContent(t, s, "move/won", "abc")
	})
}

func testDelete(t *testing.T, s blob.Store) {
	mustPut(t, s, "a/b", "x")
	mustPut(t, s, "a/bc", "y")
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Errorf("delete of what is only a prefix: %v", err)
	}
	wantAbsent(t, s, "a/b")
	wantContent(t, s, "a/bc", "y")
	mustPut(t, s, "a/b", "z")
	wantContent(t, s, "a/b", "z")
}

func testList(t *testing.T, s blob.Store) {
	for _, err := range s.List(t.Context(), "") {
		t.Fatalf("list of an empty store yields (%v)", err)
	}
	var all []string
	for i := range 40 {
		for _, dir := range []string{"staging/a", "staging/ab", "accepted"} {
			key := fmt.Sprintf("%s/%02d/payload", dir, i)
			mustPut(t, s, blob.Key(key), "12345"[:i%6])
			all = append(all, key)
		}
	}
	for _, row := range []struct {
		prefix string
		want   int
	}{
		{"", 120}, {"staging/", 80}, {"staging/a/", 40}, {"staging/a", 80}, {"accepted/0", 10},
		{"accepted/07/payload", 1}, {"accepted/07/payload/", 0}, {"nothing", 0},
	} {
		var got []string
		for entry, err := range s.List(t.Context(), row.prefix) {
			if err != nil {
				t.Fatalf("list of %q: %v", row.prefix, err)
			}
			got = append(got, string(entry.Key))
			if info, err := s.Stat(t.Context(), entry.Key); err != nil || info.Size != entry.Size || entry.ModTime.IsZero() {
				t.Fatalf("entry %+v; stat gives %+v, %v", entry.Info, info, err)
			}
		}
		slices.Sort(got)
		if len(got) != row.want || len(slices.Compact(got)) != row.want {
			t.Errorf("list of %q: %d keys; want %d", row.prefix, len(got), row.want)
		}
		if row.prefix == "" {
			slices.Sort(all)
			if !slices.Equal(got, all) {
				t.Errorf("list = %q; want %q", got, all)
			}
		}
	}
	n := 0
	for range s.List(t.Context(), "") {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("a list broken off after 3 entries gave %d", n)
	}
}

// testMemory moves a large blob in and out and looks at what was allocated on
// the way: buffers, not the blob. The least of three times counts: what is
// counted is the whole process's.
func testMemory(t *testing.T, s blob.Store) {
	if testing.Short() {
		t.Skip("large blob; run without -short")
	}
	const size, budget = 64 << 20, 16 << 20
	mustPut(t, s, "warm", "up")
	wantContent(t, s, "warm", "up")
	spent := uint64(math.MaxUint64)
	for round := 0; round < 3 && spent > budget; round++ {
		spent = min(spent, allocatedToMove(t, s, blob.Key(fmt.Sprintf("large-%d", round)), size))
	}
	if spent > budget {
		t.Errorf("%d MiB allocated to move %d MiB in and out; want at most %d", spent>>20, size>>20, budget>>20)
	}
}

// allocatedToMove returns how many bytes were allocated to move size of them in and
// out.
func allocatedToMove(t *testing.T, s blob.Store, key blob.Key, size int64) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	src := &counter{r: Bytes(1, size)}
	if _, err := s.Put(t.Context(), key, src, size); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, struct{ io.Reader }{r}); n != size || err != nil {
		t.Fatalf("read %d bytes, %v; want %d", n, err, size)
	}
	runtime.ReadMemStats(&after)
	if src.max > 4<<20 {
		t.Errorf("the source was read with a buffer of %d KiB", src.max>>10)
	}
	return after.TotalAlloc - before.TotalAlloc
}

// Package blobtest holds what tests of byte stores share: the conformance suite
// Test that every blob.Store passes, the store Faulty that fails on command,
// and a real MinIO to test against.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"sallyport/registry/blob"
)

// Test runs the conformance suite. open returns an empty store that lives as
// long as tb. Large blobs are left out with -short.
func Test(t *testing.T, open func(tb testing.TB) blob.Store) {
	for _, group := range []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"Keys", testKeys},
		{"Absent", testAbsent},
		{"Sizes", testSizes},
		{"Ranges", testRanges},
		{"Sources", testSources},
		{"SourceIsLetGo", testSourceIsLetGo},
		{"Existing", testExisting},
		{"Concurrent", testConcurrent},
		{"Cancel", testCancel},
		{"Move", testMove},
		{"Delete", testDelete},
		{"List", testList},
		{"Memory", testMemory},
		{"Check", testCheck},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, open(t)) })
	}
}

// Bytes returns a reader of n pseudo-random bytes, the same for the same seed.
func Bytes(seed uint64, n int64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

func digest(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

func mustPut(t *testing.T, s blob.Store, key blob.Key, content string) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, bytes.NewReader([]byte(content)), int64(len(content))); err != nil {
		t.Fatalf("put: %v", err)
	}
}

// content returns the whole blob, or the error of Open or Read.
func content(ctx context.Context, s blob.Store, key blob.Key) (string, error) {
	r, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func wantContent(t *testing.T, s blob.Store, key blob.Key, want string) {
	t.Helper()
	if got, err := content(t.Context(), s, key); err != nil || got != want {
		t.Errorf("content of %q = %.40q, %v; want %.40q", string(key), got, err, want)
	}
}

func wantAbsent(t *testing.T, s blob.Store, key blob.Key) {
	t.Helper()
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of %q: %v; want fs.ErrNotExist", string(key), err)
	}
	for entry, err := range s.List(t.Context(), "") {
		if err != nil || entry.Key == key {
			t.Errorf("list: %q, %v; want %q absent", string(entry.Key), err, string(key))
		}
	}
}

func testKeys(t *testing.T, s blob.Store) {
	long := blob.Key(bytes.Repeat([]byte("k"), blob.MaxKeyLen))
	for _, key := range []blob.Key{"a", "A/b-c_d.e/01JD0000000000000000000000", ".hidden", "a..b", long} {
		mustPut(t, s, key, string(key))
		wantContent(t, s, key, string(key))
	}
	for _, key := range []blob.Key{"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a~b", "ä", "a\x00b", long + "k"} {
		if _, err := s.Put(t.Context(), key, bytes.NewReader(nil), 0); !errors.Is(err, blob.ErrBadKey) {
			t.Errorf("put of %q: %v; want ErrBadKey", string(key), err)
		}
		if _, err := s.Open(t.Context(), key, 0, -1); !errors.Is(err, blob.ErrBadKey) {
			t.Errorf("open of %q: %v; want ErrBadKey", string(key), err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrBadKey) {
			t.Errorf("stat of %q: %v; want ErrBadKey", string(key), err)
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, blob.ErrBadKey) {
			t.Errorf("delete of %q: %v; want ErrBadKey", string(key), err)
		}
		if err := errors.Join(s.Move(t.Context(), key, "new"), s.Move(t.Context(), "a", key)); !errors.Is(err, blob.ErrBadKey) {
			t.Errorf("move of %q: %v; want ErrBadKey", string(key), err)
		}
	}
	wantContent(t, s, "a", "a")
}

func testAbsent(t *testing.T, s blob.Store) {
	mustPut(t, s, "a/b", "x")
	for _, key := range []blob.Key{"a", "a/b/c", "b"} {
		if _, err := s.Open(t.Context(), key, 0, -1); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open of %q: %v; want fs.ErrNotExist", string(key), err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat of %q: %v; want fs.ErrNotExist", string(key), err)
		}
	}
}

func testSizes(t *testing.T, s blob.Store) {
	sizes := []int64{0, 1, 4096, 1 << 16, 1<<18 + 1, 5<<20 + 1}
	if !testing.Short() {
		sizes = append(sizes, 64<<20)
	}
	for i, size := range sizes {
		key := blob.Key(fmt.Sprintf("size/%d", size))
		seed := uint64(i)
		info, err := s.Put(t.Context(), key, Bytes(seed, size), size)
		if err != nil || info.Size != size {
			t.Fatalf("put of %d bytes = %+v, %v", size, info, err)
		}
		if info, err = s.Stat(t.Context(), key); err != nil || info.Size != size || info.ModTime.IsZero() {
			t.Errorf("stat of %d bytes = %+v, %v", size, info, err)
		}
		r, err := s.Open(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatalf("open of %d bytes: %v", size, err)
		}
		if r.Len() != size || r.Info().Size != size || r.Info().ModTime.IsZero() {
			t.Errorf("open of %d bytes: %d bytes of %+v", size, r.Len(), r.Info())
		}
		want, _ := digest(Bytes(seed, size))
		if got, err := digest(r); err != nil || got != want {
			t.Errorf("content of %d bytes: %s, %v; want %s", size, got, err, want)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := s.Put(t.Context(), "size/negative", bytes.NewReader(nil), -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("put of -1 bytes: %v; want fs.ErrInvalid", err)
	}
}

func testRanges(t *testing.T, s blob.Store) {
	mustPut(t, s, "ten", "0123456789")
	mustPut(t, s, "empty", "")
	for _, row := range []struct {
		key    blob.Key
		off, n int64
		want   string
		err    error
	}{
		{key: "ten", off: 11, n: 1, err: blob.ErrRange},
		{key: "ten", off: 11, n: 0, err: blob.ErrRange},
		{key: "ten", off: 11, n: -1, err: blob.ErrRange},
		{key: "ten", off: -1, n: 1, err: blob.ErrRange},
		{key: "empty", off: 1, n: 1, err: blob.ErrRange},
		{key: "absent", off: 5, n: 5, err: fs.ErrNotExist},
		{key: "absent", off: 5, n: 0, err: fs.ErrNotExist},
		{key: "ten", off: 0, n: -1, want: "0123456789"},
		{key: "ten", off: 0, n: 10, want: "0123456789"},
		{key: "ten", off: 0, n: 11, want: "0123456789"},
		{key: "ten", off: 0, n: 1, want: "0"},
		{key: "ten", off: 3, n: 4, want: "3456"},
		{key: "ten", off: 3, n: -1, want: "3456789"},
		{key: "ten", off: 3, n: 1 << 62, want: "3456789"},
		{key: "ten", off: 9, n: 1, want: "9"},
		{key: "ten", off: 9, n: 5, want: "9"},
		{key: "ten", off: 3, n: 0, want: ""},
		{key: "ten", off: 10, n: 0, want: ""},
		{key: "ten", off: 10, n: 1, want: ""},
		{key: "ten", off: 10, n: -1, want: ""},
		{key: "empty", off: 0, n: -1, want: ""},
		{key: "empty", off: 0, n: 0, want: ""},
		{key: "empty", off: 0, n: 1, want: ""},
	} {
		t.Run(fmt.Sprintf("%s from %d for %d", string(row.key), row.off, row.n), func(t *testing.T) {
			r, err := s.Open(t.Context(), row.key, row.off, row.n)
			if !errors.Is(err, row.err) || row.err == nil && err != nil {
				t.Fatalf("open: %v; want %v", err, row.err)
			}
			if err != nil {
				return
			}
			defer r.Close()
			if size := map[blob.Key]int64{"ten": 10}[row.key]; r.Info().Size != size || r.Info().ModTime.IsZero() {
				t.Errorf("info = %+v; want %d bytes", r.Info(), size)
			}
			if r.Len() != int64(len(row.want)) {
				t.Errorf("len = %d; want %d", r.Len(), len(row.want))
			}
			checkFile(t, r, row.want)
			if got, err := io.ReadAll(r); err != nil || string(got) != row.want {
				t.Errorf("content = %q, %v; want %q", got, err, row.want)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("read after the end = %d, %v; want io.EOF", n, err)
			}
		})
	}
}

// checkFile checks what a Reader that is a FileRange says of its file.
func checkFile(t *testing.T, r blob.Reader, want string) {
	t.Helper()
	in, ok := r.(blob.FileRange)
	if !ok {
		return
	}
	f, off, n := in.File()
	got := make([]byte, n)
	if _, err := f.ReadAt(got, off); err != nil || string(got) != want {
		t.Errorf("file range = %q, %v; want %q", got, err, want)
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || n > 0 && at != off {
		t.Errorf("file stands at %d, %v; want %d", at, err, off)
	}
}

func testExisting(t *testing.T, s blob.Store) {
	mustPut(t, s, "k", "first")
	if _, err := s.Put(t.Context(), "k", bytes.NewReader([]byte("2nd")), 3); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second put: %v; want fs.ErrExist", err)
	}
	wantContent(t, s, "k", "first")
}

func testConcurrent(t *testing.T, s blob.Store) {
	const writers, size = 16, 100_000
	var wg sync.WaitGroup
	var wins sync.Map
	for i := range writers {
		wg.Go(func() {
			key := blob.Key(fmt.Sprintf("own/%d", i))
			if _, err := s.Put(t.Context(), key, Bytes(uint64(i), size), size); err != nil {
				t.Errorf("put of own key: %v", err)
			}
			switch _, err := s.Put(t.Context(), "shared", Bytes(uint64(i), size), size); {
			case err == nil:
				wins.Store(i, true)
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("put of shared key: %v; want nil or fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	check := func(key blob.Key, seed int) {
		r, err := s.Open(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		defer r.Close()
		want, _ := digest(Bytes(uint64(seed), size))
		if got, err := digest(r); err != nil || got != want {
			t.Errorf("content of %q: %s, %v; want %s", string(key), got, err, want)
		}
	}
	for i := range writers {
		check(blob.Key(fmt.Sprintf("own/%d", i)), i)
	}
	won := 0
	for i := range writers {
		if _, ok := wins.Load(i); ok {
			won++
			check("shared", i)
		}
	}
	if won != 1 {
		t.Errorf("%d puts of one key succeeded; want 1", won)
	}
}

func testCheck(t *testing.T, s blob.Store) {
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if spacer, ok := s.(blob.Spacer); ok {
		if n, err := spacer.Free(); err != nil || n == 0 {
			t.Errorf("free = %d, %v", n, err)
		}
	}
	if doctor, ok := s.(blob.Doctor); ok && len(doctor.Doctor(t.Context())) == 0 {
		t.Error("doctor has looked at nothing")
	}
}

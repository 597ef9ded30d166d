package scanner_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/registry"
	"sallyport/registry/blob/diskblob"
	"sallyport/scanner"
)

// named is an engine under a name of its own.
type named struct {
	name string
	engine
}

func (e named) Name() string { return e.name }

// filed has an engine look at the file of a content, and returns what Judge said.
func filed(t *testing.T, dir string, size int64, open func(context.Context) (io.ReadCloser, error), look func(f *os.File)) error {
	t.Helper()
	p := scanner.NewPanel(scanner.PanelConfig{Now: time.Now, SpoolDir: dir, Inspect: []scanner.Engine{
		named{"first", func(ctx context.Context, in scanner.Input) (scanner.Result, error) {
			f, err := in.File(ctx)
			if err != nil {
				return scanner.Result{}, err
			}
			look(f)
			return scanner.Result{Result: registry.VerdictClean}, nil
		}},
		named{"second", func(ctx context.Context, in scanner.Input) (scanner.Result, error) {
			_, err := in.File(ctx)
			return scanner.Result{Result: registry.VerdictClean}, err
		}},
	}})
	opened := 0
	_, err := p.Judge(t.Context(), scanner.Case{Object: registry.Object{Size: size}, Open: func(ctx context.Context) (io.ReadCloser, error) {
		opened++
		return open(ctx)
	}})
	if err == nil && opened != 1 {
		t.Errorf("the content was opened %d times", opened)
	}
	return err
}

func content(b []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func TestFilesAreReadOnlyAndHaveNoName(t *testing.T) {
	for name, size := range map[string]int{"empty": 0, "small": 10, "largest in memory": 1 << 20, "on disk": 1<<20 + 1} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "when", "needed")
			want := bytes.Repeat([]byte{7}, size)
			var kept *os.File
			err := filed(t, dir, int64(size), content(want), func(f *os.File) {
				kept = f
				got, err := io.ReadAll(io.NewSectionReader(f, 0, int64(size)+1))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
				if off, err := f.Seek(0, io.SeekCurrent); off != 0 || err != nil {
					t.Errorf("the offset is %d, %v", off, err)
				}
				if _, err := f.WriteAt([]byte{8}, 0); err == nil {
					t.Error("an engine wrote to it")
				}
				if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
					t.Errorf("%s has a name", left[0].Name())
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kept.Stat(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("after the scan: %v, want it closed", err)
			}
		})
	}
}

// The store's own file is handed on where it is the content and nothing more.
func TestTheStoresOwnFile(t *testing.T) {
	store, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	data := bytes.Repeat([]byte("0123456789abcdef"), 2<<10)
	n := int64(len(data))
	if _, err := store.Put(t.Context(), "accepted/blob", bytes.NewReader(data), n); err != nil {
		t.Fatal(err)
	}
	inode := func(f *os.File) uint64 {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	r, err := store.Open(t.Context(), "accepted/blob", 0, n)
	if err != nil {
		t.Fatal(err)
	}
	own, _, _ := r.(interface {
		File() (*os.File, int64, int64)
	}).File()
	want := inode(own)
	r.Close()
	for name, c := range map[string]struct {
		off, n int64
		own    bool
	}{"whole": {0, n, true}, "head": {0, n - 1, false}, "tail": {1, n - 1, false}} {
		t.Run(name, func(t *testing.T) {
			open := func(ctx context.Context) (io.ReadCloser, error) {
				return store.Open(ctx, "accepted/blob", c.off, c.n)
			}
			err := filed(t, t.TempDir(), c.n, open, func(f *os.File) {
				if got := inode(f) == want; got != c.own {
					t.Errorf("the store's own file: %t, want %t", got, c.own)
				}
				got := make([]byte, c.n)
				if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data[c.off:c.off+c.n]) {
					t.Errorf("other bytes, %v", err)
				}
				if _, err := f.Write([]byte{8}); err == nil {
					t.Error("an engine wrote to it")
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What is wrong with the spool is no try of the object's; what is wrong with the
// content is.
func TestSpoolFailures(t *testing.T) {
	big := make([]byte, 2<<20)
	notADir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notADir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the backend is away")
	for name, c := range map[string]struct {
		dir  string
		size int64
		open func(context.Context) (io.ReadCloser, error)
		down bool
	}{
		"no folder":    {filepath.Join(notADir, "x"), int64(len(big)), content(big), true},
		"cannot open":  {t.TempDir(), 10, func(context.Context) (io.ReadCloser, error) { return nil, broken }, false},
		"cannot read":  {t.TempDir(), 10, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(failing{broken}), nil }, false},
		"too short":    {t.TempDir(), 10, content(big[:9]), false},
		"too long":     {t.TempDir(), 10, content(big[:11]), false},
		"long on disk": {t.TempDir(), int64(len(big)) - 1, content(big), false},
	} {
		t.Run(name, func(t *testing.T) {
			err := filed(t, c.dir, c.size, c.open, func(*os.File) { t.Error("there is a file") })
			if err == nil || errors.Is(err, scanner.ErrDown) != c.down {
				t.Errorf("got %v, down should be %t", err, c.down)
			}
			if err != nil && strings.Contains(err.Error(), notADir) {
				t.Errorf("the error says where the spool is: %v", err)
			}
			if left, err := os.ReadDir(c.dir); err == nil && len(left) > 0 {
				t.Errorf("%s is left over", left[0].Name())
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A volume is not filled to find out that there is no room on it.
func TestNoRoomIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		size, free, all int64
		fits, down      bool
	}{
		{size: 10, free: 10, all: 100, fits: true},
		{size: 11, free: 10, all: 100, down: true},
		{size: 25, free: 10, all: 100, down: true},
		{size: 26, free: 10, all: 100}, // never, as far as anybody knows
		{size: 80, free: 90, all: 100, fits: true},
	} {
		err := scanner.Room(c.size, c.free, c.all)
		if (err == nil) != c.fits || errors.Is(err, scanner.ErrDown) != c.down {
			t.Errorf("%d bytes of %d free, %d in all: %v", c.size, c.free, c.all, err)
		}
	}
}

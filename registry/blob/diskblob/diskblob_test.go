package diskblob_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/diskblob"
)

func open(tb testing.TB, dir string) *diskblob.Store {
	tb.Helper()
	s, err := diskblob.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

func put(tb testing.TB, s blob.Store, key blob.Key, content string) {
	tb.Helper()
	if _, err := s.Put(tb.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
		tb.Fatal(err)
	}
}

// files returns the paths of all regular files under dir.
func files(tb testing.TB, dir string) []string {
	tb.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

func TestConformance(t *testing.T) {
	for name, change := range map[string]func(*diskblob.Store){
		"AsIs":        func(*diskblob.Store) {},
		"SyncFolders": (*diskblob.Store).SyncFolders,
		"Named":       (*diskblob.Store).UseNamed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blobtest.Test(t, func(tb testing.TB) blob.Store {
				s := open(tb, tb.TempDir())
				change(s)
				return s
			})
		})
	}
}

func TestUnnamedIsUsed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("O_TMPFILE is Linux's")
	}
	if s := open(t, t.TempDir()); !s.Unnamed() {
		t.Error("files are written in tmp here, though this file system should know O_TMPFILE")
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "store")
	s := open(t, dir)
	put(t, s, "a/b", "x")
	s.UseNamed()
	put(t, s, "a/c", "x")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("mode of %s = %04o; want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range s.Doctor(t.Context()) {
		if finding.Problem != "" && finding.Check != "folder survives a restart" {
			t.Errorf("doctor: %s: %s", finding.Check, finding.Problem)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, finding := range s.Doctor(t.Context()) {
		if finding.Check == "folder is private" && finding.Problem == "" {
			t.Error("doctor accepts a folder that everybody can read")
		}
	}
}

// A put that fails leaves no file, and what a crash left in tmp goes at the next
// start, but not under the feet of a process that is still at work.
func TestLitter(t *testing.T) {
	dir := t.TempDir()
	for _, named := range []bool{false, true} {
		s, err := diskblob.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if named {
			s.UseNamed()
		}
		for _, size := range []int64{10, 3 << 20} {
			if _, err := s.Put(t.Context(), "a/b", iotest.TimeoutReader(blobtest.Bytes(1, size)), size); err == nil {
				t.Fatal("put of a broken reader succeeded")
			}
		}
		put(t, s, "a/b", "x")
		if _, err := s.Put(t.Context(), "a/b", strings.NewReader("y"), 1); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("second put: %v", err)
		}
		if found := files(t, dir); len(found) != 1 {
			t.Errorf("files after failed puts: %q; want one blob", found)
		}
		if err := errors.Join(s.Delete(t.Context(), "a/b"), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	left := filepath.Join(dir, "tmp", "put-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := open(t, dir)
	if found := files(t, dir); len(found) != 0 {
		t.Errorf("files after a start: %q; want none", found)
	}
	if err := os.WriteFile(left, []byte("being written"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if found := files(t, dir); len(found) != 1 {
		t.Errorf("files after a second process opened the store: %q; want the one being written", found)
	}
	if !first.Unnamed() {
		t.Error("a second process changed how the first writes")
	}
}

func TestForeignFilesAreNotListed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a/b", "x")
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "00"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"with space", "~a", "..~a"} {
		if err := os.WriteFile(filepath.Join(dir, "blobs", "00", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "blobs", "00", "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for entry, err := range s.List(t.Context(), "") {
		if err != nil || entry.Key != "a/b" {
			t.Errorf("list yields %q, %v", string(entry.Key), err)
		}
	}
}

func TestErrorsAreDiscreet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secretdir")
	s := open(t, dir)
	put(t, s, "from", "x")
	put(t, s, "to", "other")
	put(t, s, "secretkey", "x") // makes its folder
	if err := os.RemoveAll(filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	_, errOpen := diskblob.Open(filepath.Join("/dev/null", "secretdir"))
	_, errPut := s.Put(t.Context(), "secretkey", strings.NewReader("x"), 1)
	s.UseNamed()
	_, errNamed := s.Put(t.Context(), "secretkey", strings.NewReader("x"), 1)
	_, errRead := s.Open(t.Context(), "secretkey", 0, -1)
	errDelete := s.Delete(t.Context(), "secretkey")
	var errList error
	for _, errList = range s.List(t.Context(), "") {
	}
	for op, err := range map[string]error{
		"start": errOpen, "put": errPut, "named put": errNamed, "open": errRead,
		"delete": errDelete, "list": errList, "check": s.Check(t.Context()), "move": s.Move(t.Context(), "secretkey", "to"),
	} {
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %q; want one without path and key", op, err)
		}
	}
	for op, err := range map[string]error{"put": errPut, "named put": errNamed, "delete": errDelete, "list": errList, "check": s.Check(t.Context())} {
		if !errors.Is(err, blob.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s without its folders: %v; want ErrUnavailable", op, err)
		}
	}
}

func TestTruncatedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	content := strings.Repeat("0123456789", 2000)
	put(t, s, "a", content)
	short, err := s.Open(t.Context(), "a", 2, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	long, err := s.Open(t.Context(), "a", 2, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	if err := os.Truncate(files(t, dir)[0], 5); err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(long, []byte(content[2:])); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("read of a file cut meanwhile: %v; want io.ErrUnexpectedEOF", err)
	}
	if err := iotest.TestReader(short, []byte("234567")); err != nil {
		t.Errorf("read of a range that was read before the file was cut: %v", err)
	}
}

func TestShortRange(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a", strings.Repeat("a", 20_000))
	put(t, s, "b", strings.Repeat("b", 20_000))
	first, err := s.Open(t.Context(), "a", 0, 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := first.(blob.FileRange); ok {
		t.Error("a short range keeps its file open")
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	second, err := s.Open(t.Context(), "b", 0, 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if n, err := first.Read(make([]byte, 10)); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %d, %v; want fs.ErrClosed", n, err)
	}
	third, err := s.Open(t.Context(), "a", 0, 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if got, err := io.ReadAll(second); err != nil || string(got) != strings.Repeat("b", 8<<10) {
		t.Errorf("what one reader had read changed when another opened: %v", err)
	}
}

func TestRelink(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, path := range []string{from, to} {
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := diskblob.Relink(from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("relink onto a file: %v; want fs.ErrExist", err)
	}
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}
	if err := diskblob.Relink(from, to); err != nil {
		t.Error(err)
	}
	if found := files(t, dir); len(found) != 1 || found[0] != to {
		t.Errorf("files = %q; want %q", found, to)
	}
}

package diskblob_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
)

// smallDisk returns a folder with room for little more than size bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatalf("mount: %v", err)
		}
		t.Skip("cannot mount a small tmpfs; run as root (CAP_SYS_ADMIN)")
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	for _, named := range []bool{false, true} {
		dir := smallDisk(t, "size=8m")
		s := open(t, dir)
		if named {
			s.UseNamed()
		}
		put(t, s, "small", "x")
		full := func(key blob.Key, size int64) int64 {
			src := &counting{Reader: blobtest.Bytes(1, size)}
			if _, err := s.Put(t.Context(), key, src, size); !errors.Is(err, blob.ErrFull) {
				t.Errorf("put of %d bytes: %v; want ErrFull", size, err)
			}
			return src.n
		}
		if read := full("large", 16<<20); read != 0 {
			t.Errorf("%d bytes were read before the disk was found full", read)
		}
		const piece = 500 << 10
		filled := 0
		for ; filled < 100; filled++ {
			key := blob.Key("fill/" + string(rune('a'+filled)))
			if _, err := s.Put(t.Context(), key, blobtest.Bytes(1, piece), piece); err != nil {
				break
			}
		}
		full("piece", piece)
		if n := len(files(t, dir)); n != filled+1 {
			t.Errorf("%d files on the full disk; want %d", n, filled+1)
		}
		if err := s.Delete(t.Context(), "fill/a"); err != nil {
			t.Errorf("delete on a full disk: %v", err)
		}
		if free, err := s.Free(); err != nil || free < piece || free > 8<<20 {
			t.Errorf("free = %d, %v", free, err)
		}
		if _, err := s.Put(t.Context(), "piece", blobtest.Bytes(1, piece), piece); err != nil {
			t.Errorf("put once space has returned: %v", err)
		}
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "size=8m")
	s := open(t, dir)
	put(t, s, "a", "x")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("remount: %v", err) // whoever may mount may do this
	}
	if _, err := s.Put(t.Context(), "b", blobtest.Bytes(1, 1), 1); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("put: %v; want ErrUnavailable", err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("check: %v; want ErrUnavailable", err)
	}
	if _, err := s.Stat(t.Context(), "a"); err != nil {
		t.Errorf("stat: %v", err)
	}
	volatile := false
	for _, finding := range s.Doctor(t.Context()) {
		volatile = volatile || finding.Check == "folder survives a restart" && finding.Problem != ""
	}
	if !volatile {
		t.Error("doctor accepts a tmpfs")
	}
}

type counting struct {
	Reader interface{ Read([]byte) (int, error) }
	n      int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

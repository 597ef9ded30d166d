//go:build bench && linux

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// volume is where all servers keep their files.
type volume struct {
	dir     string
	note    string // what it is
	mounted bool
}

// newVolume mounts a new ext4 file system, or makes do with a temporary
// directory. A file system of its own matters: what a machine's root holds, and
// how it was made (without a journal, say), changes the price of a small file.
func newVolume(t *testing.T) volume {
	t.Helper()
	dir := t.TempDir()
	err := errNoNamespace
	if os.Getenv(namespaceVariable) != "" {
		err = mountImage(dir)
	}
	if err != nil {
		return volume{dir: dir, note: fmt.Sprintf("the temporary directory, because %v", err)}
	}
	// The namespace would end it too, but TempDir's clean-up comes before that.
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return volume{dir: dir, note: "ext4 on a loop device", mounted: true}
}

var errNoNamespace = fmt.Errorf("mounting needs root")

// mountImage makes a sparse image, mounts it on dir and unlinks it.
func mountImage(dir string) error {
	var free syscall.Statfs_t
	if err := syscall.Statfs(dir, &free); err != nil {
		return err
	}
	image, err := os.CreateTemp("", "sallyport-bench-*.img")
	if err != nil {
		return err
	}
	defer os.Remove(image.Name()) // the loop device holds it
	defer image.Close()
	// Sparse: it takes what is written. Half of what is free is left in peace.
	if err := image.Truncate(min(64<<30, int64(free.Bavail)*free.Bsize/2)); err != nil {
		return err
	}
	// ea_inode: versitygw keeps the list of an object's parts in one extended attribute,
	// which for 1,000 of them is more than ext4 has room for by default.
	if err := run("mkfs.ext4", "-q", "-F", "-O", "ea_inode", "-E", "lazy_itable_init=1", image.Name()); err != nil {
		return err
	}
	// Nothing of the kernel's own is to run in the background.
	return run("mount", "-o", "loop,noatime,noinit_itable", image.Name(), dir)
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// folder makes a folder that goes with t.
func (v volume) folder(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(v.dir, name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// settle writes out what is dirty, so that no server pays for what the one
// before it left to the kernel.
func (v volume) settle(t *testing.T) {
	t.Helper()
	d, err := os.Open(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		t.Fatal(err)
	}
}

// trim gives the blocks of deleted files back to the image's file system. It is
// a courtesy: without the tool the image stays large until the end.
func (v volume) trim() {
	if v.mounted {
		_ = run("fstrim", v.dir)
	}
}

// await waits for servers that delete in the background, until so many bytes may be
// written.
func (v volume) await(t *testing.T, bytes int64) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); v.free(t) < bytes; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("%s is free, %s is needed: lower SALLYPORT_BENCH_PARTS", sizeText(v.free(t)), sizeText(bytes))
		}
	}
}

// free is how many bytes may still be written.
func (v volume) free(t *testing.T) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(v.dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

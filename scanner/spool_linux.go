package scanner

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inMemory returns a new file in memory, to write and to read; nil where there are
// none.
func inMemory() (w, r *os.File) {
	fd, err := unix.MemfdCreate("scan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil
	}
	w = os.NewFile(uintptr(fd), "")
	// Opened anew it has an offset of its own, and cannot be written to.
	if r, err = os.Open("/proc/self/fd/" + strconv.Itoa(fd)); err != nil {
		w.Close()
		return nil, nil
	}
	return w, r
}

// seal makes what was written to a file in memory final, whoever opens it again; see
// memfd_create(2).
func seal(w *os.File) error {
	const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(w.Fd(), unix.F_ADD_SEALS, all); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// volume returns how many bytes of a file's volume are free and how many there are.
func volume(f *os.File) (free, all int64, err error) {
	var v unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &v); err != nil {
		return 0, 0, fmt.Errorf("statfs: %w", err)
	}
	return int64(v.Bavail) * v.Bsize, int64(v.Blocks) * v.Bsize, nil
}

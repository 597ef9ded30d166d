package diskblob

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openUnnamed makes a file in folder that has no name and vanishes when closed
// without one.
func openUnnamed(folder string) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(folder, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), ""), nil
}

// link names a file of openUnnamed; a taken name is fs.ErrExist. See open(2)
// for the way through /proc, which needs no privilege.
func link(f *os.File, path string) error {
	self := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	return retry(func() error {
		return unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	})
}

// renameNew renames a file; a taken name is fs.ErrExist. File systems without
// RENAME_NOREPLACE, such as NFS, get a second link and lose the first.
func renameNew(from, to string) error {
	err := retry(func() error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return relink(from, to)
	}
	return err
}

// reserve claims disk space for a file; where that is unsupported the space is
// claimed by writing.
func reserve(f *os.File, size int64) error {
	err := retry(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// flush starts writing a range of a file to the disk. It is a hint: what comes
// of it, fsync will tell.
func flush(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// fsyncSavesName reports whether dir is on a file system that saves a file's
// new name when the file is fsynced. POSIX does not promise it; ext4 and xfs
// commit the transaction the name is in, btrfs logs the new names of the inode.
// (ext4 without a journal promises no order of anything, here or elsewhere.)
func fsyncSavesName(dir string) bool {
	switch fsType(dir) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

// volatile reports whether dir is on a file system that lives in memory.
func volatile(dir string) bool {
	switch fsType(dir) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return true
	}
	return false
}

func fsType(dir string) int64 {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0
	}
	return int64(st.Type) //nolint:unconvert // int32 on some architectures
}

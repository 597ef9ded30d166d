// Package diskblob keeps blobs as files in a directory of a local file system.
//
//	<dir>/             mode 0700, belongs to one Store at a time
//	    blobs/00 … ff/ one file per blob, mode 0600, named by its key with '~'
//	                   for '/', in the folder its hash falls into
//	    tmp/           files being written, where O_TMPFILE is unsupported
//
// Each of the 256 folders is made, durably, by the first put that needs it, and
// stays.
//
// A put is written to a file without a name (O_TMPFILE), gets its name by
// linkat, which fails if the name is taken, and is made durable by a single
// fsync of the file. That order is safe because nobody looks for the name
// before the ledger has committed it, which happens after Put returned, and
// because ext4, xfs and btrfs log a new name together with the inode it names;
// on any other file system the folder is fsynced as well. A crash leaves either
// nothing or a file, possibly cut short, under a key that the ledger holds as
// an intent.
package diskblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sallyport/registry/blob"
)

const (
	fanOut   = 256       // folders; at ten million blobs, 40 thousand files each
	bufSize  = 256 << 10 // bytes read and written at a time
	slash    = "~"       // stands for '/' in a file name; not a byte of a key
	blobsDir = "blobs"
	tmpDir   = "tmp"
)

// Store is a blob.Store in a directory. Beside it, it is a blob.Spacer and a
// blob.Doctor, and its readers of more than a few KiB are blob.FileRange.
type Store struct {
	dir  string
	lock *os.File // tmp/, locked shared while the store is open

	bufs  sync.Pool // *[]byte of bufSize, for puts
	short sync.Pool // *[heldMax]byte

	unnamed   bool // new files can be written without a name
	nameSaved bool // fsync of a new file saves its name too

	making sync.Mutex          // held while a folder is made
	made   [fanOut]atomic.Bool // folders known to be there, durably
}

var (
	_ blob.Store  = (*Store)(nil)
	_ blob.Spacer = (*Store)(nil)
	_ blob.Doctor = (*Store)(nil)
)

// Open opens the store in dir and makes it if needed. Files that an earlier
// process left half written in tmp are removed, unless another process has the
// store open. The caller closes the store after its last use.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("diskblob: open: %w", cause(err))
	}
	if err := makeDirs(dir); err != nil {
		return nil, fmt.Errorf("diskblob: make folders: %w", cause(err))
	}
	s := &Store{dir: dir}
	if err := s.adoptFolders(); err != nil {
		return nil, fmt.Errorf("diskblob: folders: %w", cause(err))
	}
	s.bufs.New = func() any { b := make([]byte, bufSize); return &b }
	s.short.New = func() any { return new([heldMax]byte) }
	if s.lock, err = os.Open(filepath.Join(dir, tmpDir)); err != nil {
		return nil, fmt.Errorf("diskblob: open: %w", cause(err))
	}
	if err := s.sweepTmp(); err != nil {
		s.lock.Close()
		return nil, fmt.Errorf("diskblob: sweep: %w", cause(err))
	}
	s.unnamed = s.probeUnnamed()
	s.nameSaved = fsyncSavesName(dir)
	return s, nil
}

// Close gives the directory free. Readers still open stay usable.
func (s *Store) Close() error { return s.lock.Close() }

// makeDirs makes dir and what stands in it, and returns once that is durable.
func makeDirs(dir string) error {
	blobs := filepath.Join(dir, blobsDir)
	for _, path := range []string{blobs, filepath.Join(dir, tmpDir)} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
	}
	for path := dir; ; path = filepath.Dir(path) {
		// Above dir the folders may not be ours to open; then they were not
		// made here either.
		if err := syncDir(path); err != nil && (path == dir || !errors.Is(err, fs.ErrPermission)) {
			return err
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

// adoptFolders takes the folders that are there for made. They may be the work
// of a process that died before it had synced them.
func (s *Store) adoptFolders() error {
	blobs := filepath.Join(s.dir, blobsDir)
	if err := syncDir(blobs); err != nil {
		return err
	}
	for i := range fanOut {
		if st, err := os.Stat(filepath.Join(blobs, fan(i))); err == nil && st.IsDir() {
			s.made[i].Store(true)
		}
	}
	return nil
}

// ready makes the folder of a key if there is none.
func (s *Store) ready(key blob.Key) error {
	i := hash(key)
	if s.made[i].Load() {
		return nil
	}
	s.making.Lock()
	defer s.making.Unlock()
	if s.made[i].Load() {
		return nil
	}
	blobs := filepath.Join(s.dir, blobsDir)
	if err := os.Mkdir(filepath.Join(blobs, fan(i)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(blobs); err != nil {
		return err
	}
	s.made[i].Store(true)
	return nil
}

// sweepTmp removes what a crash left in tmp. The lock tells a crash from a
// process that is still writing there, e.g. a server while a check runs.
func (s *Store) sweepTmp() error {
	fd := int(s.lock.Fd())
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err == nil {
		for {
			names, err := s.lock.Readdirnames(512)
			for _, name := range names {
				if err := os.Remove(filepath.Join(s.dir, tmpDir, name)); err != nil {
					return err
				}
			}
			if err != nil {
				break
			}
		}
	}
	return retry(func() error { return unix.Flock(fd, unix.LOCK_SH) })
}

// hash returns the number of the folder that holds key (FNV-1a).
func hash(key blob.Key) int {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * prime
	}
	return int(h>>24^h) % fanOut
}

// folder returns the path of the folder that holds key.
func (s *Store) folder(key blob.Key) string {
	return s.dir + "/" + blobsDir + "/" + fan(hash(key))
}

// path returns where key's bytes lie. It is made in one piece: every read needs one.
func (s *Store) path(key blob.Key) string {
	var room [256]byte
	b := append(room[:0], s.dir...)
	b = append(b, "/"+blobsDir+"/"...)
	b = append(b, fan(hash(key))...)
	b = append(b, '/')
	for i := range len(key) {
		if key[i] == '/' {
			b = append(b, slash...)
		} else {
			b = append(b, key[i])
		}
	}
	return string(b)
}

func fan(i int) string {
	if i < 16 {
		return "0" + strconv.FormatInt(int64(i), 16)
	}
	return strconv.FormatInt(int64(i), 16)
}

// Free implements blob.Spacer with what the file system grants unprivileged
// processes.
func (s *Store) Free() (uint64, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(s.dir, &st) }); err != nil {
		return 0, failed("free space", err)
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil //nolint:unconvert // the types differ by system
}

// Check implements blob.Store: the folders are there and can be written to.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("diskblob: check: %w", context.Cause(ctx))
	}
	err := retry(func() error {
		return unix.Access(s.dir+"/"+blobsDir, unix.R_OK|unix.W_OK|unix.X_OK)
	})
	if err != nil {
		return unavailable("check", err)
	}
	return nil
}

// Doctor implements blob.Doctor.
func (s *Store) Doctor(ctx context.Context) []blob.Finding {
	reach := blob.Finding{Check: "folder can be written"}
	if err := s.Check(ctx); err != nil {
		reach.Problem = err.Error()
	}
	private := blob.Finding{Check: "folder is private"}
	switch st, err := os.Stat(s.dir); {
	case err != nil:
		private.Problem = cause(err).Error()
	case st.Mode().Perm()&0o077 != 0:
		private.Problem = fmt.Sprintf("its mode is %04o: other users can reach the bytes; chmod 0700 it", st.Mode().Perm())
	}
	durable := blob.Finding{Check: "folder survives a restart"}
	if volatile(s.dir) {
		durable.Problem = "it lies on a file system in memory; put it on a disk"
	}
	return []blob.Finding{reach, private, durable}
}

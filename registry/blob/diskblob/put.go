package diskblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sallyport/registry/blob"
)

// reserveFrom is the size from which room on the disk is reserved before the
// body is read, so that a full disk is known at once and not after gigabytes.
const reserveFrom = 1 << 20

// flushEvery is after how many bytes the kernel is told to start writing them
// out, so that the disk works while the body still comes in and the fsync has
// little left to wait for.
const flushEvery = 8 << 20

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key blob.Key, r io.Reader, size int64) (blob.Info, error) {
	if err := key.Validate(); err != nil {
		return blob.Info{}, err
	}
	if size < 0 {
		return blob.Info{}, fmt.Errorf("diskblob: put: negative size: %w", fs.ErrInvalid)
	}
	if ctx.Err() != nil {
		return blob.Info{}, fmt.Errorf("diskblob: put: %w", context.Cause(ctx))
	}
	src := blob.NewSource(ctx, r, size)
	defer src.Release()

	if err := s.ready(key); err != nil {
		return blob.Info{}, unavailable("make folder", err)
	}
	f, err := s.create(s.folder(key))
	if err != nil {
		return blob.Info{}, unavailable("create", err)
	}
	defer f.Close()
	if err := s.fill(ctx, f, src, size); err != nil {
		f.discard()
		return blob.Info{}, err
	}
	if err := s.publish(f, key); err != nil {
		return blob.Info{}, err
	}
	st, err := f.Stat()
	if err != nil {
		return blob.Info{}, failed("stat", err)
	}
	return blob.Info{Size: st.Size(), ModTime: st.ModTime()}, nil
}

// fill copies src to f.
func (s *Store) fill(ctx context.Context, f newFile, src *blob.Source, size int64) error {
	if size >= reserveFrom {
		if err := reserve(f.File, size); err != nil {
			return unavailable("reserve", err)
		}
	}
	buf := s.bufs.Get().(*[]byte)
	defer s.bufs.Put(buf)
	var written, flushed int64
	for {
		n, err := src.Read(*buf)
		if n > 0 {
			if _, err := f.Write((*buf)[:n]); err != nil {
				return unavailable("write", err)
			}
		}
		if written += int64(n); written-flushed >= flushEvery {
			flush(f.File, flushed, written-flushed)
			flushed = written
		}
		switch {
		case err == io.EOF:
			return nil
		case ctx.Err() != nil: // then a read error is most likely the interrupt
			return fmt.Errorf("diskblob: put: %w", context.Cause(ctx))
		case err != nil:
			return fmt.Errorf("diskblob: put: %w", err)
		}
	}
}

// publish gives a written file its name, durably.
func (s *Store) publish(f newFile, key blob.Key) error {
	if f.tmp != "" {
		return s.publishNamed(f, key)
	}
	// If we die from here on, the name may survive with fewer bytes than it
	// should have. The ledger has the key as an intent and will delete it.
	if err := link(f.File, s.path(key)); err != nil {
		return unavailable("link", err)
	}
	err := retry(f.Sync)
	if err == nil && !s.nameSaved {
		err = syncDir(s.folder(key))
	}
	if err != nil {
		os.Remove(s.path(key))
		return unavailable("sync", err)
	}
	return nil
}

// publishNamed is publish for a file in tmp: POSIX's own order.
func (s *Store) publishNamed(f newFile, key blob.Key) error {
	if err := retry(f.Sync); err != nil {
		f.discard()
		return unavailable("sync", err)
	}
	if err := renameNew(f.tmp, s.path(key)); err != nil {
		f.discard()
		return unavailable("rename", err)
	}
	if err := syncDir(s.folder(key)); err != nil {
		os.Remove(s.path(key))
		return unavailable("sync folder", err)
	}
	return nil
}

// newFile is a file being written, without a name or under one in tmp.
type newFile struct {
	*os.File
	tmp string // path, or "" if the file has no name yet
}

// discard removes the name that a file not to be published may have.
func (f newFile) discard() {
	if f.tmp != "" {
		os.Remove(f.tmp)
	}
}

// create makes the file of a put that will end in folder.
func (s *Store) create(folder string) (newFile, error) {
	if s.unnamed {
		f, err := openUnnamed(folder)
		return newFile{File: f}, err
	}
	f, err := os.CreateTemp(s.dir+"/"+tmpDir, "put-")
	if err != nil {
		return newFile{}, err
	}
	return newFile{File: f, tmp: f.Name()}, nil
}

// probeUnnamed tells if a file can be written without a name and linked later.
// That fails on NFS, on old overlays and where /proc is not mounted.
func (s *Store) probeUnnamed() bool {
	f, err := openUnnamed(s.dir + "/" + tmpDir)
	if err != nil {
		return false
	}
	defer f.Close()
	path := s.dir + "/" + tmpDir + "/probe"
	if err := link(f, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return false
	}
	err = os.Remove(path) // by now another process may have
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

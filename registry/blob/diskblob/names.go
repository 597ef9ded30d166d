package diskblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/registry/blob"
)

// Move implements blob.Store.
func (s *Store) Move(ctx context.Context, from, to blob.Key) error {
	if err := errors.Join(from.Validate(), to.Validate()); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("diskblob: move: %w", context.Cause(ctx))
	}
	if from == to {
		_, err := s.Stat(ctx, to)
		return err
	}
	if err := s.ready(to); err != nil {
		return unavailable("make folder", err)
	}
	err := renameNew(s.path(from), s.path(to))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Done already, perhaps by a process that died before the sync below.
		if _, err := stat(s.path(to)); err != nil {
			return failed("move", err)
		}
	case errors.Is(err, fs.ErrExist):
		if err := s.moveOver(from, to); err != nil {
			return err
		}
	case err != nil:
		return failed("move", err)
	}
	// The new name first: if we die between the two, the blob has both names
	// rather than none.
	if err := syncDir(s.folder(to)); err != nil {
		return unavailable("move", err)
	}
	if err := s.syncGone(from); err != nil {
		return unavailable("move", err)
	}
	return nil
}

// moveOver ends a Move whose destination was there before.
func (s *Store) moveOver(from, to blob.Key) error {
	source, err := stat(s.path(from))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another Move of the same blob was faster
	}
	if err != nil {
		return failed("move", err)
	}
	target, err := stat(s.path(to))
	if err != nil {
		return failed("move", err)
	}
	if source.Size != target.Size {
		return fmt.Errorf("diskblob: move: destination differs: %w", fs.ErrExist)
	}
	if err := syncDir(s.folder(to)); err != nil {
		return unavailable("move", err)
	}
	if err := unlink(s.path(from)); err != nil {
		return failed("move", err)
	}
	return nil
}

// Delete implements blob.Store. The folder is synced even if the blob is
// absent: an earlier Delete may have died just before its sync.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	if err := key.Validate(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("diskblob: delete: %w", context.Cause(ctx))
	}
	if err := unlink(s.path(key)); err != nil {
		return failed("delete", err)
	}
	if err := s.syncGone(key); err != nil {
		return unavailable("delete", err)
	}
	return nil
}

// syncGone makes the absence of a key durable.
func (s *Store) syncGone(key blob.Key) error {
	if !s.made[hash(key)].Load() {
		return nil // there never was a file in this folder
	}
	return syncDir(s.folder(key))
}

// unlink removes a file; absent is nil.
func unlink(path string) error {
	err := retry(func() error { return unix.Unlink(path) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir makes the names in a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return retry(d.Sync)
}

// List implements blob.Store. Files whose name is no key's are passed over.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		if _, err := stat(s.dir + "/" + blobsDir); err != nil {
			yield(blob.Entry{}, unavailable("list", err)) // rather than seem empty
			return
		}
		for i := range fanOut {
			if ctx.Err() != nil {
				yield(blob.Entry{}, fmt.Errorf("diskblob: list: %w", context.Cause(ctx)))
				return
			}
			if !s.listFolder(ctx, s.dir+"/"+blobsDir+"/"+fan(i), prefix, yield) {
				return
			}
		}
	}
}

// listFolder yields the blobs of one folder and reports whether to go on.
func (s *Store) listFolder(ctx context.Context, folder, prefix string, yield func(blob.Entry, error) bool) bool {
	d, err := os.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(blob.Entry{}, unavailable("list", err))
		return false
	}
	defer d.Close()
	for {
		files, err := d.ReadDir(256)
		for _, file := range files {
			if ctx.Err() != nil {
				yield(blob.Entry{}, fmt.Errorf("diskblob: list: %w", context.Cause(ctx)))
				return false
			}
			key := blob.Key(strings.ReplaceAll(file.Name(), slash, "/"))
			if !file.Type().IsRegular() || key.Validate() != nil || !strings.HasPrefix(string(key), prefix) {
				continue
			}
			info, err := stat(folder + "/" + file.Name())
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted since
			}
			if err != nil {
				yield(blob.Entry{}, failed("list", err))
				return false
			}
			if !yield(blob.Entry{Key: key, Info: info}, nil) {
				return false
			}
		}
		if err == io.EOF {
			return true
		}
		if err != nil {
			yield(blob.Entry{}, unavailable("list", err))
			return false
		}
	}
}

// relink is a rename that fails if the new name is taken, made of a link and an
// unlink. If we die in between, the file has both names.
func relink(from, to string) error {
	if err := retry(func() error { return unix.Link(from, to) }); err != nil {
		return err
	}
	return unlink(from)
}

package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// memoryMax is up to how many bytes a copy for Input.File is kept in memory.
const memoryMax = 1 << 20

// spoolPattern names copies on disk for the moment in which they have a name. The
// pipeline clears away what is called so in the folder that both use.
const spoolPattern = "spool-scan-*"

// file is an object's bytes as a file, made when it is asked for.
type file struct {
	dir  string // "" is the system's own
	size int64  // of the object
	open func(ctx context.Context) (io.ReadCloser, error)

	f    *os.File
	held io.Closer // what has to be closed to close f
}

// get returns the file. It is not safe for concurrent use: engines run in turn.
func (s *file) get(ctx context.Context) (*os.File, error) {
	if s.f != nil {
		return s.f, nil
	}
	r, err := s.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if f := whole(r, s.size); f != nil {
		s.f, s.held = f, r
		return f, nil
	}
	f, err := s.copy(r)
	if err = errors.Join(err, r.Close()); err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	s.f, s.held = f, f
	return f, nil
}

// close gives the file back.
func (s *file) close() {
	if s.held != nil {
		_ = s.held.Close()
	}
}

// whole returns the store's own file if the content is all of it, else nil: what lies
// beside the content in its file is not for engines.
func whole(r io.Reader, size int64) *os.File {
	ranged, ok := r.(interface {
		File() (f *os.File, off, n int64)
	})
	if !ok {
		return nil
	}
	f, off, n := ranged.File()
	if info, err := f.Stat(); err != nil || off != 0 || n != size || info.Size() != size {
		return nil
	}
	return f
}

// copy makes a file of a content.
func (s *file) copy(r io.Reader) (*os.File, error) {
	if s.size <= memoryMax {
		if w, f := inMemory(); w != nil {
			err := fill(w, r, s.size)
			if err == nil {
				err = seal(w)
			}
			return made(w, f, err)
		}
	}
	w, f, err := onDisk(s.dir)
	if err != nil {
		return nil, noRoom(err)
	}
	if free, all, err := volume(w); err == nil {
		if err := room(s.size, free, all); err != nil {
			return made(w, f, err)
		}
	}
	return made(w, f, fill(w, r, s.size))
}

// errTooLarge is of an object that waiting for room does not help: it would keep the
// queue from all others for ever.
var errTooLarge = errors.New("scanner: object is too large for the spool")

// room tells what is in the way of a copy of so many bytes on a volume, which is not
// filled to find out: others write to it, too. errTooLarge is for what fits neither now
// nor at a time when it is mostly free.
func room(size, free, all int64) error {
	switch {
	case size <= free:
		return nil
	case size > all/spoolShare:
		return errTooLarge
	}
	return noRoom(syscall.ENOSPC)
}

// spoolShare is what part of its volume a copy is sure to be waited for.
const spoolShare = 4

// made closes the writing end of a new file, and the other one if err is not nil.
func made(w, f *os.File, err error) (*os.File, error) {
	if bad := w.Close(); err == nil && bad != nil {
		err = noRoom(bad)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

var errSize = errors.New("scanner: content is not as long as its object")

// fill writes a content of so many bytes to a new file.
func fill(w *os.File, r io.Reader, size int64) error {
	from := &source{r: io.LimitReader(r, size+1)}
	n, err := io.Copy(w, from)
	switch {
	case from.err != nil:
		return fmt.Errorf("read: %w", from.err)
	case err != nil:
		return noRoom(err)
	case n != size:
		return errSize
	}
	return nil
}

// source remembers the error of a reader, to tell it from the writer's.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// noRoom makes what is wrong with the spool an engine that is down: it is no fault of
// the object's. It does not say where the spool is.
func noRoom(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%w: spool: %w", ErrDown, err)
}

// onDisk returns a new file without a name, to write and to read. It is gone when both are
// closed or we die. Engines get what they cannot write to.
func onDisk(dir string) (w, r *os.File, err error) {
	if dir == "" {
		dir = os.TempDir()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if w, err = os.CreateTemp(dir, spoolPattern); err != nil {
		return nil, nil, err
	}
	// If we die here the name stays; the next start removes it.
	r, err = os.Open(w.Name())
	if bad := os.Remove(w.Name()); err == nil && bad != nil && !errors.Is(bad, fs.ErrNotExist) {
		err = errors.Join(bad, r.Close())
	}
	if err != nil {
		return nil, nil, errors.Join(err, w.Close())
	}
	return w, r, nil
}

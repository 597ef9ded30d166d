package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sallyport/scanner"
)

// memorySize is how much of a member is kept in memory, in bytes. Larger ones, and
// archives, go to the spool file.
const memorySize = 1 << 20

// spool holds the member that is looked at and those that wait to be opened, in one
// file without a name, however many they are. Its zero value, with a folder, is ready
// for use.
type spool struct {
	dir   string
	write *os.File
	read  *os.File // the same file, for children: they cannot write to it
	end   int64    // of what is kept
	buf   []byte
}

// member is one member's content. It is good until the spool is filled again, unless
// it is kept.
type member struct {
	io.ReaderAt
	size   int64
	offset int64 // in the file
	inFile bool
}

// fill reads one member to its end.
func (s *spool) fill(r io.Reader) (*member, error) {
	if s.buf == nil {
		s.buf = make([]byte, memorySize)
	}
	n, err := io.ReadFull(r, s.buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &member{ReaderAt: bytesAt(s.buf[:n]), size: int64(n)}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.create(); err != nil {
		return nil, err
	}
	w := io.NewOffsetWriter(s.write, s.end)
	if _, err := w.Write(s.buf); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	rest, err := io.CopyBuffer(w, r, s.buf)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	size := memorySize + rest
	return &member{ReaderAt: io.NewSectionReader(s.read, s.end, size), size: size, offset: s.end, inFile: true}, nil
}

// keep makes a member stay and returns where it is.
func (s *spool) keep(m *member) (*os.File, int64, error) {
	if !m.inFile {
		if err := s.create(); err != nil {
			return nil, 0, err
		}
		if _, err := io.Copy(io.NewOffsetWriter(s.write, s.end), io.NewSectionReader(m, 0, m.size)); err != nil {
			return nil, 0, fmt.Errorf("spool: %w", err)
		}
		m.offset, m.inFile = s.end, true
	}
	s.end = m.offset + m.size
	return s.read, m.offset, nil
}

// create makes the file, if there is none, and its folder. It has no name from here on:
// nothing is left if we die. No room for it is no fault of the object's, and where it is
// belongs in no log.
func (s *spool) create() error {
	if s.write != nil {
		return nil
	}
	err := s.open()
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if err != nil {
		return fmt.Errorf("%w: spool: %w", scanner.ErrDown, err)
	}
	return nil
}

func (s *spool) open() error {
	if s.dir != "" {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(s.dir, "archive-*")
	if err != nil {
		return err
	}
	r, err := os.Open(f.Name())
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		_ = f.Close()
		if r != nil {
			_ = r.Close()
		}
		return err
	}
	s.write, s.read = f, r
	return nil
}

func (s *spool) close() {
	if s.write != nil {
		_ = s.write.Close()
		_ = s.read.Close()
	}
}

// bytesAt is an io.ReaderAt over memory, without a position.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

package diskblob

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/registry/blob"
)

// Open implements blob.Store. The Reader of more than heldMax bytes is a
// blob.FileRange; what is shorter has been read already.
func (s *Store) Open(ctx context.Context, key blob.Key, off, n int64) (blob.Reader, error) {
	if err := key.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("diskblob: open: %w", context.Cause(ctx))
	}
	// os.Open would register the file with the poller and take it out again:
	// four system calls that a regular file has no use for.
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(s.path(key), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		return err
	})
	if err != nil {
		return nil, failed("open", err)
	}
	r, err := s.read(fd, off, n)
	if _, isFile := r.(*reader); !isFile {
		unix.Close(fd)
	}
	return r, err
}

// read makes the Reader of a range of an open file, which it takes over only
// for a *reader.
func (s *Store) read(fd int, off, n int64) (blob.Reader, error) {
	info, err := statFd(fd)
	if err != nil {
		return nil, failed("open", err)
	}
	if off < 0 || off > info.Size {
		return nil, blob.ErrRange
	}
	if rest := info.Size - off; n < 0 || n > rest {
		n = rest
	}
	if n <= heldMax {
		return s.hold(fd, info, off, n)
	}
	if off > 0 {
		if _, err := unix.Seek(fd, off, io.SeekStart); err != nil {
			return nil, failed("open", err)
		}
	}
	return &reader{f: os.NewFile(uintptr(fd), ""), info: info, off: off, n: n, left: n}, nil
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key blob.Key) (blob.Info, error) {
	if err := key.Validate(); err != nil {
		return blob.Info{}, err
	}
	if ctx.Err() != nil {
		return blob.Info{}, fmt.Errorf("diskblob: stat: %w", context.Cause(ctx))
	}
	info, err := stat(s.path(key))
	if err != nil {
		return blob.Info{}, failed("stat", err)
	}
	return info, nil
}

func stat(path string) (blob.Info, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return blob.Info{}, err
	}
	return info(&st), nil
}

func statFd(fd int) (blob.Info, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return blob.Info{}, err
	}
	return info(&st), nil
}

func info(st *unix.Stat_t) blob.Info {
	return blob.Info{Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())}
}

// reader is an open file and the range of it that was asked for.
type reader struct {
	f    *os.File
	info blob.Info
	off  int64
	n    int64
	left int64
}

var _ blob.FileRange = (*reader)(nil)

func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.f.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == io.EOF: // the file was cut after it was opened
		return n, fmt.Errorf("diskblob: read: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return n, unavailable("read", err)
	}
	return n, nil
}

// WriteTo implements io.WriterTo, so that io.Copy to a connection uses sendfile.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	if r.left == 0 {
		return 0, nil
	}
	n, err := io.Copy(w, &io.LimitedReader{R: r.f, N: r.left})
	r.left -= n
	if err == nil && r.left > 0 {
		err = fmt.Errorf("diskblob: read: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

func (r *reader) Close() error                   { return r.f.Close() }
func (r *reader) Info() blob.Info                { return r.info }
func (r *reader) Len() int64                     { return r.n }
func (r *reader) File() (*os.File, int64, int64) { return r.f, r.off, r.n }

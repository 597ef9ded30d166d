package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"sallyport/registry"
)

// Params are what the parent asks of a child: one archive, which is a part of the
// descriptor's bytes.
type Params struct {
	Offset     int64  `json:"offset"`
	Size       int64  `json:"size"`
	Format     Format `json:"format"`
	MaxEntries int    `json:"max_entries"`
}

// Reply is what a child says after it wrote all members it can read.
type Reply struct {
	Entries int      `json:"entries"` // with those that have no content
	Reasons []string `json:"reasons"` // each once, in the order of their finding
}

// Hostile says whether somebody made this archive to do harm. The child that opened it
// is not used again.
func (r Reply) Hostile() bool {
	return slices.ContainsFunc(r.Reasons, func(reason string) bool {
		result, _ := resultOf(reason)
		return result == registry.VerdictRefused
	})
}

// memberFrame is the kind of all frames: a member's content, or other bytes of an
// archive that belong to none.
const memberFrame = "member"

// Job unpacks one archive in the child. Every member with content becomes a frame. What
// is wrong with the archive is a reason in the reply, and what can be read all the same
// is written.
func Job(ctx context.Context, in *os.File, raw json.RawMessage, frame func(kind string, header any) (io.WriteCloser, error)) (any, error) {
	var p Params
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("archive: parameters: %w", err)
	}
	src := &source{file: in, offset: p.Offset, size: p.Size}
	w := &walker{ctx: ctx, src: src, maxEntries: p.MaxEntries, names: newNames(), out: func() (io.WriteCloser, error) {
		return frame(memberFrame, struct{}{})
	}}
	err := w.walk(p.Format)
	switch {
	case src.err != nil:
		// Not the archive's fault: the object is tried again.
		return nil, fmt.Errorf("archive: read: %w", src.err)
	case errors.Is(err, errTooMany):
		w.found(ReasonEntries)
	case err != nil:
		return nil, fmt.Errorf("archive: %w", err)
	}
	return Reply{Entries: w.entries, Reasons: w.reasons}, nil
}

// errTooMany ends a walk at Params.MaxEntries.
var errTooMany = errors.New("too many entries")

// walker reads one archive and writes its members. The walks return errors only of
// what is outside of the archive, and errTooMany: all else is a reason.
type walker struct {
	ctx        context.Context
	src        *source
	out        func() (io.WriteCloser, error)
	names      *names
	maxEntries int

	entries int
	reasons []string
	buf     []byte
}

func (w *walker) walk(f Format) error {
	switch f {
	case Zip:
		return w.zip()
	case Tar:
		return w.tar()
	case Gzip:
		return w.gzip()
	case Bzip2:
		return w.bzip2()
	case Xz:
		return w.xz()
	case Zstd:
		return w.zstd()
	case SevenZip:
		return w.sevenZip()
	}
	w.found(ReasonUnsupported)
	return nil
}

// found notes what is wrong with the archive.
func (w *walker) found(reason string) {
	if !slices.Contains(w.reasons, reason) {
		w.reasons = append(w.reasons, reason)
	}
}

// entry counts one more member, whatever it is.
func (w *walker) entry() error {
	if w.entries >= w.maxEntries {
		return errTooMany
	}
	w.entries++
	return w.ctx.Err()
}

// readError is an error of what is unpacked, not of where it goes.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// copy writes what r gives as a frame, if it gives anything, and returns its number of
// bytes. An error of r comes back as a *readError, after what it gave was written.
func (w *walker) copy(r io.Reader) (n int64, err error) {
	if w.buf == nil {
		w.buf = make([]byte, 64<<10)
	}
	var out io.WriteCloser
	for {
		k, rerr := r.Read(w.buf)
		if k > 0 && out == nil {
			if out, err = w.out(); err != nil {
				return n, err
			}
		}
		if k > 0 {
			if _, err = out.Write(w.buf[:k]); err != nil {
				return n, err
			}
		}
		n += int64(k)
		if err = w.ctx.Err(); err != nil {
			return n, err
		}
		if rerr == nil {
			continue
		}
		if out != nil {
			err = out.Close()
		}
		if err == nil && rerr != io.EOF {
			err = &readError{rerr}
		}
		return n, err
	}
}

// member writes what r gives, and notes damage.
func (w *walker) member(r io.Reader) error {
	_, err := w.copy(r)
	return w.damaged(err)
}

// damaged turns an error of what is unpacked into a reason.
func (w *walker) damaged(err error) error {
	var read *readError
	if errors.As(err, &read) {
		w.found(reasonOf(read.err))
		return nil
	}
	return err
}

// source is the archive's bytes. Errors of the descriptor itself are kept apart from
// those that parsers make of them.
type source struct {
	file   *os.File
	offset int64
	size   int64
	err    error
}

// ReadAt implements io.ReaderAt.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > s.size-off
	if short {
		p = p[:s.size-off]
	}
	n, err := s.file.ReadAt(p, s.offset+off)
	if err != nil && !(err == io.EOF && n == len(p)) {
		s.err = err
		return n, err
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// section reads the bytes from one offset to another.
func (s *source) section(from, to int64) *io.SectionReader {
	return io.NewSectionReader(s, from, to-from)
}

package pipeline

import (
	"context"
	"io"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// series reads a range that spans several extents, one blob after the other. It
// holds one blob open at a time.
type series struct {
	ctx  context.Context
	p    *Pipeline
	o    registry.Object
	next int   // the extent to open next
	off  int64 // within it
	left int64 // bytes of the range not yet in an open blob
	cur  blob.Reader
	n    int64
}

var _ blob.Reader = (*series)(nil)

// openSeries opens the first blob at once, so that missing bytes are known
// before an answer begins.
func (p *Pipeline) openSeries(ctx context.Context, o registry.Object, off, n int64) (blob.Reader, error) {
	s := &series{ctx: ctx, p: p, o: o, off: off, left: n, n: n}
	for s.next < len(o.Extents) && s.off >= o.Extents[s.next].Length {
		s.off -= o.Extents[s.next].Length
		s.next++
	}
	if err := s.advance(); err != nil && err != io.EOF {
		return nil, err
	}
	return s, nil
}

// advance opens the next extent; io.EOF after the last byte of the range.
func (s *series) advance() error {
	if s.left == 0 {
		return io.EOF
	}
	if s.next >= len(s.o.Extents) {
		return io.ErrUnexpectedEOF
	}
	n := min(s.left, s.o.Extents[s.next].Length-s.off)
	r, err := s.p.openExtent(s.ctx, s.o, s.next, s.off, n)
	if err != nil {
		return err
	}
	s.cur, s.left = r, s.left-n
	s.next, s.off = s.next+1, 0
	return nil
}

// Read implements io.Reader.
func (s *series) Read(b []byte) (int, error) {
	for {
		if s.cur == nil {
			if err := s.advance(); err != nil {
				return 0, err
			}
		}
		n, err := s.cur.Read(b)
		if err != io.EOF {
			return n, err
		}
		err = s.cur.Close()
		s.cur = nil
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Len implements blob.Reader.
func (s *series) Len() int64 { return s.n }

// Info implements blob.Reader: the object's size, which no single blob has.
func (s *series) Info() blob.Info { return blob.Info{Size: s.o.Size, ModTime: s.modified()} }

func (s *series) modified() time.Time { return s.o.ModifiedAt }

// Close implements blob.Reader.
func (s *series) Close() error {
	if s.cur == nil {
		return nil
	}
	return s.cur.Close()
}

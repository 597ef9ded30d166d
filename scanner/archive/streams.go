package archive

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// maxWindow is how far back zstd and LZMA streams may point, in bytes: zstd's own limit
// without --ultra or --long is 8 MiB, with --long 128 MiB. The readers of xz and 7z have
// no such limit: there the sandbox is one.
const maxWindow = 128 << 20

const readAhead = 64 << 10

func (w *walker) all() *bufio.Reader {
	return bufio.NewReaderSize(w.src.section(0, w.src.size), readAhead)
}

// reasonOf says what an unpacker's error means.
func reasonOf(err error) string {
	var window *lzma.ErrDictSize
	switch {
	case errors.Is(err, errEncrypted):
		return ReasonEncrypted
	case errors.Is(err, errMethod), errors.Is(err, zstd.ErrUnknownDictionary):
		return ReasonUnsupported
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.As(err, &window):
		return ReasonWindow
	}
	return ReasonDamaged
}

// errEncrypted and errMethod: a member cannot be unpacked, for lack of a password or of
// a program.
var (
	errEncrypted = errors.New("encrypted")
	errMethod    = errors.New("method is not known")
)

// gzip unpacks members one after the other, as gzip does, as one content.
func (w *walker) gzip() error {
	if err := w.entry(); err != nil {
		return err
	}
	br := w.all()
	zr, err := gzip.NewReader(br)
	if err != nil {
		w.found(ReasonDamaged)
		return nil
	}
	if err := w.member(&gzipMembers{zr: zr, br: br}); err != nil {
		return err
	}
	return w.trailer(br)
}

// gzipMembers reads members until what follows is none.
type gzipMembers struct {
	zr  *gzip.Reader
	br  *bufio.Reader
	end bool
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	for !g.end {
		g.zr.Multistream(false)
		n, err := g.zr.Read(p)
		if err == io.EOF {
			err = nil
			if next, _ := g.br.Peek(2); string(next) == "\x1f\x8b" {
				err = g.zr.Reset(g.br)
			} else {
				g.end = true
			}
		}
		if n > 0 || err != nil {
			return n, noEOF(err)
		}
	}
	return 0, io.EOF
}

// noEOF says that a file ended too soon.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// trailer writes what stands behind an archive's end as a member of its own, but for
// zeros, which tapes and block devices leave.
func (w *walker) trailer(br *bufio.Reader) error {
	for {
		b, err := br.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if b != 0 {
			if err := br.UnreadByte(); err != nil {
				return err
			}
			break
		}
	}
	if err := w.entry(); err != nil {
		return err
	}
	return w.member(br)
}

func (w *walker) bzip2() error {
	if err := w.entry(); err != nil {
		return err
	}
	return w.member(bzip2.NewReader(w.all()))
}

func (w *walker) zstd() error {
	if err := w.entry(); err != nil {
		return err
	}
	r, err := zstdReader(w.all())
	if err != nil {
		return err
	}
	defer r.Close()
	return w.member(r)
}

func zstdReader(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

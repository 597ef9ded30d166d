package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"

	"github.com/bodgit/sevenzip"
)

// sevenZip reads a 7z file. Its library is the one part of this package that is not
// careful with every byte: its panics are damage, and the sandbox bounds its memory.
func (w *walker) sevenZip() (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.found(ReasonDamaged)
			err = nil
		}
	}()
	// Deriving the key of AES takes as long as the archive says, for nothing: there
	// is no password.
	sevenzip.RegisterDecompressor([]byte{0x06, 0xf1, 0x07, 0x01}, func([]byte, uint64, []io.ReadCloser) (io.ReadCloser, error) {
		return nil, errEncrypted
	})
	zr, err := sevenzip.NewReader(w.src, w.src.size)
	if err != nil {
		w.found(reasonOf7z(err))
		return nil
	}
	for _, f := range zr.File {
		if err := w.sevenZipFile(f); err != nil {
			return err
		}
	}
	return w.sevenZipRest()
}

func (w *walker) sevenZipFile(f *sevenzip.File) error {
	if err := w.entry(); err != nil {
		return err
	}
	name := strings.TrimSuffix(f.Name, "/")
	if !w.names.entry(name) {
		w.found(ReasonPath)
	}
	r, err := f.Open()
	if err != nil {
		w.found(reasonOf7z(err))
		return nil
	}
	defer r.Close()
	if f.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		w.found(ReasonSpecial)
	}
	sum, start := crc32.NewIEEE(), &target{}
	n, err := w.copy(io.TeeReader(r, io.MultiWriter(sum, start)))
	if err = w.damaged(err); err != nil {
		return err
	}
	if f.Mode()&fs.ModeSymlink != 0 {
		w.link(name, start)
	}
	if n != int64(f.UncompressedSize) || f.CRC32 != 0 && sum.Sum32() != f.CRC32 {
		w.found(ReasonDamaged)
	}
	return nil
}

// sevenZipRest writes what stands behind the header, which is the last part of a 7z
// file. The first 32 bytes say where it is.
func (w *walker) sevenZipRest() error {
	h := w.bytes(0, 32)
	if h == nil {
		return nil
	}
	end := 32 + binary.LittleEndian.Uint64(h[12:]) + binary.LittleEndian.Uint64(h[20:])
	if end >= uint64(w.src.size) {
		return nil
	}
	if err := w.entry(); err != nil {
		return err
	}
	return w.member(w.src.section(int64(end), w.src.size))
}

// reasonOf7z says what an error of the library means.
func reasonOf7z(err error) string {
	var read *sevenzip.ReadError
	if errors.As(err, &read) && read.Encrypted {
		return ReasonEncrypted
	}
	if strings.Contains(fmt.Sprint(err), "unsupported compression algorithm") {
		return ReasonUnsupported
	}
	return reasonOf(err)
}

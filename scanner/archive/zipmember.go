package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// Methods of APPNOTE.TXT 4.4.5 that are unpacked here.
const (
	methodStored  = 0
	methodDeflate = 8
	methodBzip2   = 12
	methodLZMA    = 14
	methodZstd    = 93
	methodXz      = 95
	methodAES     = 99 // WinZip's, which hides the real one
)

// zipLocal is a local header.
type zipLocal struct {
	data  int64 // where the content begins
	extra []byte
}

// zipLocal reads the header before a member and holds it against the directory.
func (w *walker) zipLocal(f zipFile) (zipLocal, string) {
	h := w.bytes(f.offset, localSize)
	if h == nil || string(h[:4]) != localMagic {
		return zipLocal{}, ReasonDamaged
	}
	nameLen, extraLen := binary.LittleEndian.Uint16(h[26:]), binary.LittleEndian.Uint16(h[28:])
	name := w.bytes(f.offset+localSize, int(nameLen))
	extra := w.bytes(f.offset+localSize+int64(nameLen), int(extraLen))
	if name == nil || extra == nil {
		return zipLocal{}, ReasonDamaged
	}
	local := zipLocal{data: f.offset + localSize + int64(nameLen) + int64(extraLen), extra: extra}
	flags := binary.LittleEndian.Uint16(h[6:])
	if flags&flagMasked != 0 {
		return local, ""
	}
	if binary.LittleEndian.Uint16(h[8:]) != f.method || (flags^f.flags)&(flagEncrypted|flagDescriptor) != 0 || !bytes.Equal(name, w.zipName(f)) {
		return zipLocal{}, ReasonMismatch
	}
	crc := binary.LittleEndian.Uint32(h[14:])
	size := zipFile{packed: int64(binary.LittleEndian.Uint32(h[18:])), size: int64(binary.LittleEndian.Uint32(h[22:]))}
	if size.wide() && !size.widen(extra) {
		return zipLocal{}, ReasonMismatch
	}
	later := f.flags&flagDescriptor != 0
	agree := func(here, there int64) bool { return here == there || later && here == 0 }
	if !agree(int64(crc), int64(f.crc)) || !agree(size.packed, f.packed) || !agree(size.size, f.size) {
		return zipLocal{}, ReasonMismatch
	}
	return local, ""
}

// zipDescriptor finds the numbers behind a member that was written before they were
// known, with or without a signature, short or long. It returns how many bytes they take.
func (w *walker) zipDescriptor(f zipFile, at, next int64) (int64, bool) {
	var short, long []byte
	short = binary.LittleEndian.AppendUint32(short, f.crc)
	long = binary.LittleEndian.AppendUint32(long, f.crc)
	for _, n := range []int64{f.packed, f.size} {
		short = binary.LittleEndian.AppendUint32(short, uint32(n))
		long = binary.LittleEndian.AppendUint64(long, uint64(n))
	}
	room := w.bytes(at, int(min(next-at, 4+int64(len(long)))))
	for _, want := range [][]byte{append([]byte(descriptorMagic), long...), append([]byte(descriptorMagic), short...), long, short} {
		if bytes.HasPrefix(room, want) {
			return int64(len(want)), true
		}
	}
	return 0, false
}

// zipContent writes a member's content and compares it with what the headers say. It
// returns how it begins.
func (w *walker) zipContent(f zipFile, data int64) (*target, error) {
	start := &target{}
	r, err := w.unpack(f, data)
	if err != nil {
		w.found(reasonOf(err))
		return start, nil
	}
	defer r.Close()
	sum := crc32.NewIEEE()
	n, err := w.copy(io.TeeReader(io.LimitReader(r, f.size+1), io.MultiWriter(sum, start)))
	if err = w.damaged(err); err != nil {
		return nil, err
	}
	switch {
	case n > f.size, !r.used():
		w.found(ReasonMismatch)
	case n < f.size, sum.Sum32() != f.crc:
		w.found(ReasonDamaged)
	}
	return start, nil
}

// unpacked reads a member's content.
type unpacked struct {
	io.Reader
	packed *bufio.Reader
	close  func()
	loose  bool // the method does not say where it ends
}

// used says whether the content took all packed bytes. What is left over is for
// other readers.
func (u *unpacked) used() bool {
	_, err := u.packed.Peek(1)
	return u.loose || err == io.EOF
}

func (u *unpacked) Close() {
	if u.close != nil {
		u.close()
	}
}

func (w *walker) unpack(f zipFile, data int64) (*unpacked, error) {
	br := bufio.NewReaderSize(w.src.section(data, data+f.packed), int(min(readAhead, max(f.packed, 16))))
	u := &unpacked{packed: br}
	switch f.method {
	case methodStored:
		u.Reader = br
	case methodDeflate:
		u.Reader = flate.NewReader(br)
	case methodBzip2:
		u.Reader, u.loose = bzip2.NewReader(br), true
	case methodZstd:
		r, err := zstdReader(br)
		if err != nil {
			return nil, err
		}
		u.Reader, u.close, u.loose = r, r.Close, true
	case methodXz:
		r, err := xz.NewReader(br)
		if err != nil {
			return nil, err
		}
		u.Reader, u.loose = r, true
	case methodLZMA:
		r, err := lzmaReader(br, f)
		if err != nil {
			return nil, err
		}
		u.Reader, u.loose = r, true
	default:
		return nil, errMethod
	}
	return u, nil
}

// lzmaReader turns the properties that zip puts before LZMA (APPNOTE.TXT 5.8.8) into
// the header of an LZMA file.
func lzmaReader(br *bufio.Reader, f zipFile) (io.Reader, error) {
	var p [9]byte // version, length of the properties, properties
	if _, err := io.ReadFull(br, p[:]); err != nil {
		return nil, noEOF(err)
	}
	if binary.LittleEndian.Uint16(p[2:]) != 5 {
		return nil, errMethod
	}
	size := uint64(f.size)
	if f.flags&(1<<1) != 0 {
		size = 1<<64 - 1 // it marks its end
	}
	head := binary.LittleEndian.AppendUint64(bytes.Clone(p[4:]), size)
	return lzma.ReaderConfig{DictCap: maxWindow}.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(head), br)))
}

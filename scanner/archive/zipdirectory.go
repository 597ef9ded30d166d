package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// What zip files are made of: PKWARE's APPNOTE.TXT 6.3.10, section 4.3.
const (
	localMagic      = "PK\x03\x04"
	centralMagic    = "PK\x01\x02"
	endMagic        = "PK\x05\x06"
	end64Magic      = "PK\x06\x06"
	locatorMagic    = "PK\x06\x07"
	descriptorMagic = "PK\x07\x08"

	localSize   = 30
	centralSize = 46
	endSize     = 22
	end64Size   = 56
	locatorSize = 20
	maxEnd      = locatorSize + end64Size + endSize + 1<<16 // with a comment

	extra64          = 0x0001
	extraUnicodeName = 0x7075

	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3
	flagMasked     = 1 << 13

	unknown16 = 1<<16 - 1
	unknown32 = 1<<32 - 1
)

// zipEnd is what the end of a zip file says, in offsets of the whole content.
type zipEnd struct {
	directory int64 // where the central directory begins
	size      int64 // of it
	entries   uint64
	base      int64 // what offsets in headers count from
	at        int64 // where the end records begin
	after     int64 // where they end
}

// plausibleEnd says whether an end record, which begins tail and stands at an offset,
// has a directory. Random bytes have not.
func plausibleEnd(content io.ReaderAt, tail []byte, at int64) bool {
	if len(tail) < endSize {
		return false
	}
	size := int64(binary.LittleEndian.Uint32(tail[12:]))
	offset := int64(binary.LittleEndian.Uint32(tail[16:]))
	for _, directory := range []int64{at - size, offset} {
		var sig [4]byte
		if _, err := content.ReadAt(sig[:], max(directory, 0)); err == nil && string(sig[:]) == centralMagic {
			return true
		}
	}
	var sig [4]byte
	_, err := content.ReadAt(sig[:], max(at-locatorSize, 0))
	return err == nil && string(sig[:]) == locatorMagic
}

// zipEnd finds the end record: the last one, as readers do that begin behind. What
// only others take for the archive is then a gap in this one.
func (w *walker) zipEnd() (zipEnd, string) {
	tail := make([]byte, min(int64(maxEnd), w.src.size))
	start := w.src.size - int64(len(tail))
	if _, err := io.ReadFull(w.src.section(start, w.src.size), tail); err != nil {
		return zipEnd{}, ReasonDamaged
	}
	i := bytes.LastIndex(tail, []byte(endMagic))
	if i < 0 || len(tail)-i < endSize {
		return zipEnd{}, ReasonDamaged
	}
	// Readers that want a comment to end with the file go on to an earlier record.
	if !endsFile(tail[i:]) {
		for j := bytes.LastIndex(tail[:i], []byte(endMagic)); j >= 0; j = bytes.LastIndex(tail[:j], []byte(endMagic)) {
			if endsFile(tail[j:]) {
				return zipEnd{}, ReasonMismatch
			}
		}
	}
	b := tail[i:]
	end := zipEnd{
		entries: uint64(binary.LittleEndian.Uint16(b[10:])),
		size:    int64(binary.LittleEndian.Uint32(b[12:])),
		at:      start + int64(i),
	}
	offset := int64(binary.LittleEndian.Uint32(b[16:]))
	end.after = min(end.at+endSize+int64(binary.LittleEndian.Uint16(b[20:])), w.src.size)
	if binary.LittleEndian.Uint16(b[4:]) != binary.LittleEndian.Uint16(b[6:]) {
		return zipEnd{}, ReasonUnsupported // in several files
	}
	if i >= locatorSize && string(tail[i-locatorSize:i-locatorSize+4]) == locatorMagic {
		var reason string
		if offset, reason = w.zipEnd64(&end, offset); reason != "" {
			return zipEnd{}, reason
		}
	}
	return end, w.zipBase(&end, offset)
}

// endsFile says whether an end record's comment goes to the end of the file.
func endsFile(tail []byte) bool {
	return len(tail) >= endSize && len(tail) == endSize+int(binary.LittleEndian.Uint16(tail[20:]))
}

// zipEnd64 reads the record that has the long numbers. Those of the short one have to
// be the same or unknown.
func (w *walker) zipEnd64(end *zipEnd, offset int64) (int64, string) {
	at := end.at - locatorSize - end64Size
	var b [end64Size]byte
	if _, err := w.src.ReadAt(b[:], at); err != nil || string(b[:4]) != end64Magic {
		return 0, ReasonDamaged
	}
	if binary.LittleEndian.Uint64(b[4:]) != end64Size-12 {
		return 0, ReasonUnsupported // encrypts the directory
	}
	entries, size, offset64 := binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:]), binary.LittleEndian.Uint64(b[48:])
	agree := same(end.entries, unknown16, entries) && same(uint64(end.size), unknown32, size) && same(uint64(offset), unknown32, offset64)
	if !agree || size > uint64(w.src.size) || offset64 > uint64(w.src.size) {
		return 0, ReasonMismatch
	}
	end.entries, end.size, end.at = entries, int64(size), at
	return int64(offset64), ""
}

// same says whether a short field agrees with a long one.
func same(short, unknown, long uint64) bool { return short == unknown || short == long }

// zipBase finds the directory. It stands right before the end record, and then its
// offset says how many bytes were put before the archive; or where its offset says.
func (w *walker) zipBase(end *zipEnd, offset int64) string {
	end.directory = end.at - end.size
	end.base = end.directory - offset
	if end.entries == 0 && end.size == 0 {
		end.base = 0
		return ""
	}
	there := w.isCentral(end.directory)
	if end.base != 0 && offset+end.size <= end.at && w.isCentral(offset) {
		if there {
			return ReasonMismatch
		}
		end.directory, end.base, there = offset, 0, true
	}
	if !there || end.base < 0 {
		return ReasonDamaged
	}
	return ""
}

func (w *walker) isCentral(at int64) bool {
	var sig [4]byte
	_, err := w.src.ReadAt(sig[:], at)
	return err == nil && string(sig[:]) == centralMagic
}

// zipFile is what the central directory says of a member. Its name stays in the file.
type zipFile struct {
	flags    uint16
	method   uint16
	crc      uint32
	mode     uint32 // of Unix, in the upper half
	packed   int64
	size     int64
	offset   int64 // of the local header
	name     int64 // where it stands
	nameLen  uint16
	extraLen uint16
}

func (f zipFile) isLink() bool { return f.mode>>16&0o170000 == 0o120000 }

// zipDirectory reads the central directory.
func (w *walker) zipDirectory(end zipEnd) ([]zipFile, string) {
	br := bufio.NewReaderSize(w.src.section(end.directory, end.directory+end.size), readAhead)
	var files []zipFile
	at := end.directory
	for range end.entries {
		var h [centralSize]byte
		if _, err := io.ReadFull(br, h[:]); err != nil || string(h[:4]) != centralMagic {
			return nil, ReasonDamaged
		}
		f := zipFile{
			flags:    binary.LittleEndian.Uint16(h[8:]),
			method:   binary.LittleEndian.Uint16(h[10:]),
			crc:      binary.LittleEndian.Uint32(h[16:]),
			packed:   int64(binary.LittleEndian.Uint32(h[20:])),
			size:     int64(binary.LittleEndian.Uint32(h[24:])),
			nameLen:  binary.LittleEndian.Uint16(h[28:]),
			extraLen: binary.LittleEndian.Uint16(h[30:]),
			mode:     binary.LittleEndian.Uint32(h[38:]),
			offset:   int64(binary.LittleEndian.Uint32(h[42:])),
			name:     at + centralSize,
		}
		rest := int(f.nameLen) + int(f.extraLen) + int(binary.LittleEndian.Uint16(h[32:]))
		if _, err := br.Discard(rest); err != nil {
			return nil, ReasonDamaged
		}
		if f.wide() && !f.widen(w.zipExtra(f)) {
			return nil, ReasonMismatch
		}
		f.offset += end.base
		if f.offset < 0 || f.offset >= end.directory {
			return nil, ReasonMismatch
		}
		at += centralSize + int64(rest)
		files = append(files, f)
	}
	// The directory has as many members as the end says, and a signature at most.
	var sig [4]byte
	if n, _ := io.ReadFull(br, sig[:]); n > 0 && string(sig[:]) != "PK\x05\x05" {
		return nil, ReasonMismatch
	}
	return files, ""
}

// wide says whether a number does not fit in its field.
func (f *zipFile) wide() bool {
	return f.size == unknown32 || f.packed == unknown32 || f.offset == unknown32
}

// widen puts the long numbers in place of the unknown ones.
func (f *zipFile) widen(extra []byte) bool {
	b, ok := extraField(extra, extra64)
	if !ok {
		return false
	}
	for _, n := range []*int64{&f.size, &f.packed, &f.offset} {
		if *n != unknown32 {
			continue
		}
		if len(b) < 8 || binary.LittleEndian.Uint64(b) > 1<<62 {
			return false
		}
		*n, b = int64(binary.LittleEndian.Uint64(b)), b[8:]
	}
	return true
}

func (w *walker) zipName(f zipFile) []byte  { return w.bytes(f.name, int(f.nameLen)) }
func (w *walker) zipExtra(f zipFile) []byte { return w.bytes(f.name+int64(f.nameLen), int(f.extraLen)) }

// bytes returns a few bytes of the archive, none if they are not all there.
func (w *walker) bytes(at int64, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(w.src.section(at, at+int64(n)), b); err != nil {
		return nil
	}
	return b
}

// extraField returns one of the fields behind a name.
func extraField(extra []byte, id uint16) ([]byte, bool) {
	for len(extra) >= 4 {
		n := int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return nil, false
		}
		if binary.LittleEndian.Uint16(extra) == id {
			return extra[4 : 4+n], true
		}
		extra = extra[4+n:]
	}
	return nil, false
}

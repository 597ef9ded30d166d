package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"strings"
)

// Format is a kind of archive.
type Format string

// The formats there are. Foreign are all that are known and cannot be opened.
const (
	NoFormat Format = ""
	Foreign  Format = "foreign"
	Zip      Format = "zip"
	Tar      Format = "tar"
	Gzip     Format = "gzip"
	Bzip2    Format = "bzip2"
	Xz       Format = "xz"
	Zstd     Format = "zstd"
	SevenZip Format = "7z"
)

// magic is what an archive has at its beginning.
type magic struct {
	format Format
	at     int
	bytes  string
}

func magics() []magic {
	return []magic{
		{Zip, 0, "PK\x03\x04"},
		{Zip, 0, "PK\x05\x06"}, // empty
		{Gzip, 0, "\x1f\x8b\x08"},
		{Bzip2, 4, "\x31\x41\x59\x26\x53\x59"}, // a block
		{Bzip2, 4, "\x17\x72\x45\x38\x50\x90"}, // the end, at once
		{Xz, 0, "\xfd7zXZ\x00"},
		{Zstd, 0, "\x28\xb5\x2f\xfd"},
		{SevenZip, 0, "7z\xbc\xaf\x27\x1c"},
		{Foreign, 0, "PK\x07\x08"}, // a zip in several files
		{Foreign, 0, "Rar!\x1a\x07"},
		{Foreign, 0, "MSCF\x00\x00\x00\x00"}, // cab
		{Foreign, 0, "ISc("},                 // InstallShield cab
		{Foreign, 0, "xar!\x00"},             // macOS installers
		{Foreign, 0, "LZIP\x01"},
		{Foreign, 0, "\x04\x22\x4d\x18"},            // lz4
		{Foreign, 0, "\x02\x21\x4c\x18"},            // lz4, as kernels have it
		{Foreign, 0, "\x89LZO\x00\x0d\x0a\x1a\x0a"}, // lzop
		{Foreign, 0, "\xff\x06\x00\x00sNaPpY"},      // snappy
		{Foreign, 0, "!<arch>\n"},                   // ar, deb
		{Foreign, 0, "!<thin>\n"},
		{Foreign, 0, "070701"}, // cpio
		{Foreign, 0, "070702"},
		{Foreign, 0, "070707"},
		{Foreign, 0, "\xed\xab\xee\xdb"}, // rpm
		{Foreign, 7, "**ACE**"},
		{Foreign, 0, "MSWIM\x00\x00\x00"}, // wim
		{Foreign, 0, "hsqs"},              // squashfs
		{Foreign, 0, "zPQ\x01"},
		{Foreign, 0, "zPQ\x02"},              // zpaq
		{Foreign, 20, "\xdc\xa7\xc4\xfd"},    // zoo
		{Foreign, 0, "\x60\xea"},             // arj, see plausible
		{Foreign, 0, "\x1f\x9d"},             // compress, see plausible
		{Foreign, 0, "\x1f\xa0"},             // compress -H
		{Foreign, 2, "-lh"},                  // lha, see plausible
		{Foreign, 0, "\x5d\x00\x00"},         // lzma without a container, see plausible
		{Foreign, 0, "ITSF\x03\x00\x00\x00"}, // compiled help
		{Foreign, 0, "\x1f\x8c\x08"},         // gzip's own other spelling
		{Foreign, 0, "StuffIt (c)1997-"},
	}
}

// headSize is how much of the beginning is looked at, but for discs: a tar header.
const headSize = 512

// discAt is where an ISO 9660 image says what it is.
const discAt = 0x8001

// sniffer says what archive content is. It looks at a few bytes of the beginning and
// the end, and never follows what they say. It is not safe for concurrent use.
type sniffer struct {
	buf []byte
}

func (s *sniffer) sniff(content *io.SectionReader) (Format, error) {
	head, err := s.read(content, 0, headSize)
	if err != nil {
		return NoFormat, err
	}
	if f := sniffHead(head); f != NoFormat {
		return f, nil
	}
	disc, err := s.read(content, discAt, 5)
	if err != nil {
		return NoFormat, err
	}
	if string(disc) == "CD001" {
		return Foreign, nil
	}
	// Readers of zip begin at the end, and do not mind what stands before: a
	// program that unpacks itself, or a picture that is an archive, too.
	start := max(content.Size()-maxEnd, 0)
	tail, err := s.read(content, start, maxEnd)
	if err != nil {
		return NoFormat, err
	}
	for i := len(tail); i >= 0; {
		if i = bytes.LastIndex(tail[:i], []byte(endMagic)); i >= 0 && plausibleEnd(content, tail[i:], start+int64(i)) {
			return Zip, nil
		}
	}
	return NoFormat, nil
}

// read returns up to n bytes. They are good until the next call.
func (s *sniffer) read(content *io.SectionReader, at, n int64) ([]byte, error) {
	if n = min(n, content.Size()-at); n <= 0 {
		return nil, nil
	}
	if int64(len(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	k, err := content.ReadAt(s.buf[:n], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return s.buf[:k], nil
}

func sniffHead(head []byte) Format {
	for _, m := range magics() {
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.bytes)) && plausible(m, head) {
			return m.format
		}
	}
	// Skippable frames may come first. They are one of 16 numbers.
	if len(head) >= 8 && binary.LittleEndian.Uint32(head)>>4 == 0x184d2a5 {
		return Zstd
	}
	if tarHead(head) {
		return Tar
	}
	return NoFormat
}

// plausible looks closer where a few bytes of magic may well be something else.
func plausible(m magic, head []byte) bool {
	switch m.bytes {
	case "\x1f\x8b\x08":
		return len(head) > 3 && head[3]&0xe0 == 0 // reserved flags
	case "\x31\x41\x59\x26\x53\x59", "\x17\x72\x45\x38\x50\x90":
		return string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9'
	case "\x1f\x9d":
		return len(head) > 2 && head[2]&0x60 == 0 && head[2]&0x1f >= 9 && head[2]&0x1f <= 16
	case "\x1f\xa0", "\x1f\x8c\x08":
		return len(head) > 3 && head[3] == 0
	case "070701", "070702":
		return len(head) >= 110 && digits(head[6:110], "0123456789abcdefABCDEF")
	case "070707":
		return len(head) >= 76 && digits(head[6:76], "01234567")
	case "hsqs":
		return len(head) >= 30 && head[28] == 4
	case "\x60\xea":
		// A header's length, of a first part of 30 to 45 bytes, of an archive.
		return len(head) > 10 && binary.LittleEndian.Uint16(head[2:]) <= 2600 && head[4] >= 30 && head[4] <= 45 && head[10] == 2
	case "-lh":
		return len(head) > 20 && head[6] == '-' && strings.ContainsRune("01234567dx", rune(head[5])) && head[20] <= 3
	case "\x5d\x00\x00":
		return plausibleLZMA(head)
	}
	return true
}

func digits(b []byte, of string) bool {
	return len(bytes.Trim(b, of)) == 0
}

// plausibleLZMA knows the 13 bytes that LZMA files begin with: properties, the size of
// a dictionary, and the content's, which is unknown or below 256 GiB.
func plausibleLZMA(head []byte) bool {
	if len(head) < 14 || head[13] != 0 {
		return false
	}
	dict := binary.LittleEndian.Uint32(head[1:])
	size := binary.LittleEndian.Uint64(head[5:])
	return bits.OnesCount32(dict) <= 2 && (size == 1<<64-1 || size < 1<<38)
}

// tarHead says whether a tar header with a good checksum comes first.
func tarHead(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	field := strings.Trim(string(head[148:156]), " \x00")
	if field == "" {
		return false
	}
	want := int64(0)
	for _, digit := range field {
		if digit < '0' || digit > '7' {
			return false
		}
		want = want<<3 | int64(digit-'0')
	}
	var unsigned, signed int64
	for i, b := range head[:512] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		unsigned += int64(b)
		signed += int64(int8(b))
	}
	return want == unsigned || want == signed
}

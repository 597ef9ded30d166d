package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// file is a member to pack.
type file struct {
	name, content string
}

func zipped(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		out, err := w.Create(f.name)
		must(t, err)
		_, err = io.WriteString(out, f.content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// stored packs without compression, and without descriptors.
func stored(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		out, err := w.CreateRaw(&zip.FileHeader{Name: f.name, CRC32: crc32.ChecksumIEEE([]byte(f.content)),
			CompressedSize64: uint64(len(f.content)), UncompressedSize64: uint64(len(f.content))})
		must(t, err)
		_, err = io.WriteString(out, f.content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// withMethod packs one member by a method, given what it packs to.
func withMethod(t testing.TB, method, flags uint16, name, content string, packed []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	out, err := w.CreateRaw(&zip.FileHeader{Name: name, Method: method, Flags: flags, CRC32: crc32.ChecksumIEEE([]byte(content)),
		CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(len(content))})
	must(t, err)
	_, err = out.Write(packed)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func linked(t testing.TB, name, target string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name}
	h.SetMode(0o777 | 0o1<<27) // fs.ModeSymlink
	out, err := w.CreateHeader(h)
	must(t, err)
	_, err = io.WriteString(out, target)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func tarred(t testing.TB, files ...file) []byte {
	t.Helper()
	var headers []tar.Header
	for _, f := range files {
		headers = append(headers, tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.content)), Mode: 0o600})
	}
	return tarredWith(t, headers, files)
}

func tarredWith(t testing.TB, headers []tar.Header, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, h := range headers {
		must(t, w.WriteHeader(&h))
		if i < len(files) {
			_, err := io.WriteString(w, files[i].content)
			must(t, err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func zstded(t testing.TB, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	must(t, err)
	return w.EncodeAll(content, nil)
}

func xzed(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	must(t, err)
	_, err = w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// lzmaed returns properties and a stream without a header.
func lzmaed(t testing.TB, content []byte) (properties, stream []byte) {
	t.Helper()
	var b bytes.Buffer
	w, err := lzma.WriterConfig{Size: int64(len(content)), SizeInHeader: true}.NewWriter(&b)
	must(t, err)
	_, err = w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()[:5], b.Bytes()[13:]
}

// bzipped is the marker and a line feed, packed by bzip2: nothing in Go writes it.
func bzipped(t testing.TB) []byte { return fromBase64(t, bzippedMarker) }

func fromBase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	must(t, err)
	return b
}

// seven writes a 7z file with one folder of all members (7zFormat.txt of the LZMA
// SDK). coder is the folder's, packed its stream, nil for members as they are.
type seven struct {
	files      []file
	attributes []uint32 // of each member, if any
	coder      []byte   // nil: copy
	packed     []byte
	trailing   []byte
	size       int // that the folder says it unpacks to; 0: what it does
}

func (s seven) bytes() []byte {
	var content, sizes, sums, names []byte
	for i, f := range s.files {
		content = append(content, f.content...)
		if i < len(s.files)-1 {
			sizes = append(sizes, number(len(f.content))...)
		}
		sums = binary.LittleEndian.AppendUint32(sums, crc32.ChecksumIEEE([]byte(f.content)))
		for _, u := range utf16.Encode([]rune(f.name + "\x00")) {
			names = binary.LittleEndian.AppendUint16(names, u)
		}
	}
	coder, packed := s.coder, s.packed
	if coder == nil {
		coder, packed = []byte{1, 0}, content
	}
	size := len(content)
	if s.size > 0 {
		size = s.size
	}
	join := func(parts ...any) (b []byte) {
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				b = append(b, byte(p))
			case []byte:
				b = append(b, p...)
			}
		}
		return b
	}
	h := join(1, 4,
		6, 0, 1, 9, number(len(packed)), 0,
		7, 11, 1, 0, 1, coder, 12, number(size), 0)
	if len(s.files) == 1 {
		h = join(h, 8, 10, 1, sums, 0, 0)
	} else {
		h = join(h, 8, 13, number(len(s.files)), 9, sizes, 10, 1, sums, 0, 0)
	}
	h = join(h, 5, number(len(s.files)), 17, number(len(names)+1), 0, names)
	if s.attributes != nil {
		var a []byte
		for _, v := range s.attributes {
			a = binary.LittleEndian.AppendUint32(a, v)
		}
		h = join(h, 21, number(len(a)+2), 1, 0, a)
	}
	h = join(h, 0, 0)

	start := binary.LittleEndian.AppendUint64(nil, uint64(len(packed)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(h)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(h))
	b := append([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(start))...)
	return join(b, start, packed, h, s.trailing)
}

// number is 7z's way of writing one.
func number(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return binary.LittleEndian.AppendUint64([]byte{0xff}, uint64(n))
}

func sevened(files ...file) []byte { return seven{files: files}.bytes() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package archive_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner/archive"
)

// rawZip is a zip file made by hand: what the packers above would not write.
type rawZip struct {
	bytes.Buffer
	central bytes.Buffer
	entries int
}

// rawHeader is a member's numbers; central ones differ where the test says so.
type rawHeader struct {
	name         string
	method       uint16
	flags        uint16
	crc          uint32
	packed, size uint32
	extra        string
}

func (h rawHeader) append(b *bytes.Buffer, magic string) {
	b.WriteString(magic)
	put := func(v any) { _ = binary.Write(b, binary.LittleEndian, v) }
	if magic == "PK\x01\x02" {
		put(uint16(20))
	}
	put([]uint16{20, h.flags, h.method, 0, 0})
	put([]uint32{h.crc, h.packed, h.size})
	put([]uint16{uint16(len(h.name)), uint16(len(h.extra))})
}

func (z *rawZip) local(h rawHeader, data string) (at int) {
	at = z.Len()
	h.append(&z.Buffer, "PK\x03\x04")
	z.WriteString(h.name + h.extra + data)
	return at
}

func (z *rawZip) directory(h rawHeader, at int) {
	h.append(&z.central, "PK\x01\x02")
	z.central.Write(make([]byte, 10))
	_ = binary.Write(&z.central, binary.LittleEndian, uint32(at))
	z.central.WriteString(h.name + h.extra)
	z.entries++
}

// end writes the directory and the record behind it.
func (z *rawZip) end(comment string) []byte {
	at, size := z.Len(), z.central.Len()
	z.Write(z.central.Bytes())
	z.WriteString("PK\x05\x06\x00\x00\x00\x00")
	_ = binary.Write(z, binary.LittleEndian, []uint16{uint16(z.entries), uint16(z.entries)})
	_ = binary.Write(z, binary.LittleEndian, []uint32{uint32(size), uint32(at)})
	_ = binary.Write(z, binary.LittleEndian, uint16(len(comment)))
	z.WriteString(comment)
	return z.Bytes()
}

func plain(name, content string) rawHeader {
	return rawHeader{name: name, crc: crc32.ChecksumIEEE([]byte(content)), packed: uint32(len(content)), size: uint32(len(content))}
}

// one is a zip with one member, its headers changed by the test.
func one(content string, change func(local, central *rawHeader)) []byte {
	var z rawZip
	local, central := plain("a", content), plain("a", content)
	change(&local, &central)
	z.directory(central, z.local(local, content))
	return z.end("")
}

// TestTwoFaces refuses zip files that say different things to different readers.
func TestTwoFaces(t *testing.T) {
	var hidden, overlap, twice, counted rawZip
	hidden.local(plain("hidden", marker), marker)
	hidden.directory(plain("a", hello), hidden.local(plain("a", hello), hello))
	at := overlap.local(plain("a", hello), hello)
	overlap.directory(plain("a", hello), at)
	overlap.directory(plain("a", hello), at)
	inner := overlapQuoted()
	at = twice.local(plain("a", hello), hello)
	twice.directory(plain("a", hello), at)
	counted.directory(plain("a", hello), counted.local(plain("a", hello), hello))
	counted.entries = 0

	unicode := "\x75\x70\x0b\x00\x01\x00\x00\x00\x00../b\x2f\x63"
	rows := []struct {
		name    string
		content []byte
		want    string
	}{
		{"same", one(hello, func(l, c *rawHeader) {}), "clean"},
		{"other name", one(hello, func(l, c *rawHeader) { l.name = "b" }), "refused zip_mismatch"},
		{"other method", one(hello, func(l, c *rawHeader) { l.method = 8 }), "refused zip_mismatch"},
		{"other size", one(hello, func(l, c *rawHeader) { l.size++ }), "refused zip_mismatch"},
		{"other packed size", one(hello, func(l, c *rawHeader) { l.packed-- }), "refused zip_mismatch"},
		{"other sum", one(hello, func(l, c *rawHeader) { l.crc++ }), "refused zip_mismatch"},
		{"encrypted for some", one(hello, func(l, c *rawHeader) { l.flags = 1 }), "refused zip_mismatch"},
		{"wrong sum", one(hello, func(l, c *rawHeader) { l.crc++; c.crc++ }), "incomplete archive_damaged"},
		{"shorter than its content", one(hello, func(l, c *rawHeader) { l.size--; c.size-- }), "refused zip_mismatch"},
		{"descriptor that is not there", one(hello, func(l, c *rawHeader) { l.flags = 8; c.flags = 8 }), "refused zip_mismatch"},
		{"second name leads out", one(hello, func(l, c *rawHeader) { l.extra = unicode }), "refused member_path"},
		{"member that only local headers name", hidden.end(""), "refused zip_mismatch"},
		{"member twice", overlap.end(""), "refused zip_overlap"},
		{"members quote each other", inner, "refused zip_overlap"},
		{"two archives in a row", append(zipped(t, bad("a")), zipped(t, file{"b", hello})...), "refused zip_mismatch"},
		{"an end in the comment", commented(t), "refused zip_mismatch"},
		{"more members than it counts", counted.end(""), "refused zip_mismatch"},
		{"comment", twice.end("a comment"), "clean"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cfg := config(t, nil)
			cfg.Malware = nil // the marker would be found, too
			if got := verdict(judge(t, archive.New(cfg), input(t, row.content))); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

// overlapQuoted is the bomb of David Fifield: each member's content begins with the
// next one's header, and all share the last one's bytes.
func overlapQuoted() []byte {
	var z rawZip
	kernel := strings.Repeat("x", 1000)
	var inner rawZip
	inner.local(plain("b", kernel), kernel)
	quoted := inner.String()
	first := plain("a", quoted)
	at := z.local(first, quoted)
	z.directory(first, at)
	z.directory(plain("b", kernel), at+30+1)
	return z.end("")
}

// commented has the end of another archive in its comment, which some readers find and
// others do not.
func commented(t *testing.T) []byte {
	t.Helper()
	var z rawZip
	z.directory(plain("a", hello), z.local(plain("a", hello), hello))
	return z.end(string(stored(t, file{"b", hello})))
}

// archives are good ones of each format, with the same member.
func archives(t testing.TB, content string) map[string][]byte {
	t.Helper()
	properties, stream := lzmaed(t, []byte(content))
	return map[string][]byte{
		"zip":      zipped(t, file{"first", hello}, file{"a", content}),
		"zip0":     stored(t, file{"first", hello}, file{"a", content}),
		"gzip":     gzipped(t, []byte(content)),
		"zstd":     zstded(t, []byte(content)),
		"xz":       xzed(t, []byte(content)),
		"7z":       sevened(file{"first", hello}, file{"a", content}),
		"7z-lzma":  seven{files: []file{{"a", content}}, coder: append([]byte{0x23, 3, 1, 1, 5}, properties...), packed: stream}.bytes(),
		"tar":      tarred(t, file{"first", hello}, file{"a", content}),
		"tar.gz":   gzipped(t, tarred(t, file{"first", hello}, file{"a", content})),
		"zip.zstd": zstded(t, zipped(t, file{"a", content})),
		"bzip2":    bzipped(t), // of the marker, whatever the content
	}
}

// TestCutShort cuts archives off at many places. Clean is only what still gives all
// content.
func TestCutShort(t *testing.T) {
	content := strings.Repeat("some content, "+hello, 20)
	for kind, whole := range archives(t, content) {
		t.Run(kind, func(t *testing.T) {
			content := content
			if kind == "bzip2" {
				content = marker + "\n"
			}
			step := max(1, len(whole)/30)
			for n := len(whole) - 1; n > 0; n -= step {
				f := &finder{}
				r := judge(t, archive.New(config(t, f)), input(t, whole[:n]))
				archive := n > 32 && kind != "tar" || n >= 512 // below it has no magic
				if kind == "tar" && n%512 == 0 {
					continue // it is a shorter tar
				}
				if r.Result == registry.VerdictClean && archive && !f.saw(content) {
					t.Fatalf("clean without its content, cut at %d of %d", n, len(whole))
				}
			}
		})
	}
}

// TestFlipped flips bits. Clean is only what still gives the same content; tar has no
// sum of that.
func TestFlipped(t *testing.T) {
	content := strings.Repeat("some content, "+hello, 20)
	for kind, whole := range archives(t, content) {
		t.Run(kind, func(t *testing.T) {
			content := content
			if kind == "bzip2" {
				content = marker + "\n"
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range 40 {
				bit := random.IntN(len(whole) * 8)
				flipped := bytes.Clone(whole)
				flipped[bit/8] ^= 1 << (bit % 8)
				f := &finder{}
				r := judge(t, archive.New(config(t, f)), input(t, flipped))
				magic := bit/8 < 12 // it is another kind of file then
				if r.Result == registry.VerdictClean && !f.saw(content) && kind != "tar" && !magic {
					t.Fatalf("clean without its content, bit %d of %d flipped", bit, len(whole)*8)
				}
			}
		})
	}
}

// watched runs f and returns by how many bytes the heap grew at most.
func watched(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, m.HeapAlloc
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	f()
	close(stop)
	<-done
	return peak - before
}

// TestBombs has small files that unpack to far too much. Verdict, time and memory are
// those of the limits.
func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 4<<20)
	flat := zipped(t, file{"a", strings.Repeat(zeros, 10)})
	var wide []file
	for i := range 16 {
		wide = append(wide, file{fmt.Sprint(i, ".zip"), string(flat)})
	}
	gz := gzipped(t, []byte(zeros))
	bz := fromBase64(t, "QlpoOTFBWSZTWWPj7KIABuTBAMAAAgAACCAAMMwJqmmUoTapKE8XckU4UJBj4+yi") // 900,000 zeros
	rows := []struct {
		name    string
		content []byte
		want    string
	}{
		{"flat zip", flat, "incomplete archive_ratio"},
		{"nested zip", zipped(t, wide...), "incomplete archive_ratio"},
		{"gzip", bytes.Repeat(gz, 10), "incomplete archive_ratio"},
		{"gzip in gzip", gzipped(t, bytes.Repeat(gz, 10)), "incomplete archive_ratio"},
		{"zstd", bytes.Repeat(zstded(t, []byte(zeros)), 10), "incomplete archive_ratio"},
		{"xz", bytes.Repeat(xzed(t, []byte(zeros)), 10), "incomplete archive_ratio"},
		{"bzip2", bytes.Repeat(bz, 40), "incomplete archive_ratio"},
		{"sparse tar", sparse(1 << 40), "incomplete archive_ratio"},
		{"zip in itself", nest(t, 20, []byte(hello)), "incomplete archive_depth"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			in := input(t, row.content)
			e := archive.New(config(t, &finder{}))
			start := time.Now()
			var got string
			grew := watched(func() { got = verdict(judge(t, e, in)) })
			if got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
			if grew > 96<<20 {
				t.Errorf("the heap grew by %d MiB", grew>>20)
			}
			if took := time.Since(start); took > 2*time.Minute { // on any machine
				t.Errorf("took %v", took)
			}
		})
	}
}

// sparse is a tar of one file that is one hole, in GNU's old format.
func sparse(size int64) []byte {
	h := make([]byte, 512)
	copy(h, "hole")
	octal := func(at, n int, v int64) { copy(h[at:], fmt.Sprintf("%0*o ", n-1, v)) }
	octal(100, 8, 0o600)
	octal(108, 8, 0)
	octal(116, 8, 0)
	octal(124, 12, 0)
	octal(136, 12, 0)
	h[156] = 'S'
	copy(h[257:], "ustar  \x00")
	wide := func(at, n int, v int64) {
		h[at] = 0x80
		binary.BigEndian.PutUint64(h[at+n-8:], uint64(v))
	}
	wide(386, 12, size) // an empty piece at the end
	octal(398, 12, 0)
	wide(483, 12, size)
	copy(h[148:], "        ")
	sum := int64(0)
	for _, b := range h {
		sum += int64(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(h, make([]byte, 1024)...)
}

// TestMillion opens archives of a million members: not at all, or until the limit.
func TestMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 150 MB of archives")
	}
	const entries = 1_000_000
	name := filepath.Join(t.TempDir(), "million.zip")
	f, err := os.Create(name)
	must(t, err)
	writeMillion(t, f, entries)
	must(t, f.Close())
	in := inputFile(t, name)
	for _, allowed := range []int{0, 200_000} {
		rules := registry.ArchiveRules{MaxEntries: allowed}
		in.Rules.Archive = rules
		var got string
		grew := watched(func() { got = verdict(judge(t, archive.New(config(t, &finder{})), in)) })
		if got != "incomplete archive_entries" || grew > 64<<20 {
			t.Errorf("%q, the heap grew by %d MiB", got, grew>>20)
		}
	}
	tar := input(t, bytes.Repeat(tarred(t, file{"a", ""})[:512], 150_000))
	if got := verdict(judge(t, archive.New(config(t, &finder{})), tar)); got != "incomplete archive_entries" {
		t.Errorf("tar: %q", got)
	}
}

// writeMillion writes a zip file of so many empty members.
func writeMillion(t *testing.T, w io.Writer, entries int) {
	t.Helper()
	var z rawZip
	for i := range entries {
		h := plain(fmt.Sprintf("%x", i), "")
		z.directory(h, z.local(h, ""))
	}
	at, size := z.Len(), z.central.Len()
	_, err := w.Write(append(z.Bytes(), z.central.Bytes()...))
	must(t, err)
	end64 := binary.LittleEndian.AppendUint64([]byte("PK\x06\x06"), 44)
	end64 = append(end64, make([]byte, 12)...)
	for _, n := range []int{entries, entries, size, at} {
		end64 = binary.LittleEndian.AppendUint64(end64, uint64(n))
	}
	end64 = append(end64, "PK\x06\x07\x00\x00\x00\x00"...)
	end64 = binary.LittleEndian.AppendUint64(end64, uint64(at+size))
	end64 = append(end64, "\x01\x00\x00\x00PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"...)
	_, err = w.Write(end64)
	must(t, err)
}

package registry

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// references computes the CRCs that can be joined from the bytes themselves.
var references = map[string]func([]byte) []byte{
	"crc32": func(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) },
	"crc32c": func(b []byte) []byte {
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	},
	"crc64nvme": func(b []byte) []byte {
		return binary.BigEndian.AppendUint64(nil, crc64.Checksum(b, crc64.MakeTable(0x9a6c9329ac4bc9b5)))
	},
}

// TestReferenceOfCRC64NVME: the check value of the CRC catalogue
// (https://reveng.sourceforge.io/crc-catalogue/all.htm#crc.cat.crc-64-nvme), so that
// what we compare with is the right one.
func TestReferenceOfCRC64NVME(t *testing.T) {
	if sum := binary.BigEndian.Uint64(references["crc64nvme"]([]byte("123456789"))); sum != 0xae8b14860a799888 {
		t.Errorf("crc64nvme is %x", sum)
	}
}

// cutParts makes parts of content, with every checksum there is of each.
func cutParts(content []byte, lengths []int) []Part {
	var parts []Part
	for i, n := range lengths {
		p := Part{Number: i + 1, Size: int64(n), Checksums: make(map[string]string)}
		for name, sum := range references {
			p.Checksums[name] = base64.StdEncoding.EncodeToString(sum(content[:n]))
		}
		sum := sha256.Sum256(content[:n])
		p.Checksums["sha256"] = base64.StdEncoding.EncodeToString(sum[:])
		parts, content = append(parts, p), content[n:]
	}
	return parts
}

func checkJoined(t *testing.T, content []byte, lengths []int) {
	t.Helper()
	parts := cutParts(content, lengths)
	for name, sum := range references {
		want := base64.StdEncoding.EncodeToString(sum(content))
		if got, ok := wholeChecksum(name, FullObject, parts); !ok || got != want {
			t.Errorf("%s of parts of %v is %q (%v), want %q", name, lengths, got, ok, want)
		}
	}
}

func TestJoinedChecksums(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		lengths := make([]int, 1+random.IntN(12))
		total := 0
		for i := range lengths {
			if i > 0 && random.IntN(2) == 0 {
				lengths[i] = lengths[i-1] // as parts are
			} else if random.IntN(5) > 0 {
				lengths[i] = random.IntN(1 << random.IntN(14))
			}
			total += lengths[i]
		}
		content := make([]byte, total)
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		checkJoined(t, content, lengths)
	}
}

// TestJoinedLengths: the powers of two that no test can hold in memory, by joining
// zeros to zeros.
func TestJoinedLengths(t *testing.T) {
	for name, kind := range checksumKinds {
		if kind.crc == nil {
			continue
		}
		zero := kind.crc.number(references[name]([]byte{0}))
		j := crcJoiner{crcKind: kind.crc}
		whole := zero
		for n := int64(1); n < 1<<45; n *= 2 {
			whole = j.join(whole, whole, n) // 2n zeros
		}
		one, n := zero, int64(1)
		for ; n < 1<<20; n *= 2 {
			one = j.join(one, one, n)
		}
		if got := kind.crc.number(references[name](make([]byte, 1<<20))); got != one {
			t.Errorf("%s of a MiB of zeros is %x, want %x", name, one, got)
		}
		// 2^45 zeros in another order: 2^44 and twice 2^43.
		half := zero
		for n := int64(1); n < 1<<43; n *= 2 {
			half = j.join(half, half, n)
		}
		if got := j.join(j.join(half, half, 1<<43), j.join(half, half, 1<<43), 1<<44); got != whole {
			t.Errorf("%s of 2^45 zeros depends on how they are cut: %x, %x", name, got, whole)
		}
	}
}

func FuzzJoinedChecksums(f *testing.F) {
	f.Add([]byte("hello world"), uint16(5), uint16(0))
	f.Add([]byte{}, uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, content []byte, a, b uint16) {
		first := min(int(a), len(content))
		second := min(int(b), len(content)-first)
		checkJoined(t, content, []int{first, second, len(content) - first - second})
	})
}

func TestCompositeChecksum(t *testing.T) {
	parts := cutParts([]byte("hello world"), []int{5, 6})
	h := sha256.New()
	for _, p := range parts {
		sum, _ := base64.StdEncoding.DecodeString(p.Checksums["sha256"])
		h.Write(sum)
	}
	if got, ok := wholeChecksum("sha256", Composite, parts); !ok || got != base64.StdEncoding.EncodeToString(h.Sum(nil))+"-2" {
		t.Errorf("sha256 is %q (%v)", got, ok)
	}
	var sums []byte
	for _, p := range parts {
		sum, _ := base64.StdEncoding.DecodeString(p.Checksums["crc32c"])
		sums = append(sums, sum...)
	}
	if got, ok := wholeChecksum("crc32c", Composite, parts); !ok || got != base64.StdEncoding.EncodeToString(references["crc32c"](sums))+"-2" {
		t.Errorf("crc32c is %q (%v)", got, ok)
	}
}

func TestNoChecksumOfTheWhole(t *testing.T) {
	parts := cutParts([]byte("hello world"), []int{5, 6})
	damaged := cutParts([]byte("hello world"), []int{5, 6})
	damaged[1].Checksums["crc32"] = "AAAA"
	missing := cutParts([]byte("hello world"), []int{5, 6})
	delete(missing[0].Checksums, "crc32")
	for name, c := range map[string]struct {
		algorithm string
		kind      ChecksumType
		parts     []Part
	}{
		"Unknown": {"md5", FullObject, parts}, "None": {"", FullObject, parts},
		"FullSHA": {"sha256", FullObject, parts}, "CompositeCRC64": {"crc64nvme", Composite, parts},
		"Short": {"crc32", FullObject, damaged}, "ShortComposite": {"crc32", Composite, damaged},
		"Missing": {"crc32", FullObject, missing}, "MissingComposite": {"crc32", Composite, missing},
	} {
		if got, ok := wholeChecksum(c.algorithm, c.kind, c.parts); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestChecksumTypes(t *testing.T) {
	for _, c := range []struct {
		algorithm   string
		asked, want ChecksumType
		err         error
	}{
		{"", "", "", nil},
		{"crc64nvme", "", FullObject, nil},
		{"crc32", "", Composite, nil},
		{"crc32c", FullObject, FullObject, nil},
		{"sha1", "", Composite, nil},
		{"sha256", Composite, Composite, nil},
		{"", FullObject, "", ErrInvalid},
		{"md5", "", "", ErrInvalid},
		{"sha256", FullObject, "", ErrInvalid},
		{"crc64nvme", Composite, "", ErrInvalid},
		{"crc32", "SOMETHING", "", ErrInvalid},
	} {
		got, err := checksumType(c.algorithm, c.asked)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s %s is %q (%v), want %q (%v)", c.algorithm, c.asked, got, err, c.want, c.err)
		}
	}
}

func TestMultipartETag(t *testing.T) {
	a, b := md5.Sum([]byte("a")), md5.Sum([]byte("b"))
	both := md5.Sum(append(a[:], b[:]...))
	etag, err := multipartETag([]string{hex.EncodeToString(a[:]), hex.EncodeToString(b[:])})
	if want := fmt.Sprintf("%x-2", both); err != nil || etag != want {
		t.Errorf("got %q (%v), want %q", etag, err, want)
	}
	for _, bad := range []string{"", "zz", "00", hex.EncodeToString(both[:]) + "-2"} {
		if _, err := multipartETag([]string{bad}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestPartNotes: which parts are remembered, and how little that takes.
func TestPartNotes(t *testing.T) {
	parts := cutParts(make([]byte, 30), []int{10, 10, 7, 3})
	delete(parts[2].Checksums, "crc32")
	parts[3].Number = 9
	notes := notesOf(parts)
	var again partNotes
	if err := unpack("test", pack(&notes), &again); err != nil {
		t.Fatal(err)
	}
	for i, o := range again.parts() {
		if o.Number != parts[i].Number || o.Size != parts[i].Size || fmt.Sprint(o.Checksums) != fmt.Sprint(parts[i].Checksums) {
			t.Errorf("part %d became %+v", i, o)
		}
	}
	many := make([]Part, MaxParts)
	for i := range many {
		many[i] = Part{Number: i + 1, Size: 8 << 20, Checksums: map[string]string{"crc32": "AAAAAA=="}}
	}
	notes = notesOf(many)
	if n := len(pack(&notes)); n > 100_000 {
		t.Errorf("%d parts take %d bytes", MaxParts, n)
	}
}

package registry

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"strconv"
	"strings"
)

// The checksum of an object in parts, from those of the parts, without a look at
// the bytes; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.

// checksumKind is what an algorithm can say of a whole.
type checksumKind struct {
	size int              // bytes
	crc  *crcKind         // nil: the whole's cannot be had from the parts'
	hash func() hash.Hash // of the parts' checksums; nil: there is no composite one
}

// checksumKinds are the algorithms that parts can have. (Read only.)
var checksumKinds = map[string]checksumKind{
	"crc32":     {4, &crcKind{32, 0xedb88320}, func() hash.Hash { return crc32.NewIEEE() }},
	"crc32c":    {4, &crcKind{32, 0x82f63b78}, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
	"crc64nvme": {8, &crcKind{64, 0x9a6c9329ac4bc9b5}, nil},
	"sha1":      {20, nil, sha1.New},
	"sha256":    {32, nil, sha256.New},
}

// checksumType says of what the checksum of a whole is, as it was asked for or as
// AWS has it by default. ErrInvalid for what does not exist.
func checksumType(algorithm string, asked ChecksumType) (ChecksumType, error) {
	kind, known := checksumKinds[algorithm]
	switch {
	case algorithm == "" && asked == "":
		return "", nil
	case !known:
		return "", fmt.Errorf("%w: checksum algorithm", ErrInvalid)
	case asked == FullObject && kind.crc != nil, asked == Composite && kind.hash != nil:
		return asked, nil
	case asked != "":
		return "", fmt.Errorf("%w: %s has no checksum of that type", ErrInvalid, algorithm)
	case kind.hash == nil:
		return FullObject, nil
	}
	return Composite, nil
}

// sumOf is one of a part's checksums; ok is false if it has none of the algorithm.
func sumOf(checksums map[string]string, algorithm string) (sum []byte, ok bool) {
	text, ok := checksums[algorithm]
	if !ok {
		return nil, false
	}
	sum, err := base64.StdEncoding.DecodeString(text)
	return sum, err == nil && len(sum) == checksumKinds[algorithm].size
}

// wholeChecksum is the checksum of an object of these parts, in base64, with "-N"
// behind a composite one. ok is false if a part has none of the algorithm, or
// there is none of the type.
func wholeChecksum(algorithm string, kind ChecksumType, parts []Part) (value string, ok bool) {
	k, known := checksumKinds[algorithm]
	if !known {
		return "", false
	}
	if kind == Composite {
		return k.composite(algorithm, parts)
	}
	if k.crc == nil {
		return "", false
	}
	var whole uint64
	joins := crcJoiner{crcKind: k.crc}
	for i := range parts {
		sum, ok := sumOf(parts[i].Checksums, algorithm)
		if !ok {
			return "", false
		}
		whole = joins.join(whole, k.crc.number(sum), parts[i].Size)
	}
	return base64.StdEncoding.EncodeToString(k.crc.bytes(whole)), true
}

func (k *checksumKind) composite(algorithm string, parts []Part) (string, bool) {
	if k.hash == nil {
		return "", false
	}
	h := k.hash()
	for i := range parts {
		sum, ok := sumOf(parts[i].Checksums, algorithm)
		if !ok {
			return "", false
		}
		h.Write(sum)
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts)), true
}

// multipartETag is the ETag of an object of parts with these: the MD5 of their
// MD5s, and how many they are.
func multipartETag(etags []string) (string, error) {
	h := md5.New()
	for _, etag := range etags {
		sum, err := hex.DecodeString(etag)
		if err != nil || len(sum) != md5.Size {
			return "", fmt.Errorf("%w: the ETag of a part", ErrInvalid)
		}
		h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(etags)), nil
}

// sameChecksum compares a client's checksum of a whole with ours; it may leave out
// how many parts there are.
func sameChecksum(told, have string) bool {
	if told == have {
		return true
	}
	base, _, composite := strings.Cut(have, "-")
	return composite && told == base
}

// crcKind is a reflected CRC of 32 or 64 bits that begins and ends with all bits
// inverted, as all of S3's do.
type crcKind struct {
	bits int
	poly uint64 // reflected, without its highest term
}

func (k *crcKind) number(sum []byte) uint64 {
	if k.bits == 32 {
		return uint64(binary.BigEndian.Uint32(sum))
	}
	return binary.BigEndian.Uint64(sum)
}

func (k *crcKind) bytes(n uint64) []byte {
	if k.bits == 32 {
		return binary.BigEndian.AppendUint32(nil, uint32(n))
	}
	return binary.BigEndian.AppendUint64(nil, n)
}

// times multiplies two polynomials modulo the CRC's. The highest bit is the
// lowest term.
func (k *crcKind) times(a, b uint64) (product uint64) {
	for bit := uint64(1) << (k.bits - 1); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= k.poly
		}
	}
	return product
}

// shift is x to the power of 8n: multiplied with a CRC, that of its bytes followed
// by n bytes, but for these.
func (k *crcKind) shift(n int64) uint64 {
	product := uint64(1) << (k.bits - 1) // 1
	square := product >> 8               // x^8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			product = k.times(product, square)
		}
		square = k.times(square, square)
	}
	return product
}

// crcJoiner joins CRCs of consecutive bytes, most runs of which are equally long.
type crcJoiner struct {
	*crcKind
	length int64 // of the last run
	by     uint64
}

// join returns the CRC of bytes with CRC a followed by length bytes with CRC b.
// Those of no bytes are 0.
func (j *crcJoiner) join(a, b uint64, length int64) uint64 {
	if length != j.length || j.by == 0 {
		j.length, j.by = length, j.shift(length)
	}
	return j.times(j.by, a) ^ b
}

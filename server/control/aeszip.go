package control

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math"
	"path"
	"strings"
	"time"
)

// zipPassword is what everybody encrypts malware with: it keeps mail gateways and
// scanners from looking inside, and fingers from opening it by mistake. It is no secret.
const zipPassword = "infected"

// Sizes of WinZip's AES encryption, version AE-2, with keys of 256 bits; see
// https://www.winzip.com/en/support/aes-encryption/.
const (
	aesKeySize    = 32
	aesSaltSize   = 16
	aesCheckSize  = 2
	aesTagSize    = 10
	aesIterations = 1000
	aesOverhead   = aesSaltSize + aesCheckSize + aesTagSize
)

// aesZip is a zip archive of one stored, encrypted file whose size is known before: so is
// the archive's. It is read once.
type aesZip struct {
	head, tail []byte // before and behind the encrypted file with its tag
	content    int64  // bytes of the file

	block   cipher.Block
	mac     hash.Hash
	counter uint64
}

// newAESZip prepares an archive of a file of size bytes.
func newAESZip(name string, modified time.Time, size int64, password string) (*aesZip, error) {
	salt := make([]byte, aesSaltSize)
	_, _ = rand.Read(salt) // never fails
	keys, err := pbkdf2.Key(sha1.New, password, salt, aesIterations, 2*aesKeySize+aesCheckSize)
	if err != nil {
		return nil, fmt.Errorf("encrypted zip: %w", err)
	}
	block, err := aes.NewCipher(keys[:aesKeySize])
	if err != nil {
		return nil, fmt.Errorf("encrypted zip: %w", err)
	}
	z := &aesZip{content: size, block: block, mac: hmac.New(sha1.New, keys[aesKeySize:2*aesKeySize])}
	e := zipEntry{name: zipName(name), modified: modified.UTC(), size: uint64(size), packed: uint64(size) + aesOverhead}
	local := e.local()
	z.head = append(append(local, salt...), keys[2*aesKeySize:]...)
	z.tail = e.directory(uint64(len(local)) + e.packed)
	return z, nil
}

// size returns the archive's length in bytes.
func (z *aesZip) size() int64 {
	return int64(len(z.head)) + z.content + aesTagSize + int64(len(z.tail))
}

// seal returns the archive around what r gives, which it closes with itself.
func (z *aesZip) seal(r io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(z.head), &aesSealer{z: z, src: r}), r}
}

// aesSealer gives the encrypted file, its tag and what stands behind it.
type aesSealer struct {
	z    *aesZip
	src  io.Reader
	n    int64 // bytes of the file that were read
	pad  [aes.BlockSize]byte
	left []byte        // what is left of pad, the key stream's last block
	rest *bytes.Reader // set behind the file
}

// Read implements io.Reader. A file of another length than was said is an error.
func (s *aesSealer) Read(p []byte) (int, error) {
	if s.rest != nil {
		return s.rest.Read(p)
	}
	n, err := s.src.Read(p)
	s.n += int64(n)
	s.encrypt(p[:n])
	if err == io.EOF {
		if s.n != s.z.content {
			return n, io.ErrUnexpectedEOF
		}
		s.rest = bytes.NewReader(append(s.z.mac.Sum(nil)[:aesTagSize], s.z.tail...))
		err = nil
	}
	return n, err
}

// encrypt is AES in counter mode; the counter begins at 1 and is little-endian, which
// crypto/cipher's is not.
func (s *aesSealer) encrypt(p []byte) {
	var nonce [aes.BlockSize]byte
	for i := 0; i < len(p); {
		if len(s.left) == 0 {
			s.z.counter++
			binary.LittleEndian.PutUint64(nonce[:], s.z.counter)
			s.z.block.Encrypt(s.pad[:], nonce[:])
			s.left = s.pad[:]
		}
		n := subtle.XORBytes(p[i:], p[i:], s.left)
		s.left, i = s.left[n:], i+n
	}
	s.z.mac.Write(p)
}

// zipName is the name inside the archive: of no folder, and for every system.
func zipName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	return strings.Map(func(c rune) rune {
		if c < ' ' || strings.ContainsRune(`<>:"/|?*`, c) {
			return '_'
		}
		return c
	}, name)
}

// zipEntry is what both headers of the one file say; see sections 4.3 and 4.4 of
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
type zipEntry struct {
	name         string
	modified     time.Time // UTC
	size, packed uint64
}

// Constants of the zip format.
const (
	zipVersion   = 51     // that reads AES
	zipFlags     = 0x0801 // encrypted; the name is UTF-8
	zipMethodAES = 99
	zipMax32     = math.MaxUint32
)

// large tells whether the sizes need 64 bits.
func (e *zipEntry) large() bool { return e.packed >= zipMax32 }

// common is what both headers have, from the version that is needed on.
func (e *zipEntry) common() []byte {
	le := binary.LittleEndian
	year := min(max(e.modified.Year(), 1980), 2107)
	date := uint16(year-1980)<<9 | uint16(e.modified.Month())<<5 | uint16(e.modified.Day())
	clock := uint16(e.modified.Hour())<<11 | uint16(e.modified.Minute())<<5 | uint16(e.modified.Second()/2)
	b := le.AppendUint16(nil, zipVersion)
	b = le.AppendUint16(b, zipFlags)
	b = le.AppendUint16(b, zipMethodAES)
	b = le.AppendUint16(b, clock)
	b = le.AppendUint16(b, date)
	b = le.AppendUint32(b, 0) // AE-2 has no checksum of the plain bytes
	b = le.AppendUint32(b, uint32(min(e.packed, zipMax32)))
	size := e.size
	if e.large() {
		size = zipMax32
	}
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint16(b, uint16(len(e.name)))
	return le.AppendUint16(b, uint16(len(e.extra())))
}

func (e *zipEntry) extra() []byte {
	le := binary.LittleEndian
	var b []byte
	if e.large() {
		b = le.AppendUint16(b, 0x0001)
		b = le.AppendUint16(b, 16)
		b = le.AppendUint64(b, e.size)
		b = le.AppendUint64(b, e.packed)
	}
	b = le.AppendUint16(b, 0x9901)
	b = le.AppendUint16(b, 7)
	b = le.AppendUint16(b, 2) // AE-2
	b = append(b, 'A', 'E', 3)
	return le.AppendUint16(b, 0) // stored
}

// local is the header before the file.
func (e *zipEntry) local() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x04034b50)
	return append(append(append(b, e.common()...), e.name...), e.extra()...)
}

// directory is what stands behind the file, which ends at offset end.
func (e *zipEntry) directory(end uint64) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0x02014b50)
	b = le.AppendUint16(b, zipVersion)
	b = append(b, e.common()...)
	b = le.AppendUint16(b, 0) // comment
	b = le.AppendUint16(b, 0) // disk
	b = le.AppendUint16(b, 0) // attributes inside
	b = le.AppendUint32(b, 0) // and outside
	b = le.AppendUint32(b, 0) // where its local header is
	b = append(append(b, e.name...), e.extra()...)
	length := uint64(len(b))
	if end >= zipMax32 {
		b = le.AppendUint32(b, 0x06064b50)
		b = le.AppendUint64(b, 44) // of what follows
		b = le.AppendUint16(b, zipVersion)
		b = le.AppendUint16(b, zipVersion)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, 1)
		b = le.AppendUint64(b, 1)
		b = le.AppendUint64(b, length)
		b = le.AppendUint64(b, end)
		b = le.AppendUint32(b, 0x07064b50)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, end+length)
		b = le.AppendUint32(b, 1)
	}
	b = le.AppendUint32(b, 0x06054b50)
	b = le.AppendUint32(b, 0) // disks
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint32(b, uint32(length))
	b = le.AppendUint32(b, uint32(min(end, zipMax32)))
	return le.AppendUint16(b, 0)
}

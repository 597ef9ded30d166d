package pipeline

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Declared is what a request's headers say about its body.
type Declared struct {
	// Length in bytes of the content, without any framing; negative if it was
	// not declared.
	Length int64
	// ContentType is the client's; "" if it sent none.
	ContentType string
	// PayloadSHA256 is the hex digest that the signature covers, "" if the
	// payload is unsigned or signed by chunks.
	PayloadSHA256 string
	// ContentMD5 is the Content-MD5 header, base64 (RFC 1864).
	ContentMD5 string
	// Checksums are the x-amz-checksum-* headers: "crc32", "crc32c",
	// "crc64nvme", "sha1" or "sha256" → base64. S3 allows one.
	Checksums map[string]string
	// Trailers are the names of x-amz-trailer that announce a checksum, such
	// as "x-amz-checksum-crc32c". The body must be a TrailerBody then.
	Trailers []string
	// Malformed is what kept the caller from reading the headers, nil if nothing
	// did. It is told in its turn: whoever may not put anything here learns that
	// first.
	Malformed error
}

// checksumHeader is what S3 puts before an algorithm's name, see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html.
const checksumHeader = "x-amz-checksum-"

// expected is Declared, checked and decoded.
type expected struct {
	payload  []byte // SHA-256 under the signature; nil if none
	sha256   []byte // of the session; nil if none
	md5      []byte
	checksum string // algorithm; "" if none
	sum      []byte // its value; nil if it comes as a trailer
	trailer  string // the trailer's name; "" if it came as a header
	compute  string // algorithm that is wanted though none was declared; "" if none
}

// algorithm is that of the one checksum that is kept, "" if none is.
func (e *expected) algorithm() string {
	if e.checksum != "" {
		return e.checksum
	}
	return e.compute
}

// parse decodes the digests. Everything it refuses is ErrInvalidDigest.
func (d Declared) parse() (expected, error) {
	var e expected
	if d.PayloadSHA256 != "" {
		b, err := hex.DecodeString(d.PayloadSHA256)
		if err != nil || len(b) != 32 {
			return e, fmt.Errorf("%w: payload hash", ErrInvalidDigest)
		}
		e.payload = b
	}
	if d.ContentMD5 != "" {
		b, err := base64.StdEncoding.Strict().DecodeString(d.ContentMD5)
		if err != nil || len(b) != 16 {
			return e, fmt.Errorf("%w: Content-MD5", ErrInvalidDigest)
		}
		e.md5 = b
	}
	if len(d.Checksums)+len(d.Trailers) > 1 {
		return e, fmt.Errorf("%w: more than one checksum", ErrInvalidDigest)
	}
	for algorithm, value := range d.Checksums {
		size := checksumSize(algorithm)
		b, err := base64.StdEncoding.Strict().DecodeString(value)
		if size == 0 || err != nil || len(b) != size {
			return e, fmt.Errorf("%w: checksum", ErrInvalidDigest)
		}
		e.checksum, e.sum = algorithm, b
	}
	for _, name := range d.Trailers {
		algorithm, ok := strings.CutPrefix(strings.ToLower(name), checksumHeader)
		if !ok || checksumSize(algorithm) == 0 {
			return e, fmt.Errorf("%w: trailer", ErrInvalidDigest)
		}
		e.checksum, e.trailer = algorithm, checksumHeader+algorithm
	}
	return e, nil
}

// conflicts tells whether the headers declare another SHA-256 than the session
// did: no body can satisfy both.
func (e expected) conflicts() bool {
	return e.payload != nil && !bytes.Equal(e.payload, e.sha256) ||
		e.checksum == "sha256" && e.sum != nil && !bytes.Equal(e.sum, e.sha256)
}

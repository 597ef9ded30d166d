package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
)

// PayloadKind says what x-amz-content-sha256 promises of the body.
type PayloadKind int

const (
	PayloadAbsent                   PayloadKind = iota // the header is missing
	PayloadHash                                        // the body's SHA-256 in hex
	PayloadUnsigned                                    // UNSIGNED-PAYLOAD
	PayloadStreamingSigned                             // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
	PayloadStreamingSignedTrailer                      // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
	PayloadStreamingUnsignedTrailer                    // STREAMING-UNSIGNED-PAYLOAD-TRAILER
)

// EmptySHA256 is the hex SHA-256 of no bytes: the [Claim.ContentSHA256] of a
// request without a body.
const EmptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Streaming reports whether the body is framed in aws-chunked, to be read
// through a [ChunkReader].
func (k PayloadKind) Streaming() bool {
	return k >= PayloadStreamingSigned && k <= PayloadStreamingUnsignedTrailer
}

func (k PayloadKind) String() string {
	switch k {
	case PayloadHash:
		return "hash"
	case PayloadUnsigned:
		return "unsigned"
	case PayloadStreamingSigned:
		return "streaming signed"
	case PayloadStreamingSignedTrailer:
		return "streaming signed with trailer"
	case PayloadStreamingUnsignedTrailer:
		return "streaming unsigned with trailer"
	default:
		return "absent"
	}
}

// setPayload reads the value of x-amz-content-sha256; nil is none.
func (c *Claim) setPayload(value []byte) error {
	c.ContentSHA256 = value
	switch string(value) {
	case unsignedPayload:
		c.Payload = PayloadUnsigned
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
		c.Payload = PayloadStreamingSigned
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		c.Payload = PayloadStreamingSignedTrailer
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		c.Payload = PayloadStreamingUnsignedTrailer
	case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
		return refuse(AsymmetricNotImplemented, "of the payload")
	default:
		if value == nil {
			c.Payload = PayloadAbsent
			return nil
		}
		if len(value) != 2*sha256.Size || bytes.ContainsFunc(value, func(r rune) bool { return r > 127 || !isHex(byte(r)) }) {
			return refuse(InvalidContentSHA256, "")
		}
		c.Payload = PayloadHash
	}
	return nil
}

// SHA256 returns the digest that the body must have, where one is signed
// (PayloadHash).
func (c *Claim) SHA256() (sum [sha256.Size]byte, ok bool) {
	if c.Payload != PayloadHash {
		return sum, false
	}
	_, err := hex.Decode(sum[:], c.ContentSHA256)
	return sum, err == nil
}

// DecodedLength returns the length of an aws-chunked body without its framing,
// from x-amz-decoded-content-length: the size of the object.
func (c *Claim) DecodedLength(r *Request) (int64, error) {
	value, ok := c.Value(r, "x-amz-decoded-content-length")
	if !ok || len(value) == 0 {
		return 0, refuse(MissingDecodedLength, "")
	}
	var n int64
	for _, ch := range value {
		if ch < '0' || ch > '9' || n > (math.MaxInt64-9)/10 {
			return 0, refuse(InvalidDecodedLength, "")
		}
		n = n*10 + int64(ch-'0')
	}
	return n, nil
}

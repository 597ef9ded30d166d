package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

const (
	maxTrailers      = 8    // lines
	maxTrailerLine   = 1024 // bytes
	trailerSignature = "x-amz-trailer-signature"
)

// readTrailer reads what follows the final chunk of the kinds with a trailer:
//
//	name:value CRLF …
//	x-amz-trailer-signature:signature CRLF    only where chunks are signed
//	CRLF
//
// minio-go ends the lines of the first group with a bare LF and the group with
// CRLF; both are read. What is signed is each line as it came with LF for its
// end.
func (c *ChunkReader) readTrailer() error {
	var signed []byte // the lines, as they are hashed
	bare := false     // the last line had a bare LF
	proved := false
	for {
		line, err := c.readLine(maxTrailerLine, TrailerMalformed)
		if err != nil {
			return err
		}
		line, crlf := bytes.CutSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			if !crlf {
				return refuse(TrailerMalformed, "an empty line without CR")
			}
			if bare {
				bare = false // the end of the group, not of the trailer
				continue
			}
			break
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || proved || len(c.trailers) >= maxTrailers {
			return refuse(TrailerMalformed, "a line that is none of a trailer")
		}
		bare = !crlf
		if c.hash != nil && string(name) == trailerSignature {
			if err := c.checkTrailer(signed, value); err != nil {
				return err
			}
			proved = true
			continue
		}
		signed = append(append(signed, line...), '\n')
		c.trailers = append(c.trailers, Field{Name: bytes.ToLower(name), Value: bytes.Clone(trim(value))})
	}
	if c.hash != nil && !proved {
		return refuse(TrailerSignatureMismatch, "there is none")
	}
	return c.checkAnnounced()
}

// checkTrailer proves the trailer's lines.
func (c *ChunkReader) checkTrailer(lines, signature []byte) error {
	if len(signature) != len(c.claimed) {
		return refuse(TrailerSignatureMismatch, "it has not 64 digits")
	}
	copy(c.claimed[:], signature)
	sum := sha256.Sum256(lines)
	c.toSign = hex.AppendEncode(c.beginToSign("AWS4-HMAC-SHA256-TRAILER\n"), sum[:])
	return c.checkLink(TrailerSignatureMismatch)
}

// checkAnnounced compares the names that came with those of x-amz-trailer.
func (c *ChunkReader) checkAnnounced() error {
	if len(c.trailers) != len(c.cfg.Trailers) {
		return refuse(TrailerMalformed, "its names are not those announced")
	}
	for i, f := range c.trailers {
		if !slices.Contains(c.cfg.Trailers, string(f.Name)) {
			return refuse(TrailerMalformed, "its names are not those announced")
		}
		for _, before := range c.trailers[:i] {
			if bytes.Equal(before.Name, f.Name) {
				return refuse(TrailerMalformed, "a name comes twice")
			}
		}
	}
	return nil
}

// TrailerNames returns the names that x-amz-trailer announces: lower case, in
// order, over all its lines or, in a presigned request without any, in the query.
func (c *Claim) TrailerNames(r *Request) []string {
	const announcement = "x-amz-trailer"
	var names []string
	add := func(value []byte) {
		for part := range bytes.SplitSeq(value, []byte{','}) {
			if part = trim(part); len(part) > 0 {
				names = append(names, string(bytes.ToLower(part)))
			}
		}
	}
	if _, ok := r.HeaderValue(announcement); !ok {
		hoisted, _ := c.Value(r, announcement)
		add(hoisted)
		return names
	}
	for value := range r.HeaderValues(announcement) {
		add(value)
	}
	return names
}

// Package inspect is the engine that is always on: it reads the stored bytes
// once, compares their number and SHA-256 with what was recorded when they
// arrived (of what came in parts there is no digest yet: it says what it is), and
// says what type the content is. It does not look for malware.
//
// Reading them again is the point: what is judged and published is what the
// store gives back, not what was once sent to it.
package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"github.com/gabriel-vasile/mimetype"

	"sallyport/registry"
	"sallyport/scanner"
)

// Reasons of a refusal.
const (
	ReasonSize   = "size_mismatch"
	ReasonDigest = "digest_mismatch"
)

// HeadSize is how many bytes of the head Detect looks at: what mimetype reads by
// default, so that its answers are those of its own tests.
const HeadSize = 4096

// Engine is a scanner.Engine. Its zero value is ready for use.
type Engine struct {
	buffers sync.Pool
}

var _ scanner.Engine = (*Engine)(nil)

const bufferSize = 128 << 10

// Name implements scanner.Engine.
func (*Engine) Name() string { return scanner.BuiltIn }

// Scan implements scanner.Engine. Memory is one buffer, whatever the size.
func (e *Engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	r, err := in.Open(ctx)
	if err != nil {
		return scanner.Result{}, fmt.Errorf("open: %w", err)
	}
	defer r.Close()

	buf := e.buffer()
	defer e.buffers.Put(buf)
	// The head goes through the buffer first, so that it is read whole even
	// from a store that answers in small pieces.
	n, err := io.ReadFull(r, buf[:HeadSize])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return scanner.Result{}, fmt.Errorf("read: %w", err)
	}
	detected := Detect(buf[:n])
	h := sha256.New()
	h.Write(buf[:n])
	size := int64(n)
	if n == HeadSize {
		rest, err := io.CopyBuffer(onlyWriter{h}, onlyReader{r}, buf[:])
		if err != nil {
			return scanner.Result{}, fmt.Errorf("read: %w", err)
		}
		size += rest
	}
	return compare(in.Object, size, hex.EncodeToString(h.Sum(nil)), detected), nil
}

func compare(o registry.Object, size int64, sum, detected string) scanner.Result {
	result := scanner.Result{Result: registry.VerdictClean, Detected: detected, SHA256: sum, Version: "1"}
	switch {
	case size != o.Size:
		result.Result, result.Reason = registry.VerdictRefused, ReasonSize
	case o.SHA256 != "" && sum != o.SHA256:
		result.Result, result.Reason = registry.VerdictRefused, ReasonDigest
	}
	return result
}

func (e *Engine) buffer() *[bufferSize]byte {
	if b, ok := e.buffers.Get().(*[bufferSize]byte); ok {
		return b
	}
	return new([bufferSize]byte)
}

// onlyReader and onlyWriter hide ReadFrom and WriteTo, which would allocate a
// buffer of their own.
type onlyReader struct{ io.Reader }

type onlyWriter struct{ io.Writer }

// Detect returns the media type of content that begins with head, with a charset
// where the detector knows one. Bytes it does not recognise are
// application/octet-stream. It is safe for concurrent use.
func Detect(head []byte) string {
	return mimetype.Detect(head).String()
}

// Lineage returns a media type's place in the detector's tree: the type itself,
// under the detector's own name for it, then its ancestors up to
// application/octet-stream. It is nil for a type the detector does not know.
func Lineage(mediaType string) []string {
	var line []string
	for m := mimetype.Lookup(mediaType); m != nil; m = m.Parent() {
		line = append(line, m.String())
	}
	return line
}

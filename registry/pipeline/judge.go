package pipeline

import (
	"context"
	"errors"
	"io"

	"sallyport/registry"
)

// Errors of a write to a bucket that inspects before it answers. Nothing of the
// write is kept.
var (
	// ErrInfected: an engine found malware.
	ErrInfected = errors.New("pipeline: malware was found")
	// ErrRefused: an engine refused the content: its type, an archive, a polyglot.
	ErrRefused = errors.New("pipeline: content was refused")
	// ErrScanIncomplete: the content could not be looked at whole.
	ErrScanIncomplete = errors.New("pipeline: content could not be scanned whole")
	// ErrScanDown is registry's, for those who know the pipeline only: an engine does
	// not work at present. Repeat later.
	ErrScanDown = registry.ErrScanDown
)

// Judge inspects what is written to a bucket that publishes at once. It is scanner's
// Inline, which this package may not import.
type Judge interface {
	// Malware tells whether any engine looks for malware.
	Malware() bool
	// Covers tells whether a clean verdict is by all the engines that these rules ask
	// for.
	Covers(v registry.Verdict, rules registry.ScanRules) bool
	// Tee begins to judge a body of size bytes while it is on its way. It returns nil if
	// nobody listens. Writing to it blocks while engines are slower than the client, and
	// fails as soon as the body cannot be published any more: Judge then says why, and
	// needs no bytes. To close it makes the engines forget the body, at any time and from
	// any goroutine; after Judge that does nothing.
	Tee(ctx context.Context, rules registry.ScanRules, size int64) io.WriteCloser
	// Judge ends the inspection of the claim's object, whose bytes are durable: it asks the
	// engines that have not heard them from what Tee returned, and returns the verdict and
	// the detected type. The claim gets the digest, if it was read, and what keep returned
	// of renditions, even with an error. An error that wraps ErrScanDown, and any other,
	// says nothing of the object.
	Judge(ctx context.Context, c *registry.Claim,
		open func(context.Context) (io.ReadCloser, error),
		keep func(context.Context, registry.Rendition, io.Reader) (registry.Rendition, error),
		tee io.WriteCloser) (registry.Verdict, string, error)
}

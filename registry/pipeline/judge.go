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
	// ErrScanDown: an engine does not work at present. Repeat later.
	ErrScanDown = errors.New("pipeline: an engine is down")
)

// Judge inspects what is written to a bucket that publishes at once (the scanner's
// Inline, which this package may not import).
type Judge interface {
	// Tee begins to judge a body of size bytes while it is on its way. It returns nil if no
	// engine of these rules takes streams. size is never unknown.
	Tee(ctx context.Context, rules registry.ScanRules, size int64) Tee
	// Judge ends the inspection of an object whose bytes are durable: it asks the engines
	// that have not heard them from tee (which may be nil) and returns the verdict and
	// the detected type. An error that wraps ErrScanDown says nothing of the object.
	Judge(ctx context.Context, o registry.Object, rules registry.ScanRules, open func(context.Context) (io.ReadCloser, error), tee Tee) (registry.Verdict, string, error)
}

// Tee is a body's copy on its way to engines. Write never fails because of an engine:
// what went wrong is Judge's to say. It blocks while engines are slower than the client.
type Tee interface {
	io.Writer
	// Close ends the body. Without Judge the engines are told to forget it. It may be called again.
	Close() error
}

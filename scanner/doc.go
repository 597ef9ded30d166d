// Package scanner judges: it takes objects from a queue, has engines look at
// their bytes and settles the verdict. It fails closed. An object leaves
// quarantine only by a verdict that every engine had a part in; an engine that
// cannot say gives a held object or another try, never a published one.
//
// The engines stand in a Panel, which asks them in order. A Worker has it judge what
// waits in the queue; Inline, what is written to buckets that publish at once, while it
// is on its way.
//
// The queue belongs to somebody else (the pipeline); engines stand in folders of
// their own, inspect being the one that is always on.
package scanner

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"sallyport/registry"
)

// ErrDown is what an engine returns, wrapped, when it cannot work at present: it
// is not started, not reachable, reloading. That is not a try of the object; the
// queue pauses until the engine answers again. Every other error is a try.
var ErrDown = fmt.Errorf("scanner: %w", registry.ErrScanDown)

// Input is what an engine looks at.
type Input struct {
	// Object is the row as it was claimed: declared type, size and digest.
	Object registry.Object
	// Rules are those of its bucket.
	Rules registry.ScanRules
	// Detected is the media type of the content, once an engine before this one has
	// said it.
	Detected string
	// Open reads the object from its first byte. Each engine opens its own
	// reader and closes it. Reads end with ctx.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// File returns a read-only descriptor of the object's bytes, whole: the store's
	// own file where it has one, else a copy: sealed in memory if it is small, without a
	// name on disk if not. It is made at the first call, shared by all engines of one scan,
	// and closed after it: engines must not close it nor move its offset (ReadAt, or a
	// descriptor opened anew through /proc/self/fd).
	File func(ctx context.Context) (*os.File, error)
}

// Streamer judges a stream of bytes that is no object by itself: a member of an
// archive, or an upload on its way to the store. Engines that look for malware are
// Streamers, too. It is safe for concurrent use.
type Streamer interface {
	// Name is that of the engine.
	Name() string
	// Stream judges what r gives. size is -1 if it is not known. It returns early
	// when it knows enough (the caller then need not write on), and with an error as
	// Engine.Scan does.
	Stream(ctx context.Context, r io.Reader, size int64) (Result, error)
}

// Rendition is a clean copy that an engine made of an image.
type Rendition struct {
	registry.Rendition          // but for Blob, which the queue knows
	File               *os.File // Size bytes from offset 0; closed by whoever got the Result
}

// Result is what one engine concluded.
type Result struct {
	// Result is VerdictClean, VerdictInfected, VerdictRefused or
	// VerdictIncomplete. An error is returned as one.
	Result registry.VerdictResult
	// Reason is a word of a closed set ("size_mismatch"); "" when clean.
	Reason string
	// Signature is the engine's name for what it found.
	Signature string
	// Detected is the media type of the content, if the engine tells types.
	Detected string
	// SHA256 is the content's, hex, if the engine has read all of it and counts
	// it.
	SHA256 string
	// Version is the engine's and its signatures', for the record.
	Version string
	// Renditions are what the engine made of the object, for Queue.Keep.
	Renditions []Rendition
}

// Engine judges bytes. Scan may be called concurrently, reads in bounded memory,
// and returns soon after ctx ended.
type Engine interface {
	// Name is the engine's name in verdicts, e.g. "inspect".
	Name() string
	// Scan judges one object. It returns an error that wraps ErrDown when the
	// engine is down, and any other error when this object could not be
	// judged.
	Scan(ctx context.Context, in Input) (Result, error)
}

// Queue hands out objects to judge, one worker each, under a lease. All verbs
// but Claim return an error that wraps registry.ErrFenced when the claim is no
// longer the current one: what the worker did then does not count.
type Queue interface {
	// Claim takes the next object that is due. It returns an error that wraps
	// registry.ErrNotFound when there is none.
	Claim(ctx context.Context, worker string, lease time.Duration) (registry.Claim, error)
	// Content reads the claimed object's bytes from the first one.
	Content(ctx context.Context, c registry.Claim) (io.ReadCloser, error)
	// Keep stores a rendition of the claimed object and returns it with its blob. It
	// becomes the object's with Settle, if that comes; else it is swept.
	Keep(ctx context.Context, c registry.Claim, r registry.Rendition, body io.Reader) (registry.Rendition, error)
	// Renew makes the lease last its full time from now.
	Renew(ctx context.Context, c registry.Claim) error
	// Settle ends the claim with a verdict. The queue may still refuse what the
	// verdict calls clean: detected is the content's type, for its rules, and the
	// claim has the digest that was read.
	Settle(ctx context.Context, c registry.Claim, v registry.Verdict, detected string) error
	// Retry gives the object back, to be claimed again after that time. It
	// counts as a try, and the last one there is holds the object. cause is one
	// of this package's reasons.
	Retry(ctx context.Context, c registry.Claim, after time.Duration, cause string) error
	// Pause gives the object back without counting a try.
	Pause(ctx context.Context, c registry.Claim) error
}

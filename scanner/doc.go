// Package scanner judges: it takes objects from a queue, has engines look at
// their bytes and settles the verdict. It fails closed. An object leaves
// quarantine only by a verdict that every engine had a part in; an engine that
// cannot say gives a held object or another try, never a published one.
//
// The queue belongs to somebody else (the pipeline); engines stand in folders of
// their own, inspect being the one that is always on.
package scanner

import (
	"context"
	"errors"
	"io"
	"time"

	"sallyport/registry"
)

// ErrDown is what an engine returns, wrapped, when it cannot work at present: it
// is not started, not reachable, reloading. That is not a try of the object; the
// queue pauses until the engine answers again. Every other error is a try.
var ErrDown = errors.New("scanner: engine is down")

// Input is what an engine looks at.
type Input struct {
	// Object is the row as it was claimed: declared type, size and digest.
	Object registry.Object
	// Open reads the object from its first byte. Each engine opens its own
	// reader and closes it. Reads end with ctx.
	Open func(ctx context.Context) (io.ReadCloser, error)
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

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// Error classes of a transfer. Those of the ledger, policy and blob pass through
// wrapped, and so does whatever the body's own reader returned.
var (
	// ErrMissingLength: the length of the body was not declared.
	ErrMissingLength = errors.New("pipeline: length of the body is not declared")
	// ErrTooLong: the body is, or was declared, longer than allowed.
	ErrTooLong = errors.New("pipeline: body is too long")
	// ErrTooShort: the body was declared shorter than the session says.
	ErrTooShort = errors.New("pipeline: body is too short")
	// ErrContentType: the body is declared as of another type than the session's.
	ErrContentType = errors.New("pipeline: content type differs from the session's")
	// ErrIncompleteBody: the body ended before its declared length.
	ErrIncompleteBody = errors.New("pipeline: body ended early")
	// ErrInvalidDigest: a declared digest is malformed, of an unknown kind or
	// one too many.
	ErrInvalidDigest = errors.New("pipeline: declared digest is malformed")
	// ErrBadDigest: the bytes do not have the declared digest.
	ErrBadDigest = errors.New("pipeline: digest differs from the declared one")
	// ErrPayloadMismatch: the bytes do not have the SHA-256 that the request's
	// signature covers.
	ErrPayloadMismatch = errors.New("pipeline: payload differs from the signed one")
	// ErrNoSpace: there is no room for new bodies.
	ErrNoSpace = errors.New("pipeline: not enough space left")
	// ErrCut: what allowed the transfer was revoked or deleted meanwhile.
	ErrCut = errors.New("pipeline: transfer was cut by a revocation")
	// ErrTooManyWatches: the tenant has as many streams of events open as it can.
	ErrTooManyWatches = errors.New("pipeline: too many streams of events")
	// ErrUnavailable is blob's, for those who know the pipeline only: the store
	// of bytes is slow, overloaded or away.
	ErrUnavailable = blob.ErrUnavailable
	// ErrBytesMissing: the ledger vouches for bytes that the store does not
	// have.
	ErrBytesMissing = errors.New("pipeline: bytes of the object are missing")
)

// URLError is the refusal of a signed URL that was issued once: it says whose it
// is, so that the attempt can be put down to somebody.
type URLError struct {
	Grant registry.Grant
	Err   error
}

func (e *URLError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *URLError) Unwrap() error { return e.Err }

// ofURL adds to a refusal whose URL it is, as far as that is known.
func ofURL(g registry.Grant, err error) error {
	if err == nil || g.ID == "" {
		return err
	}
	return &URLError{Grant: g, Err: err}
}

// explainPut says what made a blob.Put fail: a revocation, the sender of the
// bytes, or the store.
func explainPut(ctx context.Context, err error) error {
	var src *blob.SourceError
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), ErrCut):
		return ErrCut
	case ctx.Err() != nil:
		return fmt.Errorf("put: %w", context.Cause(ctx))
	case errors.As(err, &src) && errors.Is(src.Err, blob.ErrTooLong):
		return ErrTooLong
	case errors.As(err, &src) && errors.Is(src.Err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrIncompleteBody, src.Err)
	case errors.As(err, &src):
		return src.Err
	case errors.Is(err, blob.ErrFull):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return fmt.Errorf("put: %w", err)
}

// ChecksumError is an ErrBadDigest that tells which checksum it was.
type ChecksumError struct{ Algorithm string }

func (e *ChecksumError) Error() string { return ErrBadDigest.Error() + ": " + e.Algorithm }

// Unwrap makes it an ErrBadDigest.
func (e *ChecksumError) Unwrap() error { return ErrBadDigest }

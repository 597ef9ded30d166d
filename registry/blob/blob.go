// Package blob says what a store of bytes must do for the rest of the house:
// hold immutable blobs under keys the server made, durably, in bounded memory.
// It is a contract with the few parts every implementation shares; the
// implementations are diskblob (a directory) and s3blob (an S3 service), and
// blobtest holds the conformance suite both pass.
//
// A store knows nothing of tenants, objects or states. It may hold bytes that
// the ledger does not vouch for: existence of bytes is never availability.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"strings"
	"time"
)

// MaxKeyLen is the longest Key in bytes: what fits one file name on every file
// system in use, escaped.
const MaxKeyLen = 240

// Key names a blob. It is made by the server, never from client input, and is
// written once: two puts never share a key.
//
// A key is one to MaxKeyLen bytes of [A-Za-z0-9_.-] and '/', the segments
// between slashes being neither empty nor "." nor "..".
//
// Keys must not reach a log, an error or a trace, so every way of printing one
// shows "…"; use string(key) where the bytes are meant.
type Key string

// String returns "…".
func (Key) String() string { return "…" }

// GoString returns "…".
func (Key) GoString() string { return "…" }

// LogValue implements slog.LogValuer and is "…".
func (Key) LogValue() slog.Value { return slog.StringValue("…") }

// Validate returns ErrBadKey if k is not a key as described at Key.
func (k Key) Validate() error {
	if k == "" || len(k) > MaxKeyLen {
		return ErrBadKey
	}
	for segment := range strings.SplitSeq(string(k), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return ErrBadKey
		}
	}
	for i := range len(k) {
		if !keyByte(k[i]) {
			return ErrBadKey
		}
	}
	return nil
}

func keyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '/' || c == '_' || c == '.' || c == '-'
}

// Error classes. Implementations wrap them; compare with errors.Is. Absence is
// fs.ErrNotExist and a key already taken is fs.ErrExist. No error of a store
// contains a key, a path, a bucket or a credential.
var (
	// ErrUnavailable: the backend is slow, overloaded, unreachable or broken.
	// Trying again later may help. After a Put or Move that failed so, the
	// outcome is unknown: the bytes may be there, or appear a little later.
	ErrUnavailable = errors.New("blob: backend unavailable")
	// ErrFull: the backend has no space left for this blob.
	ErrFull = errors.New("blob: backend full")
	// ErrCorrupt: what the backend holds is not what was sent.
	ErrCorrupt = errors.New("blob: stored bytes differ from those sent")
	// ErrRange: the range asked of Open begins outside the blob.
	ErrRange = errors.New("blob: range outside the blob")
	// ErrBadKey: the key breaks the rules at Key; a defect of the caller.
	ErrBadKey = errors.New("blob: malformed key")
	// ErrTooLong is inside a SourceError: the reader held more than size bytes.
	ErrTooLong = errors.New("blob: more bytes than announced")
)

// Info describes a stored blob.
type Info struct {
	Size    int64     // bytes
	ModTime time.Time // when it was stored or moved, by the backend's clock
}

// Entry is one blob of a List.
type Entry struct {
	Key Key
	Info
}

// Store holds blobs. All methods may be called concurrently, and every one
// returns soon after ctx ends, with an error that wraps ctx's.
type Store interface {
	// Put stores exactly size bytes of r under key. Once it returned nil the
	// blob survives a crash and a power loss.
	//
	// After the last byte Put asks r for its end, before the blob is complete:
	// a reader that verifies a digest or a trailer there has the last word.
	// Whatever goes wrong with r is returned as a *SourceError: its own error,
	// io.ErrUnexpectedEOF if it ends early, ErrTooLong if it goes on (one byte
	// beyond size may then have been read, never more). Nothing becomes
	// visible under key then.
	//
	// Put on a key that exists fails with fs.ErrExist and leaves the stored
	// blob as it is. (An S3 service that ignores If-None-Match replaces it;
	// keys being written once, nobody should notice.)
	//
	// Put never touches r after it returned. To return while a Read of r
	// blocks, it needs r to be an Interrupter.
	//
	// If we die in a Put, bytes may be left under key, even truncated ones:
	// the caller must have recorded the key before, and delete it.
	Put(ctx context.Context, key Key, r io.Reader, size int64) (Info, error)

	// Open returns n bytes of the blob from offset off; n < 0 means all to the
	// end, and a range that passes the end stops there. off equal to the size
	// gives an empty Reader; a negative off or one past the size is ErrRange.
	Open(ctx context.Context, key Key, off, n int64) (Reader, error)

	// Stat returns size and time of the blob.
	Stat(ctx context.Context, key Key) (Info, error)

	// Move renames a blob, durably once it returned nil. It can be repeated
	// after any failure: with the source gone and the destination present it
	// is done, and with both present and of the same size the source goes.
	// Both present and different is fs.ErrExist, neither is fs.ErrNotExist.
	Move(ctx context.Context, from, to Key) error

	// Delete removes a blob, durably once it returned nil. Absent is nil.
	Delete(ctx context.Context, key Key) error

	// List yields every blob whose key begins with prefix (any string, "" for
	// all), in no particular order and in bounded memory. Blobs that come or go
	// meanwhile may be seen or missed. An error ends the sequence.
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]

	// Check tells if the backend can be reached and written to; for readiness.
	Check(ctx context.Context) error
}

// Reader reads one range of one blob. It is for one goroutine, must be closed,
// and gives io.ErrUnexpectedEOF rather than io.EOF if the bytes end early.
type Reader interface {
	io.ReadCloser
	// Info describes the whole blob, not the range.
	Info() Info
	// Len returns the length in bytes of the range, whatever was read of it.
	Len() int64
}

// FileRange is a Reader whose bytes lie in a file, so that they can be sent
// without passing through memory.
type FileRange interface {
	Reader
	// File returns the file and the range [off, off+n) of it. The file's own
	// position stands at off until the first Read; reading the file directly
	// and reading the Reader exclude each other (ReadAt never disturbs).
	// Closing the Reader closes the file.
	File() (f *os.File, off, n int64)
}

// Spacer is a Store that knows how much room is left.
type Spacer interface {
	// Free returns how many bytes can still be written.
	Free() (uint64, error)
}

// Finding is one result of a Doctor.
type Finding struct {
	Check   string // what was looked at, e.g. "bucket versioning"
	Problem string // what is wrong and what to do about it; empty = in order
}

// Doctor is a Store that can judge how its backend is set up.
type Doctor interface {
	// Doctor looks at the backend, which may write and delete a probe, and
	// returns one finding per check, problem or not.
	Doctor(ctx context.Context) []Finding
}

// Interrupter is a source of bytes whose blocked Read can be ended by another
// goroutine, e.g. a connection with a read deadline. Put calls Interrupt when
// its context ends or the backend answers before the body was read.
type Interrupter interface {
	// Interrupt makes the Read under way and every later one return an error
	// at once. It may be called more than once, and while Read runs.
	Interrupt()
}

// MD5er is a source of bytes that knows their MD5 once it gave io.EOF. A store
// whose backend tells the MD5 of what it stored can compare the two and needs no
// other checksum.
type MD5er interface {
	// MD5 is called after the last Read; nil means that it is not known.
	MD5() []byte
}

// SourceError says that Put failed because of the reader it was given, not
// because of the backend: the fault lies with whoever sends the bytes.
type SourceError struct {
	Err error // what Read returned, io.ErrUnexpectedEOF or ErrTooLong
}

func (e *SourceError) Error() string { return fmt.Sprintf("blob: source: %v", e.Err) }

func (e *SourceError) Unwrap() error { return e.Err }

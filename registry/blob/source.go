package blob

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// errReleased is what a Source gives to a reader that outlived its Put.
var errReleased = errors.New("blob: source released")

// Source is the reader of a Put with the rules of Store.Put applied: exactly
// size bytes, the end asked for before the last of them is handed out, and no
// touch of the underlying reader after Release. Implementations of Store read
// through one, so that none has to invent the rules again.
//
// An HTTP client may sit in Read after its request has ended (an early answer,
// a cancelled context), while the reader below belongs to a connection that is
// about to be used for something else. Release waits such a Read out, ending
// it first if the reader is an Interrupter.
type Source struct {
	size     int64
	begun    atomic.Bool // r was or is being read
	released atomic.Bool
	forget   func() bool // stops watching the context

	endMu sync.Mutex  // held while the reader is interrupted
	end   Interrupter // the reader if it is one; nil after Release

	mu   sync.Mutex // held while r is read; protects the fields below
	r    io.Reader  // nil after Release
	n    int64      // bytes read of r, at most size
	done bool       // r said io.EOF after exactly size bytes
	err  error      // sticky: *SourceError
	one  [1]byte    // where confirm reads to
}

// NewSource returns the Source of one Put, to be ended with Release. When ctx
// ends, a blocked Read is interrupted if r is an Interrupter.
func NewSource(ctx context.Context, r io.Reader, size int64) *Source {
	s := &Source{r: r, size: size}
	s.end, _ = r.(Interrupter)
	s.forget = context.AfterFunc(ctx, s.interrupt)
	return s
}

func (s *Source) interrupt() {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	if s.end != nil {
		s.end.Interrupt()
	}
}

// Read implements io.Reader. It gives io.EOF after size bytes whose end was
// confirmed by the underlying reader, else a *SourceError. The bytes that
// complete the blob are handed out only once that end is confirmed.
func (s *Source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.released.Load():
		return 0, errReleased
	case s.err != nil:
		return 0, s.err
	case s.done:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	s.begun.Store(true)
	if s.n == s.size { // an empty blob, or size 0 left by a Read before
		return 0, s.confirm()
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.size-s.n)])
	s.n += int64(n)
	switch {
	case err == io.EOF && s.n == s.size:
		s.done = true
		return n, io.EOF
	case err == io.EOF:
		return n, s.fail(io.ErrUnexpectedEOF)
	case err != nil:
		return n, s.fail(err)
	case s.n < s.size:
		return n, nil
	}
	if err := s.confirm(); err != io.EOF {
		return 0, err
	}
	return n, io.EOF
}

// confirm asks the reader for its end. Readers may return nothing and nil a
// few times; as in bufio, a hundred of those are no progress.
func (s *Source) confirm() error {
	for range 100 {
		n, err := s.r.Read(s.one[:])
		switch {
		case n > 0:
			return s.fail(ErrTooLong)
		case err == io.EOF:
			s.done = true
			return io.EOF
		case err != nil:
			return s.fail(err)
		}
	}
	return s.fail(io.ErrNoProgress)
}

func (s *Source) fail(err error) error {
	if s.released.Load() { // our interrupt, not the source's doing
		return errReleased
	}
	s.err = &SourceError{Err: err}
	return s.err
}

// Err returns the *SourceError that ended the reading, or nil. It waits for a
// Read under way.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Untouched reports whether no Read of the reader was begun, so that the Put
// may still start over.
func (s *Source) Untouched() bool { return !s.begun.Load() }

// Release ends the use of the reader: once it returned, no Read of it is under
// way and none will follow. It may be called more than once.
func (s *Source) Release() {
	s.forget()
	s.released.Store(true)
	if !s.mu.TryLock() {
		s.interrupt() // sticky by contract: once is enough
		s.mu.Lock()
	}
	s.r = nil
	s.mu.Unlock()
	s.endMu.Lock() // an interrupt by the context may still be running
	s.end = nil
	s.endMu.Unlock()
}

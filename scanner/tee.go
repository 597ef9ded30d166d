package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sallyport/registry"
)

// tee is a body's copy on its way to engines.
type tee struct {
	size    int64
	end     func() // gives back what it took; may be called again
	streams []*stream
	n       int64   // bytes written
	cut     *stream // the engine that made the rest useless; nil if none did
}

// stream is one engine's copy. There is no buffer between: memory is bounded by what
// engines hold of their own.
type stream struct {
	engine string
	w      *io.PipeWriter
	deaf   bool // wants no more
	done   chan struct{}
	result Result // from done on
	err    error
}

// errGivenUp ends streams of a body that is not going to be stored.
var errGivenUp = errors.New("scanner: body was given up")

// listen has an engine judge a stream that is yet to be written.
func (p *Panel) listen(ctx context.Context, e Streamer, size int64) *stream {
	r, w := io.Pipe()
	s := &stream{engine: e.Name(), w: w, done: make(chan struct{})}
	go func() {
		s.result, s.err = p.ask(ctx, s.engine, func() (Result, error) { return e.Stream(ctx, r, size) })
		close(s.done)
		// Whoever writes is not to wait for an engine that is done.
		r.CloseWithError(io.ErrClosedPipe)
	}()
	return s
}

// errDecided ends a body that is not going to be published.
var errDecided = errors.New("scanner: an engine has decided")

// Write implements io.Writer. It fails once an engine has said what makes the rest of
// the body useless, and waits for the slowest until then.
func (t *tee) Write(p []byte) (int, error) {
	t.n += int64(len(p))
	for _, s := range t.streams {
		if !s.deaf {
			_, err := s.w.Write(p)
			s.deaf = err != nil
		}
		if s.decided() {
			t.cut = s
			return 0, errDecided
		}
	}
	if t.n == t.size {
		// Engines judge while the store makes sure of the bytes. Should these turn out to be
		// others than were declared, nobody asks what engines said.
		t.finish()
	}
	return len(p), nil
}

// finish tells engines that they have heard all.
func (t *tee) finish() {
	for _, s := range t.streams {
		s.w.Close()
	}
}

// decided tells whether the engine needs no more to be against it: it is down, or what
// it heard is not clean.
func (s *stream) decided() bool {
	select {
	case <-s.done:
	default:
		return false
	}
	return errors.Is(s.err, ErrDown) || s.err == nil && s.result.Result != registry.VerdictClean
}

// Close implements io.Closer. It does not wait for the engines.
func (t *tee) Close() error {
	for _, s := range t.streams {
		s.w.CloseWithError(errGivenUp)
	}
	t.end()
	return nil
}

// hear ends a body and returns what engines said of it. One that failed on it is not
// among them: it is asked once more, as of any object. But one that is down would keep the
// client waiting twice.
func (t *tee) hear(ctx context.Context) (map[string]Result, error) {
	defer t.end()
	heard := map[string]Result{}
	if t.cut != nil {
		t.Close()
		return heard, t.cut.tell(heard)
	}
	if t.n != t.size {
		t.Close()
		return nil, fmt.Errorf("%w: %d bytes of %d were heard", errSize, t.n, t.size)
	}
	t.finish()
	for _, s := range t.streams {
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if err := s.tell(heard); err != nil {
			return nil, err
		}
	}
	return heard, nil
}

// tell adds what the engine said, now that it has.
func (s *stream) tell(heard map[string]Result) error {
	switch {
	case s.err == nil:
		heard[s.engine] = s.result
	case errors.Is(s.err, ErrDown):
		return fmt.Errorf("%s: %w", s.engine, s.err)
	}
	return nil
}

package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// tee is a body's copy on its way to engines.
type tee struct {
	size    int64
	end     func() // gives back what it took; may be called again
	streams []*stream
	n       int64 // bytes written
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
		defer close(s.done)
		s.result, s.err = p.ask(ctx, s.engine, func() (Result, error) { return e.Stream(ctx, r, size) })
		// Whoever writes is not to wait for an engine that is done.
		r.CloseWithError(io.ErrClosedPipe)
	}()
	return s
}

// Write implements io.Writer and returns no error.
func (t *tee) Write(p []byte) (int, error) {
	for _, s := range t.streams {
		if s.deaf {
			continue
		}
		_, err := s.w.Write(p)
		s.deaf = err != nil
	}
	t.n += int64(len(p))
	return len(p), nil
}

// Close implements io.Closer. It does not wait for the engines.
func (t *tee) Close() error {
	for _, s := range t.streams {
		s.w.CloseWithError(errGivenUp)
	}
	t.end()
	return nil
}

// heardFrom ends a body and returns what engines said of it. One that failed on it is
// not among them: it is asked once more, as of any object. But one that is down would
// keep the client waiting twice.
func heardFrom(ctx context.Context, body io.WriteCloser) (map[string]Result, error) {
	heard := map[string]Result{}
	t, ok := body.(*tee)
	if !ok {
		return heard, nil
	}
	defer t.end()
	if t.n != t.size {
		t.Close()
		return nil, fmt.Errorf("%w: %d bytes of %d were heard", errSize, t.n, t.size)
	}
	for _, s := range t.streams {
		s.w.Close()
	}
	for _, s := range t.streams {
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case s.err == nil:
			heard[s.engine] = s.result
		case errors.Is(s.err, ErrDown):
			return nil, fmt.Errorf("%s: %w", s.engine, s.err)
		}
	}
	return heard, nil
}

package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// freshTimeout bounds what must still happen after the caller's context ended.
const freshTimeout = 30 * time.Second

// fresh returns a context that survives its parent's end, for giving back what
// was taken.
func fresh(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), freshTimeout)
}

// failed counts an error of the store that is not the sender's doing and not
// plain absence.
func (p *Pipeline) failed(op string, err error) {
	var src *blob.SourceError
	switch {
	case err == nil, errors.As(err, &src), errors.Is(err, fs.ErrNotExist),
		errors.Is(err, context.Canceled), errors.Is(err, ErrCut):
		return
	}
	p.m.backend.WithLabelValues(op).Inc()
}

// space returns ErrNoSpace if a body of n bytes would leave less than the
// minimum.
func (p *Pipeline) space(n int64) error {
	s, ok := p.cfg.Blobs.(blob.Spacer)
	if !ok {
		return nil
	}
	free, err := s.Free()
	if err != nil {
		p.failed("free", err)
		return err
	}
	if free < p.cfg.MinFree || free-p.cfg.MinFree < uint64(max(n, 0)) {
		return ErrNoSpace
	}
	return nil
}

// keyGuard knows which keys of the store are being worked on, so that Sweep does
// not delete bytes that are about to appear: a session can be aborted, an object
// deleted, while its Put or Move still runs.
type keyGuard struct {
	mu    sync.Mutex // protects the fields below
	users map[registry.BlobKey]int
	until map[registry.BlobKey]time.Time // outcome unknown: leave alone
}

// hold marks keys as in use until release is called.
func (g *keyGuard) hold(keys ...registry.BlobKey) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users == nil {
		g.users = map[registry.BlobKey]int{}
	}
	for _, k := range keys {
		g.users[k]++
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, k := range keys {
			if g.users[k]--; g.users[k] == 0 {
				delete(g.users, k)
			}
		}
	}
}

// linger keeps a key from being deleted until then.
func (g *keyGuard) linger(k registry.BlobKey, then time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until == nil {
		g.until = map[registry.BlobKey]time.Time{}
	}
	g.until[k] = then
}

// busy tells whether a key is in use or lingers.
func (g *keyGuard) busy(k registry.BlobKey, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	then, lingers := g.until[k]
	if lingers && !now.Before(then) {
		delete(g.until, k)
		lingers = false
	}
	return lingers || g.users[k] > 0
}

// inFlight is a set of things that one goroutine at a time works on.
type inFlight[T comparable] struct {
	mu  sync.Mutex // protects the fields below
	set map[T]struct{}
}

// enter returns false if somebody else works on x.
func (f *inFlight[T]) enter(x T) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, taken := f.set[x]; taken {
		return false
	}
	if f.set == nil {
		f.set = map[T]struct{}{}
	}
	f.set[x] = struct{}{}
	return true
}

func (f *inFlight[T]) leave(x T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.set, x)
}

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

// unsettled are keys whose bytes may still appear after a call of the store has
// failed: a request that timed out may yet be carried out. Sweep leaves them alone
// for a while, or it would delete too early and the bytes would stay for ever.
type unsettled struct {
	mu    sync.Mutex // protects the field below
	until map[registry.BlobKey]time.Time
}

// add leaves a key alone until then.
func (u *unsettled) add(k registry.BlobKey, then time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.until == nil {
		u.until = map[registry.BlobKey]time.Time{}
	}
	u.until[k] = then
}

// has tells whether a key has to be left alone, and forgets it once it has not.
func (u *unsettled) has(k registry.BlobKey, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	then, ok := u.until[k]
	if ok && !now.Before(then) {
		delete(u.until, k)
		return false
	}
	return ok
}

// unsure remembers a key whose call failed so that it may still take effect.
func (p *Pipeline) unsure(k registry.BlobKey, err error) {
	if errors.Is(err, blob.ErrUnavailable) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrCut) {
		p.unsettled.add(k, p.cfg.Now().Add(p.cfg.Linger))
	}
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

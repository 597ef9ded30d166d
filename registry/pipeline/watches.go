package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/policy"
)

const (
	// maxWatches is how many streams of events a tenant can have open.
	maxWatches = 64
	// watchPage is how many notices are read at once.
	watchPage = 100
	// watchRest bounds how often the ledger is read for one stream: what happens within
	// it is read together.
	watchRest = 100 * time.Millisecond
)

// watches counts the open streams of each tenant.
type watches struct {
	mu   sync.Mutex // protects the field below
	open map[registry.TenantName]int
}

func (w *watches) enter(t registry.TenantName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = map[registry.TenantName]int{}
	}
	if w.open[t] >= maxWatches {
		return false
	}
	w.open[t]++
	return true
}

func (w *watches) leave(t registry.TenantName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[t]--; w.open[t] <= 0 {
		delete(w.open, t)
	}
}

// Watch is a stream of what happens in a tenant. It is for one goroutine, stands in the
// table of transfers and must be closed.
type Watch struct {
	p     *Pipeline
	actor registry.Actor
	own   bool // only what its principal created
	next  uint64
	read  time.Time // when the ledger was read last
	entry *transfer
	over  chan struct{} // closed by a revocation
}

// WatchFrom says where a stream begins.
type WatchFrom struct {
	// Seq is that of the first event. The zero value begins with what happens next.
	Seq   uint64
	Given bool
}

// Watch opens a stream of what happens in the actor's tenant, or of what becomes of its
// own uploads if it may see no more. When what allowed it is revoked it ends, and cut is
// called, which must not block; it may be nil. ErrTooManyWatches.
func (p *Pipeline) Watch(ctx context.Context, actor registry.Actor, from WatchFrom, cut func()) (*Watch, error) {
	w, err := p.watch(ctx, actor, from, cut)
	if err != nil {
		return nil, p.refuse("watch", fmt.Errorf("watch: %w", err))
	}
	return w, nil
}

func (p *Pipeline) watch(ctx context.Context, actor registry.Actor, from WatchFrom, cut func()) (*Watch, error) {
	if err := policy.Allow(actor, policy.ReadEvents, actor.Principal); err != nil {
		return nil, err
	}
	w := &Watch{p: p, actor: actor, own: policy.ScopeOf(actor, policy.ReadEvents) != policy.Whole, next: from.Seq, over: make(chan struct{})}
	if !from.Given {
		var err error
		if w.next, err = p.ledger.AuditSize(ctx); err != nil {
			return nil, err
		}
	}
	if !p.watches.enter(actor.Tenant) {
		return nil, ErrTooManyWatches
	}
	if err := w.enter(cut); err != nil {
		p.watches.leave(actor.Tenant)
		return nil, err
	}
	return w, nil
}

// enter puts the stream into the table of transfers.
func (w *Watch) enter(cut func()) error {
	s := subject{tenant: w.actor.Tenant, principal: w.actor.Principal, credential: w.actor.Credential}
	for range maxLooks {
		seen := w.p.transfers.look()
		if err := w.p.transfers.allowed(s); err != nil {
			return err
		}
		w.entry = w.p.transfers.enter(seen, s, func() {
			close(w.over)
			if cut != nil {
				cut()
			}
		})
		if w.entry != nil {
			return nil
		}
	}
	return blob.ErrUnavailable
}

// Next returns what has happened since the last call, or else waits for something to
// happen, for at most wait: then it returns nothing. ErrCut, registry.ErrNotFound (a
// token that is over) and ctx's error end the stream.
func (w *Watch) Next(ctx context.Context, wait time.Duration) ([]registry.Notice, error) {
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		if err := w.rest(ctx); err != nil {
			return nil, err
		}
		news := w.p.ledger.News()
		found, more, err := w.look(ctx)
		if err != nil || len(found) > 0 {
			return found, err
		}
		if more {
			continue
		}
		select {
		case <-w.over:
			return nil, ErrCut
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return nil, w.p.ledger.StillProved(ctx, w.actor)
		case <-news:
		}
	}
}

// rest waits until the ledger may be read again.
func (w *Watch) rest(ctx context.Context) error {
	now := w.p.cfg.Now()
	timer := time.NewTimer(w.read.Add(watchRest).Sub(now))
	defer timer.Stop()
	select {
	case <-w.over:
		return ErrCut
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	w.read = w.p.cfg.Now()
	return nil
}

// look reads on in the ledger, as long as the actor may. A token that is over is cut by
// nobody. more says that there is more to read.
func (w *Watch) look(ctx context.Context) (found []registry.Notice, more bool, err error) {
	if err := w.p.ledger.StillProved(ctx, w.actor); err != nil {
		return nil, false, err
	}
	size, err := w.p.ledger.AuditSize(ctx)
	if err != nil {
		return nil, false, err
	}
	all, next, err := w.p.ledger.Notices(ctx, w.actor.Tenant, w.next, watchPage)
	if err != nil {
		return nil, false, err
	}
	for _, n := range all {
		mine, err := w.mayKnow(ctx, n)
		if err != nil {
			return nil, false, err
		}
		if mine {
			found = append(found, n)
		}
	}
	w.next = max(w.next, next)
	return found, w.next < size, nil
}

// mayKnow tells whether a notice is for the actor.
func (w *Watch) mayKnow(ctx context.Context, n registry.Notice) (bool, error) {
	if !w.own {
		return true, nil
	}
	o, err := w.p.ledger.Object(ctx, n.Tenant, n.Object)
	return err == nil && o.Principal == w.actor.Principal, err
}

// Close ends the stream.
func (w *Watch) Close() {
	w.p.transfers.leave(w.entry)
	w.p.watches.leave(w.actor.Tenant)
}

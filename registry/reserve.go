package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	defaultIntentBlock = 256
	firstIntentBlock   = 8
	// intentAge is how old a reserved key may get before it is used: ids tell
	// the time, and lists are ordered by them.
	intentAge = 30 * time.Second
)

// Intent is a key that bytes may be written under: the ledger knows it.
type Intent struct {
	Tenant TenantName
	Object ObjectID // the id that PutObject will use
	Epoch  uint64
	Key    BlobKey
}

// ReserveBlob returns a registered key for a direct put. Keys are registered in
// blocks ahead of need, so that usually nothing is committed. PutObject or
// ReleaseBlob ends it. ErrNotFound for an unknown tenant.
func (l *Ledger) ReserveBlob(ctx context.Context, tenant TenantName) (Intent, error) {
	i, err := l.intents.take(ctx, tenant)
	if err != nil {
		return Intent{}, fmt.Errorf("reserve blob: %w", err)
	}
	return i, nil
}

// ReleaseBlob ends an intent that came to nothing: what was written under its
// key becomes garbage. One that PutObject has settled is left alone.
func (l *Ledger) ReleaseBlob(ctx context.Context, i Intent) error {
	err := l.update(ctx, func(t *txn) error {
		return t.condemn(i.Epoch, i.Key)
	})
	if err != nil {
		return fmt.Errorf("release blob: %w", err)
	}
	return nil
}

// intentPool holds registered keys that nobody has taken yet. A tenant that
// writes much gets blocks of up to 256; one that writes now and then does not
// leave hundreds of rows behind each time.
type intentPool struct {
	l     *Ledger
	block int
	fills sync.WaitGroup

	mu      sync.Mutex // protects the fields below, and all of tenants
	tenants map[TenantName]*tenantIntents
	closed  bool
}

type tenantIntents struct {
	ready   []reserved
	stale   []reserved    // registered, too old to hand out: unregistered with the next block
	next    int           // size of the next block
	filling chan struct{} // closed when the block under way is there; nil when none is
	err     error         // of the last block
}

type reserved struct {
	Intent
	at time.Time
}

func newIntentPool(l *Ledger, block int) *intentPool {
	if block <= 0 {
		block = defaultIntentBlock
	}
	return &intentPool{l: l, block: block, tenants: make(map[TenantName]*tenantIntents)}
}

func (p *intentPool) take(ctx context.Context, tenant TenantName) (Intent, error) {
	for waited := false; ; waited = true {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return Intent{}, errClosed
		}
		q := p.tenants[tenant]
		if q == nil {
			q = &tenantIntents{next: min(firstIntentBlock, p.block)}
			p.tenants[tenant] = q
		}
		q.age(p.l.Now(), min(firstIntentBlock, p.block))
		if len(q.ready) > 0 {
			i := q.ready[0].Intent
			q.ready = q.ready[1:]
			if len(q.ready) < q.next/4 && q.filling == nil {
				p.fill(ctx, tenant, q)
			}
			p.mu.Unlock()
			return i, nil
		}
		if waited && q.err != nil && q.filling == nil {
			err := q.err
			q.err = nil
			if errors.Is(err, ErrNotFound) {
				delete(p.tenants, tenant) // names that do not exist take no room
			}
			p.mu.Unlock()
			return Intent{}, err
		}
		if q.filling == nil {
			p.fill(ctx, tenant, q)
		}
		filling := q.filling
		p.mu.Unlock()
		select {
		case <-filling:
		case <-ctx.Done():
			return Intent{}, ctx.Err()
		}
	}
}

// age sets keys aside that have become too old. Its lock is held.
func (q *tenantIntents) age(now time.Time, first int) {
	n := 0
	for n < len(q.ready) && now.Sub(q.ready[n].at) > intentAge {
		n++
	}
	if n > 0 {
		q.stale = append(q.stale, q.ready[:n]...)
		q.ready = q.ready[n:]
		q.next = first
	}
}

// fill registers the tenant's next block behind the caller's back. Its lock is
// held.
func (p *intentPool) fill(ctx context.Context, tenant TenantName, q *tenantIntents) {
	done := make(chan struct{})
	size, stale := q.next, q.stale
	q.filling, q.stale, q.err = done, nil, nil
	p.fills.Add(1)
	go func() {
		defer p.fills.Done()
		block, err := p.register(context.WithoutCancel(ctx), tenant, size, stale)
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil {
			q.stale, q.err = append(q.stale, stale...), err
		} else {
			q.ready = append(q.ready, block...)
			q.next = min(2*size, p.block)
		}
		q.filling = nil
		close(done)
	}()
}

// register commits a block of keys and takes unused ones back.
func (p *intentPool) register(ctx context.Context, tenant TenantName, size int, stale []reserved) ([]reserved, error) {
	now := p.l.Now()
	row, err := p.l.Tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	block := make([]reserved, size)
	for i := range block {
		id, err := p.l.ids.next(prefixObject, now)
		if err != nil {
			return nil, err
		}
		block[i] = reserved{at: now, Intent: Intent{
			Tenant: tenant, Object: ObjectID(id), Epoch: p.l.epoch, Key: acceptedKey(row.PathHash, now, ObjectID(id)),
		}}
	}
	err = p.l.update(ctx, func(t *txn) error {
		for _, r := range block {
			if err := t.register(r.Epoch, r.Key); err != nil {
				return err
			}
		}
		return t.unregister(stale)
	})
	return block, err
}

// unregister drops intents under whose keys nothing was written.
func (t *txn) unregister(unused []reserved) error {
	for _, r := range unused {
		if err := t.Delete(tIntents, intentKey(r.Epoch, r.Key)); err != nil {
			return err
		}
	}
	return nil
}

// close takes back what nobody used. If we die before, it is left to
// CondemnDeadIntents.
func (p *intentPool) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.fills.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var unused []reserved
	for _, q := range p.tenants {
		unused = append(append(unused, q.ready...), q.stale...)
	}
	clear(p.tenants)
	if len(unused) == 0 {
		return nil
	}
	return p.l.update(ctx, func(t *txn) error { return t.unregister(unused) })
}

var errClosed = errors.New("ledger is closed")

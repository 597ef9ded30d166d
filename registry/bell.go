package registry

import "sync"

// bell wakes whoever waits for new leaves of the audit log.
type bell struct {
	mu    sync.Mutex    // protects the field below
	rings chan struct{} // closed by the next ring; nil while nobody waits
}

// next returns a channel that is closed by the next ring.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rings == nil {
		b.rings = make(chan struct{})
	}
	return b.rings
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rings != nil {
		close(b.rings)
		b.rings = nil
	}
}

// News returns a channel that is closed once the audit log has leaves that it had not
// when News was called. Take it first and look afterwards: then nothing is missed.
func (l *Ledger) News() <-chan struct{} { return l.bell.next() }

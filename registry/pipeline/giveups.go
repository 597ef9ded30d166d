package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sallyport/registry"
)

// maxOwed bounds how many keys are remembered that could not be given back. Beyond it
// the next start finds them.
const maxOwed = 10_000

// owed are keys that could not be given back: the ledger did not take it. Sweep tries
// again. If we die, the next start finds their intents.
type owed struct {
	mu   sync.Mutex // protects the field below
	keys []registry.Intent
}

func (o *owed) add(keys ...registry.Intent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = append(o.keys, keys[:min(len(keys), maxOwed-len(o.keys))]...)
}

func (o *owed) take() []registry.Intent {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := o.keys
	o.keys = nil
	return keys
}

// giveUp gives a key back that nothing was committed under.
func (p *Pipeline) giveUp(ctx context.Context, intent registry.Intent) {
	ctx, cancel := fresh(ctx)
	defer cancel()
	if err := p.ledger.ReleaseBlob(ctx, intent); err != nil && !errors.Is(err, registry.ErrFenced) {
		p.log.ErrorContext(ctx, "intent not given back", "err", err)
		p.owed.add(intent)
	}
	p.sweepSoon()
}

// giveUpOwed tries again to give back what could not be.
func (p *Pipeline) giveUpOwed(ctx context.Context) error {
	keys := p.owed.take()
	for i, intent := range keys {
		if err := p.ledger.ReleaseBlob(ctx, intent); err != nil && !errors.Is(err, registry.ErrFenced) {
			p.owed.add(keys[i:]...)
			return fmt.Errorf("give up: %w", err)
		}
	}
	return nil
}

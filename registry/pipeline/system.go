package pipeline

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// AcceptClock is an operator's word that the time the wall clock shows is right
// although it leapt ahead: expiry and sweeps go on. Without a leap it changes
// nothing.
func (p *Pipeline) AcceptClock(ctx context.Context, actor registry.Actor) error {
	if err := policy.Allow(actor, policy.RunSystem, ""); err != nil {
		return p.refuse("system", fmt.Errorf("accept clock: %w", err))
	}
	if err := p.ledger.AcceptClock(ctx, actor); err != nil {
		return err
	}
	p.sweepSoon()
	return nil
}

package pipeline

import (
	"context"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// Batch is how many rows upkeep takes from the ledger at a time.
const Batch = batch

// PromoteDue is one round of Run.
func (p *Pipeline) PromoteDue(ctx context.Context) error { return p.promoteDue(ctx) }

// OpenExtents opens a range of an object's bytes.
func (p *Pipeline) OpenExtents(ctx context.Context, o registry.Object, off, n int64) (blob.Reader, error) {
	return p.openExtents(ctx, o, off, n)
}

// ChoirSize is how many bodies a choir hashes at most.
const ChoirSize = choirSize

// FreeLanes returns how many lanes nobody has.
func (p *Pipeline) FreeLanes() int { return int(p.lanes.free.Load()) }

// Voices returns how many members the choir has.
func (p *Pipeline) Voices() int {
	p.lanes.choir.mu.Lock()
	defer p.lanes.choir.mu.Unlock()
	return p.lanes.choir.members
}

// Running returns how many transfers stand in the table.
func (p *Pipeline) Running() int { return p.transfers.count() }

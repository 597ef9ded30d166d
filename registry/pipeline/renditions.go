package pipeline

import (
	"context"
	"fmt"
	"io"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// keepRendition stores a rendition's bytes under a key that the ledger knows. It
// becomes the object's with SettleScan; else dropRenditions is owed.
func (p *Pipeline) keepRendition(ctx context.Context, c registry.Claim, r registry.Rendition, body io.Reader) (registry.Rendition, error) {
	intent, err := p.ledger.ReserveBlob(ctx, c.Object.Tenant)
	if err != nil {
		return registry.Rendition{}, fmt.Errorf("rendition: %w", err)
	}
	if _, err := p.cfg.Blobs.Put(ctx, blob.Key(intent.Key), body, r.Size); err != nil {
		p.failed("put", err)
		p.unsure(intent.Key, err)
		p.giveUp(ctx, intent)
		return registry.Rendition{}, fmt.Errorf("rendition: %w", err)
	}
	r.Blob = intent.Key
	return r, nil
}

package main

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// partsPage is how many parts or uploads are read at a time.
const partsPage = 1000

// checkSessionParts looks for the stored parts of a session. One that is over has
// none: they are the object's, or gone.
func (f *fsck) checkSessionParts(ctx context.Context, u *registry.Upload) error {
	for after, more := 0, true; more; {
		var parts []registry.Part
		var err error
		parts, more, err = f.node.ledger.SessionParts(ctx, u.Tenant, u.ID, after, partsPage)
		for i := 0; i < len(parts) && err == nil; i++ {
			err = f.checkPart(ctx, &parts[i], string(u.ID), u.Tenant)
			after = parts[i].Number
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// findDamagedParts goes through the multipart uploads of a tenant that were not
// completed.
func (f *fsck) findDamagedParts(ctx context.Context, tenant registry.TenantName) error {
	buckets, err := f.node.ledger.Buckets(ctx, tenant)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		for q := (registry.MultipartsQuery{Max: partsPage}); ; {
			page, err := f.node.ledger.Multiparts(ctx, tenant, b.Name, q)
			for i := 0; i < len(page.Uploads) && err == nil; i++ {
				err = f.checkMultipart(ctx, &page.Uploads[i])
			}
			if err != nil {
				return err
			}
			if !page.Truncated {
				break
			}
			q.AfterKey, q.AfterID = page.NextKey, page.NextID
		}
	}
	return nil
}

func (f *fsck) checkMultipart(ctx context.Context, m *registry.Multipart) error {
	for after, more := 0, true; more; {
		var parts []registry.Part
		var err error
		parts, more, err = f.node.ledger.Parts(ctx, m.Tenant, m.ID, after, partsPage)
		for i := 0; i < len(parts) && err == nil; i++ {
			err = f.checkPart(ctx, &parts[i], string(m.ID), m.Tenant)
			after = parts[i].Number
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPart looks for the bytes of a part, which may be runs of shared blobs.
func (f *fsck) checkPart(ctx context.Context, p *registry.Part, id string, tenant registry.TenantName) error {
	for _, x := range p.Extents {
		problem, err := f.stat(ctx, blob.Key(x.Blob), x.Offset+x.Length)
		if err != nil {
			return err
		}
		if problem != "" {
			f.damaged(fmt.Sprintf("part %d: %s", p.Number, problem), id, tenant, p.Size)
			return nil
		}
	}
	return nil
}

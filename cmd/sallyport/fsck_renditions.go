package main

import (
	"context"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// checkRenditions looks for what was made of a picture. A lost one is no lost object:
// inspecting the object again makes it anew.
func (f *fsck) checkRenditions(ctx context.Context, o *registry.Object) error {
	if o.Renditions == 0 {
		return nil
	}
	list, err := f.node.ledger.Renditions(ctx, o.Tenant, o.ID)
	if err != nil {
		return err
	}
	for _, r := range list {
		problem, err := f.stat(ctx, blob.Key(r.Blob), r.Size)
		if err == nil && problem == "" && f.content {
			problem, err = f.read(ctx, &registry.Object{
				Size: r.Size, SHA256: r.SHA256, Extents: []registry.Extent{{Blob: r.Blob, Length: r.Size}},
			})
		}
		if err != nil {
			return err
		}
		if problem != "" {
			f.damaged("of its rendition "+r.Name+", "+problem, string(o.ID), o.Tenant, r.Size)
		}
	}
	return nil
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Renditions belong to an object that may be shown: they come with its clean verdict
// and go when it is rejected or deleted (see apply). A copy has those of its source.
// Their blobs' keys name no object, so each has rows of references (refs.go).

// maxRenditions bounds what one claim may settle.
const maxRenditions = 32

// renditionRow is the row of an object's renditions.
type renditionRow struct{ List []Rendition }

func (r *renditionRow) fields(c *codec) {
	list(c, &r.List, func(x *Rendition) {
		text(c, &x.Name)
		text(c, &x.ContentType)
		whole(c, &x.Width)
		whole(c, &x.Height)
		whole(c, &x.Size)
		text(c, &x.SHA256)
		text(c, &x.Blob)
	})
}

// Renditions lists what was made of an object, in the order that the engine made them.
// ErrNotFound for an unknown object; one without any has none.
func (l *Ledger) Renditions(ctx context.Context, tenant TenantName, id ObjectID) ([]Rendition, error) {
	var found []Rendition
	err := l.view(ctx, func(t *txn) error {
		o, err := t.object(tenant, id)
		if err == nil && o.Marker {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		found, err = t.renditions(&o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("renditions: %w", err)
	}
	return found, nil
}

func (t *txn) renditions(o *Object) ([]Rendition, error) {
	if o.Renditions == 0 {
		return nil, nil
	}
	var row renditionRow
	if err := t.load(tRenditions, keyOf(o.Tenant, string(o.ID)), &row); err != nil {
		return nil, err
	}
	return row.List, nil
}

// rendition returns one of an object's renditions, or ErrNotFound.
func (t *txn) rendition(o *Object, name string) (Rendition, error) {
	have, err := t.renditions(o)
	if err != nil {
		return Rendition{}, err
	}
	i := slices.IndexFunc(have, func(r Rendition) bool { return r.Name == name })
	if i < 0 {
		return Rendition{}, ErrNotFound
	}
	return have[i], nil
}

// settleRenditions gives an object what its claim made, in place of what it had.
// Without a clean verdict what was made becomes garbage.
func (t *txn) settleRenditions(o *Object, v Verdict, made []Rendition) error {
	if v.Result != VerdictClean {
		for _, r := range made {
			if err := t.condemn(t.l.epoch, r.Blob); err != nil {
				return err
			}
		}
		return nil
	}
	if err := validRenditions(made); err != nil {
		return err
	}
	had, err := t.renditions(o)
	if err != nil {
		return err
	}
	kept := make([]Rendition, len(made))
	for i, r := range made {
		kept[i] = r
		same := r
		j := slices.IndexFunc(had, func(h Rendition) bool { same.Blob = h.Blob; return h == same })
		if j >= 0 {
			// Made again of the same bytes: whoever reads the first goes on.
			kept[i] = had[j]
			had = slices.Delete(had, j, j+1)
			err = t.condemn(t.l.epoch, r.Blob)
		} else {
			err = errors.Join(t.settle(t.l.epoch, r.Blob), t.refer(r.Blob, o.ID, 1))
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(t.unreferRenditions(o, had), t.putRenditions(o, kept))
}

func validRenditions(list []Rendition) error {
	if len(list) > maxRenditions {
		return fmt.Errorf("%w: more than %d renditions", ErrInvalid, maxRenditions)
	}
	for i, r := range list {
		switch {
		case r.Name == "" || !isWord(r.Name), r.Blob == "", r.Size < 0, r.Width < 0, r.Height < 0, len(r.ContentType) > maxDetectedLen:
			return fmt.Errorf("%w: rendition", ErrInvalid)
		case slices.ContainsFunc(list[:i], func(other Rendition) bool { return other.Name == r.Name || other.Blob == r.Blob }):
			return fmt.Errorf("%w: a rendition stands twice", ErrInvalid)
		}
	}
	return nil
}

// putRenditions writes the row of an object's renditions; the object's own is the
// caller's to write.
func (t *txn) putRenditions(o *Object, list []Rendition) error {
	had := o.Renditions
	o.Renditions = len(list)
	key := keyOf(o.Tenant, string(o.ID))
	switch {
	case len(list) > 0:
		return t.put(tRenditions, key, &renditionRow{list})
	case had > 0:
		return t.Delete(tRenditions, key)
	}
	return nil
}

func (t *txn) unreferRenditions(o *Object, list []Rendition) error {
	for _, r := range list {
		if err := t.unrefer(r.Blob, o.ID); err != nil {
			return err
		}
	}
	return nil
}

// copyRenditions lets a copy have what its source has, before it takes its place.
func (t *txn) copyRenditions(o, source *Object) error {
	list, err := t.renditions(source)
	if err != nil || len(list) == 0 {
		return err
	}
	o.Tenant = source.Tenant
	for _, r := range list {
		if err := t.refer(r.Blob, o.ID, 1); err != nil {
			return err
		}
	}
	return t.putRenditions(o, list)
}

// dropRenditions gives up what was made of an object that nobody may be shown any
// more.
func (t *txn) dropRenditions(x stateful) error {
	o, ok := x.(*Object)
	if !ok || o.Renditions == 0 || o.State != ObjectRejected && o.State != ObjectDeleted {
		return nil
	}
	list, err := t.renditions(o)
	if err != nil {
		return err
	}
	return errors.Join(t.unreferRenditions(o, list), t.putRenditions(o, nil))
}

// renditionsOf checks that an object has the renditions that its row counts.
func (c *checker) renditionsOf(o *Object) error {
	if o.Renditions == 0 {
		return nil
	}
	c.counts[tRenditions]++
	if o.State == ObjectRejected || o.State == ObjectDeleted || o.Marker {
		c.report("object %s is %s and has renditions", o.ID, o.State)
	}
	list, err := c.renditions(o)
	if errors.Is(err, ErrNotFound) {
		c.report("the renditions of object %s are forgotten", o.ID)
		return nil
	}
	if err == nil && len(list) != o.Renditions {
		c.report("object %s has %d renditions and counts %d", o.ID, len(list), o.Renditions)
	}
	return err
}

// rendered are the blobs of an object's renditions, as extents.
func (c *checker) rendered(o *Object) ([]Extent, error) {
	list, err := c.renditions(o)
	if errors.Is(err, ErrNotFound) {
		return nil, nil // reported by renditionsOf
	}
	var extents []Extent
	for _, r := range list {
		extents = append(extents, Extent{Blob: r.Blob, Length: r.Size})
	}
	return extents, err
}

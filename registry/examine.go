package registry

import (
	"context"
	"fmt"
)

// Examine notes that an analyst is given the bytes of an object that is not published:
// what waits for a verdict, is held or was rejected. how is a word for the log, the form
// they are given in. ErrNotFound; ErrNotPublished where there is nothing to examine, and
// ErrConflict where it was destroyed.
func (l *Ledger) Examine(ctx context.Context, by Actor, id ObjectID, how string) (Object, error) {
	var o Object
	err := l.change(ctx, by, func(t *txn) (err error) {
		if o, err = t.object(by.Tenant, id); err != nil {
			return err
		}
		if err := o.Examinable(); err != nil {
			return err
		}
		ev := t.event(EventObjectExamined, by)
		ev.Reason = word(how)
		o.describe(ev)
		_, err = t.recordFor(ev, &o)
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("examine: %w", err)
	}
	return o, nil
}

// Examinable is nil for what Examine gives out.
func (o *Object) Examinable() error {
	switch {
	case o.Marker:
		return ErrNotFound
	case o.Destroyed:
		return fmt.Errorf("%w: the bytes were destroyed", ErrConflict)
	case o.State == ObjectQuarantined, o.State == ObjectScanning, o.State == ObjectRejected:
		return nil
	}
	return ErrNotPublished
}

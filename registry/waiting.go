package registry

import (
	"context"
	"fmt"
)

// Waiting returns the latest accepted write of a key that is not published: it
// waits for its inspection, or was rejected. ErrNotFound if there is none, or if
// something was published or deleted after it.
func (l *Ledger) Waiting(ctx context.Context, tenant TenantName, bucket BucketName, key string) (Object, error) {
	var o Object
	err := l.view(ctx, func(t *txn) error {
		if _, err := t.bucket(tenant, bucket); err != nil {
			return err
		}
		if !validKey(key) {
			return ErrNotFound
		}
		found, err := t.unpublished(tenant, bucket, key)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrNotFound
		}
		last, err := t.top(tenant, bucket, key)
		if err != nil {
			return err
		}
		w := found[len(found)-1]
		if last != nil && last.Seq > w.seq {
			return ErrNotFound
		}
		o, err = t.object(tenant, w.object)
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("waiting: %w", err)
	}
	return o, nil
}

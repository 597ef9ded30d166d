package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/registry/kv"
)

// grantAge is how long after its end a grant is kept: until then its URL is told
// that it has expired, later that it is not known.
const grantAge = 24 * time.Hour

// pruning is where the walk through the grants stands: it goes round the table, a
// bounded part at a time, and begins anew with each process.
type pruning struct {
	mu sync.Mutex // protects the field below; held for one Forget
	at []byte
}

// Forget removes up to limit rows of each kind that have served their time, and
// returns how many: Idempotency-Keys and multipart uploads a day after they were
// used and completed, and, a day after they expired, signatures of presigned PUTs
// that were used and grants, except the latest of each upload. What the audit log
// says of them stays. While the clock is not believed it is ErrClockJumped.
func (l *Ledger) Forget(ctx context.Context, limit int) (int, error) {
	n, err := l.forget(ctx, limit)
	if err != nil {
		return 0, fmt.Errorf("forget: %w", err)
	}
	return n, nil
}

func (l *Ledger) forget(ctx context.Context, limit int) (n int, err error) {
	if err := l.clockSound(); err != nil {
		return 0, err
	}
	l.pruning.mu.Lock()
	defer l.pruning.mu.Unlock()
	var grants [][]byte
	var next []byte
	aged := false
	err = l.view(ctx, func(t *txn) (err error) {
		grants, next, err = t.oldGrants(l.pruning.at, limit)
		if err != nil {
			return err
		}
		aged, err = t.anyAged()
		return err
	})
	if err != nil {
		return 0, err
	}
	if aged || len(grants) > 0 {
		err = l.update(ctx, func(t *txn) error {
			n, err = t.dropGrants(grants)
			for _, forget := range []func(int) (int, error){t.forgetIdempotency, t.forgetURLs, t.forgetMultiparts} {
				if err != nil {
					return err
				}
				var dropped int
				dropped, err = forget(limit)
				n += dropped
			}
			return err
		})
	}
	if err == nil {
		l.pruning.at = next
	}
	return n, err
}

// anyAged tells whether there is anything to forget of what is kept by its age.
func (t *txn) anyAged() (found bool, err error) {
	for _, kept := range [...]struct {
		table kv.Table
		span  kv.Range
	}{
		{tIdempotencyAge, until(t.now)},
		{tUsedURLAge, until(t.now.Add(-usedURLAge))},
		{tMultipartsDone, until(t.now.Add(-multipartAge))},
	} {
		err := t.Scan(kept.table, kept.span, func(_, _ []byte) error {
			found = true
			return kv.Stop
		})
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// oldGrants returns the keys of up to limit grants to remove, from a key on, and
// where to go on, nil at the end of the table. It looks at a bounded number of
// rows. A tenant's grants stand in the order in which they were issued: behind
// one of the last day there is none to remove.
func (t *txn) oldGrants(from []byte, limit int) (found [][]byte, next []byte, err error) {
	for looked := 0; ; {
		var skip []byte
		err := t.Scan(tGrants, kv.Range{From: from}, func(key, value []byte) error {
			next = key
			if looked == pageWork || len(found) == limit {
				return kv.Stop
			}
			looked++
			var g Grant
			if err := decode(tGrants, value, &g); err != nil {
				return err
			}
			if t.now.Sub(g.IssuedAt) <= grantAge {
				skip = under(g.Tenant).To
				return kv.Stop
			}
			old, err := t.outlived(&g)
			if old {
				found = append(found, bytes.Clone(key))
			}
			next = nil
			return err
		})
		switch {
		case err != nil:
			return nil, nil, err
		case skip == nil:
			return found, bytes.Clone(next), nil
		}
		from, next = skip, nil
	}
}

// outlived tells whether a grant can go.
func (t *txn) outlived(g *Grant) (bool, error) {
	if t.now.Sub(g.ExpiresAt) <= grantAge {
		return false, nil
	}
	if g.Op != GrantPut {
		return true, nil
	}
	u, err := t.upload(g.Tenant, g.Upload)
	return err == nil && u.Grant != g.ID, err
}

// dropGrants looks again: nothing was promised when they were found.
func (t *txn) dropGrants(keys [][]byte) (n int, err error) {
	for _, key := range keys {
		var g Grant
		err := t.load(tGrants, key, &g)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		old := false
		if err == nil {
			old, err = t.outlived(&g)
		}
		if err != nil {
			return 0, err
		}
		if !old {
			continue
		}
		if err := t.Delete(tGrants, key); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

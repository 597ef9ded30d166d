package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// OneUse makes a presigned PUT work once: its signature is remembered until it
// expires. A zero one asks for nothing.
type OneUse struct {
	Hash    string // of the signature, 32 bytes
	Expires time.Time
}

// usedURLAge is how long after its end a used signature is remembered. A request
// is held against its URL's end when it begins; its body may be long in coming,
// and what commits after the end must still find that the URL was used.
const usedURLAge = 24 * time.Hour

// URLUsed tells whether a presigned PUT has worked already.
func (l *Ledger) URLUsed(ctx context.Context, tenant TenantName, u OneUse) (bool, error) {
	used := false
	err := l.view(ctx, func(t *txn) (err error) {
		used, err = t.urlUsed(tenant, u)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("url used: %w", err)
	}
	return used, nil
}

func (t *txn) urlUsed(tenant TenantName, u OneUse) (bool, error) {
	if u == (OneUse{}) {
		return false, nil
	}
	if len(u.Hash) != 32 || u.Expires.IsZero() {
		return false, fmt.Errorf("%w: a signature's hash has 32 bytes, and it ends", ErrInvalid)
	}
	return t.has(tUsedURLs, keyOf(tenant, u.Hash))
}

// useURL uses a presigned PUT up, in the transaction that makes its write count:
// ErrURLUsed if another one did before.
func (t *txn) useURL(tenant TenantName, u OneUse) error {
	used, err := t.urlUsed(tenant, u)
	switch {
	case err != nil:
		return err
	case used:
		return ErrURLUsed
	case u == OneUse{}:
		return nil
	}
	if err := t.Put(tUsedURLs, keyOf(tenant, u.Hash), binary.BigEndian.AppendUint64(nil, millis(u.Expires))); err != nil {
		return err
	}
	return t.Put(tUsedURLAge, timed(u.Expires, tenant, u.Hash), nil)
}

// forgetURLs forgets up to limit signatures of URLs that ended long ago.
func (t *txn) forgetURLs(limit int) (n int, err error) {
	var ages [][]byte
	err = t.Scan(tUsedURLAge, until(t.now.Add(-usedURLAge)), func(key, _ []byte) error {
		if len(ages) == limit {
			return kv.Stop
		}
		ages = append(ages, key)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, key := range ages {
		_, tenant, hash := untimed(key)
		if err := t.Delete(tUsedURLs, keyOf(tenant, hash)); err != nil {
			return n, err
		}
		if err := t.Delete(tUsedURLAge, key); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

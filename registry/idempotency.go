package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// idempotencyAge is how long an Idempotency-Key is remembered.
const idempotencyAge = 24 * time.Hour

// Idempotency ties a request to what it was answered the first time. A zero
// one asks for nothing.
type Idempotency struct {
	Key         string // the client's, up to 255 bytes
	Fingerprint string // of the whole request: the same key with another one is refused
}

// idempotencyRow is what a replay is answered from.
type idempotencyRow struct {
	Fingerprint string   `json:"fingerprint"`
	Upload      UploadID `json:"upload"`
	Grant       GrantID  `json:"grant"`
	At          uint64   `json:"at"` // milliseconds
}

func idempotencyKey(by Actor, key string) []byte {
	return keyOf(by.Tenant, string(by.Principal), key)
}

// Replay returns what a session was begun with under an Idempotency-Key, or a
// Begun that is not Replayed if there was none. ErrIdempotencyConflict,
// ErrRevoked, ErrTenantSuspended. CreateUpload looks again.
func (l *Ledger) Replay(ctx context.Context, by Actor, i Idempotency) (Begun, error) {
	if i.Key == "" {
		return Begun{}, nil
	}
	var begun Begun
	err := l.view(ctx, func(t *txn) (err error) {
		if err := t.alive(by.Tenant, by.Principal, by.Credential); err != nil {
			return err
		}
		begun, err = t.replay(by, i)
		return err
	})
	if err != nil {
		return Begun{}, fmt.Errorf("replay: %w", err)
	}
	return begun, nil
}

// replay answers a request that was made before. A row past its age counts as
// absent, whether or not it was swept.
func (t *txn) replay(by Actor, i Idempotency) (Begun, error) {
	var row idempotencyRow
	err := t.load(tIdempotency, idempotencyKey(by, i.Key), &row)
	if errors.Is(err, ErrNotFound) || err == nil && t.now.Sub(fromMillis(row.At)) >= idempotencyAge {
		return Begun{}, nil
	}
	if err != nil {
		return Begun{}, err
	}
	if row.Fingerprint != i.Fingerprint {
		return Begun{}, ErrIdempotencyConflict
	}
	u, err := t.upload(by.Tenant, row.Upload)
	if err != nil {
		return Begun{}, err
	}
	o, err := t.object(by.Tenant, u.Object)
	if err != nil {
		return Begun{}, err
	}
	var g Grant
	if row.Grant != "" { // a session in parts begins without a URL
		g, err = t.grant(by.Tenant, row.Grant)
	}
	return Begun{Upload: u, Object: o, Grant: g, Replayed: true}, err
}

func (t *txn) remember(by Actor, i Idempotency, ids sessionIDs) error {
	key := idempotencyKey(by, i.Key)
	row := idempotencyRow{Fingerprint: i.Fingerprint, Upload: ids.upload, Grant: ids.grant, At: millis(t.now)}
	if err := t.put(tIdempotency, key, row); err != nil {
		return err
	}
	// By upload id, for one key may be used again after a day.
	return t.Put(tIdempotencyAge, timed(t.now.Add(idempotencyAge), by.Tenant, string(ids.upload)), key)
}

// forgetIdempotency drops up to limit rows that are past their age.
func (t *txn) forgetIdempotency(limit int) (int, error) {
	var ages, keys [][]byte
	err := t.Scan(tIdempotencyAge, until(t.now), func(age, key []byte) error {
		ages, keys = append(ages, age), append(keys, key)
		if len(ages) >= limit {
			return kv.Stop
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, age := range ages {
		_, _, upload := untimed(age)
		var row idempotencyRow
		err := t.load(tIdempotency, keys[i], &row)
		if err == nil && string(row.Upload) == upload {
			err = t.Delete(tIdempotency, keys[i])
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return 0, err
		}
		if err := t.Delete(tIdempotencyAge, age); err != nil {
			return 0, err
		}
	}
	return len(ages), nil
}

package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"sallyport/registry/kv"
)

// URLKey signs and verifies the URLs under /_/ of one tenant. Its id is longer
// than any user's access key and is looked up in a table of its own: neither
// works in the other's place.
type URLKey struct {
	ID         string
	Tenant     TenantName
	Generation uint64 // changes with every rotation
	CreatedAt  time.Time
	sealed     []byte
	seals      *sealer
}

// Secret opens the sealed secret.
func (k URLKey) Secret() (Secret, error) {
	plain, err := k.seals.open(k.sealed, urlKeyLabel(k.ID))
	return Secret(plain), err
}

type urlKeyRow struct {
	ID         string     `json:"id"`
	Tenant     TenantName `json:"tenant"`
	Generation uint64     `json:"generation"`
	CreatedAt  time.Time  `json:"created_at"`
	RetiresAt  time.Time  `json:"retires_at,omitzero"` // set by the rotation that replaced it
	Sealed     []byte     `json:"sealed"`
}

func urlKeyLabel(id string) string { return "url key " + id }

func isURLKeyID(id string) bool {
	return len(id) == len(prefixURLKey)+ulid.EncodedSize && strings.HasPrefix(id, prefixURLKey)
}

func (l *Ledger) newURLKey(tenant TenantName, generation uint64) (urlKeyRow, error) {
	id, err := l.ids.next(prefixURLKey, l.Now())
	if err != nil {
		return urlKeyRow{}, err
	}
	var b [32]byte
	if _, err := io.ReadFull(l.random, b[:]); err != nil {
		return urlKeyRow{}, fmt.Errorf("make a url key: %w", err)
	}
	sealed, err := l.seals.seal([]byte(base64.RawURLEncoding.EncodeToString(b[:])), urlKeyLabel(id))
	if err != nil {
		return urlKeyRow{}, err
	}
	return urlKeyRow{ID: id, Tenant: tenant, Generation: generation, Sealed: sealed}, nil
}

func (t *txn) addURLKey(row urlKeyRow) error {
	row.CreatedAt = t.now
	if err := t.put(tURLKeys, []byte(row.ID), row); err != nil {
		return err
	}
	return t.Put(tURLKeyList, numbered(keyOf(row.Tenant), row.Generation), []byte(row.ID))
}

func (l *Ledger) urlKey(row urlKeyRow) URLKey {
	return URLKey{ID: row.ID, Tenant: row.Tenant, Generation: row.Generation, CreatedAt: row.CreatedAt, sealed: row.Sealed, seals: l.seals}
}

// URLKey returns the key a URL names, for verifying it: the tenant's present
// one, or an earlier one while its overlap lasts. Else ErrNotFound. Whether the
// tenant is suspended is for PutTicket and GetTicket to say, to whoever has a
// URL that was not altered.
func (l *Ledger) URLKey(ctx context.Context, id string) (URLKey, error) {
	asOf := l.keys.writes.Load()
	row, ok := l.keys.signing.get(id, asOf)
	if !ok {
		err := l.view(ctx, func(t *txn) error {
			if !isURLKeyID(id) {
				return ErrNotFound
			}
			return t.load(tURLKeys, []byte(id), &row)
		})
		if err != nil {
			return URLKey{}, fmt.Errorf("url key: %w", err)
		}
		l.keys.signing.put(row.ID, row, asOf)
	}
	if !row.RetiresAt.IsZero() && !l.clock.now().Before(row.RetiresAt) {
		return URLKey{}, fmt.Errorf("url key: %w", ErrNotFound)
	}
	return l.urlKey(row), nil
}

// SigningURLKey returns the key that signs the tenant's URLs now.
func (l *Ledger) SigningURLKey(ctx context.Context, tenant TenantName) (URLKey, error) {
	var row urlKeyRow
	err := l.view(ctx, func(t *txn) (err error) {
		row, err = t.signingURLKey(tenant)
		return err
	})
	if err != nil {
		return URLKey{}, fmt.Errorf("signing url key: %w", err)
	}
	return l.urlKey(row), nil
}

func (t *txn) signingURLKey(tenant TenantName) (row urlKeyRow, err error) {
	last := under(tenant)
	last.Reverse = true
	var id []byte
	err = t.Scan(tURLKeyList, last, func(_, value []byte) error {
		id = value
		return kv.Stop
	})
	if err != nil {
		return row, err
	}
	if id == nil {
		return row, ErrNotFound
	}
	return row, t.load(tURLKeys, id, &row)
}

// RotateURLKey makes a new URL signing key for the tenant. URLs of the earlier
// one go on working for overlap, which should be the longest lifetime a URL
// can have. Keys whose overlap is over are dropped. While the clock is not believed
// it is ErrClockJumped.
func (l *Ledger) RotateURLKey(ctx context.Context, by Actor, tenant TenantName, overlap time.Duration) error {
	if err := l.clockSound(); err != nil {
		return fmt.Errorf("rotate url key: %w", err)
	}
	fresh, err := l.newURLKey(tenant, 0)
	if err == nil {
		err = l.change(ctx, by, func(t *txn) error {
			old, err := t.signingURLKey(tenant)
			if err != nil {
				return err
			}
			if err := t.dropRetired(tenant); err != nil {
				return err
			}
			row := fresh
			row.Generation = old.Generation + 1
			old.RetiresAt = t.now.Add(overlap)
			ev := t.event(EventURLKeyRotated, by).in(tenant)
			ev.Subject, ev.ExpiresAt = row.ID, old.RetiresAt
			_, auditErr := t.record(ev)
			return errors.Join(auditErr, t.put(tURLKeys, []byte(old.ID), old), t.addURLKey(row))
		})
	}
	if err != nil {
		return fmt.Errorf("rotate url key: %w", err)
	}
	return nil
}

// dropRetired deletes the tenant's keys that verify nothing any more.
func (t *txn) dropRetired(tenant TenantName) error {
	retired := map[string]string{} // place in the list → id
	err := t.Scan(tURLKeyList, under(tenant), func(place, id []byte) error {
		var row urlKeyRow
		if err := t.load(tURLKeys, id, &row); err != nil {
			return err
		}
		if row.RetiresAt.IsZero() || t.now.Before(row.RetiresAt) {
			return kv.Stop // those behind it retire later
		}
		retired[string(place)] = row.ID
		return nil
	})
	for place, id := range retired {
		err = errors.Join(err, t.Delete(tURLKeyList, []byte(place)), t.Delete(tURLKeys, []byte(id)))
	}
	return err
}

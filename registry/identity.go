package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// Names that exist from the first start.
const (
	DefaultTenant TenantName    = "default"
	DefaultBucket BucketName    = "default"
	RootPrincipal PrincipalName = "root"
)

// RootCredentials are the credentials of the first start.
type RootCredentials struct {
	AccessKey AccessKeyID
	SecretKey Secret
}

// principalRow says that a principal was made.
type principalRow struct {
	Name      PrincipalName `json:"name"`
	CreatedAt time.Time     `json:"created_at"`
}

// Bootstrap makes, on the first start, the tenant and profile "default" and
// the root key (operator, admin and analyst). Later it only compares:
// ErrRootMismatch if the credentials are not those of the first start.
func (l *Ledger) Bootstrap(ctx context.Context, root RootCredentials) error {
	if !validAccessKey(root.AccessKey) || len(root.SecretKey) < 8 {
		return fmt.Errorf("root credentials: %w: the access key is 3 to 128 letters, digits, '-', '_' or '.', the secret at least 8 characters", ErrInvalid)
	}
	var have AccessKeyID
	err := l.view(ctx, func(t *txn) error {
		b, err := t.get(tMeta, metaRoot)
		have = AccessKeyID(b)
		return err
	})
	switch {
	case err == nil:
		return l.compareRoot(ctx, have, root)
	case !errors.Is(err, ErrNotFound):
		return fmt.Errorf("bootstrap: %w", err)
	}
	row, err := l.newKeyRow(NewKey{
		Tenant: DefaultTenant, Principal: RootPrincipal,
		Roles: []Role{RoleOperator, RoleAdmin, RoleAnalyst},
	}, root.AccessKey, root.SecretKey)
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	born, err := l.newTenant(DefaultTenant)
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	err = l.update(ctx, func(t *txn) error {
		by := System(DefaultTenant)
		if err := t.addTenant(born, by); err != nil {
			return err
		}
		if err := t.addKey(row, by); err != nil {
			return err
		}
		return t.Put(tMeta, metaRoot, []byte(root.AccessKey))
	})
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

func (l *Ledger) compareRoot(ctx context.Context, have AccessKeyID, root RootCredentials) error {
	var row keyRow
	err := l.view(ctx, func(t *txn) error { return t.load(tKeys, []byte(have), &row) })
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	secret, err := l.seals.open(row.Sealed, keyLabel(have))
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	if have != root.AccessKey || subtle.ConstantTimeCompare(secret, []byte(root.SecretKey)) != 1 {
		return ErrRootMismatch
	}
	return nil
}

// bornTenant is what a tenant begins with; made outside the transaction, since
// that may run twice.
type bornTenant struct {
	row    Tenant
	urlKey urlKeyRow
}

func (l *Ledger) newTenant(name TenantName) (bornTenant, error) {
	if !validTenant(name) {
		return bornTenant{}, fmt.Errorf("%w: a tenant is named with 3 to 63 of a-z, 0-9 and '-'", ErrInvalid)
	}
	key, err := l.newURLKey(name, 1)
	if err != nil {
		return bornTenant{}, err
	}
	return bornTenant{
		row: Tenant{
			Name:     name,
			OwnerID:  l.seals.hash("owner", string(name), 32),
			PathHash: l.seals.hash("path", string(name), 16),
		},
		urlKey: key,
	}, nil
}

// addTenant writes the tenant, its first URL key and its profile "default".
func (t *txn) addTenant(born bornTenant, by Actor) error {
	row := born.row
	switch known, err := t.has(tTenants, keyOf(row.Name)); {
	case err != nil:
		return err
	case known:
		return ErrExists
	}
	row.CreatedAt = t.now
	if err := t.put(tTenants, keyOf(row.Name), row); err != nil {
		return err
	}
	if err := t.Put(tPathHashes, []byte(row.PathHash), []byte(row.Name)); err != nil {
		return err
	}
	if err := t.addURLKey(born.urlKey); err != nil {
		return err
	}
	profile := Bucket{Name: DefaultBucket, Intake: IntakeQuarantine, CreatedAt: t.now}
	if err := t.putBucket(row.Name, &profile); err != nil {
		return err
	}
	ev := t.event(EventTenantCreated, by).in(row.Name)
	ev.Subject = string(row.Name)
	_, err := t.record(ev)
	return err
}

// CreateTenant makes a tenant with its profile "default" and its URL signing
// key. ErrExists, ErrInvalid.
func (l *Ledger) CreateTenant(ctx context.Context, by Actor, name TenantName) (Tenant, error) {
	born, err := l.newTenant(name)
	if err != nil {
		return Tenant{}, fmt.Errorf("create tenant: %w", err)
	}
	var made Tenant
	err = l.change(ctx, by, func(t *txn) error {
		made = born.row
		made.CreatedAt = t.now
		return t.addTenant(born, by)
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("create tenant %s: %w", name, err)
	}
	return made, nil
}

// Tenant returns one tenant, or ErrNotFound.
func (l *Ledger) Tenant(ctx context.Context, name TenantName) (Tenant, error) {
	writes := l.keys.writes.Load()
	if row, ok := l.keys.tenants.get(name, writes); ok {
		return row, nil
	}
	var row Tenant
	err := l.view(ctx, func(t *txn) (err error) {
		row, err = t.tenant(name)
		return err
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("tenant: %w", err)
	}
	l.keys.tenants.put(name, row, writes)
	return row, nil
}

func (t *txn) tenant(name TenantName) (row Tenant, err error) {
	if name == "" {
		return row, ErrNotFound
	}
	return row, t.load(tTenants, keyOf(name), &row)
}

// Tenants lists the tenants by name.
func (l *Ledger) Tenants(ctx context.Context, page Page) ([]Tenant, string, error) {
	var found []Tenant
	var more string
	err := l.view(ctx, func(t *txn) error {
		rows := forward(tTenants, "", page)
		var err error
		found, more, err = collect(t, rows, func(_ *txn, _, value []byte) (row Tenant, keep bool, err error) {
			return row, true, decode(tTenants, value, &row)
		})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list tenants: %w", err)
	}
	return found, more, nil
}

// SuspendTenant stops every credential and URL of the tenant at once. The
// actor's own is ErrConflict: operators are of one tenant, and nobody would be left
// to resume it.
func (l *Ledger) SuspendTenant(ctx context.Context, by Actor, name TenantName) error {
	return l.setSuspended(ctx, name, EventTenantSuspended, by)
}

// ResumeTenant ends a suspension.
func (l *Ledger) ResumeTenant(ctx context.Context, by Actor, name TenantName) error {
	return l.setSuspended(ctx, name, EventTenantResumed, by)
}

func (l *Ledger) setSuspended(ctx context.Context, name TenantName, what EventType, by Actor) error {
	suspend := what == EventTenantSuspended
	if suspend && name == by.Tenant {
		return fmt.Errorf("%s %s: %w: nobody could resume the operators' own tenant", what, name, ErrConflict)
	}
	err := l.change(ctx, by, func(t *txn) error {
		row, err := t.tenant(name)
		if err != nil || row.Suspended == suspend {
			return err
		}
		row.Suspended = suspend
		if suspend {
			err = t.Put(tBlocked, blockedTenant(name), nil)
		} else {
			err = t.Delete(tBlocked, blockedTenant(name))
		}
		if err != nil {
			return err
		}
		ev := t.event(what, by).in(name)
		ev.Subject = string(name)
		if _, err := t.record(ev); err != nil {
			return err
		}
		return t.put(tTenants, keyOf(name), row)
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, name, err)
	}
	return nil
}

// RevokePrincipal stops all keys and tokens of a principal for good, and every
// URL they issued.
func (l *Ledger) RevokePrincipal(ctx context.Context, by Actor, tenant TenantName, name PrincipalName) error {
	err := l.change(ctx, by, func(t *txn) error {
		if known, err := t.has(tPrincipals, keyOf(tenant, string(name))); err != nil || !known {
			return errors.Join(err, absent(known))
		}
		blocked, err := t.has(tBlocked, blockedPrincipal(tenant, name))
		if err != nil || blocked {
			return err
		}
		if err := t.Put(tBlocked, blockedPrincipal(tenant, name), nil); err != nil {
			return err
		}
		ev := t.event(EventPrincipalRevoked, by).in(tenant)
		ev.Subject = string(name)
		_, err = t.record(ev)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke principal: %w", err)
	}
	return nil
}

// addPrincipal makes the principal if it is new. A revoked one stays revoked.
func (t *txn) addPrincipal(tenant TenantName, name PrincipalName) error {
	if blocked, err := t.has(tBlocked, blockedPrincipal(tenant, name)); err != nil {
		return err
	} else if blocked {
		return ErrRevoked
	}
	key := keyOf(tenant, string(name))
	if known, err := t.has(tPrincipals, key); err != nil || known {
		return err
	}
	return t.put(tPrincipals, key, principalRow{Name: name, CreatedAt: t.now})
}

// alive tells whether a credential still stands: neither it nor its principal
// is revoked and the tenant is not suspended. It costs three look-ups in a
// table that is nearly empty.
func (t *txn) alive(tenant TenantName, principal PrincipalName, credential string) error {
	for _, b := range [...]struct {
		key []byte
		err error
	}{
		{blockedTenant(tenant), ErrTenantSuspended},
		{blockedPrincipal(tenant, principal), ErrRevoked},
		{blockedCredential(credential), ErrRevoked},
	} {
		if blocked, err := t.has(tBlocked, b.key); err != nil {
			return err
		} else if blocked {
			return b.err
		}
	}
	return nil
}

func blockedTenant(t TenantName) []byte { return keyOf("t", string(t)) }

func blockedPrincipal(t TenantName, p PrincipalName) []byte { return keyOf("p", string(t), string(p)) }

func blockedCredential(id string) []byte { return keyOf("c", id) }

func absent(known bool) error {
	if known {
		return nil
	}
	return ErrNotFound
}

func validTenant(n TenantName) bool {
	if len(n) < 3 || len(n) > 63 {
		return false
	}
	for i := range len(n) {
		c := n[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// validName is the rule for principals and tokens: 1 to 128 bytes that are
// words in an audit event and hold no zero byte.
func validName(s string) bool { return s != "" && isWord(s) }

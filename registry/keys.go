package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// NewKey asks for an access key.
type NewKey struct {
	Tenant    TenantName
	Principal PrincipalName // made if it is new
	Roles     []Role
}

// keyRow is an access key with its secret, sealed under the root key for this
// id alone.
type keyRow struct {
	AccessKey
	Sealed []byte `json:"sealed"`
}

func keyLabel(id AccessKeyID) string { return "access key " + string(id) }

// CreateKey makes an access key; the secret is told this once. ErrNotFound for
// an unknown tenant, ErrRevoked for a revoked principal, ErrInvalid.
func (l *Ledger) CreateKey(ctx context.Context, by Actor, k NewKey) (AccessKey, Secret, error) {
	id, err := accessKeyID(l.random)
	if err != nil {
		return AccessKey{}, "", err
	}
	var b [30]byte
	if _, err := io.ReadFull(l.random, b[:]); err != nil {
		return AccessKey{}, "", fmt.Errorf("make a secret: %w", err)
	}
	secret := Secret(base64.RawURLEncoding.EncodeToString(b[:]))
	row, err := l.newKeyRow(k, id, secret)
	if err != nil {
		return AccessKey{}, "", fmt.Errorf("create key: %w", err)
	}
	var made AccessKey
	err = l.change(ctx, by, func(t *txn) error {
		if _, err := t.tenant(k.Tenant); err != nil {
			return err
		}
		made = row.AccessKey
		made.CreatedAt = t.now
		return t.addKey(row, by)
	})
	if err != nil {
		return AccessKey{}, "", fmt.Errorf("create key: %w", err)
	}
	return made, secret, nil
}

// newKeyRow checks the request and seals the secret.
func (l *Ledger) newKeyRow(k NewKey, id AccessKeyID, secret Secret) (keyRow, error) {
	if err := validBearer(k.Principal, k.Roles); err != nil {
		return keyRow{}, err
	}
	sealed, err := l.seals.seal([]byte(secret), keyLabel(id))
	if err != nil {
		return keyRow{}, err
	}
	return keyRow{
		AccessKey: AccessKey{ID: id, Tenant: k.Tenant, Principal: k.Principal, Roles: k.Roles, Generation: 1},
		Sealed:    sealed,
	}, nil
}

// validBearer checks what a key or token says of its bearer.
func validBearer(p PrincipalName, roles []Role) error {
	if !validName(string(p)) || p == systemPrincipal {
		return fmt.Errorf("%w: a principal is named with 1 to 128 letters, digits and -_.:@", ErrInvalid)
	}
	if len(roles) == 0 {
		return fmt.Errorf("%w: no role", ErrInvalid)
	}
	for i, r := range roles {
		if !validRole(r) {
			return fmt.Errorf("%w: no such role", ErrInvalid)
		}
		for _, other := range roles[:i] {
			if other == r {
				return fmt.Errorf("%w: a role stands twice", ErrInvalid)
			}
		}
	}
	return nil
}

func validRole(r Role) bool {
	for _, known := range Roles {
		if r == known {
			return true
		}
	}
	return false
}

func validAccessKey(id AccessKeyID) bool {
	return len(id) >= 3 && validName(string(id)) && !strings.ContainsAny(string(id), ":@") && !isURLKeyID(string(id))
}

func (t *txn) addKey(row keyRow, by Actor) error {
	row.CreatedAt = t.now
	if known, err := t.has(tKeys, []byte(row.ID)); err != nil {
		return err
	} else if known {
		return ErrExists
	}
	if err := t.addPrincipal(row.Tenant, row.Principal); err != nil {
		return err
	}
	if err := t.put(tKeys, []byte(row.ID), &row); err != nil {
		return err
	}
	seq, err := t.nextSeq()
	if err != nil {
		return err
	}
	if err := t.Put(tKeyList, numbered(keyOf(row.Tenant), seq), []byte(row.ID)); err != nil {
		return err
	}
	ev := t.event(EventKeyCreated, by).in(row.Tenant)
	ev.Subject, ev.Roles = string(row.ID), row.Roles
	_, err = t.record(ev)
	return err
}

// Keys lists a tenant's access keys, newest first, revoked ones too.
func (l *Ledger) Keys(ctx context.Context, tenant TenantName, page Page) ([]AccessKey, string, error) {
	var found []AccessKey
	var more string
	err := l.view(ctx, func(t *txn) (err error) {
		found, more, err = collect(t, newest(tKeyList, under(tenant), page),
			func(t *txn, _, id []byte) (AccessKey, bool, error) {
				var row keyRow
				err := t.load(tKeys, id, &row)
				return row.AccessKey, true, err
			})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list keys: %w", err)
	}
	return found, more, nil
}

// RevokeKey stops an access key for good, and every URL it issued. Doing so
// again changes nothing.
func (l *Ledger) RevokeKey(ctx context.Context, by Actor, tenant TenantName, id AccessKeyID) error {
	err := l.change(ctx, by, func(t *txn) error {
		var row keyRow
		if err := t.load(tKeys, []byte(id), &row); err != nil {
			return err
		}
		if row.Tenant != tenant {
			return ErrNotFound
		}
		if row.Revoked {
			return nil
		}
		row.Revoked = true
		if err := t.put(tKeys, []byte(id), &row); err != nil {
			return err
		}
		return t.block(EventKeyRevoked, by, tenant, string(id))
	})
	if err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	return nil
}

// block revokes a key or token and records it.
func (t *txn) block(what EventType, by Actor, tenant TenantName, id string) error {
	if err := t.Put(tBlocked, blockedCredential(id), nil); err != nil {
		return err
	}
	ev := t.event(what, by).in(tenant)
	ev.Subject = id
	_, err := t.record(ev)
	return err
}

// Credential is an access key that may be used.
type Credential struct {
	AccessKey
	sealed []byte
	seals  *sealer
}

// Secret opens the sealed secret.
func (c Credential) Secret() (Secret, error) {
	plain, err := c.seals.open(c.sealed, keyLabel(c.ID))
	return Secret(plain), err
}

// Actor returns who the credential proves.
func (c Credential) Actor(requestID string) Actor {
	return Actor{Tenant: c.Tenant, Principal: c.Principal, Roles: c.Roles, Credential: string(c.ID), RequestID: requestID}
}

// Credential returns a user's access key for verifying a signature.
// ErrNotFound, ErrRevoked, ErrTenantSuspended; a URL signing key is not found.
// Its Roles are shared and must not be modified.
func (l *Ledger) Credential(ctx context.Context, id AccessKeyID) (Credential, error) {
	asOf := l.keys.writes.Load()
	if c, ok := l.keys.access.get(id, asOf); ok {
		return c, nil
	}
	var row keyRow
	err := l.view(ctx, func(t *txn) error {
		if id == "" || len(id) > maxWord {
			return ErrNotFound
		}
		if err := t.load(tKeys, []byte(id), &row); err != nil {
			return err
		}
		return t.alive(row.Tenant, row.Principal, string(id))
	})
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	c := Credential{AccessKey: row.AccessKey, sealed: row.Sealed, seals: l.seals}
	l.keys.access.put(row.ID, c, asOf)
	return c, nil
}

package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"
)

// tokenPrefix lets a leaked token be recognised as ours.
const tokenPrefix = "spt_"

// NewToken asks for a bearer token of the actor's own principal.
type NewToken struct {
	Name  string
	Roles []Role
	TTL   time.Duration
}

// CreateToken makes a bearer token for the actor's principal; the token itself
// is told this once and stored as its SHA-256. ErrInvalid, ErrRevoked.
func (l *Ledger) CreateToken(ctx context.Context, by Actor, n NewToken) (Token, Secret, error) {
	if err := validBearer(by.Principal, n.Roles); err != nil {
		return Token{}, "", fmt.Errorf("create token: %w", err)
	}
	if n.Name == "" || len(n.Name) > maxWord || n.TTL <= 0 {
		return Token{}, "", fmt.Errorf("create token: %w: it needs a name of up to 128 bytes and a lifetime", ErrInvalid)
	}
	var b [32]byte
	if _, err := io.ReadFull(l.random, b[:]); err != nil {
		return Token{}, "", fmt.Errorf("make a token: %w", err)
	}
	secret := Secret(tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:]))
	id, err := l.ids.next(prefixToken, l.Now())
	if err != nil {
		return Token{}, "", err
	}
	hash := sha256.Sum256([]byte(secret))
	var row Token
	err = l.change(ctx, by, func(t *txn) error {
		row = Token{
			ID: TokenID(id), Name: n.Name, Tenant: by.Tenant, Principal: by.Principal, Roles: n.Roles,
			CreatedAt: t.now, ExpiresAt: t.now.Add(n.TTL),
		}
		if _, err := t.tenant(by.Tenant); err != nil {
			return err
		}
		if err := t.addPrincipal(by.Tenant, by.Principal); err != nil {
			return err
		}
		if err := t.put(tTokens, hash[:], row); err != nil {
			return err
		}
		if err := t.Put(tTokenList, keyOf(row.Tenant, id), hash[:]); err != nil {
			return err
		}
		ev := t.event(EventTokenCreated, by)
		ev.Subject, ev.Roles, ev.ExpiresAt = id, n.Roles, row.ExpiresAt
		_, err := t.record(ev)
		return err
	})
	if err != nil {
		return Token{}, "", fmt.Errorf("create token: %w", err)
	}
	return row, secret, nil
}

// Token returns what a bearer token stands for. ErrNotFound for one that is
// unknown or over, ErrRevoked, ErrTenantSuspended. The look-up is by hash, so
// that its time says nothing about a token.
func (l *Ledger) Token(ctx context.Context, secret Secret) (Token, error) {
	var row Token
	err := l.view(ctx, func(t *txn) error {
		if !strings.HasPrefix(string(secret), tokenPrefix) {
			return ErrNotFound
		}
		hash := sha256.Sum256([]byte(secret))
		if err := t.load(tTokens, hash[:], &row); err != nil {
			return err
		}
		if !t.now.Before(row.ExpiresAt) {
			return ErrNotFound
		}
		return t.alive(row.Tenant, row.Principal, string(row.ID))
	})
	if err != nil {
		return Token{}, fmt.Errorf("token: %w", err)
	}
	return row, nil
}

// Actor returns who the token proves.
func (k Token) Actor(requestID string) Actor {
	return Actor{Tenant: k.Tenant, Principal: k.Principal, Roles: k.Roles, Credential: string(k.ID), RequestID: requestID}
}

// Tokens lists a tenant's tokens, newest first, revoked and expired ones too.
func (l *Ledger) Tokens(ctx context.Context, tenant TenantName, page Page) ([]Token, string, error) {
	var found []Token
	var more string
	err := l.view(ctx, func(t *txn) (err error) {
		found, more, err = collect(t, newest(tTokenList, under(tenant), page),
			func(t *txn, _, hash []byte) (row Token, keep bool, err error) {
				return row, true, t.load(tTokens, hash, &row)
			})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list tokens: %w", err)
	}
	return found, more, nil
}

// RevokeToken stops a token for good, and every URL it issued. Doing so again
// changes nothing.
func (l *Ledger) RevokeToken(ctx context.Context, by Actor, tenant TenantName, id TokenID) error {
	err := l.change(ctx, by, func(t *txn) error {
		hash, err := t.get(tTokenList, keyOf(tenant, string(id)))
		if err != nil {
			return err
		}
		var row Token
		if err := t.load(tTokens, hash, &row); err != nil {
			return err
		}
		if row.Revoked {
			return nil
		}
		row.Revoked = true
		if err := t.put(tTokens, hash, row); err != nil {
			return err
		}
		return t.block(EventTokenRevoked, by, tenant, string(id))
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// StillProved returns nil while what proved the actor would prove it again: ErrRevoked or
// ErrTenantSuspended if it, its principal or its tenant was stopped, ErrNotFound for a
// token that is over. It is for what goes on long after it was authorised.
func (l *Ledger) StillProved(ctx context.Context, a Actor) error {
	err := l.view(ctx, func(t *txn) error {
		if err := t.alive(a.Tenant, a.Principal, a.Credential); err != nil || !strings.HasPrefix(a.Credential, prefixToken) {
			return err
		}
		hash, err := t.get(tTokenList, keyOf(a.Tenant, a.Credential))
		if err != nil {
			return err
		}
		var row Token
		if err := t.load(tTokens, hash, &row); err != nil {
			return err
		}
		if !t.now.Before(row.ExpiresAt) {
			return ErrNotFound
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("still proved: %w", err)
	}
	return nil
}

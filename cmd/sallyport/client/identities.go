package client

import (
	"context"
	"net/http"
	"time"

	"sallyport/sigv4"
)

// Tenant is one isolation boundary.
type Tenant struct {
	Tenant    string `json:"tenant"`
	OwnerID   string `json:"owner_id,omitempty"`
	Suspended bool   `json:"suspended,omitempty"`
	// PresignMax is a Go duration; "" is the server's bound.
	PresignMax string    `json:"presign_max_ttl,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
}

// CreateTenant makes a tenant; operators only.
func (c *Client) CreateTenant(ctx context.Context, name string) (Tenant, error) {
	in := struct {
		Name string `json:"name"`
	}{name}
	var t Tenant
	err := c.call(ctx, http.MethodPost, "/tenants", nil, in, &t)
	return t, err
}

// Tenants lists up to limit tenants, 0 for all; operators only.
func (c *Client) Tenants(ctx context.Context, limit int) ([]Tenant, error) {
	return list[Tenant](ctx, c, "/tenants", "tenants", nil, limit)
}

// SetTenantLimits replaces a tenant's limits: the longest lifetime of URLs that S3
// clients sign with its keys, a Go duration, "" being the server's; operators only.
func (c *Client) SetTenantLimits(ctx context.Context, name, presignMax string) (Tenant, error) {
	in := struct {
		PresignMax string `json:"presign_max_ttl,omitempty"`
	}{presignMax}
	var t Tenant
	err := c.call(ctx, http.MethodPut, "/tenants/"+sigv4.EncodeComponent(name)+"/limits", nil, in, &t)
	return t, err
}

// SuspendTenant stops everything a tenant does, running transfers included.
func (c *Client) SuspendTenant(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/tenants/"+sigv4.EncodeComponent(name)+"/suspend", nil, nil, nil)
}

// ResumeTenant undoes SuspendTenant.
func (c *Client) ResumeTenant(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/tenants/"+sigv4.EncodeComponent(name)+"/resume", nil, nil, nil)
}

// Key is an access key. SecretKey is there once, in the answer that made it.
type Key struct {
	AccessKey string    `json:"access_key"`
	SecretKey string    `json:"secret_key,omitempty"`
	Tenant    string    `json:"tenant"`
	Principal string    `json:"principal"`
	Roles     []string  `json:"roles"`
	Revoked   bool      `json:"revoked,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// NewKey is what an access key is made from.
type NewKey struct {
	Tenant    string   `json:"tenant,omitempty"` // operators only; "" is one's own
	Principal string   `json:"principal"`
	Roles     []string `json:"roles"`
}

// CreateKey makes an access key, and its principal if that is new.
func (c *Client) CreateKey(ctx context.Context, n NewKey) (Key, error) {
	var k Key
	err := c.call(ctx, http.MethodPost, "/keys", nil, n, &k)
	return k, err
}

// Keys lists up to limit access keys, 0 for all.
func (c *Client) Keys(ctx context.Context, limit int) ([]Key, error) {
	return list[Key](ctx, c, "/keys", "keys", nil, limit)
}

// RevokeKey ends an access key, and every URL it issued, at once.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/keys/"+sigv4.EncodeComponent(id), nil, nil, nil)
}

// Token is a bearer token. Token itself is there once, in the answer that made
// it.
type Token struct {
	ID        string     `json:"id"`
	Token     string     `json:"token,omitempty"`
	Name      string     `json:"name,omitempty"`
	Principal string     `json:"principal,omitempty"`
	Roles     []string   `json:"roles,omitempty"`
	CreatedAt *time.Time `json:"created_at,omitempty"`
	ExpiresAt time.Time  `json:"expires_at"`
}

// NewToken is what a token is made from. TTL is a Go duration.
type NewToken struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
	TTL   string   `json:"ttl"`
}

// CreateToken makes a bearer token.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (Token, error) {
	var t Token
	err := c.call(ctx, http.MethodPost, "/tokens", nil, n, &t)
	return t, err
}

// Tokens lists up to limit tokens, 0 for all.
func (c *Client) Tokens(ctx context.Context, limit int) ([]Token, error) {
	return list[Token](ctx, c, "/tokens", "tokens", nil, limit)
}

// RevokeToken ends a token at once.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/tokens/"+sigv4.EncodeComponent(id), nil, nil, nil)
}

package control

import (
	"fmt"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

type tenantBody struct {
	Name registry.TenantName `json:"name"`
}

type keyBody struct {
	Tenant    registry.TenantName    `json:"tenant"`
	Principal registry.PrincipalName `json:"principal"`
	Roles     []registry.Role        `json:"roles"`
}

type tokenBody struct {
	Name  string          `json:"name"`
	Roles []registry.Role `json:"roles"`
	TTL   duration        `json:"ttl"`
}

// knownRoles refuses what is no role; whether it is the caller's to give is
// policy's to say.
func knownRoles(roles []registry.Role) error {
	for _, r := range roles {
		if !slices.Contains(registry.Roles, r) {
			return fmt.Errorf("%w: a role is one of %v", errInvalid, registry.Roles)
		}
	}
	return nil
}

func me(k *call) error {
	t, err := k.cfg.Ledger.Tenant(k.context(), k.actor.Tenant)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, struct {
		Tenant    registry.TenantName    `json:"tenant"`
		Principal registry.PrincipalName `json:"principal"`
		Roles     []registry.Role        `json:"roles"`
		OwnerID   string                 `json:"owner_id"`
	}{t.Name, k.actor.Principal, k.actor.Roles, t.OwnerID})
}

type tenantRow struct {
	Tenant    registry.TenantName `json:"tenant"`
	OwnerID   string              `json:"owner_id"`
	Suspended bool                `json:"suspended,omitempty"`
	// PresignMax bounds the URLs that SDKs sign with its keys; absent: the server's
	// own bound does.
	PresignMax duration `json:"presign_max_ttl,omitempty"`
	CreatedAt  string   `json:"created_at"`
}

func tenantRowOf(t registry.Tenant) tenantRow {
	return tenantRow{t.Name, t.OwnerID, t.Suspended, duration(t.PresignMaxTTL), stamp(t.CreatedAt)}
}

func createTenant(k *call) error {
	var in tenantBody
	if err := k.decode(&in); err != nil {
		return err
	}
	t, err := k.cfg.Pipeline.CreateTenant(k.context(), k.actor, in.Name)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusCreated, tenantRowOf(t))
}

func listTenants(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	list, next, err := k.cfg.Pipeline.Tenants(k.context(), k.actor, p)
	if err != nil {
		return err
	}
	out := struct {
		Tenants []tenantRow `json:"tenants"`
		Next    string      `json:"next_cursor,omitempty"`
	}{make([]tenantRow, 0, len(list)), next}
	for _, t := range list {
		out.Tenants = append(out.Tenants, tenantRowOf(t))
	}
	return k.json(fasthttp.StatusOK, out)
}

// setTenantLimits replaces a tenant's limits. What is left out is the server's.
func setTenantLimits(k *call) error {
	var in struct {
		PresignMax duration `json:"presign_max_ttl"`
	}
	if err := k.decode(&in); err != nil {
		return err
	}
	t, err := k.cfg.Pipeline.SetPresignMax(k.context(), k.actor, registry.TenantName(k.id), time.Duration(in.PresignMax))
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, tenantRowOf(t))
}

func suspendTenant(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	if err := k.cfg.Pipeline.SuspendTenant(k.context(), k.actor, registry.TenantName(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

func resumeTenant(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	if err := k.cfg.Pipeline.ResumeTenant(k.context(), k.actor, registry.TenantName(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

func revokePrincipal(k *call) error {
	if err := k.cfg.Pipeline.RevokePrincipal(k.context(), k.actor, registry.PrincipalName(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

type keyRow struct {
	AccessKey registry.AccessKeyID   `json:"access_key"`
	SecretKey string                 `json:"secret_key,omitempty"`
	Tenant    registry.TenantName    `json:"tenant"`
	Principal registry.PrincipalName `json:"principal"`
	Roles     []registry.Role        `json:"roles"`
	Revoked   bool                   `json:"revoked,omitempty"`
	CreatedAt string                 `json:"created_at"`
}

func keyRowOf(a registry.AccessKey, secret registry.Secret) keyRow {
	return keyRow{a.ID, string(secret), a.Tenant, a.Principal, a.Roles, a.Revoked, stamp(a.CreatedAt)}
}

func createKey(k *call) error {
	var in keyBody
	if err := k.decode(&in); err != nil {
		return err
	}
	if err := knownRoles(in.Roles); err != nil {
		return err
	}
	a, secret, err := k.cfg.Pipeline.CreateKey(k.context(), k.actor, registry.NewKey{Tenant: in.Tenant, Principal: in.Principal, Roles: in.Roles})
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusCreated, keyRowOf(a, secret))
}

func listKeys(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	list, next, err := k.cfg.Pipeline.Keys(k.context(), k.actor, p)
	if err != nil {
		return err
	}
	out := struct {
		Keys []keyRow `json:"keys"`
		Next string   `json:"next_cursor,omitempty"`
	}{make([]keyRow, 0, len(list)), next}
	for _, a := range list {
		out.Keys = append(out.Keys, keyRowOf(a, ""))
	}
	return k.json(fasthttp.StatusOK, out)
}

func revokeKey(k *call) error {
	if err := k.cfg.Pipeline.RevokeKey(k.context(), k.actor, registry.AccessKeyID(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

type tokenRow struct {
	ID        registry.TokenID       `json:"id"`
	Token     string                 `json:"token,omitempty"`
	Name      string                 `json:"name"`
	Principal registry.PrincipalName `json:"principal"`
	Roles     []registry.Role        `json:"roles"`
	Revoked   bool                   `json:"revoked,omitempty"`
	CreatedAt string                 `json:"created_at"`
	ExpiresAt string                 `json:"expires_at"`
}

func tokenRowOf(t registry.Token, secret registry.Secret) tokenRow {
	return tokenRow{t.ID, string(secret), t.Name, t.Principal, t.Roles, t.Revoked, stamp(t.CreatedAt), stamp(t.ExpiresAt)}
}

func createToken(k *call) error {
	var in tokenBody
	if err := k.decode(&in); err != nil {
		return err
	}
	if err := knownRoles(in.Roles); err != nil {
		return err
	}
	t, secret, err := k.cfg.Pipeline.CreateToken(k.context(), k.actor, registry.NewToken{Name: in.Name, Roles: in.Roles, TTL: time.Duration(in.TTL)})
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusCreated, tokenRowOf(t, secret))
}

func listTokens(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	list, next, err := k.cfg.Pipeline.Tokens(k.context(), k.actor, p)
	if err != nil {
		return err
	}
	out := struct {
		Tokens []tokenRow `json:"tokens"`
		Next   string     `json:"next_cursor,omitempty"`
	}{make([]tokenRow, 0, len(list)), next}
	for _, t := range list {
		out.Tokens = append(out.Tokens, tokenRowOf(t, ""))
	}
	return k.json(fasthttp.StatusOK, out)
}

func revokeToken(k *call) error {
	if err := k.cfg.Pipeline.RevokeToken(k.context(), k.actor, registry.TokenID(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

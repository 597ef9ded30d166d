package pipeline

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// A revocation is a verb of the ledger, after which nothing new begins, and a cut,
// which ends what runs.

// cut ends running transfers. Those that are committing just now are waited for,
// which takes one commit of the ledger.
func (p *Pipeline) cut(ctx context.Context, match func(subject) bool) {
	ctx, cancel := fresh(ctx)
	defer cancel()
	if n := p.transfers.cut(ctx, match); n > 0 {
		p.m.cut.Add(float64(n))
		p.log.InfoContext(ctx, "transfers cut by a revocation", "count", n)
	}
}

// cutIdentity is cut for everything of a tenant, principal or credential. Who was
// authenticated as such just before and has not begun is stopped as well.
func (p *Pipeline) cutIdentity(ctx context.Context, who subject) {
	p.transfers.bar(who)
	p.cut(ctx, func(s subject) bool {
		return s.tenant == who.tenant &&
			(who.principal == "" || s.principal == who.principal) &&
			(who.credential == "" || s.credential == who.credential)
	})
}

// cutGone cuts those of the transfers picked whose object is no longer published.
func (p *Pipeline) cutGone(ctx context.Context, match func(subject) bool) {
	for _, s := range p.transfers.picked(match) {
		o, err := p.ledger.Object(ctx, s.tenant, s.object)
		if err == nil && o.State == registry.ObjectPublished {
			continue
		}
		p.cut(ctx, func(x subject) bool { return x == s })
	}
}

// IssueGet issues a GET URL's grant for a published object. ttl 0 asks for the
// default.
func (p *Pipeline) IssueGet(ctx context.Context, actor registry.Actor, id registry.ObjectID, d registry.Disposition, ttl time.Duration) (registry.Grant, registry.Object, error) {
	g, o, err := p.issueGet(ctx, actor, id, ttl, func(_ *registry.Bucket, ttl time.Duration) (registry.Grant, error) {
		return p.ledger.IssueGetURL(ctx, actor, id, d, ttl)
	})
	return p.issued(g, o, err)
}

// issueGet has issue issue a grant for what the actor may have it for, with the
// lifetime that the bucket's rules make of ttl.
func (p *Pipeline) issueGet(ctx context.Context, actor registry.Actor, id registry.ObjectID, ttl time.Duration,
	issue func(*registry.Bucket, time.Duration) (registry.Grant, error),
) (registry.Grant, registry.Object, error) {
	o, err := p.object(ctx, actor, policy.IssueGetURL, id)
	if err != nil {
		return registry.Grant{}, o, err
	}
	bucket, err := p.ledger.Bucket(ctx, actor.Tenant, o.Bucket)
	if err != nil {
		return registry.Grant{}, o, err
	}
	if ttl, err = p.limits.GetURL(bucket, ttl); err != nil {
		return registry.Grant{}, o, err
	}
	g, err := issue(&bucket, ttl)
	return g, o, err
}

// issued counts a GET URL that was issued, or the refusal.
func (p *Pipeline) issued(g registry.Grant, o registry.Object, err error) (registry.Grant, registry.Object, error) {
	if err != nil {
		return registry.Grant{}, registry.Object{}, p.refuse("issue_get", fmt.Errorf("issue get url: %w", err))
	}
	p.m.issued.WithLabelValues(string(registry.GrantGet)).Inc()
	return g, o, nil
}

// RevokeURL stops one URL and what runs on it.
func (p *Pipeline) RevokeURL(ctx context.Context, actor registry.Actor, id registry.GrantID) error {
	g, err := p.ledger.Grant(ctx, actor.Tenant, id)
	if err != nil {
		return p.refuse("revoke", err)
	}
	if err := policy.Allow(actor, policy.RevokeURL, g.Principal); err != nil {
		return p.refuse("revoke", fmt.Errorf("revoke url: %w", err))
	}
	if err := p.ledger.RevokeGrant(ctx, actor, actor.Tenant, id); err != nil {
		return err
	}
	p.cut(ctx, func(s subject) bool { return s.tenant == actor.Tenant && s.grant == id })
	return nil
}

// mayRevoke tells whether the actor may take away the credentials that pick picks.
// Those of an operator are for operators: nobody else could let the system's owner
// in again.
func (p *Pipeline) mayRevoke(ctx context.Context, actor registry.Actor, action policy.Action, pick func(registry.PrincipalName, string) bool) error {
	if err := policy.Allow(actor, action, ""); err != nil {
		return err
	}
	forbidden := policy.Grantable(actor, actor.Tenant, []registry.Role{registry.RoleOperator})
	if forbidden == nil {
		return nil
	}
	for c, err := range p.credentials(ctx, actor.Tenant) {
		if err != nil {
			return err
		}
		if pick(c.principal, c.id) && slices.Contains(c.roles, registry.RoleOperator) {
			return forbidden
		}
	}
	return nil
}

// credential is a key or token without its secret.
type credential struct {
	id        string
	principal registry.PrincipalName
	roles     []registry.Role
}

// credentials yields every key and token of a tenant; an error ends it.
func (p *Pipeline) credentials(ctx context.Context, tenant registry.TenantName) iter.Seq2[credential, error] {
	return func(yield func(credential, error) bool) {
		for k, err := range pages(ctx, tenant, p.ledger.Keys) {
			if !yield(credential{string(k.ID), k.Principal, k.Roles}, err) {
				return
			}
		}
		for t, err := range pages(ctx, tenant, p.ledger.Tokens) {
			if !yield(credential{string(t.ID), t.Principal, t.Roles}, err) {
				return
			}
		}
	}
}

// pages yields what a list holds, page after page; an error ends it.
func pages[T any](ctx context.Context, tenant registry.TenantName, list func(context.Context, registry.TenantName, registry.Page) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for at := (registry.Page{}); ; {
			rows, next, err := list(ctx, tenant, at)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if at.Cursor = next; next == "" {
				return
			}
		}
	}
}

// RevokeKey stops an access key of the actor's tenant, its URLs and what runs on
// either.
func (p *Pipeline) RevokeKey(ctx context.Context, actor registry.Actor, id registry.AccessKeyID) error {
	err := p.mayRevoke(ctx, actor, policy.ManageKeys, func(_ registry.PrincipalName, credential string) bool { return credential == string(id) })
	if err != nil {
		return p.refuse("revoke", fmt.Errorf("revoke key: %w", err))
	}
	if err := p.ledger.RevokeKey(ctx, actor, actor.Tenant, id); err != nil {
		return err
	}
	p.cutIdentity(ctx, subject{tenant: actor.Tenant, credential: string(id)})
	return nil
}

// RevokeToken is RevokeKey for a bearer token.
func (p *Pipeline) RevokeToken(ctx context.Context, actor registry.Actor, id registry.TokenID) error {
	err := p.mayRevoke(ctx, actor, policy.ManageTokens, func(_ registry.PrincipalName, credential string) bool { return credential == string(id) })
	if err != nil {
		return p.refuse("revoke", fmt.Errorf("revoke token: %w", err))
	}
	if err := p.ledger.RevokeToken(ctx, actor, actor.Tenant, id); err != nil {
		return err
	}
	p.cutIdentity(ctx, subject{tenant: actor.Tenant, credential: string(id)})
	return nil
}

// RevokePrincipal stops a principal of the actor's tenant with all its keys,
// tokens and URLs.
func (p *Pipeline) RevokePrincipal(ctx context.Context, actor registry.Actor, name registry.PrincipalName) error {
	err := p.mayRevoke(ctx, actor, policy.ManageKeys, func(bearer registry.PrincipalName, _ string) bool { return bearer == name })
	if err != nil {
		return p.refuse("revoke", fmt.Errorf("revoke principal: %w", err))
	}
	if err := p.ledger.RevokePrincipal(ctx, actor, actor.Tenant, name); err != nil {
		return err
	}
	p.cutIdentity(ctx, subject{tenant: actor.Tenant, principal: name})
	return nil
}

// SuspendTenant stops everything of a tenant until it is resumed. The operators'
// own is registry.ErrConflict.
func (p *Pipeline) SuspendTenant(ctx context.Context, actor registry.Actor, name registry.TenantName) error {
	if err := policy.Allow(actor, policy.ManageTenants, ""); err != nil {
		return p.refuse("revoke", fmt.Errorf("suspend tenant: %w", err))
	}
	if err := p.ledger.SuspendTenant(ctx, actor, name); err != nil {
		return p.refuse("revoke", err)
	}
	p.cutIdentity(ctx, subject{tenant: name})
	return nil
}

// ResumeTenant ends a suspension.
func (p *Pipeline) ResumeTenant(ctx context.Context, actor registry.Actor, name registry.TenantName) error {
	if err := policy.Allow(actor, policy.ManageTenants, ""); err != nil {
		return fmt.Errorf("resume tenant: %w", err)
	}
	if err := p.ledger.ResumeTenant(ctx, actor, name); err != nil {
		return err
	}
	p.transfers.unbar(subject{tenant: name})
	return nil
}

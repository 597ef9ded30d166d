package pipeline

import (
	"context"
	"fmt"
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
	g, o, err := p.issueGet(ctx, actor, id, d, ttl)
	if err != nil {
		return registry.Grant{}, registry.Object{}, p.refuse("issue_get", fmt.Errorf("issue get url: %w", err))
	}
	p.m.issued.WithLabelValues(string(registry.GrantGet)).Inc()
	return g, o, nil
}

func (p *Pipeline) issueGet(ctx context.Context, actor registry.Actor, id registry.ObjectID, d registry.Disposition, ttl time.Duration) (registry.Grant, registry.Object, error) {
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
	g, err := p.ledger.IssueGetURL(ctx, actor, id, d, ttl)
	return g, o, err
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

// RevokeKey stops an access key of the actor's tenant, its URLs and what runs on
// either.
func (p *Pipeline) RevokeKey(ctx context.Context, actor registry.Actor, id registry.AccessKeyID) error {
	if err := policy.Allow(actor, policy.ManageKeys, ""); err != nil {
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
	if err := policy.Allow(actor, policy.ManageTokens, ""); err != nil {
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
	if err := policy.Allow(actor, policy.ManageKeys, ""); err != nil {
		return p.refuse("revoke", fmt.Errorf("revoke principal: %w", err))
	}
	if err := p.ledger.RevokePrincipal(ctx, actor, actor.Tenant, name); err != nil {
		return err
	}
	p.cutIdentity(ctx, subject{tenant: actor.Tenant, principal: name})
	return nil
}

// SuspendTenant stops everything of a tenant until it is resumed.
func (p *Pipeline) SuspendTenant(ctx context.Context, actor registry.Actor, name registry.TenantName) error {
	if err := policy.Allow(actor, policy.ManageTenants, ""); err != nil {
		return p.refuse("revoke", fmt.Errorf("suspend tenant: %w", err))
	}
	if err := p.ledger.SuspendTenant(ctx, actor, name); err != nil {
		return err
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

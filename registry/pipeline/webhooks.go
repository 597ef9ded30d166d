package pipeline

import (
	"context"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// allowWebhooks asks policy whether the actor manages its tenant's webhooks.
func (p *Pipeline) allowWebhooks(actor registry.Actor) error {
	if err := policy.Allow(actor, policy.ManageWebhooks, ""); err != nil {
		return p.refuse("webhook", fmt.Errorf("webhooks: %w", err))
	}
	return nil
}

// allowTerms is allowWebhooks for what a webhook is to be like: policy.ErrTarget for a
// URL that it may not have.
func (p *Pipeline) allowTerms(actor registry.Actor, terms registry.WebhookTerms) error {
	if err := p.allowWebhooks(actor); err != nil {
		return err
	}
	return p.refuse("webhook", p.cfg.Targets.URL(terms.URL))
}

// CreateWebhook makes a webhook of the actor's tenant. The secret is told this once.
func (p *Pipeline) CreateWebhook(ctx context.Context, actor registry.Actor, terms registry.WebhookTerms) (registry.Webhook, registry.Secret, error) {
	if err := p.allowTerms(actor, terms); err != nil {
		return registry.Webhook{}, "", err
	}
	w, secret, err := p.ledger.CreateWebhook(ctx, actor, terms)
	return w, secret, p.refuse("webhook", err)
}

// Webhook returns one webhook.
func (p *Pipeline) Webhook(ctx context.Context, actor registry.Actor, id registry.WebhookID) (registry.Webhook, error) {
	if err := p.allowWebhooks(actor); err != nil {
		return registry.Webhook{}, err
	}
	return p.ledger.Webhook(ctx, actor.Tenant, id)
}

// Webhooks lists the webhooks of the actor's tenant.
func (p *Pipeline) Webhooks(ctx context.Context, actor registry.Actor, page registry.Page) ([]registry.Webhook, string, error) {
	if err := p.allowWebhooks(actor); err != nil {
		return nil, "", err
	}
	return p.ledger.Webhooks(ctx, actor.Tenant, page)
}

// ChangeWebhook replaces a webhook's terms.
func (p *Pipeline) ChangeWebhook(ctx context.Context, actor registry.Actor, id registry.WebhookID, terms registry.WebhookTerms) (registry.Webhook, error) {
	if err := p.allowWebhooks(actor); err != nil {
		return registry.Webhook{}, err
	}
	// One that is not the tenant's is unknown, whatever is asked for.
	if _, err := p.ledger.Webhook(ctx, actor.Tenant, id); err != nil {
		return registry.Webhook{}, p.refuse("webhook", err)
	}
	if err := p.allowTerms(actor, terms); err != nil {
		return registry.Webhook{}, err
	}
	w, err := p.ledger.ChangeWebhook(ctx, actor, id, terms)
	return w, p.refuse("webhook", err)
}

// RotateWebhookSecret gives a webhook a new secret, which is told this once.
func (p *Pipeline) RotateWebhookSecret(ctx context.Context, actor registry.Actor, id registry.WebhookID) (registry.Webhook, registry.Secret, error) {
	if err := p.allowWebhooks(actor); err != nil {
		return registry.Webhook{}, "", err
	}
	w, secret, err := p.ledger.RotateWebhookSecret(ctx, actor, id)
	return w, secret, p.refuse("webhook", err)
}

// DeleteWebhook forgets a webhook. A message on its way arrives.
func (p *Pipeline) DeleteWebhook(ctx context.Context, actor registry.Actor, id registry.WebhookID) error {
	if err := p.allowWebhooks(actor); err != nil {
		return err
	}
	return p.refuse("webhook", p.ledger.DeleteWebhook(ctx, actor, id))
}

// ReplayWebhook has events sent to a webhook again.
func (p *Pipeline) ReplayWebhook(ctx context.Context, actor registry.Actor, id registry.WebhookID, r registry.Replay) (registry.Webhook, error) {
	if err := p.allowWebhooks(actor); err != nil {
		return registry.Webhook{}, err
	}
	w, err := p.ledger.ReplayWebhook(ctx, actor, id, r)
	return w, p.refuse("webhook", err)
}

// Letters lists the messages of a webhook that were not delivered.
func (p *Pipeline) Letters(ctx context.Context, actor registry.Actor, id registry.WebhookID, page registry.Page) ([]registry.Letter, string, error) {
	if err := p.allowWebhooks(actor); err != nil {
		return nil, "", err
	}
	return p.ledger.Letters(ctx, actor.Tenant, id, page)
}

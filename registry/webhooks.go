package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"time"

	"sallyport/registry/kv"
)

// WebhookID is whk_<ULID>: where a tenant wants its notices to be sent.
type WebhookID string

// MaxWebhooks is how many a tenant can have.
const MaxWebhooks = 32

const (
	// webhookSecretPrefix and webhookSecretBytes are those of the Standard Webhooks
	// specification, https://www.standardwebhooks.com.
	webhookSecretPrefix = "whsec_"
	webhookSecretBytes  = 32
	// webhookOverlap is how long a replaced secret still signs, beside the new one.
	webhookOverlap = 24 * time.Hour
	maxWebhookURL  = 2048
)

// Webhook is a target of notices.
type Webhook struct {
	ID     WebhookID  `json:"id"`
	Tenant TenantName `json:"tenant"`
	URL    string     `json:"url"`
	// Types are the notices it gets; none is all there are, those to come included.
	Types []NoticeType `json:"types,omitempty"`
	// Disabled stops it without forgetting anything: once it is enabled it goes on
	// where it stopped.
	Disabled  bool          `json:"disabled,omitempty"`
	Principal PrincipalName `json:"principal"` // who made it
	CreatedAt time.Time     `json:"created_at"`
	// Secrets sign its messages, the newest first. They are sealed.
	Secrets []WebhookSecret `json:"secrets"`
	// Progress is a row of its own; AllWebhooks leaves it out.
	Progress WebhookProgress `json:"-"`
}

// WebhookSecret is a signing secret at rest.
type WebhookSecret struct {
	Sealed []byte    `json:"sealed"`
	Until  time.Time `json:"until,omitzero"` // set once it was replaced
}

// wants tells whether the webhook is to get a notice.
func (w *Webhook) wants(n NoticeType) bool { return len(w.Types) == 0 || slices.Contains(w.Types, n) }

// WebhookTerms are what can be changed of a webhook.
type WebhookTerms struct {
	URL      string
	Types    []NoticeType
	Disabled bool
}

// check refuses what no row can hold; whether the URL may be called is policy's to say.
func (t WebhookTerms) check() error {
	if t.URL == "" || len(t.URL) > maxWebhookURL {
		return fmt.Errorf("%w: the URL of a webhook is 1 to %d bytes", ErrInvalid, maxWebhookURL)
	}
	for i, n := range t.Types {
		if !slices.Contains(NoticeTypes, n) {
			return fmt.Errorf("%w: there is no such event", ErrInvalid)
		}
		if slices.Contains(t.Types[:i], n) {
			return fmt.Errorf("%w: an event stands twice", ErrInvalid)
		}
	}
	return nil
}

// CreateWebhook makes a webhook of the actor's tenant for the notices from now on; its
// secret is told this once. ErrInvalid; ErrConflict if the tenant has as many as it can.
func (l *Ledger) CreateWebhook(ctx context.Context, by Actor, terms WebhookTerms) (Webhook, Secret, error) {
	if err := terms.check(); err != nil {
		return Webhook{}, "", fmt.Errorf("create webhook: %w", err)
	}
	id, err := l.ids.next(prefixWebhook, l.Now())
	if err != nil {
		return Webhook{}, "", err
	}
	secret, sealed, err := l.newWebhookSecret(WebhookID(id))
	if err != nil {
		return Webhook{}, "", fmt.Errorf("create webhook: %w", err)
	}
	var w Webhook
	err = l.change(ctx, by, func(t *txn) error {
		w = Webhook{
			ID: WebhookID(id), Tenant: by.Tenant, URL: terms.URL, Types: terms.Types, Disabled: terms.Disabled,
			Principal: by.Principal, CreatedAt: t.now, Secrets: []WebhookSecret{{Sealed: sealed}},
		}
		return t.addWebhook(&w, by)
	})
	if err != nil {
		return Webhook{}, "", fmt.Errorf("create webhook: %w", err)
	}
	return w, secret, nil
}

func (t *txn) addWebhook(w *Webhook, by Actor) error {
	if _, err := t.tenant(w.Tenant); err != nil {
		return err
	}
	n, err := t.size(tWebhooks, under(w.Tenant))
	if err != nil {
		return err
	}
	if n >= MaxWebhooks {
		return fmt.Errorf("%w: a tenant has at most %d webhooks", ErrConflict, MaxWebhooks)
	}
	seq, err := t.recordWebhook(EventWebhookPut, by, w.ID)
	if err != nil {
		return err
	}
	if err := t.put(tWebhookStates, w.key(), webhookState{Cursor: seq + 1}); err != nil {
		return err
	}
	return t.put(tWebhooks, w.key(), w)
}

func (w *Webhook) key() []byte { return keyOf(w.Tenant, string(w.ID)) }

func (t *txn) recordWebhook(what EventType, by Actor, id WebhookID) (uint64, error) {
	ev := t.event(what, by)
	ev.Subject = string(id)
	return t.record(ev)
}

// newWebhookSecret makes a secret and seals it for the webhook.
func (l *Ledger) newWebhookSecret(id WebhookID) (Secret, []byte, error) {
	var b [webhookSecretBytes]byte
	if _, err := io.ReadFull(l.random, b[:]); err != nil {
		return "", nil, fmt.Errorf("make a secret: %w", err)
	}
	sealed, err := l.seals.seal(b[:], webhookLabel(id))
	return Secret(webhookSecretPrefix + base64.StdEncoding.EncodeToString(b[:])), sealed, err
}

func webhookLabel(id WebhookID) string { return "webhook " + string(id) }

// SigningKeys returns the keys that a message of the webhook is to be signed with at
// this moment, the newest first. They are what its secrets stand for, not the secrets'
// text.
func (l *Ledger) SigningKeys(w Webhook) ([][]byte, error) {
	var keys [][]byte
	for _, s := range w.Secrets {
		if !s.Until.IsZero() && !l.Now().Before(s.Until) {
			continue
		}
		key, err := l.seals.open(s.Sealed, webhookLabel(w.ID))
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", w.ID, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (t *txn) webhook(tenant TenantName, id WebhookID) (w Webhook, err error) {
	if tenant == "" || id == "" {
		return w, ErrNotFound
	}
	return w, t.load(tWebhooks, keyOf(tenant, string(id)), &w)
}

// Webhook returns one webhook with its progress, or ErrNotFound.
func (l *Ledger) Webhook(ctx context.Context, tenant TenantName, id WebhookID) (w Webhook, err error) {
	err = l.view(ctx, func(t *txn) (err error) {
		if w, err = t.webhook(tenant, id); err != nil {
			return err
		}
		return t.showProgress(&w)
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("webhook: %w", err)
	}
	return w, nil
}

func (t *txn) showProgress(w *Webhook) error {
	s, err := t.webhookState(w)
	w.Progress = s.progress()
	return err
}

// Webhooks lists a tenant's webhooks, newest first.
func (l *Ledger) Webhooks(ctx context.Context, tenant TenantName, page Page) ([]Webhook, string, error) {
	return l.listWebhooks(ctx, newest(tWebhooks, under(tenant), page), (*txn).showProgress)
}

// AllWebhooks lists those of all tenants, in the order of their keys.
func (l *Ledger) AllWebhooks(ctx context.Context, page Page) ([]Webhook, string, error) {
	return l.listWebhooks(ctx, forward(tWebhooks, "", page), func(*txn, *Webhook) error { return nil })
}

func (l *Ledger) listWebhooks(ctx context.Context, r rows, complete func(*txn, *Webhook) error) ([]Webhook, string, error) {
	var found []Webhook
	var more string
	err := l.view(ctx, func(t *txn) (err error) {
		found, more, err = collect(t, r, func(t *txn, _, value []byte) (w Webhook, keep bool, err error) {
			if err := decode(tWebhooks, value, &w); err != nil {
				return w, false, err
			}
			return w, true, complete(t, &w)
		})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list webhooks: %w", err)
	}
	return found, more, nil
}

// ChangeWebhook replaces a webhook's terms. What it was waiting for before it may try
// again is forgotten: a new target may be better than the old one. ErrNotFound,
// ErrInvalid.
func (l *Ledger) ChangeWebhook(ctx context.Context, by Actor, id WebhookID, terms WebhookTerms) (Webhook, error) {
	if err := terms.check(); err != nil {
		return Webhook{}, fmt.Errorf("change webhook: %w", err)
	}
	return l.editWebhook(ctx, by, id, "change webhook", func(t *txn, w *Webhook) error {
		w.URL, w.Types, w.Disabled = terms.URL, terms.Types, terms.Disabled
		state, err := t.webhookState(w)
		if err != nil {
			return err
		}
		state.Failures, state.NotBefore = 0, time.Time{}
		return t.put(tWebhookStates, w.key(), state)
	})
}

// RotateWebhookSecret gives a webhook a new secret, which is told this once. The one
// before signs beside it for a day, any earlier one no more. ErrNotFound.
func (l *Ledger) RotateWebhookSecret(ctx context.Context, by Actor, id WebhookID) (Webhook, Secret, error) {
	secret, sealed, err := l.newWebhookSecret(id)
	if err != nil {
		return Webhook{}, "", fmt.Errorf("rotate webhook secret: %w", err)
	}
	w, err := l.editWebhook(ctx, by, id, "rotate webhook secret", func(t *txn, w *Webhook) error {
		old := w.Secrets[0]
		old.Until = t.now.Add(webhookOverlap)
		w.Secrets = []WebhookSecret{{Sealed: sealed}, old}
		return nil
	})
	if err != nil {
		return Webhook{}, "", err
	}
	return w, secret, nil
}

func (l *Ledger) editWebhook(ctx context.Context, by Actor, id WebhookID, what string, edit func(*txn, *Webhook) error) (Webhook, error) {
	var w Webhook
	err := l.change(ctx, by, func(t *txn) (err error) {
		if w, err = t.webhook(by.Tenant, id); err != nil {
			return err
		}
		if err := edit(t, &w); err != nil {
			return err
		}
		if err := t.put(tWebhooks, w.key(), w); err != nil {
			return err
		}
		if _, err := t.recordWebhook(EventWebhookPut, by, id); err != nil {
			return err
		}
		return t.showProgress(&w)
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("%s: %w", what, err)
	}
	return w, nil
}

// DeleteWebhook forgets a webhook and everything that was to be sent to it.
// ErrNotFound.
func (l *Ledger) DeleteWebhook(ctx context.Context, by Actor, id WebhookID) error {
	err := l.change(ctx, by, func(t *txn) error {
		w, err := t.webhook(by.Tenant, id)
		if err != nil {
			return err
		}
		for _, table := range []kv.Table{tWebhookMessages, tWebhookDue} { // bounded: see maxLetters
			if err := t.clear(table, under(w.Tenant, string(w.ID))); err != nil {
				return err
			}
		}
		for _, table := range []kv.Table{tWebhooks, tWebhookStates} {
			if err := t.Delete(table, w.key()); err != nil {
				return err
			}
		}
		_, err = t.recordWebhook(EventWebhookDeleted, by, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete webhook: %w", err)
	}
	return nil
}

// clear deletes a range of a table.
func (t *txn) clear(table kv.Table, r kv.Range) error {
	var keys [][]byte
	err := t.Scan(table, r, func(key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		if err != nil {
			return err
		}
		err = t.Delete(table, key)
	}
	return err
}

package control

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

// webhookBody is what a webhook is to be like. No events are all events.
type webhookBody struct {
	URL      string                `json:"url"`
	Events   []registry.NoticeType `json:"events"`
	Disabled bool                  `json:"disabled"`
}

func (b webhookBody) terms() registry.WebhookTerms {
	return registry.WebhookTerms{URL: b.URL, Types: b.Events, Disabled: b.Disabled}
}

type webhookRow struct {
	ID        registry.WebhookID     `json:"webhook_id"`
	URL       string                 `json:"url"`
	Events    []registry.NoticeType  `json:"events"` // none: all of them
	Disabled  bool                   `json:"disabled"`
	Secret    string                 `json:"secret,omitempty"`
	Principal registry.PrincipalName `json:"principal"`
	CreatedAt string                 `json:"created_at"`

	Waiting     int    `json:"waiting"` // messages that wait for another try
	Dead        int    `json:"dead"`    // messages that were given up
	Replaying   bool   `json:"replaying"`
	Failures    int    `json:"failures"` // in a row, up to now
	PausedUntil string `json:"paused_until,omitempty"`
	TriedAt     string `json:"tried_at,omitempty"`
	Status      int    `json:"status,omitempty"` // of the last try's answer, where it failed
	Cause       string `json:"cause,omitempty"`  // why the last try failed
}

func webhookRowOf(w registry.Webhook, secret registry.Secret) webhookRow {
	p := w.Progress
	return webhookRow{
		ID: w.ID, URL: w.URL, Events: append([]registry.NoticeType{}, w.Types...), Disabled: w.Disabled, Secret: string(secret),
		Principal: w.Principal, CreatedAt: stamp(w.CreatedAt),
		Waiting: p.Waiting, Dead: p.Dead, Replaying: p.Replaying, Failures: p.Failures,
		PausedUntil: maybeStamp(p.NotBefore), TriedAt: maybeStamp(p.TriedAt), Status: p.Status, Cause: p.Cause,
	}
}

func createWebhook(k *call) error {
	var in webhookBody
	if err := k.decode(&in); err != nil {
		return err
	}
	w, secret, err := k.cfg.Pipeline.CreateWebhook(k.context(), k.actor, in.terms())
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusCreated, webhookRowOf(w, secret))
}

func listWebhooks(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	list, next, err := k.cfg.Pipeline.Webhooks(k.context(), k.actor, p)
	if err != nil {
		return err
	}
	out := struct {
		Webhooks []webhookRow `json:"webhooks"`
		Next     string       `json:"next_cursor,omitempty"`
	}{make([]webhookRow, 0, len(list)), next}
	for _, w := range list {
		out.Webhooks = append(out.Webhooks, webhookRowOf(w, ""))
	}
	return k.json(fasthttp.StatusOK, out)
}

func getWebhook(k *call) error {
	w, err := k.cfg.Pipeline.Webhook(k.context(), k.actor, registry.WebhookID(k.id))
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, webhookRowOf(w, ""))
}

func putWebhook(k *call) error {
	var in webhookBody
	if err := k.decode(&in); err != nil {
		return err
	}
	w, err := k.cfg.Pipeline.ChangeWebhook(k.context(), k.actor, registry.WebhookID(k.id), in.terms())
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, webhookRowOf(w, ""))
}

func rotateWebhookSecret(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	w, secret, err := k.cfg.Pipeline.RotateWebhookSecret(k.context(), k.actor, registry.WebhookID(k.id))
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, webhookRowOf(w, secret))
}

func deleteWebhook(k *call) error {
	if err := k.cfg.Pipeline.DeleteWebhook(k.context(), k.actor, registry.WebhookID(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

// replayWebhook sends a span of events again, or what was given up.
func replayWebhook(k *call) error {
	var in struct {
		From *time.Time `json:"from"`
		To   *time.Time `json:"to"`
		Dead bool       `json:"dead"`
	}
	if err := k.decode(&in); err != nil {
		return err
	}
	r := registry.Replay{Dead: in.Dead}
	switch {
	case in.Dead == (in.From != nil), in.Dead && in.To != nil:
		return fmt.Errorf("%w: either dead is true, or from says since when", errInvalid)
	case in.From != nil:
		r.From = *in.From
	}
	if in.To != nil {
		r.To = *in.To
	}
	w, err := k.cfg.Pipeline.ReplayWebhook(k.context(), k.actor, registry.WebhookID(k.id), r)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusAccepted, webhookRowOf(w, ""))
}

type letterRow struct {
	ID       string              `json:"message_id"`
	Event    registry.NoticeType `json:"event"`
	UploadID registry.UploadID   `json:"upload_id,omitempty"`
	ObjectID registry.ObjectID   `json:"object_id,omitempty"`
	Tries    int                 `json:"tries"`
	DueAt    string              `json:"due_at,omitempty"`  // of the next try
	DeadAt   string              `json:"dead_at,omitempty"` // when it was given up
	Status   int                 `json:"status,omitempty"`
	Cause    string              `json:"cause"`
}

// listLetters shows what was not delivered: what waits and what is dead.
func listLetters(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	id := registry.WebhookID(k.id)
	list, next, err := k.cfg.Pipeline.Letters(k.context(), k.actor, id, p)
	if err != nil {
		return err
	}
	out := struct {
		Messages []letterRow `json:"messages"`
		Next     string      `json:"next_cursor,omitempty"`
	}{make([]letterRow, 0, len(list)), next}
	for _, m := range list {
		out.Messages = append(out.Messages, letterRow{
			ID: registry.MessageID(id, m.Seq), Event: m.Type, UploadID: m.Upload, ObjectID: m.Object, Tries: m.Tries,
			DueAt: maybeStamp(m.Due), DeadAt: maybeStamp(m.Dead), Status: m.Status, Cause: m.Cause,
		})
	}
	return k.json(fasthttp.StatusOK, out)
}

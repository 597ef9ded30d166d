package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sallyport/sigv4"
)

// Webhook is a target of events, and how it fares. Secret is there once, in the answer
// that made it.
type Webhook struct {
	ID          string     `json:"webhook_id"`
	URL         string     `json:"url"`
	Events      []string   `json:"events"` // none: all of them
	Disabled    bool       `json:"disabled"`
	Secret      string     `json:"secret,omitempty"`
	Principal   string     `json:"principal"`
	CreatedAt   time.Time  `json:"created_at"`
	Waiting     int        `json:"waiting"`
	Dead        int        `json:"dead"`
	Replaying   bool       `json:"replaying"`
	Failures    int        `json:"failures"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	TriedAt     *time.Time `json:"tried_at,omitempty"`
	Status      int        `json:"status,omitempty"`
	Cause       string     `json:"cause,omitempty"`
}

// NewWebhook is what a webhook is made from.
type NewWebhook struct {
	URL      string   `json:"url"`
	Events   []string `json:"events"`
	Disabled bool     `json:"disabled"`
}

// CreateWebhook makes a webhook.
func (c *Client) CreateWebhook(ctx context.Context, n NewWebhook) (Webhook, error) {
	var w Webhook
	err := c.call(ctx, http.MethodPost, "/webhooks", nil, n, &w)
	return w, err
}

// Webhooks lists the tenant's webhooks.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	return list[Webhook](ctx, c, "/webhooks", "webhooks", nil, 0)
}

// DeleteWebhook deletes a webhook and what it was still to get.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, webhookPath(id), nil, nil, nil)
}

// SwitchWebhook enables or disables a webhook.
func (c *Client) SwitchWebhook(ctx context.Context, id string, state WebhookSwitch) (Webhook, error) {
	var w Webhook
	if err := c.call(ctx, http.MethodGet, webhookPath(id), nil, nil, &w); err != nil {
		return w, err
	}
	err := c.call(ctx, http.MethodPut, webhookPath(id), nil, NewWebhook{URL: w.URL, Events: w.Events, Disabled: state == WebhookOff}, &w)
	return w, err
}

// WebhookSwitch is whether a webhook is sent to.
type WebhookSwitch int

// The positions of the switch.
const (
	WebhookOn WebhookSwitch = iota
	WebhookOff
)

// RotateWebhookSecret gives a webhook a new secret; the one before signs beside it for a
// day.
func (c *Client) RotateWebhookSecret(ctx context.Context, id string) (Webhook, error) {
	var w Webhook
	err := c.call(ctx, http.MethodPost, webhookPath(id)+"/secret", nil, nil, &w)
	return w, err
}

// Replay asks for events to be sent again: either those of a span of time, or what was
// given up.
type Replay struct {
	From *time.Time `json:"from,omitempty"`
	To   *time.Time `json:"to,omitempty"`
	Dead bool       `json:"dead,omitempty"`
}

// ReplayWebhook has events sent again.
func (c *Client) ReplayWebhook(ctx context.Context, id string, r Replay) (Webhook, error) {
	var w Webhook
	err := c.call(ctx, http.MethodPost, webhookPath(id)+"/replay", nil, r, &w)
	return w, err
}

// Message is one that was not delivered: it waits for another try or is dead.
type Message struct {
	ID       string     `json:"message_id"`
	Event    string     `json:"event"`
	UploadID string     `json:"upload_id,omitempty"`
	ObjectID string     `json:"object_id,omitempty"`
	Tries    int        `json:"tries"`
	DueAt    *time.Time `json:"due_at,omitempty"`
	DeadAt   *time.Time `json:"dead_at,omitempty"`
	Status   int        `json:"status,omitempty"`
	Cause    string     `json:"cause"`
}

// WebhookMessages lists up to limit messages that were not delivered, 0 for all.
func (c *Client) WebhookMessages(ctx context.Context, id string, limit int) ([]Message, error) {
	return list[Message](ctx, c, webhookPath(id)+"/messages", "messages", nil, limit)
}

func webhookPath(id string) string { return "/webhooks/" + sigv4.EncodeComponent(id) }

// Event is one of a stream.
type Event struct {
	ID   uint64
	Data []byte // JSON
}

// EventsFrom says where a stream begins: behind the event After if that is Given, else
// with what happens next.
type EventsFrom struct {
	After uint64
	Given bool
}

// Events calls fn for every event until ctx ends, the server ends the stream or fn
// fails. It returns nil when the server did.
func (c *Client) Events(ctx context.Context, from EventsFrom, fn func(Event) error) error {
	query := url.Values{}
	if from.Given {
		query.Set("after", strconv.FormatUint(from.After, 10))
	}
	answer, err := c.exchange(ctx, http.MethodGet, "/events", query, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return readEvents(answer.Body, fn)
}

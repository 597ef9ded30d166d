package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

func (a *app) webhookCommand() *cobra.Command {
	return group("webhook", "Manage webhooks, which events are sent to",
		a.webhookCreateCommand(), a.webhookListCommand(), a.webhookReplayCommand(), a.webhookMessagesCommand(),
		a.simple("rm ID", "Delete a webhook and what it was still to get", (*client.Client).DeleteWebhook),
		a.webhookSwitchCommand("enable ID", "Send to a webhook again, from where it stopped", client.WebhookOn),
		a.webhookSwitchCommand("disable ID", "Send nothing to a webhook until it is enabled", client.WebhookOff),
		&cobra.Command{
			Use: "rotate ID", Short: "Give a webhook a new secret, shown this once; the old one signs too for a day", Args: cobra.ExactArgs(1),
			RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
				w, err := c.RotateWebhookSecret(ctx, args[0])
				if err != nil {
					return err
				}
				return a.webhookSecret(w)
			}),
		})
}

func (a *app) webhookCreateCommand() *cobra.Command {
	var n client.NewWebhook
	create := &cobra.Command{
		Use: "create URL", Short: "Make a webhook; its secret is shown this once", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			n.URL = args[0]
			w, err := c.CreateWebhook(ctx, n)
			if err != nil {
				return err
			}
			return a.webhookSecret(w)
		}),
	}
	create.Flags().StringSliceVar(&n.Events, "event", nil, "events to send, e.g. object.published; default: all of them")
	create.Flags().BoolVar(&n.Disabled, "disabled", false, "send nothing until it is enabled")
	return create
}

// webhookSecret shows a secret, the only time that it can be.
func (a *app) webhookSecret(w client.Webhook) error {
	if a.json {
		return a.writeJSON(w)
	}
	a.printf("%s\n# id %s, sends %s\n", w.Secret, w.ID, cmp.Or(strings.Join(w.Events, ","), "everything"))
	return nil
}

func (a *app) webhookListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List webhooks and how they fare", Args: cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			hooks, err := c.Webhooks(ctx)
			if err != nil {
				return err
			}
			return a.webhookTable(map[string]any{"webhooks": hooks}, hooks...)
		}),
	}
}

func (a *app) webhookTable(v any, hooks ...client.Webhook) error {
	rows := make([][]string, len(hooks))
	for i, w := range hooks {
		rows[i] = []string{
			w.ID, w.URL, cmp.Or(strings.Join(w.Events, ","), "all"), webhookStatus(w),
			strconv.Itoa(w.Waiting), strconv.Itoa(w.Dead), stamp(w.CreatedAt),
		}
	}
	return a.table(v, "WEBHOOK\tURL\tEVENTS\tSTATUS\tWAITING\tDEAD\tCREATED", rows)
}

// webhookStatus is what matters most of how a webhook fares.
func webhookStatus(w client.Webhook) string {
	switch {
	case w.Disabled:
		return "disabled"
	case w.Failures > 0 && w.Status > 0:
		return fmt.Sprintf("failing: %s %d", w.Cause, w.Status)
	case w.Failures > 0:
		return "failing: " + w.Cause
	case w.Replaying:
		return "replaying"
	}
	return "active"
}

func (a *app) webhookSwitchCommand(use, short string, to client.WebhookSwitch) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			w, err := c.SwitchWebhook(ctx, args[0], to)
			if err != nil {
				return err
			}
			return a.webhookTable(w, w)
		}),
	}
}

func (a *app) webhookReplayCommand() *cobra.Command {
	var since, until string
	var dead bool
	replay := &cobra.Command{
		Use: "replay ID", Short: "Send events again: those since a time, or those that were given up", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			r := client.Replay{Dead: dead}
			var err error
			if r.From, err = a.moment("since", since); err != nil {
				return err
			}
			if r.To, err = a.moment("until", until); err != nil {
				return err
			}
			w, err := c.ReplayWebhook(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.webhookTable(w, w)
		}),
	}
	replay.Flags().StringVar(&since, "since", "", "first time, e.g. 2026-03-01T12:00:00Z or 2h (ago)")
	replay.Flags().StringVar(&until, "until", "", "time to end before, likewise; default: now")
	replay.Flags().BoolVar(&dead, "dead", false, "send what was given up")
	return replay
}

// moment reads a time, or how long ago it was; nil if neither was given.
func (a *app) moment(flag, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago > 0 {
		at := a.now().Add(-ago).UTC()
		return &at, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, fmt.Errorf("--%s: %q is neither a time like 2026-03-01T12:00:00Z nor a duration like 2h", flag, s)
	}
	return &at, nil
}

func (a *app) webhookMessagesCommand() *cobra.Command {
	var limit int
	messages := &cobra.Command{
		Use: "messages ID", Short: "List what was not delivered", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			list, err := c.WebhookMessages(ctx, args[0], limit)
			if err != nil {
				return err
			}
			rows := make([][]string, len(list))
			for i, m := range list {
				next := "given up"
				if m.DueAt != nil {
					next = "again at " + stamp(*m.DueAt)
				}
				rows[i] = []string{m.ID, m.Event, cmp.Or(m.ObjectID, m.UploadID), strconv.Itoa(m.Tries), m.Cause, next}
			}
			return a.table(map[string]any{"messages": list}, "MESSAGE\tEVENT\tOBJECT\tTRIES\tCAUSE\tNEXT", rows)
		}),
	}
	limitFlag(messages, &limit)
	return messages
}

// againAfter is how soon events connects again when a stream ended.
const againAfter = 3 * time.Second

func (a *app) eventsCommand() *cobra.Command {
	var after uint64
	events := &cobra.Command{
		Use: "events", Short: "Show what happens, one JSON line each, until interrupted", Args: cobra.NoArgs,
	}
	events.Flags().Uint64Var(&after, "after", 0, "begin behind the event with this id (default: with what happens next)")
	events.RunE = a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
		from := client.EventsFrom{After: after, Given: events.Flags().Changed("after")}
		for {
			err := c.Events(ctx, from, func(e client.Event) error {
				from = client.EventsFrom{After: e.ID, Given: true}
				_, err := fmt.Fprintf(a.out, "%s\n", e.Data)
				return err
			})
			if ctx.Err() != nil {
				return nil // the way to end it
			}
			if err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(againAfter):
			}
		}
	})
	return events
}

package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/registry/kv"
)

// Message is one notice on its way to one webhook.
type Message struct {
	Webhook Webhook
	Notice  Notice
	Tries   int // before this one
	// Failures counts those of the webhook since it took a message last.
	Failures int

	source messageSource
}

// messageSource is where a message was found.
type messageSource int

const (
	fromLog    messageSource = iota // at the webhook's cursor
	fromLetter                      // due for another try
	fromReplay                      // at the cursor of a replay
)

// ID names the message: the same one for every try and replay, another one for every
// webhook and for every other server.
func (m Message) ID() string { return MessageID(m.Webhook.ID, m.Notice.Seq) }

// MessageID is the ID of the message that tells a webhook of an event.
func MessageID(id WebhookID, seq uint64) string {
	return "msg_" + strings.TrimPrefix(string(id), prefixWebhook) + "_" + strconv.FormatUint(seq, 10)
}

// Looked is how far a webhook's leaves have been looked at. It saves work: the zero
// value looks from where the ledger says.
type Looked struct{ log, replay uint64 }

// Outlook is what a webhook is to do next.
type Outlook struct {
	Message *Message // nil: nothing now
	// Again is then when to look again; zero is when there are News.
	Again time.Time
	// Looked is for the next look. Save says that it is worth a SaveLooked.
	Looked Looked
	Save   bool
}

// saveEvery is how many leaves without a message are worth a write: a restart looks at
// them again.
const saveEvery = 20_000

// NextMessage looks for what to send to a webhook: what is due for another try, then
// what has happened since, then what a replay asks for. ErrNotFound.
func (l *Ledger) NextMessage(ctx context.Context, tenant TenantName, id WebhookID, looked Looked) (Outlook, error) {
	var o Outlook
	err := l.view(ctx, func(t *txn) error {
		w, err := t.webhook(tenant, id)
		if err != nil {
			return err
		}
		o = Outlook{Looked: looked}
		suspended, err := t.has(tBlocked, blockedTenant(tenant))
		if err != nil || suspended || w.Disabled {
			return err
		}
		s, err := t.webhookState(&w)
		if err != nil {
			return err
		}
		if t.now.Before(s.NotBefore) {
			o.Again = s.NotBefore
			return nil
		}
		if err := t.nextMessage(&w, &s, &o); err != nil || o.Message == nil {
			return err
		}
		o.Message.Failures = s.Failures
		return nil
	})
	if err != nil {
		return Outlook{}, fmt.Errorf("next message: %w", err)
	}
	return o, nil
}

func (t *txn) nextMessage(w *Webhook, s *webhookState, o *Outlook) error {
	if err := t.dueLetter(w, o); err != nil || o.Message != nil {
		return err
	}
	end, err := auditSize(t.Tx)
	if err != nil {
		return err
	}
	at := max(s.Cursor, o.Looked.log)
	n, at, err := t.nextNotice(w.Tenant, w.wants, at, end)
	o.Looked.log = at
	if err != nil {
		return err
	}
	if n != nil {
		o.Message = &Message{Webhook: *w, Notice: *n, source: fromLog}
		return nil
	}
	o.Save = at >= s.Cursor+saveEvery
	if at < end {
		o.Again = t.now // there is more to look at
		return nil
	}
	if s.ReplayEnd == 0 {
		return nil
	}
	n, at, err = t.nextNotice(w.Tenant, w.wants, s.Replay, s.ReplayEnd)
	o.Looked.replay = at
	if err != nil {
		return err
	}
	if n != nil {
		o.Message = &Message{Webhook: *w, Notice: *n, source: fromReplay}
		return nil
	}
	o.Save, o.Again = true, t.now
	return nil
}

// dueLetter takes the letter that is due longest, or says when one is.
func (t *txn) dueLetter(w *Webhook, o *Outlook) error {
	var first []byte
	span := under(w.Tenant, string(w.ID))
	err := t.Scan(tWebhookDue, span, func(key, _ []byte) error {
		first = key[len(span.From):]
		return kv.Stop
	})
	if err != nil || first == nil {
		return err
	}
	due, seq := fromMillis(binary.BigEndian.Uint64(first)), lastNumber(first)
	if t.now.Before(due) {
		o.Again = due
		return nil
	}
	m, err := t.letter(w, seq)
	if err != nil {
		return err
	}
	_, leaf, err := getLeaf(t.Tx, seq)
	if err != nil {
		return err
	}
	ev, err := Leaf{Seq: seq, Bytes: leaf}.Event()
	if err != nil {
		return err
	}
	n, _ := ev.Notice()
	o.Message = &Message{Webhook: *w, Notice: n, Tries: m.Tries, source: fromLetter}
	return nil
}

// SaveLooked keeps how far a webhook's leaves were looked at without finding anything,
// and ends a replay that is through.
func (l *Ledger) SaveLooked(ctx context.Context, tenant TenantName, id WebhookID, looked Looked) error {
	return l.settleMessage(ctx, tenant, id, "save looked", func(_ *txn, _ *Webhook, s *webhookState) error {
		s.Cursor = max(s.Cursor, looked.log)
		s.replayed(looked.replay)
		return nil
	})
}

// replayed says that a replay is done with the leaves before at.
func (s *webhookState) replayed(at uint64) {
	if s.Replay = max(s.Replay, at); s.Replay >= s.ReplayEnd {
		s.Replay, s.ReplayEnd = 0, 0
	}
}

// Delivered settles a message that its target took.
func (l *Ledger) Delivered(ctx context.Context, m Message) error {
	return l.settleMessage(ctx, m.Webhook.Tenant, m.Webhook.ID, "delivered", func(t *txn, w *Webhook, s *webhookState) error {
		s.past(m)
		s.Failures, s.NotBefore, s.TriedAt, s.Status, s.Cause = 0, time.Time{}, t.now, 0, ""
		return t.dropLetter(w, s, m.Notice.Seq)
	})
}

// past moves the cursor that found a message behind it.
func (s *webhookState) past(m Message) {
	switch m.source {
	case fromLog:
		s.Cursor = max(s.Cursor, m.Notice.Seq+1)
	case fromReplay:
		s.replayed(m.Notice.Seq + 1)
	}
}

// Failure is why a message was not delivered, and what then.
type Failure struct {
	Status int    // of the answer; 0 for none
	Cause  string // a code
	// Retry is when to try this message again; 0 gives it up.
	Retry time.Duration
	// Pause is how long to send nothing at all to the webhook.
	Pause time.Duration
	// Gone disables the webhook.
	Gone bool
}

// Undelivered settles a message that its target did not take: it waits for another
// try or is given up, which the audit log tells.
func (l *Ledger) Undelivered(ctx context.Context, m Message, f Failure) error {
	return l.settleMessage(ctx, m.Webhook.Tenant, m.Webhook.ID, "undelivered", func(t *txn, w *Webhook, s *webhookState) error {
		s.past(m)
		if err := t.dropLetter(w, s, m.Notice.Seq); err != nil {
			return err
		}
		n := Letter{
			Seq: m.Notice.Seq, Type: m.Notice.Type, Upload: m.Notice.Upload, Object: m.Notice.Object,
			Tries: m.Tries + 1, Status: f.Status, Cause: word(f.Cause),
		}
		s.Failures, s.TriedAt, s.Status, s.Cause = s.Failures+1, t.now, f.Status, n.Cause
		if f.Pause > 0 {
			s.NotBefore = t.now.Add(f.Pause)
		}
		if f.Retry > 0 && s.Waiting < t.l.letters {
			n.Due = t.now.Add(f.Retry)
		} else {
			n.Dead = t.now
			if err := t.recordDead(w, &n); err != nil {
				return err
			}
		}
		if err := t.putLetter(w, s, &n); err != nil {
			return err
		}
		if err := t.dropOldestDead(w, s); err != nil || !f.Gone || w.Disabled {
			return err
		}
		w.Disabled = true
		if err := t.put(tWebhooks, w.key(), w); err != nil {
			return err
		}
		ev := t.event(EventWebhookPut, System(w.Tenant))
		ev.Subject, ev.Reason = string(w.ID), n.Cause
		_, err := t.record(ev)
		return err
	})
}

func (t *txn) recordDead(w *Webhook, m *Letter) error {
	ev := t.event(EventWebhookDead, System(w.Tenant))
	ev.Subject, ev.Upload, ev.Object, ev.Attempt, ev.Reason = string(w.ID), m.Upload, m.Object, uint64(m.Tries), m.Cause
	_, err := t.record(ev)
	return err
}

// settleMessage changes a webhook's state. One that was deleted meanwhile has none.
func (l *Ledger) settleMessage(ctx context.Context, tenant TenantName, id WebhookID, what string, fn func(*txn, *Webhook, *webhookState) error) error {
	err := l.update(ctx, func(t *txn) error {
		w, err := t.webhook(tenant, id)
		if err != nil {
			return err
		}
		s, err := t.webhookState(&w)
		if err != nil {
			return err
		}
		if err := fn(t, &w, &s); err != nil {
			return err
		}
		return t.put(tWebhookStates, w.key(), s)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

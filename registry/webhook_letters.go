package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// maxLetters is how many letters of one webhook may wait for another try, and how many
// dead ones are kept, the latest. What fails beyond is dead at once, so that what does
// not fail goes on; replaying a span of time reaches everything.
const maxLetters = 1000

// Letter is a message that was tried and not delivered: it waits for another try, or is
// dead.
type Letter struct {
	Seq    uint64     `json:"seq"` // of the event in the audit log
	Type   NoticeType `json:"type"`
	Upload UploadID   `json:"upload,omitempty"`
	Object ObjectID   `json:"object,omitempty"`
	Tries  int        `json:"tries"`
	Due    time.Time  `json:"due,omitzero"`  // of the next try
	Dead   time.Time  `json:"dead,omitzero"` // when it was given up
	Status int        `json:"status,omitempty"`
	Cause  string     `json:"cause"` // of the last try's failure, a code
}

// webhookState is how far a webhook's messages are.
type webhookState struct {
	Cursor uint64 `json:"cursor"` // the leaf to look at next
	// Leaves from Replay on are sent again up to ReplayEnd; both are 0 when none are.
	Replay    uint64 `json:"replay,omitempty"`
	ReplayEnd uint64 `json:"replay_end,omitempty"`

	Waiting   int       `json:"waiting,omitempty"` // letters
	Dead      int       `json:"dead,omitempty"`    // likewise
	Failures  int       `json:"failures,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	TriedAt   time.Time `json:"tried_at,omitzero"`
	Status    int       `json:"status,omitempty"`
	Cause     string    `json:"cause,omitempty"`
}

// WebhookProgress is how a webhook's messages fare.
type WebhookProgress struct {
	Waiting   int       // messages that wait for another try
	Dead      int       // messages that were given up
	Replaying bool      // a replay is under way
	Failures  int       // in a row, since something was delivered last
	NotBefore time.Time // nothing is sent until then; zero if nothing is in the way
	TriedAt   time.Time // of the last try; zero if there was none
	Status    int       // what it was answered with; 0 for no answer
	Cause     string    // why it failed, a code; "" if it did not
}

func (s *webhookState) progress() WebhookProgress {
	return WebhookProgress{
		Waiting: s.Waiting, Dead: s.Dead, Replaying: s.ReplayEnd > 0, Failures: s.Failures,
		NotBefore: s.NotBefore, TriedAt: s.TriedAt, Status: s.Status, Cause: s.Cause,
	}
}

func (t *txn) webhookState(w *Webhook) (s webhookState, err error) {
	return s, t.load(tWebhookStates, w.key(), &s)
}

func (w *Webhook) letterKey(seq uint64) []byte { return numbered(w.key(), seq) }

func (w *Webhook) dueKey(m *Letter) []byte { return numbered(numbered(w.key(), millis(m.Due)), m.Seq) }

func (t *txn) letter(w *Webhook, seq uint64) (m Letter, err error) {
	return m, t.load(tWebhookMessages, w.letterKey(seq), &m)
}

// putLetter writes a letter with its place in the queue, and counts it.
func (t *txn) putLetter(w *Webhook, s *webhookState, m *Letter) error {
	if m.Dead.IsZero() {
		s.Waiting++
		if err := t.Put(tWebhookDue, w.dueKey(m), nil); err != nil {
			return err
		}
	} else {
		s.Dead++
	}
	return t.put(tWebhookMessages, w.letterKey(m.Seq), m)
}

// dropLetter takes back what putLetter did, if it did.
func (t *txn) dropLetter(w *Webhook, s *webhookState, seq uint64) error {
	m, err := t.letter(w, seq)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case m.Dead.IsZero():
		s.Waiting--
		err = t.Delete(tWebhookDue, w.dueKey(&m))
	default:
		s.Dead--
	}
	return errors.Join(err, t.Delete(tWebhookMessages, w.letterKey(seq)))
}

// dropOldestDead makes room for the newest.
func (t *txn) dropOldestDead(w *Webhook, s *webhookState) error {
	if s.Dead <= t.l.letters {
		return nil
	}
	oldest, found := uint64(0), false
	err := t.Scan(tWebhookMessages, under(w.Tenant, string(w.ID)), func(_, value []byte) error {
		var m Letter
		if err := decode(tWebhookMessages, value, &m); err != nil || m.Dead.IsZero() {
			return err
		}
		oldest, found = m.Seq, true
		return kv.Stop
	})
	if err != nil || !found {
		return err
	}
	return t.dropLetter(w, s, oldest)
}

// Letters lists the messages of a webhook that were not delivered, the latest events
// first. ErrNotFound.
func (l *Ledger) Letters(ctx context.Context, tenant TenantName, id WebhookID, page Page) ([]Letter, string, error) {
	var found []Letter
	var more string
	err := l.view(ctx, func(t *txn) error {
		if _, err := t.webhook(tenant, id); err != nil {
			return err
		}
		var err error
		found, more, err = collect(t, newest(tWebhookMessages, under(tenant, string(id)), page),
			func(_ *txn, _, value []byte) (m Letter, keep bool, err error) {
				return m, true, decode(tWebhookMessages, value, &m)
			})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list messages: %w", err)
	}
	return found, more, nil
}

// Replay asks for events to be sent again: those of a span of time, or the messages
// that were given up.
type Replay struct {
	From, To time.Time // To is not part of it; zero is now
	Dead     bool      // instead: what was given up
}

// ReplayWebhook has events sent to a webhook again, under the ids they had. ErrNotFound;
// ErrConflict while an earlier span is being replayed.
func (l *Ledger) ReplayWebhook(ctx context.Context, by Actor, id WebhookID, r Replay) (w Webhook, err error) {
	err = l.change(ctx, by, func(t *txn) (err error) {
		if w, err = t.webhook(by.Tenant, id); err != nil {
			return err
		}
		s, err := t.webhookState(&w)
		if err != nil {
			return err
		}
		if r.Dead {
			err = t.reviveDead(&w, &s)
		} else {
			err = t.replaySpan(&s, r)
		}
		if err != nil {
			return err
		}
		w.Progress = s.progress()
		if _, err := t.recordWebhook(EventWebhookReplay, by, id); err != nil {
			return err
		}
		return t.put(tWebhookStates, w.key(), s)
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("replay webhook: %w", err)
	}
	return w, nil
}

// replaySpan notes what to send again. What has not been sent a first time is not part
// of it.
func (t *txn) replaySpan(s *webhookState, r Replay) error {
	if s.ReplayEnd > 0 {
		return fmt.Errorf("%w: an earlier replay is under way", ErrConflict)
	}
	if !r.To.IsZero() && !r.From.Before(r.To) {
		return fmt.Errorf("%w: from is not before to", ErrInvalid)
	}
	// Events are dated in whole milliseconds.
	from, err := leafAt(t.Tx, r.From.Truncate(time.Millisecond), s.Cursor)
	if err != nil {
		return err
	}
	to := s.Cursor
	if !r.To.IsZero() {
		if to, err = leafAt(t.Tx, r.To.Truncate(time.Millisecond), s.Cursor); err != nil {
			return err
		}
	}
	if from < to {
		s.Replay, s.ReplayEnd = from, to
	}
	return nil
}

// leafAt returns the first of the first n leaves that is not from before a moment, n if
// there is none. Leaves stand in the order of their times.
func leafAt(tx kv.Reader, at time.Time, n uint64) (uint64, error) {
	low, high := uint64(0), n
	for low < high {
		mid := low + (high-low)/2
		_, leaf, err := getLeaf(tx, mid)
		if err != nil {
			return 0, err
		}
		ev, err := Leaf{Seq: mid, Bytes: leaf}.Event()
		if err != nil {
			return 0, err
		}
		if ev.Time.Before(at) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}

// reviveDead makes everything that was given up due again, as if it had never been
// tried.
func (t *txn) reviveDead(w *Webhook, s *webhookState) error {
	var dead []Letter
	err := t.Scan(tWebhookMessages, under(w.Tenant, string(w.ID)), func(_, value []byte) error {
		var m Letter
		err := decode(tWebhookMessages, value, &m)
		if err == nil && !m.Dead.IsZero() {
			dead = append(dead, m)
		}
		return err
	})
	for i := range dead {
		if err != nil {
			return err
		}
		m := dead[i]
		if err = t.dropLetter(w, s, m.Seq); err == nil {
			m.Tries, m.Due, m.Dead = 0, t.now, time.Time{}
			err = t.putLetter(w, s, &m)
		}
	}
	return err
}

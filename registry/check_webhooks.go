package registry

import (
	"bytes"
	"encoding/binary"

	"sallyport/registry/kv"
)

// webhooks checks that every webhook has a state and secrets that open, that its
// letters are counted and have their places in the queue, and that nothing is left of
// one that is gone.
func (c *checker) webhooks() error {
	known := make(map[string]int) // letters that rows account for, by webhook key
	due := 0
	err := c.Scan(tWebhooks, kv.Range{}, func(key, value []byte) error {
		var w Webhook
		if err := decode(tWebhooks, value, &w); err != nil {
			return err
		}
		if !bytes.Equal(key, w.key()) {
			c.report("webhook %s is under another's key", w.ID)
		}
		for _, s := range w.Secrets {
			if _, err := c.l.seals.open(s.Sealed, webhookLabel(w.ID)); err != nil {
				c.report("a secret of webhook %s does not open", w.ID)
			}
		}
		waiting, err := c.letters(&w, known)
		due += waiting
		return err
	})
	if err != nil {
		return err
	}
	letters := 0
	for _, n := range known {
		letters += n
	}
	for _, t := range []struct {
		table kv.Table
		want  int
	}{{tWebhookStates, len(known)}, {tWebhookMessages, letters}, {tWebhookDue, due}} {
		n, err := c.size(t.table, kv.Range{})
		if err != nil {
			return err
		}
		if n != t.want {
			c.report("%s has %d rows, webhooks ask for %d", t.table, n, t.want)
		}
	}
	return nil
}

// letters checks one webhook's, and returns how many wait.
func (c *checker) letters(w *Webhook, known map[string]int) (waiting int, err error) {
	s, err := c.webhookState(w)
	if err != nil {
		c.report("webhook %s has no state", w.ID)
		return 0, nil
	}
	dead := 0
	err = c.Scan(tWebhookMessages, under(w.Tenant, string(w.ID)), func(key, value []byte) error {
		var m Letter
		if err := decode(tWebhookMessages, value, &m); err != nil {
			return err
		}
		if m.Seq != binary.BigEndian.Uint64(key[len(key)-8:]) {
			c.report("a letter of webhook %s is under another's key", w.ID)
		}
		if !m.Dead.IsZero() {
			dead++
			return nil
		}
		waiting++
		queued, err := c.has(tWebhookDue, w.dueKey(&m))
		if err == nil && !queued {
			c.report("letter %d of webhook %s waits for ever", m.Seq, w.ID)
		}
		return err
	})
	known[string(w.key())] = waiting + dead
	if waiting != s.Waiting || dead != s.Dead {
		c.report("webhook %s has %d letters waiting and %d dead, its state says %d and %d", w.ID, waiting, dead, s.Waiting, s.Dead)
	}
	return waiting, err
}

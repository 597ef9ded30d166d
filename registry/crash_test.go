package registry_test

import (
	"testing"
	"time"

	"sallyport/registry"
)

// TestCrashBetweenAnyTwoVerbs walks the golden path and lets the process die
// after each verb in turn: what was acknowledged is there, nothing else is, and
// the path can be gone to its end.
func TestCrashBetweenAnyTwoVerbs(t *testing.T) {
	const last = 8
	for crash := range last + 1 {
		h := newHouse(t)
		at := 0
		point := func() {
			if at == crash {
				h.crash()
			}
			at++
		}
		b := h.begin()
		point() // 0: created
		a := h.take(b)
		point() // 1: a turn that nobody holds any more
		if crash == 1 {
			h.want(h.RenewLease(h.ctx(), a), nil) // the row still says so
			a = h.take(b)                         // and yet it can be taken over
		}
		_, err := h.CompletePut(h.ctx(), a, stored("hello"))
		h.must(err)
		point() // 2: received
		_, err = h.BeginPut(h.ctx(), h.amy, acme, b.Upload.ID, b.Grant.ID)
		h.want(err, registry.ErrUploadAlreadyReceived)
		_, err = h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
		h.must(err)
		point() // 3: queued
		c := h.claim()
		point() // 4: a claim that nobody holds any more
		if crash == 4 {
			c = h.claim()
		}
		o, err := h.SettleScan(h.ctx(), c, clean, "text/plain")
		h.must(err)
		point() // 5: judged
		list, _, err := h.Promoting(h.ctx(), registry.Page{})
		h.must(err)
		if len(list) != 1 || list[0].ID != o.ID {
			t.Fatalf("crash %d: promoting %d", crash, len(list))
		}
		_, err = h.Named(h.ctx(), acme, files, o.Key)
		h.want(err, registry.ErrNotFound)
		_, err = h.Publish(h.ctx(), acme, o.ID)
		h.must(err)
		point() // 6: published
		g, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
		h.must(err)
		point() // 7: issued
		_, err = h.GetTicket(h.ctx(), acme, g.ID)
		h.must(err)
		h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
		point() // 8: deleted
		_, err = h.GetTicket(h.ctx(), acme, g.ID)
		h.want(err, registry.ErrNotPublished)
		n, err := h.CondemnDeadIntents(h.ctx(), 100)
		h.must(err)
		if want := map[bool]int{true: 1}[crash == 1]; n != want {
			t.Errorf("crash %d: %d intents were left, want %d", crash, n, want)
		}
		if !h.garbage()[o.Targets[0]] {
			t.Errorf("crash %d: the bytes are not garbage", crash)
		}
	}
}

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
)

const day = 24 * time.Hour

// forgetAll forgets, limit rows at a time, until nothing is left to forget.
func (h *house) forgetAll(limit int) (n int) {
	h.Helper()
	for {
		m, err := h.Forget(h.ctx(), limit)
		h.must(err)
		if n += m; m == 0 {
			return n
		}
	}
}

func (h *house) grantKnown(id registry.GrantID) bool {
	h.Helper()
	_, err := h.Grant(h.ctx(), acme, id)
	if err != nil {
		h.want(err, registry.ErrNotFound)
	}
	return err == nil
}

func TestForgetGrants(t *testing.T) {
	h := newHouse(t)
	o, b := h.published(), h.begin()
	other := h.tenant("zebra") // its grants stand behind all of acme's
	far, err := h.CreateUpload(h.ctx(), other, registry.NewUpload{
		Bucket: "default", Filename: "z", ContentType: "text/plain", Size: 5, SessionTTL: time.Hour, URLTTL: 3 * time.Minute})
	h.must(err)
	farNext, err := h.IssuePutURL(h.ctx(), other, far.Upload.ID, time.Minute)
	h.must(err)
	latest, err := h.IssuePutURL(h.ctx(), h.amy, b.Upload.ID, time.Minute)
	h.must(err)
	var gets []registry.GrantID
	for range 7 {
		g, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
		h.must(err)
		gets = append(gets, g.ID)
	}
	timeline := len(h.events(o.ID))

	// sessionOf's URLs live for two minutes.
	h.time.set(day + 2*time.Minute)
	h.must(h.AcceptClock(h.ctx(), h.amy))
	if n := h.forgetAll(3); n != 7 {
		t.Errorf("%d grants were forgotten a day after their end, want those that ended first: 7", n)
	}
	if !h.grantKnown(b.Grant.ID) {
		t.Error("a grant was forgotten before its time")
	}
	young, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
	h.must(err)
	h.time.pass(time.Minute + time.Second)
	if n := h.forgetAll(3); n != 2 {
		t.Errorf("%d grants were forgotten, want the two superseded ones", n)
	}
	for id, want := range map[registry.GrantID]bool{
		gets[0]: false, gets[6]: false, b.Grant.ID: false, latest.ID: true, young.ID: true,
	} {
		if got := h.grantKnown(id); got != want {
			t.Errorf("grant %s, known: %v, want %v", id, got, want)
		}
	}
	if _, err := h.Grant(h.ctx(), "zebra", far.Grant.ID); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("the other tenant's superseded grant: %v", err)
	}
	if _, err := h.Grant(h.ctx(), "zebra", farNext.ID); err != nil {
		t.Errorf("the other tenant's latest grant: %v", err)
	}
	if n := len(h.events(o.ID)); n != timeline+1 {
		t.Errorf("the timeline went from %d events to %d with one grant more", timeline, n)
	}
	_, err = h.GetTicket(h.ctx(), acme, gets[0])
	h.want(err, registry.ErrGrantRevoked)
	h.want(h.RevokeGrant(h.ctx(), h.amy, acme, gets[0]), registry.ErrNotFound)
}

func TestForgetIdempotency(t *testing.T) {
	h := newHouse(t)
	n := sessionOf
	const many = 10
	for i := range many {
		n.Idempotency = registry.Idempotency{Key: fmt.Sprint(i), Fingerprint: "f"}
		_, err := h.CreateUpload(h.ctx(), h.amy, n)
		h.must(err)
	}
	if n := h.forgetAll(4); n != 0 {
		t.Errorf("%d rows were forgotten at once", n)
	}
	h.time.set(day)
	_, err := h.Forget(h.ctx(), 4)
	h.want(err, registry.ErrClockJumped)
	h.must(h.AcceptClock(h.ctx(), h.amy))
	if n := h.forgetAll(4); n != many {
		t.Errorf("%d keys were forgotten after a day, want %d", n, many)
	}
	n.Idempotency.Fingerprint = "another"
	b, err := h.CreateUpload(h.ctx(), h.amy, n)
	if err != nil || b.Replayed {
		t.Errorf("a key that was forgotten is still known: %v", err)
	}
}

// full is a store whose medium is full while it says so.
type full struct {
	kv.Store
	is *atomic.Bool
}

func (f full) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if f.is.Load() {
		return fmt.Errorf("%w: write ledger: no space", kv.ErrNoSpace)
	}
	return f.Store.Update(ctx, fn)
}

func TestStorageFull(t *testing.T) {
	h := newHouse(t)
	var is atomic.Bool
	h.wrap = func(s kv.Store) kv.Store { return full{s, &is} }
	h.reopen()
	o, b := h.published(), h.begin()
	is.Store(true)
	for what, do := range map[string]func() error{
		"create upload": func() error { _, err := h.CreateUpload(h.ctx(), h.amy, sessionOf); return err },
		"begin put":     func() error { _, err := h.BeginPut(h.ctx(), h.amy, acme, b.Upload.ID, ""); return err },
		"reserve":       func() error { _, err := h.ReserveBlob(h.ctx(), acme); return err },
		"issue": func() error {
			_, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
			return err
		},
		"delete": func() error { return h.DeleteObject(h.ctx(), h.amy, acme, o.ID) },
	} {
		if err := do(); !errors.Is(err, registry.ErrStorageFull) {
			t.Errorf("%s: %v, want ErrStorageFull", what, err)
		}
	}
	if _, err := h.Named(h.ctx(), acme, files, o.Key); err != nil {
		t.Errorf("reading: %v", err)
	}
	is.Store(false)
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
}

package control_test

import (
	"errors"
	"testing"
	"time"

	"sallyport/registry"
)

// Invariant 13: a clock that leapt ahead expires nothing until an operator says
// that it is right; and then it does.
func TestAcceptClock(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	b := r.begin(boss, "hello")
	r.leap.Add(int64(3 * time.Hour))
	if err := r.moves.Sweep(t.Context()); !errors.Is(err, registry.ErrClockJumped) {
		t.Errorf("sweep: %v, want ErrClockJumped", err)
	}
	r.do(boss, "POST", "/system/clock/accept", "").want(403, "FORBIDDEN")
	r.do(r.root, "POST", "/system/clock/accept", `{"sure":true}`).want(400, "INVALID_REQUEST")
	if r.ledger.ClockJump() == 0 {
		t.Fatal("the clock was accepted by somebody who may not")
	}
	r.do(r.root, "POST", "/system/clock/accept", "").want(204, "")
	r.do(r.root, "POST", "/system/clock/accept", "{}").want(204, "")
	if jump := r.ledger.ClockJump(); jump != 0 {
		t.Errorf("the clock is still %s ahead", jump)
	}
	must(t, r.moves.Sweep(t.Context()))
	u, err := r.ledger.Upload(t.Context(), "acme", registry.UploadID(b.upload))
	if err != nil || u.State != registry.UploadExpired {
		t.Errorf("the session is %s, %v", u.State, err)
	}
	events, err := r.ledger.Events(t.Context(), "", 0, 1000)
	must(t, err)
	accepted := 0
	for _, leaf := range events {
		ev, err := leaf.Event()
		must(t, err)
		if ev.Type == registry.EventClockAccepted {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("%d events say that the clock was accepted", accepted)
	}
}

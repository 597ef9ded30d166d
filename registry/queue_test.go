package registry_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
)

func TestQueueOrderAndLease(t *testing.T) {
	h := newHouse(t)
	_, err := h.ClaimScan(h.ctx(), "w", time.Minute)
	h.want(err, registry.ErrNotFound)
	first := h.finalized()
	h.time.pass(time.Second)
	second := h.finalized()
	c1, c2 := h.claim(), h.claim()
	if c1.Object.ID != first.ID || c2.Object.ID != second.ID {
		t.Error("the queue is not in order")
	}
	_, err = h.ClaimScan(h.ctx(), "w", time.Minute)
	h.want(err, registry.ErrNotFound)

	h.time.pass(50 * time.Second)
	h.must(h.RenewClaim(h.ctx(), c2))
	h.time.pass(20 * time.Second) // c1's lease is over, c2's is not
	again := h.claim()
	if again.Object.ID != first.ID || again.Number != 2 || again.Tries != 1 {
		t.Errorf("claim is %+v", again)
	}
	h.want(h.RenewClaim(h.ctx(), c1), registry.ErrFenced)
	h.want(h.RetryScan(h.ctx(), c1, 0, "late"), registry.ErrFenced)
	h.want(h.PauseScan(h.ctx(), c1), registry.ErrFenced)
	_, err = h.SettleScan(h.ctx(), c1, clean, "")
	h.want(err, registry.ErrFenced)
	_, err = h.SettleScan(h.ctx(), again, clean, "")
	h.must(err)
	_, err = h.SettleScan(h.ctx(), again, clean, "")
	h.want(err, registry.ErrFenced)
	d, err := h.QueueDepth(h.ctx())
	h.must(err)
	if d != (registry.QueueDepth{Claimed: 1, Promoting: 1}) {
		t.Errorf("depth is %+v", d)
	}
}

func TestRestartInOrderIsNoTry(t *testing.T) {
	h := newHouse(t)
	h.finalized()
	for range 2 * registry.MaxScanTries {
		h.must(h.PauseScan(h.ctx(), h.claim())) // as a worker does that is told to stop
		h.reopen()
	}
	if c := h.claim(); c.Tries != 0 {
		t.Fatalf("claim is %+v", c)
	}
}

func TestEngineErrorsHold(t *testing.T) {
	tests := map[string]func(h *house, c registry.Claim){
		"Errors": func(h *house, c registry.Claim) { h.must(h.RetryScan(h.ctx(), c, time.Second, "engine_error")) },
		"Lapses": func(h *house, _ registry.Claim) { h.time.pass(time.Minute) },
		// What kills the process each time would never let it come to rest.
		"Crashes": func(h *house, _ registry.Claim) { h.crash() },
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			o := h.finalized()
			for try := range registry.MaxScanTries {
				c := h.claim()
				if c.Tries != try {
					t.Fatalf("try %d says %d", try, c.Tries)
				}
				h.must(h.PauseScan(h.ctx(), c)) // is not a try
				c = h.claim()
				fail(h, c)
				if name == "Errors" && try < registry.MaxScanTries-1 {
					_, err := h.ClaimScan(h.ctx(), "w", time.Minute)
					h.want(err, registry.ErrNotFound) // not due yet
					h.time.pass(time.Second)
				}
			}
			_, err := h.ClaimScan(h.ctx(), "w", time.Minute)
			h.want(err, registry.ErrNotFound)
			o, err = h.Object(h.ctx(), acme, o.ID)
			h.must(err)
			if !o.Held || o.State != registry.ObjectQuarantined || o.Verdict.Attempts != registry.MaxScanTries {
				t.Errorf("object is %+v, verdict %+v", o, o.Verdict)
			}
			// Nor does a restart or time bring it back.
			h.reopen()
			h.time.pass(24 * time.Hour)
			_, err = h.ClaimScan(h.ctx(), "w", time.Minute)
			h.want(err, registry.ErrNotFound)
		})
	}
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		result registry.VerdictResult
		state  registry.ObjectState
		held   bool
	}{
		{registry.VerdictClean, registry.ObjectScanning, false}, // until its bytes have moved
		{registry.VerdictInfected, registry.ObjectRejected, false},
		{registry.VerdictRefused, registry.ObjectRejected, false},
		{registry.VerdictIncomplete, registry.ObjectQuarantined, true},
		{registry.VerdictError, registry.ObjectQuarantined, true},
	}
	for _, test := range tests {
		t.Run(string(test.result), func(t *testing.T) {
			h := newHouse(t)
			h.finalized()
			o, err := h.SettleScan(h.ctx(), h.claim(), registry.Verdict{
				Result: test.result, Reason: "not a word; https://x",
				Engines: []registry.EngineNote{{Name: "inspect", Result: "said"}},
			}, "text/html")
			h.must(err)
			if o.State != test.state || o.Held != test.held || o.DetectedType != "text/html" || o.Verdict.Result != test.result {
				t.Errorf("object is %+v", o)
			}
			if _, err := h.Named(h.ctx(), acme, files, o.Key); err == nil {
				t.Error("it is visible")
			}
		})
	}
	h := newHouse(t)
	h.finalized()
	_, err := h.SettleScan(h.ctx(), h.claim(), registry.Verdict{Result: "fine"}, "")
	h.want(err, registry.ErrInvalid)
}

func TestPromotionSurvivesACrash(t *testing.T) {
	h := newHouse(t)
	o := h.judged()
	if len(o.Targets) != 1 || !strings.HasPrefix(string(o.Targets[0]), "accepted/") || !strings.HasPrefix(string(o.Extents[0].Blob), "staging/") {
		t.Fatal("no step 1")
	}
	h.reopen()
	_, err := h.ClaimScan(h.ctx(), "w", time.Minute)
	h.want(err, registry.ErrNotFound) // never rescanned
	list, _, err := h.Promoting(h.ctx(), registry.Page{})
	h.must(err)
	if len(list) != 1 || list[0].ID != o.ID || list[0].State != registry.ObjectScanning {
		t.Fatalf("promoting is %+v", list)
	}
	for range 2 {
		done, err := h.Publish(h.ctx(), acme, o.ID)
		h.must(err)
		if done.State != registry.ObjectPublished || done.Extents[0].Blob != o.Targets[0] {
			t.Errorf("object is %+v", done)
		}
	}
	list, _, err = h.Promoting(h.ctx(), registry.Page{})
	h.must(err)
	if len(list) != 0 {
		t.Error("it is still promoting")
	}
	b, err := h.Bucket(h.ctx(), acme, files)
	h.must(err)
	if !b.Listed {
		t.Error("the bucket is not listed")
	}
}

// Promotions that fail for ever do not hide those behind them.
func TestPromotingGoesOnBehindAPage(t *testing.T) {
	h := newHouse(t)
	want := make(map[registry.ObjectID]bool)
	for range 5 {
		want[h.judged().ID] = true
	}
	var pages int
	for page := (registry.Page{Limit: 2}); ; pages++ {
		list, next, err := h.Promoting(h.ctx(), page)
		h.must(err)
		for _, o := range list {
			if !want[o.ID] {
				t.Errorf("%s stands twice", o.ID)
			}
			delete(want, o.ID)
		}
		if page.Cursor = next; next == "" {
			break
		}
	}
	if len(want) != 0 || pages != 2 {
		t.Errorf("%d promotions were not listed in %d pages", len(want), pages+1)
	}
	_, _, err := h.Promoting(h.ctx(), registry.Page{Cursor: "?"})
	h.want(err, registry.ErrInvalid)
}

// TestDeletedWhileItsBytesMove: both keys become garbage, but only once the
// move is over.
func TestDeletedWhileItsBytesMove(t *testing.T) {
	h := newHouse(t)
	o := h.judged()
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
	if n := len(h.garbage()); n != 0 {
		t.Errorf("%d blobs are garbage while a move may be creating one", n)
	}
	h.reopen()
	list, _, err := h.Promoting(h.ctx(), registry.Page{})
	h.must(err)
	if len(list) != 1 {
		t.Fatal("nobody will come back for its bytes")
	}
	done, err := h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
	if done.State != registry.ObjectDeleted || !h.garbage()[o.Extents[0].Blob] || !h.garbage()[o.Targets[0]] {
		t.Errorf("object is %s, garbage %d", done.State, len(h.garbage()))
	}
}

func TestReview(t *testing.T) {
	hold := func(h *house) registry.Object {
		h.finalized()
		o, err := h.SettleScan(h.ctx(), h.claim(), registry.Verdict{Result: registry.VerdictIncomplete, Reason: "too_big"}, "")
		h.must(err)
		return o
	}
	t.Run("Failures", func(t *testing.T) {
		h := newHouse(t)
		o := h.finalized()
		_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.Release, Reason: ""})
		h.want(err, registry.ErrConflict)
		_, _, err = h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: ""})
		h.want(err, registry.ErrConflict)
		_, _, err = h.Review(h.ctx(), h.amy, h.begin().Object.ID, registry.Ruling{Decision: registry.Release, Reason: ""})
		h.want(err, registry.ErrConflict)
		_, _, err = h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: "maybe", Reason: ""})
		h.want(err, registry.ErrInvalid)
		_, _, err = h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.Release, Reason: "it is fine, see https://x"})
		h.want(err, registry.ErrInvalid)
		p := h.published()
		_, _, err = h.Review(h.ctx(), h.amy, p.ID, registry.Ruling{Decision: registry.Release, Reason: ""})
		h.want(err, registry.ErrConflict)
		_, _, err = h.Review(h.ctx(), h.amy, p.ID, registry.Ruling{Decision: "maybe", Reason: ""})
		h.want(err, registry.ErrInvalid)
	})
	t.Run("ReleaseHeld", func(t *testing.T) {
		h := newHouse(t)
		o, _, err := h.Review(h.ctx(), h.amy, hold(h).ID, registry.Ruling{Decision: registry.Release, Reason: "seen"})
		h.must(err)
		if o.State != registry.ObjectPublished || o.Held || len(o.Targets) != 1 {
			t.Errorf("object is %+v", o)
		}
		_, err = h.Named(h.ctx(), acme, files, o.Key)
		h.must(err)
		o, err = h.Publish(h.ctx(), acme, o.ID) // once its bytes have moved
		h.must(err)
		if o.State != registry.ObjectPublished || len(o.Targets) != 0 || !strings.HasPrefix(string(o.Extents[0].Blob), "accepted/") {
			t.Errorf("object is %+v", o)
		}
	})
	t.Run("RejectHeld", func(t *testing.T) {
		h := newHouse(t)
		o, _, err := h.Review(h.ctx(), h.amy, hold(h).ID, registry.Ruling{Decision: registry.RejectObject, Reason: "seen"})
		h.must(err)
		if o.State != registry.ObjectRejected || o.Held {
			t.Errorf("object is %+v", o)
		}
	})
	t.Run("WithdrawAndRelease", func(t *testing.T) {
		h := newHouse(t)
		p := h.published()
		o, _, err := h.Review(h.ctx(), h.amy, p.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
		h.must(err)
		_, err = h.Named(h.ctx(), acme, files, p.Key)
		h.want(err, registry.ErrNotFound)
		if o.State != registry.ObjectRejected {
			t.Errorf("object is %s", o.State)
		}
		o, _, err = h.Review(h.ctx(), h.amy, p.ID, registry.Ruling{Decision: registry.Release, Reason: "false_alarm"})
		h.must(err)
		if o.State != registry.ObjectPublished || len(o.Targets) != 0 {
			t.Errorf("object is %+v", o)
		}
	})
}

func TestWorkersShareTheQueue(t *testing.T) {
	h := newHouse(t)
	const n = 40
	for range n {
		h.finalized()
	}
	var mu sync.Mutex
	seen := make(map[registry.ObjectID]int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				c, err := h.ClaimScan(h.ctx(), "w", time.Minute)
				if err != nil {
					return
				}
				mu.Lock()
				seen[c.Object.ID]++
				mu.Unlock()
				if _, err := h.SettleScan(h.ctx(), c, clean, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s was claimed %d times", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d of %d were claimed", len(seen), n)
	}
}

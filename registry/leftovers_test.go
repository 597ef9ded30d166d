package registry_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
)

// crash ends the process without a word: nothing of Close happens.
func (h *house) crash() {
	h.Helper()
	h.must(h.FlushAccess(h.ctx()))
	h.must(registry.StoreOf(h.Ledger).Close())
	_ = h.Close(h.ctx()) // stops what runs; its writes fail
	h.open()
}

func TestDeadIntentsBecomeGarbage(t *testing.T) {
	h := newHouse(t)
	b := h.begin()
	a := h.take(b)
	i, err := h.ReserveBlob(h.ctx(), acme)
	h.must(err)
	done := h.put(direct, "k", "x")
	if n, err := h.CondemnDeadIntents(h.ctx(), 1000); err != nil || n != 0 {
		t.Fatalf("condemned %d intents of a living epoch (%v)", n, err)
	}
	epoch := h.Epoch()
	h.crash()
	if h.Epoch() != epoch+1 {
		t.Errorf("epoch %d after %d", h.Epoch(), epoch)
	}
	for _, key := range []registry.BlobKey{a.Blob, i.Key, done.Extents[0].Blob} {
		if s, err := h.Standing(h.ctx(), key); err != nil || s == registry.BlobUnknown {
			t.Errorf("a key is not known (%v)", err)
		}
	}
	_, err = h.PutObject(h.ctx(), h.amy, registry.NewObject{Intent: i, Bucket: direct, Key: "late", Stored: stored("x"), Verdict: clean})
	h.must(err) // until it is condemned, a dead epoch's intent still stands

	total := 0
	for {
		n, err := h.CondemnDeadIntents(h.ctx(), 3)
		h.must(err)
		if n == 0 {
			break
		}
		total += n
	}
	if !h.garbage()[a.Blob] || h.garbage()[done.Extents[0].Blob] || h.garbage()[i.Key] || total == 0 {
		t.Errorf("condemned %d; garbage is not what the dead left", total)
	}
	// The dead attempt's turn can be taken, and its end changes nothing.
	second := h.take(b)
	h.must(h.FailPut(h.ctx(), a, "late"))
	_, err = h.CompletePut(h.ctx(), second, stored("hello"))
	h.must(err)

	list, err := h.Garbage(h.ctx(), 0, 2)
	h.must(err)
	rest, err := h.Garbage(h.ctx(), list[1].Seq, 1000)
	h.must(err)
	if len(list) != 2 || len(rest) == 0 || rest[0].Seq <= list[1].Seq {
		t.Errorf("pages of garbage: %d and %d", len(list), len(rest))
	}
	var seqs []uint64
	for _, g := range append(list, rest...) {
		seqs = append(seqs, g.Seq)
	}
	for range 2 {
		h.must(h.GarbageGone(h.ctx(), seqs))
	}
	if len(h.garbage()) != 0 {
		t.Error("garbage is left")
	}
	if s, err := h.Standing(h.ctx(), a.Blob); err != nil || s != registry.BlobUnknown {
		t.Errorf("a deleted key is still known (%v)", err)
	}
}

func TestReserveBlobIsUsuallyFree(t *testing.T) {
	h := newHouse(t)
	var mu sync.Mutex
	keys := make(map[registry.BlobKey]bool)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				i, err := h.ReserveBlob(h.ctx(), acme)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				keys[i.Key] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(keys) != 1600 {
		t.Errorf("%d different keys of 1600", len(keys))
	}
	for key := range keys {
		s, err := h.Standing(h.ctx(), key)
		h.must(err)
		if s != registry.BlobLeftover {
			t.Fatal("a key was handed out before the ledger knew it")
		}
		break
	}
	// Keys that were not taken are not kept for ever.
	h.time.pass(time.Minute)
	before, err := h.ReserveBlob(h.ctx(), acme)
	h.must(err)
	if keys[before.Key] {
		t.Error("an old key was handed out")
	}
	h.reopen()
	n := 0
	for {
		m, err := h.CondemnDeadIntents(h.ctx(), 1000)
		h.must(err)
		if n += m; m == 0 {
			break
		}
	}
	if n != 1601 { // those taken and never ended
		t.Errorf("a clean end left %d intents, want 1601", n)
	}
}

func TestClockThatGoesBack(t *testing.T) {
	h := newHouse(t)
	b := h.begin()
	h.time.pass(119 * time.Second)
	h.begin() // commits the time
	now := h.Now()
	h.time.set(-time.Hour)
	if h.Now().Before(now) {
		t.Error("the ledger's time went back")
	}
	h.reopen()
	if h.Now().Before(now) {
		t.Error("the ledger's time went back over a restart")
	}
	_, err := h.PutTicket(h.ctx(), acme, b.Grant.ID)
	h.must(err)
	h.time.set(time.Hour)
	h.time.pass(time.Second)
	h.begin()
	h.time.set(-time.Hour)
	_, err = h.PutTicket(h.ctx(), acme, b.Grant.ID)
	h.want(err, registry.ErrGrantExpired) // and stays so
	late := h.begin()
	list, _, err := h.Uploads(h.ctx(), acme, "", registry.Page{Limit: 1})
	h.must(err)
	if list[0].ID != late.Upload.ID {
		t.Error("the newest session is not first")
	}
}

func TestClockThatLeaps(t *testing.T) {
	h := newHouse(t)
	h.begin()
	h.time.set(5 * time.Minute)
	if h.ClockJump() != 0 {
		t.Error("five minutes are a leap")
	}
	h.must(h.AcceptClock(h.ctx(), h.amy))
	h.time.set(3 * time.Hour)
	if h.ClockJump() <= 5*time.Minute {
		t.Error("three hours are no leap")
	}
	_, err := h.ExpireDue(h.ctx(), 10)
	h.want(err, registry.ErrClockJumped)
	_, err = h.CondemnDeadIntents(h.ctx(), 10)
	h.want(err, registry.ErrClockJumped)
	h.must(h.AcceptClock(h.ctx(), h.amy))
	if h.ClockJump() < 0 || h.ClockJump() > 5*time.Minute {
		t.Errorf("leap of %v after it was accepted", h.ClockJump())
	}
	if n, err := h.ExpireDue(h.ctx(), 10); err != nil || n != 1 {
		t.Errorf("expired %d (%v)", n, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	h := newHouse(t)
	h.must(h.Close(h.ctx()))
	s, err := boltkv.Open(h.path, boltkv.Options{Tables: registry.Tables})
	h.must(err)
	set := func(version byte) {
		h.must(s.Update(h.ctx(), func(tx kv.Tx) error {
			return tx.Put("meta", []byte("schema"), []byte{0, 0, 0, 0, 0, 0, 0, version})
		}))
	}
	set(200)
	_, err = registry.Open(h.ctx(), registry.Config{Store: s, Now: h.time.now})
	if !errors.Is(err, registry.ErrSchema) {
		t.Errorf("got %v", err)
	}
	set(1)
	h.must(s.Close())
	h.open()
}

func TestOpenUnderAnotherRootKey(t *testing.T) {
	h := newHouse(t)
	h.must(h.Close(h.ctx()))
	s, err := boltkv.Open(h.path, boltkv.Options{Tables: registry.Tables})
	h.must(err)
	if _, err := registry.Open(h.ctx(), registry.Config{Store: s, Now: h.time.now, RootKey: [32]byte{9}}); err == nil {
		t.Error("opened")
	}
	h.must(s.Close())
	h.open()
}

func TestOpenNeedsStoreAndClock(t *testing.T) {
	if _, err := registry.Open(t.Context(), registry.Config{}); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestBlobRefs(t *testing.T) {
	h := newHouse(t)
	staged := h.received()
	moving := h.judged()
	shown := h.put(direct, "k", "x")
	killed := h.take(h.begin())
	h.crash() // it may have written some bytes, or none: nothing promises them
	if s, err := h.Standing(h.ctx(), killed.Blob); err != nil || s != registry.BlobLeftover {
		t.Errorf("a killed attempt's key stands as %v (%v)", s, err)
	}
	u, err := h.Upload(h.ctx(), acme, staged.Upload.ID)
	h.must(err)
	want := map[registry.BlobKey]bool{
		u.Staging: true, moving.Extents[0].Blob: true, moving.Targets[0]: true, shown.Extents[0].Blob: true,
	}
	n := 0
	for key, err := range h.BlobRefs(h.ctx()) {
		h.must(err)
		n++
		if !want[key] {
			t.Error("a key that nothing refers to")
		}
		if s, err := h.Standing(h.ctx(), key); err != nil || s != registry.BlobReferred {
			t.Errorf("a reference is not known (%v)", err)
		}
	}
	if n != len(want) {
		t.Errorf("%d references, want %d", n, len(want))
	}
	for _, key := range []registry.BlobKey{"", "x", "staging/a/2026/01/01/upl_x/1", u.Staging + "0"} {
		if s, err := h.Standing(h.ctx(), key); err != nil || s != registry.BlobUnknown {
			t.Errorf("a stray key is known (%v)", err)
		}
	}
}

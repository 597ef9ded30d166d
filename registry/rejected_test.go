package registry_test

import (
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
)

// TestRejectedStaysWithItsBucket: what was rejected in a bucket that is gone is not
// released into another of its name.
func TestRejectedStaysWithItsBucket(t *testing.T) {
	h := newHouse(t)
	for name, versioning := range map[registry.BucketName]registry.Versioning{
		"plain": registry.VersioningOff, "versioned": registry.VersioningEnabled,
	} {
		b := registry.Bucket{Name: name, Intake: registry.IntakeDirect, Versioning: versioning}
		h.must(h.CreateBucket(h.ctx(), h.amy, b))
		o := h.put(name, "k", "one")
		_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
		h.must(err)
		h.must(h.DeleteBucket(h.ctx(), h.amy, acme, name))
		h.time.pass(time.Second)
		h.must(h.CreateBucket(h.ctx(), h.amy, b))
		_, _, err = h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.Release, Reason: "false_alarm"})
		h.want(err, registry.ErrConflict)
	}
}

// TestOvertakenLeavesNoName: what can never be published is not looked at again by
// every later write of its key.
func TestOvertakenLeavesNoName(t *testing.T) {
	h := newHouse(t)
	names := func() (n int) {
		h.must(registry.StoreOf(h.Ledger).View(h.ctx(), func(tx kv.Tx) error {
			return tx.Scan("names_pending", kv.Range{}, func(_, _ []byte) error {
				n++
				return nil
			})
		}))
		return n
	}
	for range 5 {
		h.settle(h.put(files, "k", "bad"), registry.Verdict{Result: registry.VerdictInfected, Reason: "eicar"})
	}
	if n := names(); n != 5 {
		t.Fatalf("%d names wait, want those of five that can be released", n)
	}
	h.settle(h.put(files, "k", "good"), clean)
	if n := names(); n != 0 {
		t.Errorf("%d names are left behind the published one", n)
	}
}

// reject makes an object that its bucket publishes at once a rejected one.
func (h *house) reject(bucket registry.BucketName, key string) registry.Object {
	h.Helper()
	o, _, err := h.Review(h.ctx(), h.amy, h.put(bucket, key, "bad").ID, registry.Ruling{Decision: registry.RejectObject, Reason: "bad"})
	h.must(err)
	return o
}

// TestDestroyRejected: bytes are kept for as long as the bucket says, or else the
// server, and what is locked for as long as it is.
func TestDestroyRejected(t *testing.T) {
	h := newHouse(t)
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "short", Intake: registry.IntakeDirect, Scan: registry.ScanRules{KeepRejected: time.Hour}}))
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "long", Intake: registry.IntakeDirect, Scan: registry.ScanRules{KeepRejected: 30 * time.Hour}}))
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "vault", Intake: registry.IntakeDirect, Lock: &registry.BucketLock{}, Scan: registry.ScanRules{KeepRejected: time.Hour}}))
	long := h.reject("long", "k")
	plain := h.reject(direct, "k")
	held := h.put("vault", "held", "bad")
	_, err := h.SetLegalHold(h.ctx(), h.amy, "vault", "held", "", true)
	h.must(err)
	retained := h.put("vault", "retained", "bad")
	_, err = h.SetRetention(h.ctx(), h.amy, "vault", "retained", "", &registry.Retention{Mode: registry.LockCompliance, Until: h.Now().Add(3 * time.Hour)}, false)
	h.must(err)
	for _, o := range []registry.Object{held, retained} {
		_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "bad"})
		h.must(err)
	}
	short := h.reject("short", "k")
	twice := h.reject("short", "twice")
	_, _, err = h.Review(h.ctx(), h.amy, twice.ID, registry.Ruling{Decision: registry.Release, Reason: "good"})
	h.must(err)

	destroyed := map[registry.ObjectID]bool{}
	step := func(pass, keep time.Duration, gone ...registry.Object) {
		t.Helper()
		h.time.pass(pass)
		n, err := h.DestroyRejected(h.ctx(), keep, 100)
		h.must(err)
		if n != len(gone) {
			t.Errorf("%d were destroyed, want %d", n, len(gone))
		}
		for _, o := range gone {
			destroyed[o.ID] = true
			if !h.garbage()[o.Extents[0].Blob] {
				t.Errorf("the bytes of %s are not given up", o.Key)
			}
		}
		for _, o := range []registry.Object{long, plain, held, retained, short, twice} {
			row, err := h.Object(h.ctx(), acme, o.ID)
			h.must(err)
			if row.Destroyed != destroyed[o.ID] || row.Destroyed != (row.Extents == nil) {
				t.Errorf("%s of %s: destroyed %v, %d extents", row.Key, row.Bucket, row.Destroyed, len(row.Extents))
			}
		}
	}
	step(59*time.Minute, 0)
	step(time.Minute, 0, short)
	step(2*time.Hour, 0, retained) // its retention has ended
	step(21*time.Hour, 24*time.Hour, plain)
	step(time.Hour, 24*time.Hour)
	step(5*time.Hour, 24*time.Hour, long)
	step(1000*time.Hour, 24*time.Hour)

	if events := h.events(short.ID); events[len(events)-1] != registry.EventObjectDestroyed {
		t.Errorf("the log says %v", events)
	}
	_, _, err = h.Review(h.ctx(), h.amy, short.ID, registry.Ruling{Decision: registry.Release, Reason: "good"})
	h.want(err, registry.ErrConflict)
	_, err = h.Examine(h.ctx(), h.amy, short.ID, "zip")
	h.want(err, registry.ErrConflict)
	_, _, err = h.Review(h.ctx(), h.amy, short.ID, registry.Ruling{Decision: registry.Confirm, Reason: "bad"})
	h.must(err)
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, short.ID))
	_, err = h.DestroyRejected(h.ctx(), -1, 1)
	h.want(err, registry.ErrInvalid)
	_, err = h.DestroyRejected(h.ctx(), time.Hour, 0)
	h.want(err, registry.ErrInvalid)
	h.time.set(time.Hour)
	_, err = h.DestroyRejected(h.ctx(), time.Hour, 1)
	h.want(err, registry.ErrClockJumped)
	h.must(h.AcceptClock(h.ctx(), h.amy))
}

// TestDestroyInBatches: a limit is kept, and what is shared goes with the last.
func TestDestroyInBatches(t *testing.T) {
	h := newHouse(t)
	first := h.put(direct, "first", "bad")
	for i := range 4 {
		h.copyOf(first, string(rune('a'+i)))
	}
	_, shared, err := h.Review(h.ctx(), h.amy, first.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "bad"})
	h.must(err)
	if len(shared) != 4 {
		t.Fatalf("%d share its bytes", len(shared))
	}
	h.time.pass(time.Hour)
	for _, want := range []int{2, 2, 1, 0} {
		if h.garbage()[first.Extents[0].Blob] != (want == 0) {
			t.Errorf("with %d to go, shared bytes are garbage: %v", want, want != 0)
		}
		n, err := h.DestroyRejected(h.ctx(), time.Hour, 2)
		h.must(err)
		if n != want {
			t.Errorf("%d at once, want %d", n, want)
		}
	}
}

// TestProposals: a release by two is of what the first one saw.
func TestProposals(t *testing.T) {
	h := newHouse(t)
	bob := h.actor(acme, "bob")
	h.must(h.PutProfile(h.ctx(), h.amy, registry.Bucket{Name: files, Intake: registry.IntakeQuarantine, Scan: registry.ScanRules{TwoPersons: true}}))
	release := registry.Ruling{Decision: registry.Release, Reason: "seen"}
	hold := func(id registry.ObjectID) {
		t.Helper()
		c := h.claim()
		_, err := h.SettleScan(h.ctx(), c, registry.Verdict{Result: registry.VerdictIncomplete, Reason: "too_large"}, "")
		h.must(err)
		if id != "" && c.Object.ID != id {
			t.Fatal("claimed another object")
		}
	}
	propose := func(by registry.Actor, id registry.ObjectID) {
		t.Helper()
		o, _, err := h.Review(h.ctx(), by, id, release)
		h.must(err)
		if o.State == registry.ObjectPublished || o.Proposal == nil || o.Proposal.By != by.Principal || !o.Proposal.At.Equal(h.Now()) {
			t.Errorf("proposed by %s: %s, %+v", by.Principal, o.State, o.Proposal)
		}
	}
	o := h.finalized()
	hold(o.ID)
	propose(h.amy, o.ID)

	// Inspected again, it is another case.
	h.rescan(o.ID)
	hold(o.ID)
	propose(bob, o.ID)

	// A rejection, and a confirmation, end a proposal, too.
	_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.Confirm, Reason: "bad"})
	h.must(err)
	propose(h.amy, o.ID)
	_, _, err = h.Review(h.ctx(), bob, o.ID, registry.Ruling{Decision: registry.Confirm, Reason: "bad"})
	h.must(err)
	propose(bob, o.ID)
	got, _, err := h.Review(h.ctx(), h.amy, o.ID, release)
	h.must(err)
	if got.State != registry.ObjectPublished || got.Proposal != nil || got.Ruling.By != h.amy.Principal {
		t.Errorf("object is %s, proposal %+v, ruling %+v", got.State, got.Proposal, got.Ruling)
	}
	_, err = h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
}

// TestExamineRefusals: the log says who saw what was not published, and only then.
func TestExamineRefusals(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		id   registry.ObjectID
		want error
	}{
		"unknown":   {"obj_01J00000000000000000000000", registry.ErrNotFound},
		"pending":   {h.begin().Object.ID, registry.ErrNotPublished},
		"waiting":   {h.finalized().ID, nil},
		"published": {h.put(direct, "k", "x").ID, registry.ErrNotPublished},
		"rejected":  {h.reject(direct, "bad").ID, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Examine(h.ctx(), h.amy, c.id, "zip")
			h.want(err, c.want)
			if err != nil {
				return
			}
			events, err := h.Timeline(h.ctx(), acme, c.id, 0, 100)
			h.must(err)
			if last := events[len(events)-1]; last.Type != registry.EventObjectExamined || last.Principal != "amy" || last.Reason != "zip" {
				t.Errorf("the log says %+v", last)
			}
		})
	}
}

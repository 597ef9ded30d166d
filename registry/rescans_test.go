package registry_test

import (
	"slices"
	"testing"
	"time"

	"sallyport/registry"
)

var infected = registry.Verdict{Result: registry.VerdictInfected, Reason: "malware", Engines: []registry.EngineNote{
	{Name: "inspect", Result: "clean"}, {Name: "clamd", Version: "2", Result: "infected", Signature: "Eicar"},
}}

// rescanned claims what is next, which must be that object's rescan.
func (h *house) rescanned(id registry.ObjectID) registry.Claim {
	h.Helper()
	c := h.claim()
	if !c.Rescan || c.Object.ID != id {
		h.Fatalf("claimed %s, rescan %v; want the rescan of %s", c.Object.ID, c.Rescan, id)
	}
	return c
}

func (h *house) rescan(id registry.ObjectID) {
	h.Helper()
	_, err := h.RescanObject(h.ctx(), h.amy, id)
	h.must(err)
}

// copyOf is a whole copy of an object in the bucket direct.
func (h *house) copyOf(o registry.Object, key string) registry.Object {
	h.Helper()
	c, err := h.CopyObject(h.ctx(), h.amy, registry.NewCopy{Source: o.ID, Bucket: direct, Key: key, Verdict: clean})
	h.must(err)
	return c
}

// TestRescanOrder: first what waits for its first verdict, then what somebody asked
// for, then the rest, the newest first.
func TestRescanOrder(t *testing.T) {
	h := newHouse(t)
	var shown []registry.Object
	for range 3 {
		shown = append(shown, h.put(direct, string(rune('a'+len(shown))), "x"))
		h.time.pass(time.Second)
	}
	h.must(h.StartRescans(h.ctx(), registry.RescanSignatures))
	n, more, err := h.FeedRescans(h.ctx(), 10)
	h.must(err)
	if n != 3 || more {
		t.Errorf("%d are queued, more: %v", n, more)
	}
	h.time.pass(time.Second)
	h.rescan(shown[0].ID)
	waiting := h.finalized()
	if c := h.claim(); c.Rescan || c.Object.ID != waiting.ID {
		t.Errorf("claimed %+v", c)
	}
	for _, i := range []int{0, 2, 1} {
		h.rescanned(shown[i].ID)
	}
	_, err = h.ClaimScan(h.ctx(), "w", time.Minute)
	h.want(err, registry.ErrNotFound)
}

// TestRescanKeepsPublished: nobody but the queue notices, until there is a verdict.
func TestRescanKeepsPublished(t *testing.T) {
	h := newHouse(t)
	o := h.published()
	before := h.events(o.ID)
	h.rescan(o.ID)
	h.rescan(o.ID) // again changes nothing
	c := h.rescanned(o.ID)
	h.time.pass(time.Second)
	h.must(h.RenewClaim(h.ctx(), c))
	h.must(h.PauseScan(h.ctx(), c))
	c = h.rescanned(o.ID)
	if h.state(o.ID) != registry.ObjectPublished {
		t.Errorf("while it is inspected it is %s", h.state(o.ID))
	}
	v := clean
	v.Engines = []registry.EngineNote{{Name: "clamd", Version: "2", Result: "clean"}}
	got, err := h.SettleScan(h.ctx(), c, v, "text/plain")
	h.must(err)
	if got.State != registry.ObjectPublished || got.Rescan != nil || got.Verdict.Engines[0].Version != "2" || !got.Verdict.At.Equal(h.Now()) {
		t.Errorf("object is %+v, verdict %+v", got, got.Verdict)
	}
	if now := h.events(o.ID)[len(before):]; !slices.Equal(now, []registry.EventType{registry.EventObjectRescan, registry.EventObjectVerdict}) {
		t.Errorf("the log says %v", now)
	}
	_, err = h.SettleScan(h.ctx(), c, infected, "")
	h.want(err, registry.ErrFenced)
	h.want(h.RenewClaim(h.ctx(), c), registry.ErrFenced)
	h.want(h.RetryScan(h.ctx(), c, 0, "x"), registry.ErrFenced)
}

// TestStaleRescan: who lost a rescan does not get the next one's say.
func TestStaleRescan(t *testing.T) {
	h := newHouse(t)
	o := h.published()
	h.rescan(o.ID)
	stale := h.rescanned(o.ID)
	h.time.pass(2 * time.Minute)
	taken := h.rescanned(o.ID)
	if taken.Tries != 1 {
		t.Errorf("a lapsed claim counts %d tries", taken.Tries)
	}
	_, err := h.SettleScan(h.ctx(), taken, clean, "")
	h.must(err)
	h.rescan(o.ID)
	next := h.rescanned(o.ID)
	for _, c := range []registry.Claim{stale, taken} {
		_, err := h.SettleScan(h.ctx(), c, infected, "")
		h.want(err, registry.ErrFenced)
	}
	_, err = h.SettleScan(h.ctx(), next, clean, "")
	h.must(err)
}

// TestRescanInDoubt: who cannot judge does not withdraw what was clean.
func TestRescanInDoubt(t *testing.T) {
	for name, end := range map[string]func(*house, registry.ObjectID){
		"incomplete": func(h *house, id registry.ObjectID) {
			_, err := h.SettleScan(h.ctx(), h.rescanned(id), registry.Verdict{Result: registry.VerdictIncomplete, Reason: "too_large"}, "")
			h.must(err)
		},
		"errors": func(h *house, id registry.ObjectID) {
			for range registry.MaxScanTries {
				h.must(h.RetryScan(h.ctx(), h.rescanned(id), time.Minute, "engine_error"))
				h.time.pass(time.Minute)
			}
		},
		"workers that die": func(h *house, id registry.ObjectID) {
			for range registry.MaxScanTries {
				h.rescanned(id)
				h.crash()
			}
			_, err := h.ClaimScan(h.ctx(), "w", time.Minute)
			h.want(err, registry.ErrNotFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			o := h.published()
			h.rescan(o.ID)
			end(h, o.ID)
			got, err := h.Object(h.ctx(), acme, o.ID)
			h.must(err)
			if got.State != registry.ObjectPublished || got.Rescan != nil || got.Doubt == nil || got.Verdict.Result != registry.VerdictClean {
				t.Errorf("object is %s, doubt %+v, verdict %+v", got.State, got.Doubt, got.Verdict)
			}
			_, err = h.ClaimScan(h.ctx(), "w", time.Minute)
			h.want(err, registry.ErrNotFound)
			h.rescan(o.ID)
			got, err = h.SettleScan(h.ctx(), h.rescanned(o.ID), clean, "")
			h.must(err)
			if got.Doubt != nil {
				t.Errorf("a clean verdict leaves doubt %+v", got.Doubt)
			}
		})
	}
}

// TestRescanWithdraws: what is found infected goes at once, with all that shares bytes
// with it; what is against its bucket's rules goes alone.
func TestRescanWithdraws(t *testing.T) {
	for _, c := range []struct {
		verdict registry.Verdict
		copy    registry.ObjectState
	}{
		{infected, registry.ObjectRejected},
		{registry.Verdict{Result: registry.VerdictRefused, Reason: "polyglot"}, registry.ObjectPublished},
	} {
		t.Run(string(c.verdict.Result), func(t *testing.T) {
			h := newHouse(t)
			o := h.published()
			twin := h.copyOf(o, "twin")
			h.put(direct, "other", "hello") // the same content is not the same bytes
			h.rescan(o.ID)
			got, err := h.SettleScan(h.ctx(), h.rescanned(o.ID), c.verdict, "")
			h.must(err)
			if got.State != registry.ObjectRejected || got.Verdict.Reason != c.verdict.Reason || got.RejectedAt.IsZero() {
				t.Errorf("object is %s since %v, verdict %+v", got.State, got.RejectedAt, got.Verdict)
			}
			if last := h.events(o.ID); last[len(last)-1] != registry.EventObjectWithdrawn {
				t.Errorf("the log says %v", last)
			}
			if h.state(twin.ID) != c.copy {
				t.Errorf("its copy is %s", h.state(twin.ID))
			}
			_, err = h.Named(h.ctx(), acme, direct, "other")
			h.must(err)
		})
	}
}

// TestTwinsOfTheInfected: the verdict on a list of extents is that of whoever has it.
func TestTwinsOfTheInfected(t *testing.T) {
	h := newHouse(t)
	shown := h.put(direct, "shown", "x")
	waits, err := h.CopyObject(h.ctx(), h.amy, registry.NewCopy{Source: shown.ID, Bucket: files, Key: "waits"})
	h.must(err)
	if c := h.claim(); c.Object.ID != waits.ID {
		t.Fatal("claimed another object")
	} else {
		_, err = h.SettleScan(h.ctx(), c, infected, "")
		h.must(err)
	}
	got, err := h.Object(h.ctx(), acme, shown.ID)
	h.must(err)
	if got.State != registry.ObjectRejected || got.Verdict.Result != registry.VerdictInfected || got.Verdict.Reason != "shares_bytes" {
		t.Errorf("the source is %s, verdict %+v", got.State, got.Verdict)
	}
}

// TestTwinsTakeAllThatSharesWithThem: what was published with the very bytes of what is
// found infected is withdrawn, and with that, as ever, all that shares bytes with it.
func TestTwinsTakeAllThatSharesWithThem(t *testing.T) {
	h := newHouse(t)
	shown := h.put(direct, "shown", "x")
	joined := h.multipart(direct, "joined")
	joined.part(1, "a", 5*mib)
	joined.copied(2, shown, 0, shown.Size)
	whole := joined.complete()
	open := h.multipart(direct, "open")
	open.part(1, "b", 5*mib)
	open.copied(2, shown, 0, shown.Size)
	_, err := h.CopyObject(h.ctx(), h.amy, registry.NewCopy{Source: shown.ID, Bucket: files, Key: "waits"})
	h.must(err)
	_, err = h.SettleScan(h.ctx(), h.claim(), infected, "")
	h.must(err)
	for _, id := range []registry.ObjectID{shown.ID, whole.ID} {
		if got := h.state(id); got != registry.ObjectRejected {
			t.Errorf("%s is %s", id, got)
		}
	}
	_, err = h.CompleteMultipart(h.ctx(), h.amy, open.completion())
	h.want(err, registry.ErrPart)
	h.must(h.Check(h.ctx()))
}

// TestReleasedInSpiteOf: what analysts let pass is not found again, but what they have
// not seen is.
func TestReleasedInSpiteOf(t *testing.T) {
	h := newHouse(t)
	h.finalized()
	o, err := h.SettleScan(h.ctx(), h.claim(), infected, "")
	h.must(err)
	_, _, err = h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.Release, Reason: "false_positive"})
	h.must(err)
	o, err = h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
	h.time.pass(time.Second)
	h.rescan(o.ID)
	o, err = h.SettleScan(h.ctx(), h.rescanned(o.ID), infected, "")
	h.must(err)
	if o.State != registry.ObjectPublished || o.Rescan != nil {
		t.Errorf("the same finding makes it %s", o.State)
	}
	another := infected
	another.Engines = []registry.EngineNote{{Name: "clamd", Result: "infected", Signature: "Worm"}}
	h.rescan(o.ID)
	o, err = h.SettleScan(h.ctx(), h.rescanned(o.ID), another, "")
	h.must(err)
	if o.State != registry.ObjectRejected {
		t.Errorf("another finding leaves it %s", o.State)
	}
}

func TestRescanRefusals(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		id   registry.ObjectID
		want error
	}{
		"unknown":   {"obj_01J00000000000000000000000", registry.ErrNotFound},
		"pending":   {h.begin().Object.ID, registry.ErrConflict},
		"in queue":  {h.finalized().ID, nil},
		"published": {h.put(direct, "k", "x").ID, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.RescanObject(h.ctx(), h.amy, c.id)
			h.want(err, c.want)
		})
	}
	o := h.put(direct, "gone", "x")
	_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "bad"})
	h.must(err)
	_, err = h.RescanObject(h.ctx(), h.amy, o.ID)
	h.want(err, registry.ErrConflict)
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
	_, err = h.RescanObject(h.ctx(), h.amy, o.ID)
	h.want(err, registry.ErrConflict)
	_, err = h.RescanObject(h.ctx(), h.tenant("other"), o.ID)
	h.want(err, registry.ErrNotFound)
}

// TestHeldGoesBack: what is held can be inspected anew, by other rules perhaps, with as
// many tries as at first.
func TestHeldGoesBack(t *testing.T) {
	h := newHouse(t)
	h.finalized()
	first := h.claim()
	o, err := h.SettleScan(h.ctx(), first, registry.Verdict{Result: registry.VerdictIncomplete, Reason: "too_large"}, "")
	h.must(err)
	h.rescan(o.ID)
	c := h.claim()
	if c.Rescan || c.Object.ID != o.ID || c.Tries != 0 || c.Object.Held {
		t.Errorf("claimed %+v", c)
	}
	_, err = h.SettleScan(h.ctx(), first, infected, "")
	h.want(err, registry.ErrFenced)
	o, err = h.SettleScan(h.ctx(), c, clean, "")
	h.must(err)
	if o.State != registry.ObjectScanning || len(o.Targets) == 0 {
		t.Errorf("object is %s", o.State)
	}
}

// TestRescanRuns: a run takes what was judged before it began, comes to its end in
// pages, and goes on after a restart; signatures that change meanwhile make another.
func TestRescanRuns(t *testing.T) {
	h := newHouse(t)
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "unscanned", Intake: registry.IntakeDirect, Scan: registry.ScanRules{Mode: registry.ScanOff}}))
	for i := range 5 {
		h.put(direct, string(rune('a'+i)), "x")
	}
	h.put("unscanned", "k", "x")
	h.must(h.deleteKey(direct, "a"))
	h.time.pass(time.Second)
	note := func(version string, want bool) {
		t.Helper()
		changed, err := h.NoteSignatures(h.ctx(), map[string]string{"clamd": version})
		h.must(err)
		if changed != want {
			t.Errorf("version %s: changed is %v", version, changed)
		}
	}
	feed := func(limit, want int, left bool) {
		t.Helper()
		n, more, err := h.FeedRescans(h.ctx(), limit)
		h.must(err)
		if n != want || more != left {
			t.Errorf("%d queued, more %v; want %d, %v", n, more, want, left)
		}
	}
	feed(10, 0, false)
	note("1", true)
	note("1", false)
	feed(6, 3, true) // half of it is for the other tenant, default
	h.time.pass(time.Second)
	h.put(direct, "later", "x")
	note("2", true) // in the middle of the first run
	h.reopen()
	note("2", false)
	feed(20, 1, true) // the first run's last
	h.time.pass(time.Second)
	for range 4 {
		_, err := h.SettleScan(h.ctx(), h.claim(), clean, "")
		h.must(err)
	}
	feed(20, 1, false) // what is judged since is new enough; "later" was judged before
	d, err := h.QueueDepth(h.ctx())
	h.must(err)
	if d.Rescans != 1 {
		t.Errorf("the queue has %+v", d)
	}
}

func TestScheduledRescans(t *testing.T) {
	h := newHouse(t)
	h.put(direct, "k", "x")
	for _, c := range []struct {
		pass time.Duration
		want bool
	}{{0, false}, {time.Hour, false}, {23 * time.Hour, true}, {time.Hour, false}, {23 * time.Hour, true}} {
		h.time.pass(c.pass)
		started, err := h.ScheduleRescans(h.ctx(), 24*time.Hour)
		h.must(err)
		if started != c.want {
			t.Errorf("after %v more: %v", c.pass, started)
		}
	}
	_, err := h.ScheduleRescans(h.ctx(), 0)
	h.want(err, registry.ErrInvalid)
}

// TestRescanQueueIsBounded: an engine that fails on everything does not make it grow.
func TestRescanQueueIsBounded(t *testing.T) {
	h := newHouse(t)
	for range 600 {
		h.put(direct, "k"+h.Now().String(), "x")
		h.time.pass(time.Millisecond)
	}
	h.must(h.StartRescans(h.ctx(), registry.RescanSchedule))
	queued := 0
	for range 20 {
		n, more, err := h.FeedRescans(h.ctx(), 100)
		h.must(err)
		if queued += n; !more {
			t.Fatal("the run is through")
		}
	}
	if queued < 512 || queued >= 600 {
		t.Errorf("%d are queued", queued)
	}
	_, err := h.SettleScan(h.ctx(), h.claim(), clean, "")
	h.must(err)
}

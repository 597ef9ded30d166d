package registry_test

import (
	"time"

	"sallyport/registry"
)

// What the model knows of rescans: an object that is published waits for one or does
// not, and what is found infected takes with it whatever has the same bytes.

// rescanOne asks for an object's rescan.
func (w *world) rescanOne() {
	id, o := w.anyObject()
	_, err := w.RescanObject(w.ctx(), w.amy, id)
	switch {
	case o == nil || o.marker:
		w.agree("rescan", err, registry.ErrNotFound)
	case o.state == registry.ObjectPublished:
		w.agree("rescan", err, nil)
		if !o.rescan {
			o.rescan, o.rescanClaim, o.rescanLapses = true, 0, 0
		}
	case o.state == registry.ObjectScanning && o.moving:
		w.agree("rescan", err, registry.ErrConflict)
	case o.state == registry.ObjectQuarantined || o.state == registry.ObjectScanning:
		w.agree("rescan", err, nil)
		if o.held {
			o.held, o.lapses, o.proposer = false, 0, ""
		}
	default:
		w.agree("rescan", err, registry.ErrConflict)
	}
}

// rescanAll begins a run, and takes it so far that nothing of it is left.
func (w *world) rescanAll() {
	w.time.pass(time.Millisecond) // verdicts of this very moment are new enough
	w.must(w.StartRescans(w.ctx(), registry.RescanSchedule))
	want := 0
	for _, o := range w.objects {
		if o.state == registry.ObjectPublished && !o.marker && !o.rescan {
			o.rescan, o.rescanClaim, o.rescanLapses = true, 0, 0
			want++
		}
	}
	got := 0
	for more := true; more; {
		n, left, err := w.FeedRescans(w.ctx(), 1+w.random.IntN(5))
		w.must(err)
		got, more = got+n, left
	}
	if got != want {
		w.Fatalf("a run queued %d objects, the model says %d", got, want)
	}
}

// claimedRescan follows a claim of what is published.
func (w *world) claimedRescan(c registry.Claim) {
	o := w.objects[c.Object.ID]
	if o.state != registry.ObjectPublished || !o.rescan {
		w.Fatalf("a rescan was claimed of an object that is %s, queued %v", o.state, o.rescan)
	}
	if o.rescanClaim != 0 {
		o.rescanLapses++
	}
	if c.Tries != o.rescanLapses {
		w.Fatalf("a rescan says %d tries, the model %d", c.Tries, o.rescanLapses)
	}
	o.rescanClaim = c.Number
	w.claims = append(w.claims, c)
}

// forgetLapsed follows the ledger in giving up a rescan that no claim came back from.
func (w *world) forgetLapsed() {
	for id, o := range w.objects {
		if o.state != registry.ObjectPublished || o.rescanLapses < registry.MaxScanTries-1 {
			continue
		}
		row, err := w.Object(w.ctx(), acme, id)
		w.must(err)
		if row.Rescan == nil {
			o.rescan, o.rescanClaim, o.rescanLapses = false, 0, 0
		}
	}
}

// settleRescan ends a rescan, which may long be another's.
func (w *world) settleRescan(c registry.Claim) {
	o := w.objects[c.Object.ID]
	current := o.state == registry.ObjectPublished && o.rescan && o.rescanClaim == c.Number
	if w.random.IntN(5) == 0 {
		err := w.PauseScan(w.ctx(), c)
		if !current {
			w.agree("pause rescan", err, registry.ErrFenced)
			return
		}
		w.agree("pause rescan", err, nil)
		o.rescanClaim = 0
		return
	}
	result := pick(w, []registry.VerdictResult{
		registry.VerdictClean, registry.VerdictClean, registry.VerdictIncomplete, registry.VerdictInfected, registry.VerdictRefused,
	})
	got, err := w.SettleScan(w.ctx(), c, registry.Verdict{Result: result, Reason: "test"}, "")
	if !current {
		w.agree("settle rescan", err, registry.ErrFenced)
		return
	}
	w.agree("settle rescan", err, nil)
	o.rescan, o.rescanClaim, o.rescanLapses = false, 0, 0
	if doubted := got.Doubt != nil; doubted != (result == registry.VerdictIncomplete) {
		w.Fatalf("a rescan that is %s leaves doubt: %v", result, doubted)
	}
	switch result {
	case registry.VerdictInfected:
		w.reject(o)
		w.rejectTwins(o)
	case registry.VerdictRefused:
		w.reject(o)
	}
}

// reject rejects in the model.
func (w *world) reject(o *modelObject) {
	o.state, o.held, o.rejected, o.proposer = registry.ObjectRejected, false, w.Now(), ""
	o.rescan, o.rescanClaim, o.rescanLapses = false, 0, 0
}

// rejectTwins rejects what has the bytes of o, and returns whose they were.
func (w *world) rejectTwins(o *modelObject) (gone []registry.ObjectID) {
	for id, x := range w.objects {
		switch {
		case x == o || x.blob != o.blob || o.blob == "":
		case x.state == registry.ObjectPublished || x.state == registry.ObjectQuarantined || x.state == registry.ObjectScanning:
			w.reject(x)
			gone = append(gone, id)
		}
	}
	return gone
}

// keepFor is how long the model's rejected bytes are kept.
const keepFor = time.Hour

// destroy gives up what was kept long enough.
func (w *world) destroy() {
	want := 0
	for _, o := range w.objects {
		due := o.state == registry.ObjectRejected && !o.destroyed && !w.Now().Before(o.rejected.Add(keepFor))
		if due && !o.moving && !w.locked(o, false) {
			o.destroyed, o.proposer = true, ""
			want++
		}
	}
	n, err := w.DestroyRejected(w.ctx(), keepFor, 10_000)
	w.must(err)
	if n != want {
		w.Fatalf("the bytes of %d rejected objects were destroyed, the model says %d", n, want)
	}
}

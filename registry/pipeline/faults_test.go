package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
)

// progress is what a client was told had been done when the fault struck, the
// last thing acknowledged.
type progress struct {
	begun     *registry.Begun
	received  bool
	finalized bool
	put       *registry.Object // through the S3 port
	deleted   bool             // that object
}

// story is the life of two objects, one by a session and one through the S3
// port. It ends at the first failure, as a client that gives up would.
func (r *rig) story() (p progress, err error) {
	b, err := r.Begin(r.ctx(), admin, pipeline.BeginRequest{Filename: "a.txt", ContentType: "text/plain", Size: int64(len(text))})
	if err != nil {
		return p, err
	}
	p.begun = &b
	if err := r.put(b, text); err != nil {
		return p, err
	}
	p.received = true
	if _, err := r.Finalize(r.ctx(), admin, b.Upload.ID, ""); err != nil {
		return p, err
	}
	p.finalized = true
	if _, err := r.worker.Once(r.ctx()); err != nil {
		return p, err
	}
	o, err := r.putKey("photos", "k", text)
	if err != nil {
		return p, err
	}
	p.put = &o
	if err := r.Delete(r.ctx(), admin, o.ID); err != nil {
		return p, err
	}
	p.deleted = true
	return p, r.Sweep(r.ctx())
}

// faultRows are the faults of a story: every commit of the ledger and every call
// of the store that it makes, each failing before and after it takes effect.
func faultRows(t *testing.T, tell func(*rig) error, change ...func(*pipeline.Config)) map[string]func(*rig) {
	calm := newRig(t, change...)
	calm.bucket("photos")
	count := &counting{Store: calm.faults.Store}
	calm.faults.Store = count
	if err := tell(calm); err != nil {
		t.Fatal(err)
	}
	rows := map[string]func(*rig){}
	for n := 1; n <= count.count(); n++ {
		for _, after := range []bool{false, true} {
			rows[fmt.Sprintf("commit %d/after=%t", n, after)] = func(r *rig) { r.faults.fail(n, after) }
		}
	}
	for _, op := range []blobtest.Op{blobtest.Put, blobtest.Open, blobtest.Move, blobtest.Delete} {
		for n := 1; n <= calm.blobs.Calls(op); n++ {
			for _, when := range []blobtest.When{blobtest.Before, blobtest.Midway, blobtest.After} {
				rows[fmt.Sprintf("%s %d/%s", op, n, when)] = func(r *rig) {
					r.blobs.Inject(blobtest.Fault{Op: op, When: when, Nth: n})
				}
			}
		}
	}
	return rows
}

// runFaults tells a story with each of its faults, and looks at what is kept: after
// going on, and after being opened again.
func runFaults(t *testing.T, rows map[string]func(*rig), tell func(*rig) (kept func(), err error), change ...func(*pipeline.Config)) {
	for name, inject := range rows {
		for _, reopen := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/reopen=%t", name, reopen), func(t *testing.T) {
				r := newRig(t, change...)
				r.bucket("photos")
				inject(r)
				kept, err := tell(r)
				r.blobs.Heal()
				switch {
				case reopen || r.faults.isBroken():
					r.crash()
				default:
					r.faults.heal()
				}
				t.Logf("the story ended with: %v", err)
				kept()
			})
		}
	}
}

// TestFaultTable is the table of DESIGN section 10: each step × {fails before,
// fails after taking effect} × {goes on, is opened again}. Whatever fails: what
// was acknowledged is there, what was not is not to be seen, and after the next
// round nothing is left over.
func TestFaultTable(t *testing.T) {
	rows := faultRows(t, func(r *rig) error { _, err := r.story(); return err })
	if len(rows) < 30 {
		t.Fatalf("only %d faults in the table", len(rows))
	}
	runFaults(t, rows, func(r *rig) (func(), error) {
		p, err := r.story()
		return func() { r.kept(p) }, err
	})
}

// kept looks whether what was acknowledged is there and nothing else shows.
func (r *rig) kept(p progress) {
	r.tb.Helper()
	r.settled()
	r.advance(scanSoon)
	r.scan()
	r.settled()
	r.keptSession(p)
	_, err := r.FindVersion(r.ctx(), admin, "photos", "k", "")
	switch {
	case p.deleted && !errors.Is(err, registry.ErrNotFound):
		r.tb.Errorf("deleted object: %v, want ErrNotFound", err)
	case p.put != nil && !p.deleted && err != nil && r.state(p.put.ID).State != registry.ObjectDeleted:
		r.tb.Errorf("acknowledged object is gone: %v", err)
	}
}

func (r *rig) keptSession(p progress) {
	r.tb.Helper()
	if p.begun == nil {
		return
	}
	id := p.begun.Object.ID
	u := r.upload(p.begun.Upload.ID)
	if p.received && u.State != registry.UploadUploaded && u.State != registry.UploadFinalized {
		r.tb.Errorf("received session is %s", u.State)
	}
	if !p.received && u.State == registry.UploadCreated {
		if err := r.put(*p.begun, text); err != nil {
			r.tb.Errorf("the url of an unfinished upload is not usable: %v", err)
		}
	}
	if p.finalized {
		r.mustBe(id, registry.ObjectPublished)
		if got, err := r.read(id); err != nil || !bytes.Equal(got, text) {
			r.tb.Errorf("finalized object reads %q, %v", got, err)
		}
	}
	if !p.finalized && u.State != registry.UploadFinalized {
		if _, err := r.read(id); !errors.Is(err, registry.ErrNotPublished) {
			r.tb.Errorf("unfinished object: %v, want ErrNotPublished", err)
		}
	}
}

func TestRestartResumesPromotionWithoutScanning(t *testing.T) {
	r := newRig(t)
	b := r.finalized(text)
	r.blobs.Inject(blobtest.Fault{Op: blobtest.Move, When: blobtest.Midway, Nth: 1})
	if _, err := r.worker.Once(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if o := r.mustBe(b.Object.ID, registry.ObjectScanning); len(o.Targets) == 0 {
		t.Fatal("step 1 of the promotion was not recorded")
	}
	r.crash()
	opened := r.blobs.Calls(blobtest.Open)
	if err := r.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mustBe(b.Object.ID, registry.ObjectPublished)
	if n := r.blobs.Calls(blobtest.Open); n != opened {
		t.Errorf("recovery read the bytes %d times", n-opened)
	}
	if n := r.events(registry.EventObjectScanning); n != 1 {
		t.Errorf("scanned %d times", n)
	}
}

// A PUT that timed out may still arrive: its bytes are not deleted before that.
func TestBytesThatMayStillAppearAreLeftAlone(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.Linger = time.Minute })
	b := r.begin(len(text))
	r.blobs.Inject(blobtest.Fault{Op: blobtest.Put, When: blobtest.After, Nth: 1})
	if err := r.put(b, text); err == nil {
		t.Fatal("the fault did not strike")
	}
	for _, left := range []int{1, 0} {
		if err := r.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := r.ledger.Garbage(t.Context(), 0, 10)
		if err != nil || len(list) != left {
			t.Errorf("%d blobs on the garbage list, %v; want %d", len(list), err, left)
		}
		r.advance(time.Minute)
	}
}

func TestSweepSurvivesADeadStore(t *testing.T) {
	r := newRig(t)
	for range 5 {
		b := r.published(text)
		if err := r.Delete(t.Context(), admin, b.Object.ID); err != nil {
			t.Fatal(err)
		}
	}
	r.blobs.Inject(blobtest.Fault{Op: blobtest.Delete, When: blobtest.Before})
	if err := r.Sweep(t.Context()); err == nil {
		t.Error("a sweep over a dead store reported success")
	}
	left, err := r.ledger.Garbage(t.Context(), 0, 100)
	if err != nil || len(left) < 5 {
		t.Errorf("%d blobs on the garbage list, %v: what is not deleted must stay", len(left), err)
	}
	r.blobs.Heal()
	r.settled()
}

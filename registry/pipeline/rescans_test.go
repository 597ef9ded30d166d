package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/scanner"
)

// finds is a malware engine that notes what it is asked about, and finds something in
// the objects named.
type finds struct {
	infected map[registry.ObjectID]bool
	asked    []registry.ObjectID
	down     bool
}

func (*finds) Name() string { return "test" }

func (f *finds) Scan(_ context.Context, in scanner.Input) (scanner.Result, error) {
	if f.down {
		return scanner.Result{}, scanner.ErrDown
	}
	f.asked = append(f.asked, in.Object.ID)
	if f.infected[in.Object.ID] {
		return scanner.Result{Result: registry.VerdictInfected, Reason: "malware", Signature: "Eicar"}, nil
	}
	return scanner.Result{Result: registry.VerdictClean}, nil
}

// with makes the rig's worker ask it.
func (f *finds) with(r *rig) {
	r.worker = r.with(func(s *judging) { s.Malware = []scanner.Engine{f} })
}

// TestRescanClosesDownloads: what is found infected later is withdrawn with all that
// shares its bytes, and whoever reads it loses the connection.
func TestRescanClosesDownloads(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	src, err := r.putKey("photos", "k", text)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := r.Copy(t.Context(), admin, pipeline.CopyRequest{
		Source: pipeline.Source{Bucket: "photos", Key: "k"}, Bucket: "photos", Key: "copy"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.putKey("photos", "other", text)
	if err != nil {
		t.Fatal(err)
	}
	cut := map[registry.ObjectID]chan struct{}{}
	for _, id := range []registry.ObjectID{src.ID, twin.Object.ID, other.ID} {
		f, err := r.FindObject(t.Context(), admin, id)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		cut[id] = ended
		rd, err := f.Open(t.Context(), 0, -1, func() { close(ended) })
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Close()
	}
	e := &finds{infected: map[registry.ObjectID]bool{src.ID: true}}
	e.with(r)
	rob := r.user("rob", registry.RoleReader)
	if _, err := r.RescanObject(t.Context(), rob, src.ID); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("a reader's rescan: %v, want ErrForbidden", err)
	}
	if _, err := r.RescanObject(t.Context(), admin, src.ID); err != nil {
		t.Fatal(err)
	}
	r.mustBe(src.ID, registry.ObjectPublished)
	r.scan()
	r.mustBe(src.ID, registry.ObjectRejected)
	r.mustBe(twin.Object.ID, registry.ObjectRejected)
	r.mustBe(other.ID, registry.ObjectPublished)
	await(t, "reader of the object", cut[src.ID])
	await(t, "reader of its copy", cut[twin.Object.ID])
	select {
	case <-cut[other.ID]:
		t.Error("a reader of other bytes was cut")
	default:
	}
	if n := r.events(registry.EventObjectWithdrawn); n != 2 {
		t.Errorf("%d withdrawals are in the log", n)
	}
	if !slices.Equal(e.asked, []registry.ObjectID{src.ID}) {
		t.Errorf("asked about %v", e.asked)
	}
}

// TestRescanWhileDown: an engine that is down withdraws nothing and loses nothing.
func TestRescanWhileDown(t *testing.T) {
	r := newRig(t)
	b := r.published(text)
	e := &finds{down: true, infected: map[registry.ObjectID]bool{b.Object.ID: true}}
	e.with(r)
	if _, err := r.RescanObject(t.Context(), admin, b.Object.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 * registry.MaxScanTries {
		if _, err := r.worker.Once(t.Context()); !errors.Is(err, scanner.ErrDown) {
			t.Fatalf("got %v, want ErrDown", err)
		}
	}
	if got, err := r.read(b.Object.ID); err != nil || !bytes.Equal(got, text) {
		t.Errorf("meanwhile it reads %q, %v", got, err)
	}
	r.crash()
	e.down = false
	e.with(r)
	r.scan()
	r.mustBe(b.Object.ID, registry.ObjectRejected)
}

// TestRescanKeepsItsTerms: a profile that was changed since does not withdraw what was
// accepted before by its types.
func TestRescanKeepsItsTerms(t *testing.T) {
	r := newRig(t)
	b := r.published(text)
	if err := r.PutProfile(t.Context(), admin, registry.Bucket{Name: registry.DefaultBucket, Intake: registry.IntakeQuarantine, AllowedTypes: []string{"image/*"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RescanObject(t.Context(), admin, b.Object.ID); err != nil {
		t.Fatal(err)
	}
	r.scan()
	if o := r.mustBe(b.Object.ID, registry.ObjectPublished); o.Rescan != nil {
		t.Error("it was not inspected")
	}
}

// TestNewSignaturesRescan: everything published is inspected again, the newest first,
// once for each change, and also after a restart in between.
func TestNewSignaturesRescan(t *testing.T) {
	versions, broken := map[string]string{"test": "1"}, error(nil)
	r := newRig(t, func(c *pipeline.Config) {
		c.Signatures = func(context.Context) (map[string]string, error) { return versions, broken }
	})
	e := &finds{infected: map[registry.ObjectID]bool{}}
	e.with(r)
	check := func(want ...registry.ObjectID) {
		t.Helper()
		e.asked = nil
		if err := r.Rescan(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.scan()
		if !slices.Equal(e.asked, want) {
			t.Errorf("asked about %v, want %v", e.asked, want)
		}
		r.advance(time.Second)
	}
	var ids []registry.ObjectID
	for range 3 {
		ids = append(ids, r.published(text).Object.ID)
		r.advance(time.Second)
	}
	newest := []registry.ObjectID{ids[2], ids[1], ids[0]}
	check(newest...) // no version was known
	check()
	versions = map[string]string{"test": "2"}
	check(newest...)

	broken = errors.New("the engine does not answer")
	if err := r.Rescan(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	broken = nil
	check()

	versions = map[string]string{"test": "3"}
	if err := r.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.infected[ids[1]] = true
	if _, err := r.worker.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.crash()
	e.with(r)
	check(ids[1], ids[0])
	r.mustBe(ids[1], registry.ObjectRejected)
	versions = map[string]string{"test": "4"}
	check(ids[2], ids[0])
}

func TestScheduledRescans(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.RescanEvery = 24 * time.Hour })
	e := &finds{}
	e.with(r)
	r.published(text)
	for _, c := range []struct {
		pass time.Duration
		want int
	}{{0, 1}, {23 * time.Hour, 1}, {time.Hour, 2}, {time.Hour, 2}, {23 * time.Hour, 3}} {
		r.advance(c.pass)
		if err := r.Rescan(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.scan()
		if len(e.asked) != c.want {
			t.Errorf("after %v more it was asked %d times, want %d", c.pass, len(e.asked), c.want)
		}
	}
}

// TestRejectedBytesAreDestroyed: analysts can look at them until then.
func TestRejectedBytesAreDestroyed(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.KeepRejected = time.Hour })
	b := r.finalized(text)
	e := &finds{infected: map[registry.ObjectID]bool{b.Object.ID: true}}
	e.with(r)
	r.scan()
	o := r.mustBe(b.Object.ID, registry.ObjectRejected)
	examine := func(actor registry.Actor) ([]byte, error) {
		f, err := r.ExamineObject(t.Context(), actor, o.ID, "raw")
		if err != nil {
			return nil, err
		}
		return readAll(f.Open(t.Context(), 0, -1, nil))
	}
	for _, role := range []registry.Role{registry.RoleUploader, registry.RoleReader, registry.RoleAuditor, registry.RoleAdmin, registry.RoleOperator} {
		if _, err := examine(r.user("u-"+registry.PrincipalName(role), role)); !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("%s: %v, want ErrForbidden", role, err)
		}
	}
	r.advance(59 * time.Minute)
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	ann := r.user("ann", registry.RoleAnalyst)
	if got, err := examine(ann); err != nil || !bytes.Equal(got, text) {
		t.Errorf("examined: %q, %v", got, err)
	}
	if n := r.events(registry.EventObjectExamined); n != 1 {
		t.Errorf("%d examinations are in the log", n)
	}
	r.advance(time.Minute)
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.disk.Stat(t.Context(), blob.Key(o.Extents[0].Blob)); err == nil {
		t.Error("the bytes are still there")
	}
	if _, err := examine(ann); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("examined afterwards: %v, want ErrConflict", err)
	}
	if _, err := r.Review(t.Context(), ann, o.ID, registry.Ruling{Decision: registry.Release, Reason: "late"}); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("released afterwards: %v, want ErrConflict", err)
	}
}

// TestExamineIsCut: an analyst who reads loses the bytes with everybody else.
func TestExamineIsCut(t *testing.T) {
	r := newRig(t)
	r.worker = r.with(func(s *judging) { s.Required = true })
	b := r.finalized(text)
	r.scan()
	if _, err := r.FindObject(t.Context(), admin, b.Object.ID); !errors.Is(err, registry.ErrHeld) {
		t.Errorf("found: %v, want ErrHeld", err)
	}
	f, err := r.ExamineObject(t.Context(), admin, b.Object.ID, "raw")
	if err != nil {
		t.Fatal(err)
	}
	rd, err := f.Open(t.Context(), 0, -1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if err := r.Delete(t.Context(), admin, b.Object.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := rd.Read(make([]byte, 1)); !errors.Is(err, pipeline.ErrCut) {
		t.Errorf("read: %v, want ErrCut", err)
	}
	if _, err := f.Open(t.Context(), 0, -1, nil); !errors.Is(err, registry.ErrNotPublished) {
		t.Errorf("opened again: %v, want ErrNotPublished", err)
	}
}

// TestRescanFaults is the fault table for an object that is found infected later, and
// destroyed in the end.
func TestRescanFaults(t *testing.T) {
	story := func(r *rig) (id registry.ObjectID, err error) {
		e := &finds{infected: map[registry.ObjectID]bool{}}
		e.with(r)
		b, err := r.Begin(r.ctx(), admin, pipeline.BeginRequest{Filename: "a.txt", ContentType: "text/plain", Size: int64(len(text))})
		if err != nil {
			return "", err
		}
		if err := r.put(b, text); err != nil {
			return "", err
		}
		if _, err := r.Finalize(r.ctx(), admin, b.Upload.ID, ""); err != nil {
			return "", err
		}
		if _, err := r.worker.Once(r.ctx()); err != nil {
			return "", err
		}
		if _, err := r.RescanObject(r.ctx(), admin, b.Object.ID); err != nil {
			return "", err
		}
		e.infected[b.Object.ID] = true
		_, err = r.worker.Once(r.ctx())
		return b.Object.ID, err
	}
	rows := faultRows(t, func(r *rig) error { _, err := story(r); return err })
	runFaults(t, rows, func(r *rig) (func(), error) {
		id, err := story(r)
		return func() {
			r.settled()
			if id == "" {
				return // the rescan was not acknowledged
			}
			e := &finds{infected: map[registry.ObjectID]bool{id: true}}
			e.with(r)
			r.advance(scanSoon)
			r.scan()
			r.mustBe(id, registry.ObjectRejected)
			if _, err := r.read(id); !errors.Is(err, registry.ErrNotPublished) {
				t.Errorf("read: %v, want ErrNotPublished", err)
			}
			r.settled()
		}, err
	})
}

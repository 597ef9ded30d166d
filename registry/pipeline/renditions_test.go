package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
)

// painter is an engine that makes renditions: what it is told, of whatever it sees.
type painter struct {
	tb   testing.TB
	made []string
	then func(scanner.Input) error // after it has made them; nil does nothing
}

func (painter) Name() string { return "test" }

func (e *painter) Scan(_ context.Context, in scanner.Input) (scanner.Result, error) {
	r := scanner.Result{Result: registry.VerdictClean}
	for i, content := range e.made {
		name := filepath.Join(e.tb.TempDir(), "rendition")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return r, err
		}
		f, err := os.Open(name)
		if err != nil {
			return r, err
		}
		r.Renditions = append(r.Renditions, scanner.Rendition{File: f, Rendition: registry.Rendition{
			Name: "made-" + strconv.Itoa(i), ContentType: "image/jpeg", Width: 4, Height: 3,
			Size: int64(len(content)), SHA256: hexSHA256([]byte(content)),
		}})
	}
	if e.then != nil {
		return r, e.then(in)
	}
	return r, nil
}

// gallery is the bucket of these tests.
const gallery registry.BucketName = "gallery"

// paint makes the rig's worker use an engine, and a profile that wants renditions.
func (r *rig) paint(e *painter, inline bool) {
	r.tb.Helper()
	r.worker = r.with(func(s *judging) { s.Malware = []scanner.Engine{e} })
	r.rules(inline)
}

func (r *rig) rules(inline bool) {
	r.tb.Helper()
	b := registry.Bucket{Name: gallery, Intake: registry.IntakeQuarantine}
	b.Scan.Image = &registry.ImageRules{Inline: inline}
	if err := r.PutProfile(r.ctx(), admin, b); err != nil {
		r.tb.Fatal(err)
	}
}

// hang uploads a text into the gallery, up to the scan.
func (r *rig) hang(declared string) registry.ObjectID {
	r.tb.Helper()
	b := r.beginAs(admin, pipeline.BeginRequest{Profile: gallery, Filename: "holiday.png", ContentType: declared, Size: int64(len(text))})
	if err := r.put(b, text); err != nil {
		r.tb.Fatal(err)
	}
	if _, err := r.Finalize(r.ctx(), admin, b.Upload.ID, ""); err != nil {
		r.tb.Fatal(err)
	}
	return b.Object.ID
}

func (r *rig) made(id registry.ObjectID) []string {
	r.tb.Helper()
	g, err := r.Renditions(r.ctx(), admin, id)
	if err != nil {
		r.tb.Fatal(err)
	}
	var all []string
	for _, x := range g.Renditions {
		b, err := r.readRendition(id, x.Name)
		if err != nil || hexSHA256(b) != x.SHA256 {
			r.tb.Errorf("%s: %q (%v)", x.Name, b, err)
		}
		all = append(all, string(b))
	}
	return all
}

func (r *rig) readRendition(id registry.ObjectID, name string) ([]byte, error) {
	f, err := r.FindRendition(r.ctx(), admin, id, name)
	if err != nil {
		return nil, err
	}
	return readAll(f.Open(r.ctx(), 0, -1, nil))
}

func TestRenditions(t *testing.T) {
	r := newRig(t)
	r.paint(&painter{tb: t, made: []string{"the clean one", "small"}}, true)
	id := r.hang("text/plain")
	if _, err := r.readRendition(id, "made-0"); !errors.Is(err, registry.ErrNotPublished) {
		t.Errorf("before its verdict: %v", err)
	}
	r.scan()
	r.mustBe(id, registry.ObjectPublished)
	if got := r.made(id); len(got) != 2 || got[0] != "the clean one" || got[1] != "small" {
		t.Fatalf("made %q", got)
	}
	f, err := r.FindRendition(r.ctx(), admin, id, "made-0")
	if err != nil {
		t.Fatal(err)
	}
	o := f.Object
	if o.Size != 13 || o.DetectedType != "image/jpeg" || o.Filename != "holiday-made-0.jpg" || o.ETag != hexSHA256([]byte("the clean one")) || o.ID != id {
		t.Errorf("found %+v", o)
	}
	if b, err := readAll(f.Open(r.ctx(), 4, 5, nil)); err != nil || string(b) != "clean" {
		t.Errorf("range: %q (%v)", b, err)
	}
	if _, err := f.Open(r.ctx(), 14, -1, nil); !errors.Is(err, blob.ErrRange) {
		t.Errorf("beyond: %v", err)
	}
	if b, err := r.read(id); err != nil || !bytes.Equal(b, text) {
		t.Errorf("the object is %q (%v)", b, err)
	}
	for name, id := range map[string]registry.ObjectID{"made-2": id, "": id, "made-0": "obj_none"} {
		if _, err := r.readRendition(id, name); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%q of %s: %v", name, id, err)
		}
	}
	if err := r.Delete(r.ctx(), admin, id); err != nil {
		t.Fatal(err)
	}
	if _, err := r.readRendition(id, "made-0"); !errors.Is(err, registry.ErrNotPublished) {
		t.Errorf("deleted: %v", err)
	}
}

func TestRenditionURLs(t *testing.T) {
	r := newRig(t)
	r.paint(&painter{tb: t, made: []string{"the clean one"}}, false)
	id := r.hang("text/plain")
	r.scan()
	issue := func(name string, d registry.Disposition) (registry.Grant, error) {
		g, _, err := r.IssueRendition(r.ctx(), admin, id, name, d, 0)
		return g, err
	}
	find := func(g registry.Grant) (*pipeline.Found, error) {
		return r.FindGrant(r.ctx(), pipeline.GetRequest{Tenant: admin.Tenant, Object: id, Grant: g.ID})
	}
	if _, err := issue("made-0", registry.Inline); !errors.Is(err, pipeline.ErrNoInline) {
		t.Errorf("inline where the profile does not allow it: %v", err)
	}
	if _, err := issue("other", registry.Attachment); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	attached, err := issue("made-0", registry.Attachment)
	if err != nil {
		t.Fatal(err)
	}
	r.rules(true)
	if _, _, err := r.IssueGet(r.ctx(), admin, id, registry.Inline, 0); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("the object inline: %v", err)
	}
	inline, err := issue("made-0", registry.Inline)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []registry.Grant{attached, inline} {
		f, err := find(g)
		if err != nil || f.Grant != g || f.Rendition.Name != "made-0" {
			t.Fatalf("found %+v (%v)", f, err)
		}
		if b, err := readAll(f.Open(r.ctx(), 0, -1, nil)); err != nil || string(b) != "the clean one" {
			t.Errorf("%s: %q (%v)", g.Disposition, b, err)
		}
	}
	r.rules(false)
	if _, err := find(inline); !errors.Is(err, registry.ErrGrantRevoked) {
		t.Errorf("inline although the profile no longer allows it: %v", err)
	}
	if _, err := find(attached); err != nil {
		t.Errorf("attached: %v", err)
	}
	if err := r.Delete(r.ctx(), admin, id); err != nil {
		t.Fatal(err)
	}
	if _, err := find(attached); !errors.Is(err, registry.ErrNotPublished) {
		t.Errorf("deleted: %v", err)
	}
}

// TestRenditionsOfAFailedScan: what was stored of a scan that came to nothing is cleared
// away while the process lives, whatever ended it.
func TestRenditionsOfAFailedScan(t *testing.T) {
	for name, test := range map[string]struct {
		declared string
		fail     func(r *rig, e *painter, id registry.ObjectID)
		want     registry.ObjectState
	}{
		"StoreFails": {"text/plain", func(r *rig, _ *painter, _ registry.ObjectID) {
			r.blobs.Inject(blobtest.Fault{Op: blobtest.Put, When: blobtest.After, Nth: 2})
		}, registry.ObjectPublished},
		"Deleted": {"text/plain", func(r *rig, e *painter, id registry.ObjectID) {
			e.then = func(scanner.Input) error { return r.Delete(r.ctx(), admin, id) }
		}, registry.ObjectDeleted},
		"Refused": {"image/png", func(*rig, *painter, registry.ObjectID) {}, registry.ObjectRejected},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			e := &painter{tb: t, made: []string{"one", "two"}}
			r.paint(e, true)
			id := r.hang(test.declared)
			test.fail(r, e, id)
			if _, err := r.worker.Once(r.ctx()); err != nil {
				t.Fatal(err)
			}
			e.then = nil
			r.blobs.Heal()
			r.advance(time.Hour)
			r.scan()
			r.mustBe(id, test.want)
			if got := r.made(id); (len(got) == 2) != (test.want == registry.ObjectPublished) {
				t.Errorf("made %q", got)
			}
			r.settled()
		})
	}
}

// TestRenditionsAfterACrash dies with renditions stored and no verdict.
func TestRenditionsAfterACrash(t *testing.T) {
	r := newRig(t)
	e := &painter{tb: t, made: []string{"one"}}
	r.paint(e, true)
	id := r.hang("text/plain")
	c, err := r.Claim(r.ctx(), "w", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Keep(r.ctx(), c, registry.Rendition{Name: "made-0", Size: 3}, bytes.NewReader([]byte("one"))); err != nil {
		t.Fatal(err)
	}
	r.crash()
	r.settled()
	r.paint(e, true)
	r.scan()
	r.mustBe(id, registry.ObjectPublished)
	if got := r.made(id); len(got) != 1 {
		t.Errorf("made %q", got)
	}
}

// TestRescansReplaceRenditions: what is made anew takes the old one's place; who found
// that and has not opened it gets nothing else in its stead.
func TestRescansReplaceRenditions(t *testing.T) {
	r := newRig(t)
	e := &painter{tb: t, made: []string{"one", "two"}}
	r.paint(e, true)
	id := r.hang("text/plain")
	r.scan()
	same, err := r.FindRendition(r.ctx(), admin, id, "made-0")
	if err != nil {
		t.Fatal(err)
	}
	old, err := r.FindRendition(r.ctx(), admin, id, "made-1")
	if err != nil {
		t.Fatal(err)
	}
	e.made = []string{"one", "2"}
	if _, err := r.ledger.RescanObject(r.ctx(), admin, id); err != nil {
		t.Fatal(err)
	}
	r.scan()
	if got := r.made(id); len(got) != 2 || got[1] != "2" {
		t.Errorf("made %q", got)
	}
	r.settled()
	if b, err := readAll(same.Open(r.ctx(), 0, -1, nil)); err != nil || string(b) != "one" {
		t.Errorf("unchanged: %q (%v)", b, err)
	}
	if b, err := readAll(old.Open(r.ctx(), 0, -1, nil)); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("replaced: %q (%v)", b, err)
	}
}

// TestRenditionsBeforeTheAnswer: a bucket that publishes at once has its renditions with
// the write, whether or not there is an engine that looks for malware.
func TestRenditionsBeforeTheAnswer(t *testing.T) {
	e := &painter{tb: t, made: []string{"one"}}
	panel := scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}, e}, Now: time.Now, SpoolDir: t.TempDir()})
	r := newRig(t, func(c *pipeline.Config) { c.Judge = scanner.NewInline(scanner.InlineConfig{Panel: panel}) })
	for mode, want := range map[registry.ScanMode]int{registry.ScanDefault: 1, registry.ScanInline: 1, registry.ScanOff: 1, registry.ScanAsync: 0} {
		r.profile(gallery, registry.ScanRules{Mode: mode, Image: &registry.ImageRules{}})
		o, err := r.putKey(gallery, "picture-"+string(mode), text)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.state(o.ID).Renditions; got != want {
			t.Errorf("mode %q: %d renditions, want %d", mode, got, want)
		}
	}
	r.profile(gallery, registry.ScanRules{Image: &registry.ImageRules{}})
	r.bucket("photos")
	for name, write := range writes {
		o, err := write(r, gallery, "by "+name, []byte("the end"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := r.made(o.ID); len(got) != 1 {
			t.Errorf("%s: made %q", name, got)
		}
	}
	// What a write that comes to nothing made of its object goes with it.
	tick, err := r.AdmitObject(r.ctx(), admin, pipeline.ObjectRequest{
		Bucket: gallery, Key: "refused", Declared: pipeline.Declared{Length: int64(len(text)), ContentType: "text/plain"},
		Conditions: registry.Conditions{IfMatch: "none"},
	})
	if err == nil {
		_, err = r.PutObject(r.ctx(), tick, bodyOf(text))
	}
	if !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("put: %v", err)
	}
}

// pictureStory is the life of a picture: uploaded, published with its renditions,
// inspected again to the same and to others, deleted. It ends at the first failure and
// returns what was acknowledged.
func (r *rig) pictureStory() (p progress, err error) {
	e := &painter{tb: r.tb, made: []string{"one", "two"}}
	r.worker = r.with(func(s *judging) { s.Malware = []scanner.Engine{e} })
	b, err := r.Begin(r.ctx(), admin, pipeline.BeginRequest{Filename: "a.txt", ContentType: "text/plain", Size: int64(len(text))})
	if err != nil {
		return p, err
	}
	p.begun = &b
	if err := r.put(b, text); err != nil {
		return p, err
	}
	if _, err := r.Finalize(r.ctx(), admin, b.Upload.ID, ""); err != nil {
		return p, err
	}
	p.finalized = true
	if _, err := r.worker.Once(r.ctx()); err != nil {
		return p, err
	}
	e.made[1] = "2"
	if _, err := r.ledger.RescanObject(r.ctx(), admin, b.Object.ID); err != nil {
		return p, err
	}
	if _, err := r.worker.Once(r.ctx()); err != nil {
		return p, err
	}
	if err := r.Delete(r.ctx(), admin, b.Object.ID); err != nil {
		return p, err
	}
	p.deleted = true
	return p, r.Sweep(r.ctx())
}

// keptPicture goes on after a fault: a picture ends with all its renditions or with
// none, and no bytes are left over, which the rig sees to.
func (r *rig) keptPicture(p progress) {
	r.tb.Helper()
	r.worker = r.with(func(s *judging) { s.Malware = []scanner.Engine{&painter{tb: r.tb, made: []string{"one", "2"}}} })
	r.advance(time.Hour)
	r.scan()
	r.settled()
	if p.begun == nil {
		return
	}
	o := r.state(p.begun.Object.ID)
	switch o.State {
	case registry.ObjectPublished:
		if got := r.made(o.ID); len(got) != 2 || got[0] != "one" || got[1] != "two" && got[1] != "2" {
			r.tb.Errorf("made %q", got)
		}
		if p.deleted {
			r.tb.Error("it was deleted")
		}
	case registry.ObjectDeleted:
		if o.Renditions != 0 {
			r.tb.Errorf("a deleted object has %d renditions", o.Renditions)
		}
	default:
		if p.finalized {
			r.tb.Errorf("the object is %s", o.State)
		}
	}
}

// TestFaultsOfRenditions is the fault table of a picture.
func TestFaultsOfRenditions(t *testing.T) {
	rows := faultRows(t, func(r *rig) error { _, err := r.pictureStory(); return err })
	if len(rows) < 30 {
		t.Fatalf("only %d faults in the table", len(rows))
	}
	runFaults(t, rows, func(r *rig) (func(), error) {
		p, err := r.pictureStory()
		return func() { r.keptPicture(p) }, err
	})
}

// TestCopiesHaveTheRenditionsOfTheirBucket: a copy has its source's where these are what
// its bucket asks for, else its own.
func TestCopiesHaveTheRenditionsOfTheirBucket(t *testing.T) {
	e := &painter{tb: t, made: []string{"the source's"}}
	panel := scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}, e}, Now: time.Now, SpoolDir: t.TempDir()})
	r := newRig(t, func(c *pipeline.Config) { c.Judge = scanner.NewInline(scanner.InlineConfig{Panel: panel}) })
	r.profile(gallery, registry.ScanRules{Image: &registry.ImageRules{}})
	if _, err := r.putKey(gallery, "a", append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 100)...)); err != nil {
		t.Fatal(err)
	}
	e.made[0] = "its own"
	for bucket, test := range map[registry.BucketName]struct {
		rules *registry.ImageRules
		want  string
	}{
		"same":       {&registry.ImageRules{Inline: true}, "the source's"},
		"thumbnails": {&registry.ImageRules{Thumbnails: []int{64}}, "its own"},
		"none":       {nil, "the source's"},
	} {
		r.profile(bucket, registry.ScanRules{Image: test.rules})
		c, err := r.Copy(r.ctx(), admin, pipeline.CopyRequest{Source: pipeline.Source{Bucket: gallery, Key: "a"}, Bucket: bucket, Key: "b"})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.made(c.Object.ID); len(got) != 1 || got[0] != test.want {
			t.Errorf("%s: made %q, want %q", bucket, got, test.want)
		}
	}
}

package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

// slice is the part size of sessions that tests make, for three parts: no eight MiB
// are needed to see what happens between them.
const slice = 20

// beginParts begins a session of the text in parts of slice bytes.
func (r *rig) beginParts(actor registry.Actor) (registry.Upload, error) {
	b, err := r.ledger.CreateUpload(r.ctx(), actor, registry.NewUpload{
		Bucket: registry.DefaultBucket, Filename: "a.txt", ContentType: "text/plain", Size: int64(len(text)), PartSize: slice,
		SessionTTL: 2 * time.Hour, URLTTL: time.Minute,
	})
	return b.Upload, err
}

func (r *rig) mustBeginParts(actor registry.Actor) registry.Upload {
	r.tb.Helper()
	u, err := r.beginParts(actor)
	if err != nil {
		r.tb.Fatal(err)
	}
	return u
}

// partText is a part of the text.
func partText(number int) []byte {
	return text[(number-1)*slice : min(number*slice, len(text))]
}

func partRequest(u registry.Upload, g registry.Grant, size int) pipeline.PutRequest {
	return pipeline.PutRequest{
		Tenant: u.Tenant, Upload: u.ID, Part: g.Part, Grant: g.ID, RequestID: "req", Declared: pipeline.Declared{Length: int64(size)},
	}
}

// putSessionPart stores a part with a fresh URL.
func (r *rig) putSessionPart(u registry.Upload, number int, data []byte) error {
	p, err := r.IssuePart(r.ctx(), admin, u.ID, number, 0)
	if err != nil {
		return err
	}
	_, err = r.putBody(r.ctx(), partRequest(u, p.Grant, len(data)), bodyOf(data))
	return err
}

func (r *rig) issuePart(u registry.Upload, number int) registry.Grant {
	r.tb.Helper()
	p, err := r.IssuePart(r.ctx(), admin, u.ID, number, 0)
	if err != nil {
		r.tb.Fatal(err)
	}
	return p.Grant
}

// Invariants 2 and 3 for parts: of any number of PUTs on the URLs of a session, one
// for each part is stored, and only with its own length.
func TestOneOfManyWinsEachPart(t *testing.T) {
	r := newRig(t)
	u := r.mustBeginParts(admin)
	var mu sync.Mutex
	won := map[int][]byte{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, number := range []int{1, 2, u.PartCount()} {
		g := r.issuePart(u, number)
		for i := range 64 {
			wg.Go(func() {
				data := bytes.ToUpper(partText(number))
				data[0] = byte('a' + i%26)
				<-start
				_, err := r.putBody(r.ctx(), partRequest(u, g, len(data)), bodyOf(data))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && won[number] != nil:
					t.Errorf("a second PUT of part %d succeeded", number)
				case err == nil:
					won[number] = data
				case !errors.Is(err, registry.ErrUploadInProgress) && !errors.Is(err, registry.ErrUploadAlreadyReceived):
					t.Errorf("loser: %v", err)
				}
			})
		}
	}
	close(start)
	wg.Wait()
	if len(won) != 3 || r.events(registry.EventUploadPartReceived) != 3 {
		t.Fatalf("%d parts won, %d events", len(won), r.events(registry.EventUploadPartReceived))
	}
	want := bytes.Clone(text)
	for number := 1; number <= u.PartCount(); number++ {
		if data := won[number]; data != nil {
			copy(want[(number-1)*slice:], data)
		} else if err := r.putSessionPart(u, number, partText(number)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Finalize(r.ctx(), admin, u.ID, hexSHA256(want)); err != nil {
		t.Fatal(err)
	}
	r.scan()
	o := r.mustBe(u.Object, registry.ObjectPublished)
	if got, err := r.read(o.ID); err != nil || !bytes.Equal(got, want) || o.SHA256 != hexSHA256(want) {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
}

func TestPartAdmission(t *testing.T) {
	r := newRig(t)
	u := r.mustBeginParts(admin)
	g := r.issuePart(u, 2)
	req := partRequest(u, g, slice)
	for _, test := range []struct {
		name string
		edit func(*pipeline.PutRequest)
		want error
	}{
		{"another part", func(q *pipeline.PutRequest) { q.Part = 1 }, registry.ErrGrantRevoked},
		{"no part", func(q *pipeline.PutRequest) { q.Part = 0 }, registry.ErrGrantRevoked},
		{"another session", func(q *pipeline.PutRequest) { q.Upload = r.mustBeginParts(admin).ID }, registry.ErrGrantRevoked},
		{"longer", func(q *pipeline.PutRequest) { q.Declared.Length++ }, pipeline.ErrTooLong},
		{"all of it", func(q *pipeline.PutRequest) { q.Declared.Length = int64(len(text)) }, pipeline.ErrTooLong},
		{"shorter", func(q *pipeline.PutRequest) { q.Declared.Length-- }, pipeline.ErrTooShort},
		{"no length", func(q *pipeline.PutRequest) { q.Declared.Length = -1 }, pipeline.ErrMissingLength},
		{"another type", func(q *pipeline.PutRequest) { q.Declared.ContentType = "image/png" }, pipeline.ErrContentType},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := req
			test.edit(&q)
			if _, err := r.AdmitPut(r.ctx(), q); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := r.AdmitContent(r.ctx(), admin, u.ID, pipeline.Declared{Length: int64(len(text))}); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("the whole through the control port: %v", err)
	}
	if _, err := r.IssuePart(r.ctx(), admin, u.ID, 1, 15*time.Minute+time.Second); !errors.Is(err, policy.ErrInvalidTTL) {
		t.Errorf("a URL for too long: %v", err)
	}
	bob := r.user("bob", registry.RoleUploader)
	_, issue := r.IssuePart(r.ctx(), bob, u.ID, 1, 0)
	_, register := r.RegisterPart(r.ctx(), bob, u.ID, 1, registry.Registration{})
	_, _, list := r.SessionParts(r.ctx(), bob, u.ID, 0, 10)
	for what, err := range map[string]error{"issue": issue, "register": register, "list": list} {
		if !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("%s for another's session: %v", what, err)
		}
	}
}

// Invariant 8 for parts: whatever stops a part's URL ends what runs on it.
func TestRevocationCutsParts(t *testing.T) {
	for name, revoke := range map[string]func(*rig, registry.Actor, registry.Upload, registry.Grant) error{
		"url": func(r *rig, _ registry.Actor, _ registry.Upload, g registry.Grant) error {
			return r.RevokeURL(r.ctx(), admin, g.ID)
		},
		"session": func(r *rig, _ registry.Actor, u registry.Upload, _ registry.Grant) error {
			return r.Abort(r.ctx(), admin, u.ID)
		},
		"object": func(r *rig, _ registry.Actor, u registry.Upload, _ registry.Grant) error {
			return r.Delete(r.ctx(), admin, u.Object)
		},
		"key": func(r *rig, alice registry.Actor, _ registry.Upload, _ registry.Grant) error {
			return r.RevokeKey(r.ctx(), admin, registry.AccessKeyID(alice.Credential))
		},
		"principal": func(r *rig, alice registry.Actor, _ registry.Upload, _ registry.Grant) error {
			return r.RevokePrincipal(r.ctx(), admin, alice.Principal)
		},
		"tenant": func(r *rig, alice registry.Actor, _ registry.Upload, _ registry.Grant) error {
			return r.SuspendTenant(r.ctx(), olga, alice.Tenant)
		},
		"reissue": func(r *rig, _ registry.Actor, u registry.Upload, _ registry.Grant) error {
			_, err := r.IssuePart(r.ctx(), admin, u.ID, 1, 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			alice := r.user("alice", registry.RoleUploader)
			u := r.mustBeginParts(alice)
			p, err := r.IssuePart(r.ctx(), alice, u.ID, 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			s := stalling(partText(1)[:2])
			done := make(chan error, 1)
			go func() {
				_, err := r.putBody(r.ctx(), partRequest(u, p.Grant, slice), s)
				done <- err
			}()
			await(t, "body", s.waiting)
			if err := revoke(r, alice, u, p.Grant); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				if !errors.Is(err, pipeline.ErrCut) {
					t.Errorf("running PUT: %v, want ErrCut", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the running PUT goes on")
			}
			if _, err := r.putBody(r.ctx(), partRequest(u, p.Grant, slice), bodyOf(partText(1))); err == nil {
				t.Error("a later PUT succeeded")
			}
		})
	}
}

// What is stored is registered or finalized under a replacement that still runs:
// that one is cut and changes nothing.
func TestReplacementsComeTooLate(t *testing.T) {
	for name, end := range map[string]func(*rig, registry.Upload) error{
		"registered": func(r *rig, u registry.Upload) error {
			parts, _, err := r.SessionParts(r.ctx(), admin, u.ID, 0, 1)
			if err != nil {
				return err
			}
			_, err = r.RegisterPart(r.ctx(), admin, u.ID, 1, registry.Registration{ETag: parts[0].ETag, Size: slice})
			return err
		},
		"finalized": func(r *rig, u registry.Upload) error {
			_, err := r.Finalize(r.ctx(), admin, u.ID, hexSHA256(text))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			u := r.mustBeginParts(admin)
			for n := 1; n <= u.PartCount(); n++ {
				if err := r.putSessionPart(u, n, partText(n)); err != nil {
					t.Fatal(err)
				}
			}
			g := r.issuePart(u, 1)
			s := stalling([]byte("XX"))
			done := make(chan error, 1)
			go func() {
				_, err := r.putBody(context.WithoutCancel(t.Context()), partRequest(u, g, slice), s)
				done <- err
			}()
			await(t, "body", s.waiting)
			if err := end(r, u); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, pipeline.ErrCut) {
				t.Errorf("running PUT: %v, want ErrCut", err)
			}
			if _, err := r.Finalize(r.ctx(), admin, u.ID, hexSHA256(text)); err != nil {
				t.Fatal(err)
			}
			r.scan()
			r.mustBe(u.Object, registry.ObjectPublished)
			if got, err := r.read(u.Object); err != nil || !bytes.Equal(got, text) {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// A part's turn that is kept keeps its session, past its time.
func TestAHeldPartDoesNotExpire(t *testing.T) {
	r := newRig(t)
	u := r.mustBeginParts(admin)
	r.advance(2*time.Hour - time.Second)
	g := r.issuePart(u, 1)
	s := stalling(partText(1)[:2])
	done := make(chan error, 1)
	go func() {
		_, err := r.putBody(context.WithoutCancel(t.Context()), partRequest(u, g, slice), s)
		done <- err
	}()
	await(t, "body", s.waiting)
	r.advance(2 * time.Second)
	if err := r.Sweep(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if got := r.upload(u.ID).State; got != registry.UploadUploading {
		t.Errorf("session is %s under a running part", got)
	}
	s.Interrupt()
	if err := <-done; err == nil {
		t.Error("the interrupted body was stored")
	}
	r.advance(2 * time.Minute)
	if err := r.Sweep(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if got := r.upload(u.ID).State; got != registry.UploadExpired {
		t.Errorf("session is %s when nothing holds it", got)
	}
}

// partsProgress is what a client was told of a session in parts.
type partsProgress struct {
	upload    registry.Upload
	stored    map[int]string // etag by number
	finalized bool
}

// partsStory is the life of a session in parts: all of them out of order, one
// twice, one registered.
func (r *rig) partsStory() (p partsProgress, err error) {
	if p.upload, err = r.beginParts(admin); err != nil {
		return p, err
	}
	p.stored = map[int]string{}
	put := func(number int, data []byte) error {
		u, err := r.IssuePart(r.ctx(), admin, p.upload.ID, number, 0)
		if err != nil {
			return err
		}
		stored, err := r.putBody(r.ctx(), partRequest(p.upload, u.Grant, len(data)), bodyOf(data))
		if err == nil {
			p.stored[number] = stored.MD5
		}
		return err
	}
	for number := p.upload.PartCount(); number > 1; number-- {
		if err := put(number, partText(number)); err != nil {
			return p, err
		}
	}
	if err := put(1, bytes.Repeat([]byte("X"), slice)); err != nil {
		return p, err
	}
	delete(p.stored, 1) // may be replaced without an answer
	if err := put(1, partText(1)); err != nil {
		return p, err
	}
	if _, err := r.RegisterPart(r.ctx(), admin, p.upload.ID, 1, registry.Registration{ETag: p.stored[1], Size: slice}); err != nil {
		return p, err
	}
	if _, err := r.Finalize(r.ctx(), admin, p.upload.ID, hexSHA256(text)); err != nil {
		return p, err
	}
	p.finalized = true
	if _, err := r.worker.Once(r.ctx()); err != nil {
		return p, err
	}
	return p, r.Sweep(r.ctx())
}

// TestPartsFaultTable is TestFaultTable for a session in parts: what was stored
// stays, what was not can be sent again, and the whole comes to its end.
func TestPartsFaultTable(t *testing.T) {
	rows := faultRows(t, func(r *rig) error { _, err := r.partsStory(); return err })
	if len(rows) < 60 {
		t.Fatalf("only %d faults in the table", len(rows))
	}
	runFaults(t, rows, func(r *rig) (func(), error) {
		p, err := r.partsStory()
		return func() { r.keptParts(p) }, err
	})
}

func (r *rig) keptParts(p partsProgress) {
	r.tb.Helper()
	r.settled()
	if p.upload.ID == "" {
		return
	}
	if u := r.upload(p.upload.ID); u.State != registry.UploadFinalized {
		r.finishParts(p)
	}
	r.advance(scanSoon)
	r.scan()
	r.settled()
	r.mustBe(p.upload.Object, registry.ObjectPublished)
	if got, err := r.read(p.upload.Object); err != nil || !bytes.Equal(got, text) {
		r.tb.Errorf("reads %q, %v", got, err)
	}
}

// finishParts goes on as a client does that was interrupted: it sends what is not
// there as it has it.
func (r *rig) finishParts(p partsProgress) {
	r.tb.Helper()
	parts, more, err := r.SessionParts(r.ctx(), admin, p.upload.ID, 0, 1000)
	if err != nil || more {
		r.tb.Fatalf("parts: %v, more %t", err, more)
	}
	have := map[int]string{}
	for _, part := range parts {
		have[part.Number] = part.SHA256
	}
	for number := range p.stored {
		if have[number] == "" {
			r.tb.Errorf("part %d was acknowledged and is not there", number)
		}
	}
	for number := 1; number <= p.upload.PartCount(); number++ {
		if have[number] == hexSHA256(partText(number)) {
			continue
		}
		if err := r.putSessionPart(p.upload, number, partText(number)); err != nil {
			r.tb.Errorf("part %d of an unfinished session: %v", number, err)
		}
	}
	if _, err := r.Finalize(r.ctx(), admin, p.upload.ID, hexSHA256(text)); err != nil {
		r.tb.Errorf("finalize: %v", err)
	}
}

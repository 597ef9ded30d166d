package pipeline_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

// olga is an operator of another tenant than the one the tests are about.
var olga = registry.Actor{Tenant: "operations", Principal: "olga", Roles: []registry.Role{registry.RoleOperator}}

// user makes a key for a new principal of the default tenant.
func (r *rig) user(name registry.PrincipalName, roles ...registry.Role) registry.Actor {
	r.tb.Helper()
	k, _, err := r.CreateKey(r.ctx(), admin, registry.NewKey{Tenant: admin.Tenant, Principal: name, Roles: roles})
	if err != nil {
		r.tb.Fatal(err)
	}
	return registry.Actor{Tenant: k.Tenant, Principal: name, Credential: string(k.ID), Roles: roles}
}

// revocations are the ways to stop alice, who created session b.
func revocations(r *rig, alice registry.Actor, b registry.Begun) map[string]func() error {
	return map[string]func() error{
		"url":     func() error { return r.RevokeURL(r.ctx(), admin, b.Grant.ID) },
		"session": func() error { return r.Abort(r.ctx(), admin, b.Upload.ID) },
		"object":  func() error { return r.Delete(r.ctx(), admin, b.Object.ID) },
		"key":     func() error { return r.RevokeKey(r.ctx(), admin, registry.AccessKeyID(alice.Credential)) },
		"principal": func() error {
			return r.RevokePrincipal(r.ctx(), admin, alice.Principal)
		},
		"tenant": func() error { return r.SuspendTenant(r.ctx(), olga, alice.Tenant) },
		"reissue": func() error {
			_, _, err := r.ReissuePut(r.ctx(), admin, b.Upload.ID, 0)
			return err
		},
	}
}

// Invariant 8, uploads: a revocation ends the running PUT and every later one.
func TestRevocationCutsUploads(t *testing.T) {
	for name := range revocations(nil, registry.Actor{}, registry.Begun{}) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			alice := r.user("alice", registry.RoleUploader)
			b := r.beginAs(alice, pipeline.BeginRequest{Filename: "a", ContentType: "text/plain", Size: int64(len(text))})
			s := stalling(text[:10])
			done := make(chan error, 1)
			go func() {
				_, err := r.putBody(r.ctx(), putRequest(b, len(text)), s)
				done <- err
			}()
			await(t, "body", s.waiting)
			if err := revocations(r, alice, b)[name](); err != nil {
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
			if err := r.put(b, text); err == nil {
				t.Error("a later PUT succeeded")
			}
			if u := r.upload(b.Upload.ID); u.State == registry.UploadUploading || u.State == registry.UploadUploaded {
				t.Errorf("session is %s", u.State)
			}
		})
	}
}

// A revocation that returned is final: a PUT that is committing just then is
// waited for.
func TestRevocationWaitsForCommits(t *testing.T) {
	r := newRig(t)
	b := r.begin(len(text))
	g := gated(text)
	put, revoked := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := r.putBody(r.ctx(), putRequest(b, len(text)), g)
		put <- err
	}()
	await(t, "body", g.reached)
	committing, release := r.faults.hold()
	close(g.open)
	await(t, "commit", committing)
	go func() { revoked <- r.RevokeURL(r.ctx(), admin, b.Grant.ID) }()
	until(t, "revoked in the ledger", func() bool {
		g, err := r.ledger.Grant(r.ctx(), admin.Tenant, b.Grant.ID)
		return err == nil && g.Revoked
	})
	select {
	case err := <-revoked:
		release()
		t.Fatalf("the revocation returned (%v) while a PUT was committing", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if err := <-put; err != nil {
		t.Errorf("the PUT past its last byte: %v", err)
	}
	if err := <-revoked; err != nil {
		t.Errorf("the revocation: %v", err)
	}
}

// A PUT that was cut commits nothing, even if its last byte came all the same.
func TestACutPutDoesNotCommit(t *testing.T) {
	r := newRig(t)
	for range 20 {
		b := r.begin(len(text))
		g := gated(text)
		done := make(chan error, 1)
		go func() {
			_, err := r.putBody(r.ctx(), putRequest(b, len(text)), g)
			done <- err
		}()
		await(t, "body", g.reached)
		close(g.open)
		if err := r.RevokeURL(r.ctx(), admin, b.Grant.ID); err != nil {
			t.Fatal(err)
		}
		then := r.upload(b.Upload.ID).State == registry.UploadUploaded
		err := <-done
		if now := r.upload(b.Upload.ID).State == registry.UploadUploaded; now != then || now != (err == nil) {
			t.Fatalf("stored when the revocation returned: %t; in the end: %t; answer: %v", then, now, err)
		}
	}
}

// Invariant 8, downloads: a revocation, and an object that leaves published, end
// the running GET and every later one.
func TestRevocationCutsDownloads(t *testing.T) {
	data := bytes.Repeat(text, 10_000)
	for name, revoke := range map[string]func(*rig, registry.Actor, registry.Grant) error{
		"url":    func(r *rig, _ registry.Actor, g registry.Grant) error { return r.RevokeURL(r.ctx(), admin, g.ID) },
		"object": func(r *rig, _ registry.Actor, g registry.Grant) error { return r.Delete(r.ctx(), admin, g.Object) },
		"key": func(r *rig, a registry.Actor, _ registry.Grant) error {
			return r.RevokeKey(r.ctx(), admin, registry.AccessKeyID(a.Credential))
		},
		"principal": func(r *rig, a registry.Actor, _ registry.Grant) error {
			return r.RevokePrincipal(r.ctx(), admin, a.Principal)
		},
		"tenant": func(r *rig, a registry.Actor, _ registry.Grant) error {
			return r.SuspendTenant(r.ctx(), olga, a.Tenant)
		},
		"delete by key": func(r *rig, _ registry.Actor, g registry.Grant) error {
			return r.deleteKeys(registry.DefaultBucket, string(g.Object))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			bob := r.user("bob", registry.RoleReader)
			b := r.published(data)
			g, _, err := r.IssueGet(t.Context(), bob, b.Object.ID, registry.Attachment, 0)
			if err != nil {
				t.Fatal(err)
			}
			req := pipeline.GetRequest{Tenant: bob.Tenant, Object: b.Object.ID, Grant: g.ID}
			f, err := r.FindGrant(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			var cut atomic.Int32
			rd, err := f.Open(t.Context(), 0, -1, func() { cut.Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			defer rd.Close()
			if _, err := io.ReadFull(rd, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if err := revoke(r, bob, g); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, rd); !errors.Is(err, pipeline.ErrCut) {
				t.Errorf("running GET: %v, want ErrCut", err)
			}
			if n := cut.Load(); n != 1 {
				t.Errorf("the connection was cut %d times", n)
			}
			if _, err := f.Open(t.Context(), 0, -1, nil); err == nil {
				t.Error("what was found before the revocation could be opened after it")
			}
			if _, err := r.FindGrant(t.Context(), req); err == nil {
				t.Error("a later GET succeeded")
			}
		})
	}
}

// Who was authenticated just before the revocation does not slip past it.
func TestRevokedBetweenProofAndUse(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	b := r.published(text)
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	for name, revoke := range map[string]func(registry.Actor) error{
		"key":       func(a registry.Actor) error { return r.RevokeKey(r.ctx(), admin, registry.AccessKeyID(a.Credential)) },
		"principal": func(a registry.Actor) error { return r.RevokePrincipal(r.ctx(), admin, a.Principal) },
	} {
		carol := r.user(registry.PrincipalName("carol-"+name), registry.RoleReader, registry.RoleUploader)
		if err := revoke(carol); err != nil {
			t.Fatal(err)
		}
		if _, err := r.FindVersion(t.Context(), carol, "photos", "k", ""); !errors.Is(err, registry.ErrRevoked) {
			t.Errorf("%s: read by key: %v, want ErrRevoked", name, err)
		}
		if _, err := r.FindObject(t.Context(), carol, b.Object.ID); !errors.Is(err, registry.ErrRevoked) {
			t.Errorf("%s: read: %v, want ErrRevoked", name, err)
		}
		ticket, err := r.AdmitObject(t.Context(), carol, pipeline.ObjectRequest{Bucket: "photos", Key: "x", Declared: pipeline.Declared{Length: 0}})
		if err == nil {
			_, err = r.PutObject(t.Context(), ticket, bodyOf(nil))
		}
		if !errors.Is(err, registry.ErrRevoked) {
			t.Errorf("%s: write: %v, want ErrRevoked", name, err)
		}
	}
}

func TestSuspendedBetweenProofAndUse(t *testing.T) {
	r := newRig(t)
	if _, err := r.CreateTenant(t.Context(), admin, "acme"); err != nil {
		t.Fatal(err)
	}
	k, _, err := r.CreateKey(t.Context(), admin, registry.NewKey{Tenant: "acme", Principal: "dave", Roles: []registry.Role{registry.RoleAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	dave := registry.Actor{Tenant: "acme", Principal: "dave", Credential: string(k.ID), Roles: k.Roles}
	if err := r.CreateBucket(t.Context(), dave, "photos"); err != nil {
		t.Fatal(err)
	}
	ticket, err := r.AdmitObject(t.Context(), dave, pipeline.ObjectRequest{Bucket: "photos", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutObject(t.Context(), ticket, bodyOf(nil)); err != nil {
		t.Fatal(err)
	}
	if err := r.SuspendTenant(t.Context(), admin, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.FindVersion(t.Context(), dave, "photos", "k", ""); !errors.Is(err, registry.ErrTenantSuspended) {
		t.Errorf("suspended: %v, want ErrTenantSuspended", err)
	}
	if err := r.ResumeTenant(t.Context(), admin, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.FindVersion(t.Context(), dave, "photos", "k", ""); err != nil {
		t.Errorf("resumed: %v", err)
	}
}

func TestOverwritingEndsUrlsOfTheOldObject(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	old, err := r.putKey("photos", "k", bytes.Repeat(text, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := r.IssueGet(t.Context(), admin, old.ID, registry.Attachment, 0)
	if err != nil {
		t.Fatal(err)
	}
	byURL, err := r.FindGrant(t.Context(), pipeline.GetRequest{Tenant: admin.Tenant, Object: old.ID, Grant: g.ID})
	if err != nil {
		t.Fatal(err)
	}
	byKey, err := r.FindVersion(t.Context(), admin, "photos", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	reading := func(f *pipeline.Found) *pipeline.Reading {
		rd, err := f.Open(t.Context(), 0, -1, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rd.Close() })
		return rd
	}
	url, key := reading(byURL), reading(byKey)
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, url); !errors.Is(err, pipeline.ErrCut) {
		t.Errorf("by url: %v, want ErrCut", err)
	}
	if n, err := io.Copy(io.Discard, key); err != nil || n != old.Size {
		t.Errorf("by key: %d bytes, %v; want all of the old object", n, err)
	}
}

func TestRevokingWhatIsNotOnes(t *testing.T) {
	r := newRig(t)
	alice, eve := r.user("alice", registry.RoleUploader), r.user("eve", registry.RoleUploader, registry.RoleReader)
	b := r.beginAs(alice, pipeline.BeginRequest{Filename: "a", ContentType: "text/plain", Size: 1})
	if err := r.RevokeURL(t.Context(), eve, b.Grant.ID); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("another's url: %v, want ErrForbidden", err)
	}
	if err := r.RevokeURL(t.Context(), alice, "g_unknown"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("unknown url: %v, want ErrNotFound", err)
	}
	if err := r.RevokeURL(t.Context(), alice, b.Grant.ID); err != nil {
		t.Errorf("own url: %v", err)
	}
}

func TestAURLIsGoodForItsOwnObjectOnly(t *testing.T) {
	r := newRig(t)
	one, other := r.published(text), r.published(text)
	g, _, err := r.IssueGet(t.Context(), admin, one.Object.ID, registry.Attachment, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]pipeline.GetRequest{
		"another object": {Tenant: admin.Tenant, Object: other.Object.ID, Grant: g.ID},
		"another tenant": {Tenant: "other", Object: one.Object.ID, Grant: g.ID},
		"a PUT grant":    {Tenant: admin.Tenant, Object: one.Object.ID, Grant: one.Grant.ID},
		"no grant":       {Tenant: admin.Tenant, Object: one.Object.ID},
	} {
		if _, err := r.FindGrant(t.Context(), req); !errors.Is(err, registry.ErrGrantRevoked) {
			t.Errorf("%s: %v, want ErrGrantRevoked", name, err)
		}
	}
}

// Invariant 1: in every state but published, nobody reads a byte, by any way.
func TestNothingIsReadableBeforeItIsPublished(t *testing.T) {
	r := newRig(t)
	rejected := r.beginAs(admin, pipeline.BeginRequest{Filename: "a", ContentType: "image/png", Size: int64(len(text))})
	if err := r.put(rejected, text); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Finalize(t.Context(), admin, rejected.Upload.ID, ""); err != nil {
		t.Fatal(err)
	}
	deleted := r.published(text)
	if err := r.Delete(t.Context(), admin, deleted.Object.ID); err != nil {
		t.Fatal(err)
	}
	r.scan()
	r.blobs.Inject(blobtest.Fault{Op: blobtest.Move, When: blobtest.After}) // the bytes are at their target already
	judged := r.finalized(text)
	r.scan()
	r.blobs.Heal()
	pending, received, quarantined := r.begin(len(text)), r.received(text), r.finalized(text)
	for _, c := range []struct {
		name string
		b    registry.Begun
		want registry.ObjectState
	}{
		{"pending", pending, registry.ObjectPending},
		{"received", received, registry.ObjectPending},
		{"quarantined", quarantined, registry.ObjectQuarantined},
		{"judged and moved", judged, registry.ObjectScanning},
		{"rejected", rejected, registry.ObjectRejected},
		{"deleted", deleted, registry.ObjectDeleted},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := r.mustBe(c.b.Object.ID, c.want).ID
			if _, err := r.FindObject(t.Context(), admin, id); !errors.Is(err, registry.ErrNotPublished) {
				t.Errorf("by id: %v, want ErrNotPublished", err)
			}
			if _, err := r.FindVersion(t.Context(), admin, registry.DefaultBucket, string(id), ""); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("by key: %v, want ErrNotFound", err)
			}
			if _, _, err := r.IssueGet(t.Context(), admin, id, registry.Attachment, 0); !errors.Is(err, registry.ErrNotPublished) {
				t.Errorf("url: %v, want ErrNotPublished", err)
			}
			if _, err := r.FindGrant(t.Context(), pipeline.GetRequest{Tenant: admin.Tenant, Object: id, Grant: c.b.Grant.ID}); err == nil {
				t.Error("its PUT url reads it")
			}
			list, err := r.List(t.Context(), admin, registry.DefaultBucket, registry.ListQuery{Max: 1000})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list.Entries {
				if strings.Contains(e.Key, string(id)) {
					t.Error("it is listed")
				}
			}
		})
	}
}

// Invariant 6: what is another tenant's does not exist.
func TestForeignIdsAreUnknown(t *testing.T) {
	r := newRig(t)
	b := r.published(text)
	foreign := admin
	foreign.Tenant = "other"
	unknown := b
	unknown.Upload.ID, unknown.Object.ID = "upl_unknown", "obj_unknown"
	for name, call := range map[string]func(registry.Actor, registry.Begun) error{
		"upload": func(a registry.Actor, b registry.Begun) error {
			_, err := r.Upload(r.ctx(), a, b.Upload.ID)
			return err
		},
		"object": func(a registry.Actor, b registry.Begun) error {
			_, err := r.Object(r.ctx(), a, b.Object.ID)
			return err
		},
		"content": func(a registry.Actor, b registry.Begun) error {
			_, err := r.FindObject(r.ctx(), a, b.Object.ID)
			return err
		},
		"finalize": func(a registry.Actor, b registry.Begun) error {
			_, err := r.Finalize(r.ctx(), a, b.Upload.ID, "")
			return err
		},
		"abort":  func(a registry.Actor, b registry.Begun) error { return r.Abort(r.ctx(), a, b.Upload.ID) },
		"delete": func(a registry.Actor, b registry.Begun) error { return r.Delete(r.ctx(), a, b.Object.ID) },
		"get url": func(a registry.Actor, b registry.Begun) error {
			_, _, err := r.IssueGet(r.ctx(), a, b.Object.ID, registry.Attachment, 0)
			return err
		},
		"put url": func(a registry.Actor, b registry.Begun) error {
			_, _, err := r.ReissuePut(r.ctx(), a, b.Upload.ID, 0)
			return err
		},
	} {
		a, b := call(foreign, b), call(admin, unknown)
		if !errors.Is(a, registry.ErrNotFound) || !errors.Is(b, registry.ErrNotFound) || a.Error() != b.Error() {
			t.Errorf("%s: foreign %v, unknown %v; want the same ErrNotFound", name, a, b)
		}
	}
}

// A URL stands on the credential that issued it, not on the session's.
func TestRevocationCutsUploadsOfOthersByOwnURL(t *testing.T) {
	r := newRig(t)
	alice, carl := r.user("alice", registry.RoleUploader), r.user("carl", registry.RoleAdmin)
	b := r.beginAs(alice, pipeline.BeginRequest{Filename: "a", ContentType: "text/plain", Size: int64(len(text))})
	g, _, err := r.ReissuePut(t.Context(), carl, b.Upload.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.Grant = g
	s := stalling(text[:10])
	done := make(chan error, 1)
	go func() {
		_, err := r.putBody(r.ctx(), putRequest(b, len(text)), s)
		done <- err
	}()
	await(t, "body", s.waiting)
	if err := r.RevokePrincipal(t.Context(), admin, carl.Principal); err != nil {
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
}

// An admin of the operators' tenant cannot lock them out, and they not themselves.
func TestOperatorsAreForOperatorsToRevoke(t *testing.T) {
	r := newRig(t)
	amy := r.user("amy", registry.RoleAdmin)
	token, _, err := r.CreateToken(t.Context(), admin, registry.NewToken{Name: "ops", Roles: []registry.Role{registry.RoleOperator}, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	both := r.user("both", registry.RoleReader, registry.RoleOperator)
	for what, err := range map[string]error{
		"key":       r.RevokeKey(t.Context(), amy, registry.AccessKeyID(admin.Credential)),
		"token":     r.RevokeToken(t.Context(), amy, token.ID),
		"principal": r.RevokePrincipal(t.Context(), amy, both.Principal),
		"root":      r.RevokePrincipal(t.Context(), amy, admin.Principal),
	} {
		if !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("%s: %v, want ErrForbidden", what, err)
		}
	}
	if err := r.SuspendTenant(t.Context(), admin, admin.Tenant); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("suspending the own tenant: %v, want ErrConflict", err)
	}
	for what, err := range map[string]error{
		"token":     r.RevokeToken(t.Context(), admin, token.ID),
		"principal": r.RevokePrincipal(t.Context(), admin, both.Principal),
	} {
		if err != nil {
			t.Errorf("%s by an operator: %v", what, err)
		}
	}
}

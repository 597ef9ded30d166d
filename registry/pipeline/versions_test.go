package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

// versioned makes a bucket with versioning.
func (r *rig) versioned(name registry.BucketName) {
	r.tb.Helper()
	r.bucket(name)
	if err := r.SetVersioning(r.ctx(), admin, name, registry.VersioningEnabled); err != nil {
		r.tb.Fatal(err)
	}
}

func TestFindVersion(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if _, err := r.putKey("photos", "k", []byte("null")); err != nil {
		t.Fatal(err)
	}
	if err := r.SetVersioning(t.Context(), admin, "photos", registry.VersioningEnabled); err != nil {
		t.Fatal(err)
	}
	older, err := r.putKey("photos", "k", []byte("older"))
	if err != nil {
		t.Fatal(err)
	}
	newest, err := r.putKey("photos", "k", []byte("newest"))
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{
		"": "newest", newest.VersionID(): "newest", older.VersionID(): "older", registry.NullVersion: "null",
	} {
		f, err := r.FindVersion(t.Context(), admin, "photos", "k", version)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(f.Open(t.Context(), 0, -1, nil)); err != nil || string(got) != want {
			t.Errorf("version %q: %q, %v; want %q", version, got, err, want)
		}
	}
	results, err := r.DeleteVersions(t.Context(), admin, "photos", []registry.Deletion{{Key: "k"}})
	if err != nil || !results[0].Marker {
		t.Fatalf("delete: %+v, %v", results, err)
	}
	for version, named := range map[string]bool{"": false, results[0].VersionID: true} {
		_, err := r.FindVersion(t.Context(), admin, "photos", "k", version)
		var marker *registry.MarkerError
		if !errors.As(err, &marker) || marker.Named != named || errors.Is(err, registry.ErrNotFound) == named {
			t.Errorf("delete marker as %q: %v", version, err)
		}
	}
	for _, version := range []string{"01ARZ3NDEKTSV4RRFFQ69G5FAV", older.VersionID()} {
		key := "k"
		if version == older.VersionID() {
			key = "another"
		}
		if _, err := r.FindVersion(t.Context(), admin, "photos", key, version); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("version %q of %q: %v, want ErrNotFound", version, key, err)
		}
	}
	if _, err := r.FindVersion(t.Context(), admin, "photos", "k", "not an id"); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("not an id: %v, want ErrInvalid", err)
	}
	if _, err := r.FindVersion(t.Context(), r.user("una", registry.RoleUploader), "photos", "k", older.VersionID()); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("uploader: %v, want ErrForbidden", err)
	}
}

func TestKeysThatWait(t *testing.T) {
	r := newRig(t)
	const bucket = registry.DefaultBucket
	state := func() registry.ObjectState {
		var waits *pipeline.WaitingError
		_, err := r.FindVersion(t.Context(), admin, bucket, "k", "")
		if !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("got %v, want ErrNotFound", err)
		}
		if errors.As(err, &waits) {
			return waits.State
		}
		return ""
	}
	if s := state(); s != "" {
		t.Errorf("nothing there: %q", s)
	}
	first, err := r.putKey(bucket, "k", text)
	if err != nil {
		t.Fatal(err)
	}
	if s := state(); s != registry.ObjectQuarantined {
		t.Errorf("before its scan: %q", s)
	}
	r.scan()
	second, err := r.putKey(bucket, "k", []byte("another text"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.readKey(bucket, "k"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("while a later write waits: %q, %v", got, err)
	}
	r.scan()
	for _, id := range []registry.ObjectID{second.ID} {
		if _, err := r.Review(t.Context(), admin, id, registry.Ruling{Decision: registry.RejectObject, Reason: "bad"}); err != nil {
			t.Fatal(err)
		}
	}
	if s := state(); s != registry.ObjectRejected {
		t.Errorf("rejected: %q", s)
	}
	if o := r.state(first.ID); o.State != registry.ObjectDeleted {
		t.Errorf("what was replaced is %s", o.State)
	}
	if err := r.deleteKeys(bucket, "k"); err != nil {
		t.Fatal(err)
	}
	if s := state(); s != "" {
		t.Errorf("deleted: %q", s)
	}
}

func TestDeletingAVersionCutsItsReadersAlone(t *testing.T) {
	r := newRig(t)
	r.versioned("photos")
	read := func(version string) (*pipeline.Reading, chan struct{}) {
		f, err := r.FindVersion(t.Context(), admin, "photos", "k", version)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		rd, err := f.Open(t.Context(), 0, -1, func() { close(ended) })
		if err != nil {
			t.Fatal(err)
		}
		return rd, ended
	}
	older, err := r.putKey("photos", "k", text)
	if err != nil {
		t.Fatal(err)
	}
	one, cut := read("")
	defer one.Close()
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	two, whole := read("")
	defer two.Close()
	if _, err := r.DeleteVersions(t.Context(), admin, "photos", []registry.Deletion{{Key: "k", Version: older.VersionID()}}); err != nil {
		t.Fatal(err)
	}
	await(t, "reader of the deleted version", cut)
	if err := r.deleteKeys("photos", "k"); err != nil { // a marker: all versions stay
		t.Fatal(err)
	}
	select {
	case <-whole:
		t.Error("a reader of what is still there was cut")
	default:
	}
}

func TestDeleteVersionsRights(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	una := r.user("una", registry.RoleUploader, registry.RoleReader)
	for _, d := range []registry.Deletion{{Key: "k"}, {Key: "k", Bypass: true}} {
		if _, err := r.DeleteVersions(t.Context(), una, "photos", []registry.Deletion{d}); !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("%+v: %v, want ErrForbidden", d, err)
		}
	}
	if _, err := r.DeleteVersions(t.Context(), admin, "nowhere", []registry.Deletion{{Key: "k"}}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("unknown bucket: %v, want ErrNotFound", err)
	}
	if _, err := r.ListVersions(t.Context(), r.user("ulf", registry.RoleUploader), "photos", registry.VersionsQuery{Max: 1}); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("list as an uploader: %v, want ErrForbidden", err)
	}
}

func TestLocks(t *testing.T) {
	r := newRig(t)
	r.versioned("vault")
	if err := r.SetBucketLock(t.Context(), admin, "vault", registry.BucketLock{}); err != nil {
		t.Fatal(err)
	}
	una := r.user("una", registry.RoleUploader)
	until := r.now().Add(time.Hour)
	locked := pipeline.ObjectRequest{
		Bucket: "vault", Key: "k", Declared: pipeline.Declared{Length: int64(len(text))},
		Kept: registry.Kept{Retention: &registry.Retention{Mode: registry.LockGovernance, Until: until}}}
	if _, err := r.AdmitObject(t.Context(), una, locked); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("lock without the right: %v, want ErrForbidden", err)
	}
	r.bucket("plain")
	plain := locked
	plain.Bucket = "plain"
	if _, err := r.AdmitObject(t.Context(), admin, plain); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("lock in a bucket without: %v, want ErrConflict", err)
	}
	ticket, err := r.AdmitObject(t.Context(), admin, locked)
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.PutObject(t.Context(), ticket, bodyOf(text))
	if err != nil {
		t.Fatal(err)
	}
	gone := func(bypass bool) error {
		results, err := r.DeleteVersions(t.Context(), admin, "vault", []registry.Deletion{{Key: "k", Version: o.VersionID(), Bypass: bypass}})
		if err != nil {
			t.Fatal(err)
		}
		return results[0].Err
	}
	if err := gone(false); !errors.Is(err, registry.ErrLocked) {
		t.Errorf("delete of what is retained: %v, want ErrLocked", err)
	}
	if err := r.Delete(t.Context(), admin, o.ID); !errors.Is(err, registry.ErrLocked) {
		t.Errorf("delete by id: %v, want ErrLocked", err)
	}
	ctx := context.WithoutCancel(t.Context())
	for name, try := range map[string]func() error{
		"retention": func() error {
			_, err := r.SetRetention(ctx, una, "vault", "k", "", nil, false)
			return err
		},
		"bypass": func() error {
			_, err := r.SetRetention(ctx, una, "vault", "k", "", nil, true)
			return err
		},
		"hold": func() error { _, err := r.SetLegalHold(ctx, una, "vault", "k", "", true); return err },
		"tags": func() error {
			_, err := r.SetTags(ctx, r.user("rob", registry.RoleReader), "vault", "k", "", nil)
			return err
		},
	} {
		if err := try(); !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("%s: %v, want ErrForbidden", name, err)
		}
	}
	if _, err := r.SetLegalHold(ctx, admin, "vault", "k", "", true); err != nil {
		t.Error(err)
	}
	if err := gone(true); !errors.Is(err, registry.ErrLocked) {
		t.Errorf("delete under a hold: %v, want ErrLocked", err)
	}
	if _, err := r.SetLegalHold(ctx, admin, "vault", "k", "", false); err != nil {
		t.Error(err)
	}
	if tagged, err := r.SetTags(ctx, una, "vault", "k", "", map[string]string{"a": "b"}); err != nil || tagged.Tags["a"] != "b" {
		t.Errorf("tags: %+v, %v", tagged.Tags, err)
	}
	if err := gone(true); err != nil {
		t.Errorf("delete with bypass: %v", err)
	}
}

package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

func TestLifecycle(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	rules := []registry.LifecycleRule{{ID: "old", Prefix: "old/", Form: "prefix", ExpireDays: 1, AbortDays: 1}}
	if err := r.SetLifecycle(t.Context(), admin, "photos", rules); err != nil {
		t.Fatal(err)
	}
	var old registry.Object
	for _, key := range []string{"old/a", "old/b", "young/a"} {
		o, err := r.putKey("photos", key, text)
		if err != nil {
			t.Fatal(err)
		}
		if key == "old/a" {
			old = o
		}
	}
	m := r.multipart("photos", "old/c")
	r.mustPutPart(m, 1, text)
	g, _, err := r.IssueGet(t.Context(), admin, old.ID, registry.Attachment, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.FindGrant(t.Context(), pipeline.GetRequest{Tenant: admin.Tenant, Object: old.ID, Grant: g.ID})
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan struct{})
	rd, err := f.Open(t.Context(), 0, -1, func() { close(cut) })
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	there := func(key string) bool {
		_, err := r.FindVersion(t.Context(), admin, "photos", key, "")
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	if err := r.Age(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !there("old/a") || !there("old/b") || !there("young/a") {
		t.Error("something ended before its time")
	}
	r.advance(49 * time.Hour)
	if err := r.Age(t.Context()); err != nil {
		t.Fatal(err)
	}
	if there("old/a") || there("old/b") || !there("young/a") {
		t.Error("after two days not all that is old is gone, or what is young is")
	}
	await(t, "reader by grant of what ended", cut)
	if _, err := r.Parts(t.Context(), admin, refOf(m), 0, 1); !errors.Is(err, registry.ErrNoUpload) {
		t.Errorf("parts of an upload that was left: %v, want ErrNoUpload", err)
	}
}

func TestLifecycleWaitsForTheClock(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if err := r.SetLifecycle(t.Context(), admin, "photos", []registry.LifecycleRule{{ID: "all", ExpireDays: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	r.leap.Store(int64(100 * time.Hour))
	if err := r.Age(t.Context()); !errors.Is(err, registry.ErrClockJumped) {
		t.Errorf("got %v, want ErrClockJumped", err)
	}
	if _, err := r.FindVersion(t.Context(), admin, "photos", "k", ""); err != nil {
		t.Error(err)
	}
	if err := r.AcceptClock(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	if err := r.Age(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.FindVersion(t.Context(), admin, "photos", "k", ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("after the clock was accepted: %v, want ErrNotFound", err)
	}
}

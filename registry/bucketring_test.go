package registry_test

import (
	"errors"
	"sync"
	"testing"

	"sallyport/registry"
)

// TestBucketsAreFresh looks at a bucket again after each thing that can change it:
// what was remembered of it must not outlive the change.
func TestBucketsAreFresh(t *testing.T) {
	h := newHouse(t)
	ctx := h.ctx()
	look := func() (registry.Bucket, []registry.LifecycleRule) {
		t.Helper()
		b, err := h.Bucket(ctx, acme, "fresh")
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			t.Fatal(err)
		}
		rules, err := h.Lifecycle(ctx, acme, "fresh")
		if err != nil && !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrNotConfigured) {
			t.Fatal(err)
		}
		return b, rules
	}
	rules := []registry.LifecycleRule{{ID: "r", ExpireDays: 1}}
	for _, step := range []struct {
		name string
		do   func() error
		want func(registry.Bucket, []registry.LifecycleRule) bool
	}{
		{"nothing", func() error { return nil },
			func(b registry.Bucket, r []registry.LifecycleRule) bool { return b.Name == "" && r == nil }},
		{"create", func() error {
			return h.CreateBucket(ctx, h.amy, registry.Bucket{Name: "fresh", Intake: registry.IntakeDirect})
		}, func(b registry.Bucket, r []registry.LifecycleRule) bool { return b.Name == "fresh" && r == nil }},
		{"profile", func() error {
			return h.PutProfile(ctx, h.amy, registry.Bucket{Name: "fresh", Intake: registry.IntakeDirect, MaxSize: 7})
		}, func(b registry.Bucket, _ []registry.LifecycleRule) bool { return b.MaxSize == 7 }},
		{"versioning", func() error { return h.SetVersioning(ctx, h.amy, "fresh", registry.VersioningEnabled) },
			func(b registry.Bucket, _ []registry.LifecycleRule) bool {
				return b.Versioning == registry.VersioningEnabled
			}},
		{"lock", func() error {
			return h.SetBucketLock(ctx, h.amy, "fresh", registry.BucketLock{Mode: registry.LockGovernance, Days: 2})
		},
			func(b registry.Bucket, _ []registry.LifecycleRule) bool { return b.Lock != nil && b.Lock.Days == 2 }},
		{"rules", func() error { return h.SetLifecycle(ctx, h.amy, "fresh", rules) },
			func(_ registry.Bucket, r []registry.LifecycleRule) bool { return len(r) == 1 && r[0].ExpireDays == 1 }},
		{"no rules", func() error { return h.SetLifecycle(ctx, h.amy, "fresh", nil) },
			func(_ registry.Bucket, r []registry.LifecycleRule) bool { return r == nil }},
		{"rules again", func() error { return h.SetLifecycle(ctx, h.amy, "fresh", rules) },
			func(_ registry.Bucket, r []registry.LifecycleRule) bool { return len(r) == 1 }},
		{"delete", func() error { return h.DeleteBucket(ctx, h.amy, acme, "fresh") },
			func(b registry.Bucket, r []registry.LifecycleRule) bool { return b.Name == "" && r == nil }},
	} {
		for range 2 { // remembered, then from there
			look()
		}
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for range 2 {
			if b, r := look(); !step.want(b, r) {
				t.Errorf("after %s: %+v, %+v", step.name, b, r)
			}
		}
	}
}

// TestBucketsAreFreshAtOnce changes a bucket among readers: whoever reads after a
// change has returned sees it.
func TestBucketsAreFreshAtOnce(t *testing.T) {
	h := newHouse(t)
	ctx := h.ctx()
	profile := registry.Bucket{Name: "fresh", Intake: registry.IntakeDirect}
	if err := h.PutProfile(ctx, h.amy, profile); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := h.Bucket(ctx, acme, "fresh"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := int64(1); n <= 100; n++ {
		profile.MaxSize = n
		if err := h.PutProfile(ctx, h.amy, profile); err != nil {
			t.Fatal(err)
		}
		if b, err := h.Bucket(ctx, acme, "fresh"); err != nil || b.MaxSize != n {
			t.Errorf("after %d: %+v, %v", n, b, err)
		}
	}
	close(done)
	readers.Wait()
}

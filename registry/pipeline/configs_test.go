package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

func TestBucketConfiguration(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	una, auditor := r.user("una", registry.RoleUploader), r.user("aud", registry.RoleAuditor)
	ctx := context.WithoutCancel(t.Context())
	type verb func(registry.Actor, registry.BucketName) error
	reads := map[string]verb{
		"cors":      func(a registry.Actor, b registry.BucketName) error { _, err := r.CORS(ctx, a, b); return err },
		"lifecycle": func(a registry.Actor, b registry.BucketName) error { _, err := r.Lifecycle(ctx, a, b); return err },
		"tags":      func(a registry.Actor, b registry.BucketName) error { _, err := r.BucketTags(ctx, a, b); return err },
	}
	writes := map[string]verb{
		"cors": func(a registry.Actor, b registry.BucketName) error {
			return r.SetCORS(ctx, a, b, []registry.CORSRule{{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET"}}})
		},
		"lifecycle": func(a registry.Actor, b registry.BucketName) error {
			return r.SetLifecycle(ctx, a, b, []registry.LifecycleRule{{ID: "x", ExpireDays: 1}})
		},
		"tags": func(a registry.Actor, b registry.BucketName) error {
			return r.SetBucketTags(ctx, a, b, map[string]string{"a": "b"})
		},
		"versioning": func(a registry.Actor, b registry.BucketName) error {
			return r.SetVersioning(ctx, a, b, registry.VersioningEnabled)
		},
	}
	for name, read := range reads {
		if err := read(admin, "photos"); !errors.Is(err, registry.ErrNotConfigured) {
			t.Errorf("read %s before it was written: %v, want ErrNotConfigured", name, err)
		}
	}
	for name, write := range writes {
		if err := write(una, "photos"); !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("write %s as an uploader: %v, want ErrForbidden", name, err)
		}
		if err := write(admin, "nowhere"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("write %s of no bucket: %v, want ErrNotFound", name, err)
		}
		if err := write(admin, "photos"); err != nil {
			t.Errorf("write %s: %v", name, err)
		}
	}
	lock := func(a registry.Actor) error {
		return r.SetBucketLock(ctx, a, "photos", registry.BucketLock{Mode: registry.LockGovernance, Days: 1})
	}
	if err := lock(una); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("lock as an uploader: %v, want ErrForbidden", err)
	}
	if err := lock(admin); err != nil {
		t.Errorf("lock: %v", err)
	}
	for name, read := range reads {
		if err := read(auditor, "photos"); !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("read %s as an auditor: %v, want ErrForbidden", name, err)
		}
		if err := read(una, "photos"); err != nil {
			t.Errorf("read %s: %v", name, err)
		}
		if err := read(admin, "nowhere"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("read %s of no bucket: %v, want ErrNotFound", name, err)
		}
	}
}

func TestPresignAllowed(t *testing.T) {
	r := newRig(t)
	b := registry.Bucket{Name: "brief", Intake: registry.IntakeDirect, PresignMaxTTL: time.Minute}
	if err := r.PutProfile(t.Context(), admin, b); err != nil {
		t.Fatal(err)
	}
	allowed := func(bucket registry.BucketName, d time.Duration) error {
		return r.PresignAllowed(t.Context(), admin.Tenant, bucket, d)
	}
	refused := func(bucket registry.BucketName, d time.Duration, name string) {
		t.Helper()
		if err := allowed(bucket, d); !errors.Is(err, policy.ErrInvalidTTL) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s for %q: %v, want ErrInvalidTTL of %s", d, bucket, err, name)
		}
	}
	refused("brief", 61*time.Second, "bucket")
	refused("", time.Hour+time.Second, "PRESIGN_MAX_TTL")
	for _, bucket := range []registry.BucketName{"", "nowhere", registry.DefaultBucket} {
		if err := allowed(bucket, time.Hour); err != nil {
			t.Errorf("an hour for %q: %v", bucket, err)
		}
	}
	if _, err := r.SetPresignMax(t.Context(), r.user("ada", registry.RoleAdmin), admin.Tenant, time.Second); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("an admin sets the tenant's: %v, want ErrForbidden", err)
	}
	if _, err := r.SetPresignMax(t.Context(), admin, admin.Tenant, 2*time.Hour); !errors.Is(err, policy.ErrInvalidTTL) {
		t.Errorf("more than the server's: %v, want ErrInvalidTTL", err)
	}
	if _, err := r.SetPresignMax(t.Context(), admin, admin.Tenant, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	refused("brief", 11*time.Second, "tenant")
	refused("", 11*time.Second, "tenant")
	if err := allowed("brief", 10*time.Second); err != nil {
		t.Error(err)
	}
	if err := r.PresignAllowed(t.Context(), "nobody", "", time.Second); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("unknown tenant: %v, want ErrNotFound", err)
	}
}

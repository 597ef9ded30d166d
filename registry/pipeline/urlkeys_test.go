package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

// signing returns the id of the key that signs a tenant's URLs.
func (r *rig) signing(tenant registry.TenantName) string {
	r.tb.Helper()
	key, err := r.ledger.SigningURLKey(r.ctx(), tenant)
	if err != nil {
		r.tb.Fatal(err)
	}
	return key.ID
}

func TestURLKeysRotateWhenTheyAreOld(t *testing.T) {
	r := newRig(t)
	first := r.signing(registry.DefaultTenant)
	rotate := func(after time.Duration) {
		t.Helper()
		r.advance(after)
		if err := r.RotateURLKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rotate(23 * time.Hour)
	if id := r.signing(registry.DefaultTenant); id != first {
		t.Error("a key of 23 hours was rotated")
	}
	if _, err := r.CreateTenant(t.Context(), admin, "young"); err != nil {
		t.Fatal(err)
	}
	young := r.signing("young")
	rotate(time.Hour)
	second := r.signing(registry.DefaultTenant)
	if second == first || r.signing("young") != young {
		t.Errorf("the key of a day is %s, was %s; that of an hour %s, was %s", second, first, r.signing("young"), young)
	}
	// The last URL of the old key lives an hour, the longest there is.
	r.advance(time.Hour)
	if _, err := r.ledger.URLKey(t.Context(), first); err != nil {
		t.Errorf("the old key while its last URL lives: %v", err)
	}
	r.advance(2 * time.Minute)
	if _, err := r.ledger.URLKey(t.Context(), first); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("the old key after its last URL: %v, want ErrNotFound", err)
	}
	rotate(24 * time.Hour)
	if _, err := r.ledger.URLKey(t.Context(), second); err != nil {
		t.Errorf("the second key in its overlap: %v", err)
	}
	if n := r.events(registry.EventURLKeyRotated); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

// A leap of the clock is no reason to rotate.
func TestURLKeysStayWhileTheClockIsInDoubt(t *testing.T) {
	r := newRig(t)
	first := r.signing(registry.DefaultTenant)
	r.leap.Add(int64(48 * time.Hour))
	if err := r.RotateURLKeys(t.Context()); !errors.Is(err, registry.ErrClockJumped) {
		t.Errorf("rotate: %v, want ErrClockJumped", err)
	}
	if r.signing(registry.DefaultTenant) != first {
		t.Error("the key was rotated")
	}
	if err := r.AcceptClock(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	if err := r.RotateURLKeys(t.Context()); err != nil || r.signing(registry.DefaultTenant) == first {
		t.Errorf("once the clock was accepted: %v", err)
	}
}

func TestRunRotatesURLKeys(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.RotateEvery = 240 * time.Millisecond })
	first := r.signing(registry.DefaultTenant)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); r.signing(registry.DefaultTenant) == first; {
		if time.Now().After(deadline) {
			t.Error("the key was not rotated")
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	<-ended
}

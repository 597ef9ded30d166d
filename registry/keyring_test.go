package registry_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
)

// viewCounter counts the snapshots that a store is asked for.
type viewCounter struct {
	kv.Store
	views *atomic.Int64
}

func (s viewCounter) View(ctx context.Context, fn func(kv.Tx) error) error {
	s.views.Add(1)
	return s.Store.View(ctx, fn)
}

func TestKeysAreRememberedUntilOneIsWritten(t *testing.T) {
	h := newHouse(t)
	var views atomic.Int64
	h.wrap = func(s kv.Store) kv.Store { return viewCounter{s, &views} }
	h.reopen()
	u, err := h.SigningURLKey(h.ctx(), acme)
	h.must(err)
	look := func() int64 {
		before := views.Load()
		_, err := h.Credential(h.ctx(), registry.AccessKeyID(h.amy.Credential))
		h.must(err)
		_, err = h.URLKey(h.ctx(), u.ID)
		h.must(err)
		_, err = h.Tenant(h.ctx(), acme)
		h.must(err)
		return views.Load() - before
	}
	for i, step := range []struct {
		name  string
		first func()
		want  int64
	}{
		{"at first", func() {}, 3},
		{"again", func() {}, 0},
		{"after a write of something else", func() {
			h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "other", Intake: registry.IntakeDirect}))
		}, 0},
		{"after another key was made", func() { h.actor(acme, "bob") }, 3},
		{"after a rotation", func() { h.must(h.RotateURLKey(h.ctx(), h.amy, acme, time.Minute)) }, 3},
		{"after the tenant was changed", func() {
			_, err := h.SetPresignMax(h.ctx(), h.amy, acme, time.Minute)
			h.must(err)
			if row, err := h.Tenant(h.ctx(), acme); err != nil || row.PresignMaxTTL != time.Minute {
				t.Errorf("tenant %+v, %v: an old one was remembered", row, err)
			}
		}, 2},
		{"in the end", func() {}, 0},
	} {
		step.first()
		if got := look(); got != step.want {
			t.Errorf("%d, %s: %d snapshots, want %d", i, step.name, got, step.want)
		}
	}
	// Time alone ends a remembered key, too.
	h.time.pass(time.Minute)
	_, err = h.URLKey(h.ctx(), u.ID)
	h.want(err, registry.ErrNotFound)
}

// TestRevokedKeyIsNeverFoundAgain looks a key up from all sides while it is
// revoked.
func TestRevokedKeyIsNeverFoundAgain(t *testing.T) {
	h := newHouse(t)
	for range 20 {
		bob := h.actor(acme, "bob")
		id := registry.AccessKeyID(bob.Credential)
		var revoked atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					late := revoked.Load()
					_, err := h.Credential(h.ctx(), id)
					switch {
					case errors.Is(err, registry.ErrRevoked):
						return
					case err != nil:
						t.Errorf("credential: %v", err)
						return
					case late:
						t.Error("a key was found after its revocation")
						return
					}
				}
			})
		}
		h.must(h.RevokeKey(h.ctx(), h.amy, acme, id))
		revoked.Store(true)
		wg.Wait()
	}
}

package registry_test

import (
	"testing"
	"time"

	"sallyport/registry"
)

// TestRejectedStaysWithItsBucket: what was rejected in a bucket that is gone is not
// released into another of its name.
func TestRejectedStaysWithItsBucket(t *testing.T) {
	h := newHouse(t)
	for name, versioning := range map[registry.BucketName]registry.Versioning{
		"plain": registry.VersioningOff, "versioned": registry.VersioningEnabled,
	} {
		b := registry.Bucket{Name: name, Intake: registry.IntakeDirect, Versioning: versioning}
		h.must(h.CreateBucket(h.ctx(), h.amy, b))
		o := h.put(name, "k", "one")
		_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
		h.must(err)
		h.must(h.DeleteBucket(h.ctx(), h.amy, acme, name))
		h.time.pass(time.Second)
		h.must(h.CreateBucket(h.ctx(), h.amy, b))
		_, _, err = h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.Release, Reason: "false_alarm"})
		h.want(err, registry.ErrConflict)
	}
}

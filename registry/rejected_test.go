package registry_test

import (
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
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
		_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.RejectObject, "late_find")
		h.must(err)
		h.must(h.DeleteBucket(h.ctx(), h.amy, acme, name))
		h.time.pass(time.Second)
		h.must(h.CreateBucket(h.ctx(), h.amy, b))
		_, _, err = h.Review(h.ctx(), h.amy, o.ID, registry.Release, "false_alarm")
		h.want(err, registry.ErrConflict)
	}
}

// TestOvertakenLeavesNoName: what can never be published is not looked at again by
// every later write of its key.
func TestOvertakenLeavesNoName(t *testing.T) {
	h := newHouse(t)
	names := func() (n int) {
		h.must(registry.StoreOf(h.Ledger).View(h.ctx(), func(tx kv.Tx) error {
			return tx.Scan("names_pending", kv.Range{}, func(_, _ []byte) error {
				n++
				return nil
			})
		}))
		return n
	}
	for range 5 {
		h.settle(h.put(files, "k", "bad"), registry.Verdict{Result: registry.VerdictInfected, Reason: "eicar"})
	}
	if n := names(); n != 5 {
		t.Fatalf("%d names wait, want those of five that can be released", n)
	}
	h.settle(h.put(files, "k", "good"), clean)
	if n := names(); n != 0 {
		t.Errorf("%d names are left behind the published one", n)
	}
}

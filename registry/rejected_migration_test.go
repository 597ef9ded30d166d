package registry

import (
	"path/filepath"
	"testing"
	"time"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
)

// TestRejectedAreDated opens what schema 4 wrote: rejected objects without a time.
func TestRejectedAreDated(t *testing.T) {
	store, err := boltkv.Open(filepath.Join(t.TempDir(), "db"), boltkv.Options{Tables: ledgerTables, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := migrate(t.Context(), store, migrations[:4]); err != nil {
		t.Fatal(err)
	}
	judged, last := time.UnixMilli(1_000_000).UTC(), time.UnixMilli(2_000_000).UTC()
	want := map[ObjectID]time.Time{"obj_infected": judged, "obj_withdrawn": last, "obj_held": {}}
	err = store.Update(t.Context(), func(tx kv.Tx) error {
		x := txn{Tx: tx}
		if err := x.setNumber(metaClock, millis(last)); err != nil {
			return err
		}
		for _, o := range []Object{
			{ID: "obj_infected", State: ObjectRejected, Verdict: &Verdict{Result: VerdictInfected, At: judged}},
			{ID: "obj_withdrawn", State: ObjectRejected, Verdict: &Verdict{Result: VerdictClean, At: judged}},
			{ID: "obj_held", State: ObjectQuarantined, Held: true},
		} {
			o.Tenant, o.Bucket, o.Key = "acme", "files", string(o.ID)
			if err := x.write(&o, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = migrate(t.Context(), store, migrations[:5])
	}
	if err != nil {
		t.Fatal(err)
	}
	err = store.View(t.Context(), func(tx kv.Tx) error {
		x := txn{Tx: tx}
		for id, at := range want {
			o, err := x.object("acme", id)
			if err != nil {
				return err
			}
			indexed, err := x.has(tRejected, timed(o.RejectedAt, "acme", string(id)))
			if err != nil {
				return err
			}
			if !o.RejectedAt.Equal(at) || indexed == at.IsZero() {
				t.Errorf("%s was rejected at %v, in the index: %v", id, o.RejectedAt, indexed)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

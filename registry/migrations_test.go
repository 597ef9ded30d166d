package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
)

func TestMigrationsAreOrdered(t *testing.T) {
	for i, m := range migrations {
		if m.version != uint64(i)+1 || m.what == "" || m.run == nil {
			t.Errorf("line %d has version %d", i, m.version)
		}
	}
}

func TestMigrate(t *testing.T) {
	store, err := boltkv.Open(filepath.Join(t.TempDir(), "db"), boltkv.Options{Tables: ledgerTables, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	var ran []uint64
	broken := errors.New("broken")
	step := func(version uint64, err error) migration {
		return migration{version, "test", func(tx kv.Tx) error {
			ran = append(ran, version)
			return errors.Join(err, tx.Put(tMeta, []byte{byte(version)}, nil))
		}}
	}
	has := func(version byte) bool {
		var found bool
		err := store.View(t.Context(), func(tx kv.Tx) (err error) {
			found, err = (&txn{Tx: tx}).has(tMeta, []byte{version})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	list := []migration{step(1, nil), step(2, nil), step(3, broken)}
	if err := migrate(t.Context(), store, list); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if !has(1) || !has(2) || has(3) {
		t.Error("a migration that failed left something, or one that did not left nothing")
	}
	ran = nil
	list[2] = step(3, nil)
	for range 2 {
		if err := migrate(t.Context(), store, list); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(ran, []uint64{3}) {
		t.Errorf("ran %v, want only the missing one, once", ran)
	}
	if err := migrate(t.Context(), store, list[:2]); !errors.Is(err, ErrSchema) {
		t.Errorf("an older version opened a newer schema: %v", err)
	}
}

// TestBucketsArePacked opens what schema 1 wrote.
func TestBucketsArePacked(t *testing.T) {
	store, err := boltkv.Open(filepath.Join(t.TempDir(), "db"), boltkv.Options{Tables: ledgerTables, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := migrate(t.Context(), store, migrations[:1]); err != nil {
		t.Fatal(err)
	}
	want := Bucket{
		Name: "photos", Intake: IntakeDirect, AllowedTypes: []string{"image/*"}, MaxSize: 7, PutURLTTL: time.Minute,
		CORSOrigins: []string{"https://example.com"}, CreatedAt: fromMillis(1_800_000_000_123), Listed: true,
	}
	plain, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	key := keyOf(TenantName("acme"), "photos")
	packed := Bucket{Name: "packed", Intake: IntakeDirect}
	err = store.Update(t.Context(), func(tx kv.Tx) error {
		t := txn{Tx: tx}
		return errors.Join(t.Put(tBuckets, key, plain), t.putBucket("acme", &packed))
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := migrate(t.Context(), store, migrations); err != nil {
			t.Fatal(err)
		}
		err = store.View(t.Context(), func(tx kv.Tx) error {
			for _, b := range []Bucket{want, packed} {
				got, err := (&txn{Tx: tx}).bucket("acme", b.Name)
				if err != nil || !reflect.DeepEqual(got, b) {
					t.Errorf("got %+v (%v), want %+v", got, err, b)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOvertakenLosesItsName opens what schema 2 wrote.
func TestOvertakenLosesItsName(t *testing.T) {
	store, err := boltkv.Open(filepath.Join(t.TempDir(), "db"), boltkv.Options{Tables: ledgerTables, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	rejected := func(seq uint64, overtaken bool) *Object {
		return &Object{ID: ObjectID(fmt.Sprintf("obj_%d", seq)), Tenant: "acme", Bucket: "b", Key: "k", Seq: seq, State: ObjectRejected, Overtaken: overtaken}
	}
	err = store.Update(t.Context(), func(tx kv.Tx) error {
		t := txn{Tx: tx}
		for _, o := range []*Object{rejected(1, true), rejected(2, false)} {
			table, key := o.row()
			if err := errors.Join(t.put(table, key, o), t.Put(tPendingNames, pendingKey(o.Tenant, o.Bucket, o.Key, o.Seq), []byte(stateCode(o.State)+string(o.ID)))); err != nil {
				return err
			}
		}
		return t.setNumber(metaSchema, 2)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), store, migrations); err != nil {
		t.Fatal(err)
	}
	var left []string
	err = store.View(t.Context(), func(tx kv.Tx) error {
		return tx.Scan(tPendingNames, kv.Range{}, func(_, value []byte) error {
			left = append(left, string(value[1:]))
			return nil
		})
	})
	if err != nil || !slices.Equal(left, []string{"obj_2"}) {
		t.Errorf("%v are left (%v), want the one that was not overtaken", left, err)
	}
}

func TestDamagedBucketStopsTheMigration(t *testing.T) {
	store, err := boltkv.Open(filepath.Join(t.TempDir(), "db"), boltkv.Options{Tables: ledgerTables, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	err = store.Update(t.Context(), func(tx kv.Tx) error { return tx.Put(tBuckets, []byte("acme\x00b"), []byte("{damaged")) })
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), store, migrations); err == nil {
		t.Error("a row that cannot be read was passed over")
	}
}

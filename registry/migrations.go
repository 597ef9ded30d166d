package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"sallyport/registry/kv"
)

// migration takes a store from the schema before it to its own. It runs in
// one transaction together with the new version number: if we die in it,
// nothing of it happened.
type migration struct {
	version uint64 // grows by one from line to line, from 1
	what    string
	run     func(kv.Tx) error
}

// migrations is the ordered list of all schemas there were. Lines are added at
// the end, each with a test, and never changed.
var migrations = []migration{
	{1, "the first schema: every table of doc.go", func(kv.Tx) error { return nil }},
	{2, "buckets are packed rows", packBuckets},
	{3, "names_pending lacks what was rejected and overtaken", dropOvertaken},
	{4, "objects have renditions", func(kv.Tx) error { return nil }},
	{5, "rejected objects know since when", dateRejected},
}

// dropOvertaken takes what can never be published out of names_pending.
func dropOvertaken(tx kv.Tx) error {
	t := txn{Tx: tx}
	var gone [][]byte
	err := tx.Scan(tPendingNames, kv.Range{}, func(key, value []byte) error {
		tenant, _, _ := strings.Cut(string(key), "\x00")
		if len(value) < 1 || string(value[:1]) != stateCode(ObjectRejected) {
			return nil
		}
		o, err := t.object(TenantName(tenant), ObjectID(value[1:]))
		if err == nil && o.Overtaken {
			gone = append(gone, key)
		}
		return err
	})
	for _, key := range gone {
		if err == nil {
			err = tx.Delete(tPendingNames, key)
		}
	}
	return err
}

// packBuckets rewrites the rows of buckets, which were JSON. One that is packed
// is left as it is.
func packBuckets(tx kv.Tx) error {
	t := txn{Tx: tx}
	type row struct {
		key    []byte
		bucket Bucket
	}
	var rows []row
	err := tx.Scan(tBuckets, kv.Range{}, func(key, value []byte) error {
		if len(value) == 0 || value[0] != '{' {
			return nil
		}
		r := row{key: key}
		if err := json.Unmarshal(value, &r.bucket); err != nil {
			return fmt.Errorf("decode a row of %s: %w", tBuckets, err)
		}
		rows = append(rows, r)
		return nil
	})
	for i := range rows {
		if err == nil {
			err = t.put(tBuckets, rows[i].key, &rows[i].bucket)
		}
	}
	return err
}

// migrate brings the store to the last schema of list. A store that is beyond
// it is ErrSchema and stays untouched.
func migrate(ctx context.Context, store kv.Store, list []migration) error {
	last := list[len(list)-1].version
	var have uint64
	err := store.View(ctx, func(tx kv.Tx) (err error) {
		have, err = (&txn{Tx: tx}).number(metaSchema)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if have > last {
		return fmt.Errorf("%w: the ledger has schema %d, this version knows up to %d: use a newer version",
			ErrSchema, have, last)
	}
	for _, m := range list {
		if m.version <= have {
			continue
		}
		err := store.Update(ctx, func(tx kv.Tx) error {
			if err := m.run(tx); err != nil {
				return err
			}
			return (&txn{Tx: tx}).setNumber(metaSchema, m.version)
		})
		if err != nil {
			return fmt.Errorf("migrate to schema %d (%s): %w", m.version, m.what, err)
		}
	}
	return nil
}

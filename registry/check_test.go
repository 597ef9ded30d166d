package registry_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
)

// TestCheckFindsDamage breaks one row at a time: a check that finds nothing is
// worth nothing.
func TestCheckFindsDamage(t *testing.T) {
	h := newHouse(t)
	h.begin()
	h.take(h.begin())
	h.received()
	h.must(h.AbortUpload(h.ctx(), h.amy, acme, h.received().Upload.ID))
	h.put(direct, "k", "x")
	h.put(files, "waits", "x")
	h.claim()
	h.put(files, "waits too", "x")
	shown := h.published()
	h.finalized()
	h.settle(h.put(files, "bad", "x"), registry.Verdict{Result: registry.VerdictInfected})
	h.judgedNow()
	h.finalized()
	h.must(h.Check(h.ctx()))

	indexes := []kv.Table{
		"uploads_by_principal", "upload_expiry", "object_states", "names", "names_pending",
		"scan_due", "scan_claims", "promoting", "timeline", "objects", "key_list", "url_key_list", "path_hashes",
	}
	for _, table := range indexes {
		h.damaged(string(table)+" lost", table, func(tx kv.Tx, key, _ []byte) error { return tx.Delete(table, key) })
	}
	for _, table := range indexes[:8] {
		h.damaged(string(table)+" stray", table, func(tx kv.Tx, key, value []byte) error {
			return tx.Put(table, append(bytes.Clone(key), 'x'), value)
		})
	}
	h.damaged("another bucket", "objects", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("objects", key, bytes.Replace(value, []byte("files"), []byte("filet"), 1))
	})
	h.damaged("state without an event", "uploads", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("uploads", key, bytes.Replace(value, []byte("created"), []byte("expired"), 1))
	})
	h.damaged("row cut short", "objects", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("objects", key, value[:len(value)/2])
	})
	h.damaged("name of another object", "names", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("names", key, append(bytes.Clone(value), 'x'))
	})
	h.damaged("garbage in use", "objects", func(tx kv.Tx, _, _ []byte) error {
		return tx.Put("garbage", []byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte(shown.Extents[0].Blob))
	})
	h.damaged("seq behind", "meta", func(tx kv.Tx, _, _ []byte) error {
		return tx.Put("meta", []byte("seq"), []byte{0, 0, 0, 0, 0, 0, 0, 1})
	})
	h.damaged("leaf changed", "audit_leaves", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("audit_leaves", key, bytes.Replace(value, []byte("server"), []byte("sewer1"), 1))
	})
}

// judgedNow leaves an object promoting, whatever else waits.
func (h *house) judgedNow() {
	h.Helper()
	o := h.finalized()
	h.settle(o, clean)
}

// damaged applies damage to the first row of a table, wants Check to notice,
// and repairs it.
func (h *house) damaged(what string, table kv.Table, damage func(tx kv.Tx, key, value []byte) error) {
	h.Helper()
	type row struct{ key, value []byte }
	all := make(map[kv.Table][]row)
	store := registry.StoreOf(h.Ledger)
	h.must(store.View(h.ctx(), func(tx kv.Tx) error {
		for _, t := range registry.Tables {
			err := tx.Scan(t, kv.Range{}, func(key, value []byte) error {
				all[t] = append(all[t], row{bytes.Clone(key), bytes.Clone(value)})
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	if len(all[table]) == 0 {
		h.Fatalf("%s: the table is empty", what)
	}
	first := all[table][0]
	h.must(store.Update(h.ctx(), func(tx kv.Tx) error { return damage(tx, first.key, first.value) }))
	if err := h.Check(h.ctx()); !errors.Is(err, registry.ErrInconsistent) && !errors.Is(err, registry.ErrTampered) && !errors.Is(err, registry.ErrNotFound) {
		h.Errorf("%s: Check says %v", what, err)
	}
	h.must(store.Update(h.ctx(), func(tx kv.Tx) error {
		for _, t := range registry.Tables {
			var extra [][]byte
			err := tx.Scan(t, kv.Range{}, func(key, _ []byte) error {
				extra = append(extra, bytes.Clone(key))
				return nil
			})
			if err != nil {
				return err
			}
			for _, key := range extra {
				if err := tx.Delete(t, key); err != nil {
					return err
				}
			}
			for _, r := range all[t] {
				if err := tx.Put(t, r.key, r.value); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	if err := h.Check(h.ctx()); err != nil {
		h.Fatalf("%s: not repaired: %v", what, err)
	}
}

// TestUpdatesMayRunTwice: a store may run an update's function again. What the
// verbs return must be what the last run did.
func TestUpdatesMayRunTwice(t *testing.T) {
	h := newHouse(t)
	h.wrap = func(s kv.Store) kv.Store { return twice{s} }
	h.reopen()
	h.published()
	h.put(direct, "k", "one")
	h.put(direct, "k", "two")
	b := h.begin()
	h.must(h.FailPut(h.ctx(), h.take(b), "test"))
	h.must(h.AbortUpload(h.ctx(), h.amy, acme, b.Upload.ID))
	h.finalized()
	h.must(h.RetryScan(h.ctx(), h.claim(), 0, "test"))
	h.tenant("other")
	h.must(h.RotateURLKey(h.ctx(), h.amy, acme, time.Minute))
	h.must(h.deleteKey(direct, "k"))
}

// twice runs every update's function once for nothing.
type twice struct{ kv.Store }

var errNothing = errors.New("for nothing")

func (s twice) Update(ctx context.Context, fn func(kv.Tx) error) error {
	err := s.Store.Update(ctx, func(tx kv.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errNothing
	})
	if !errors.Is(err, errNothing) {
		return err
	}
	return s.Store.Update(ctx, fn)
}

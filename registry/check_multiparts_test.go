package registry_test

import (
	"bytes"
	"testing"
	"time"

	"sallyport/registry/kv"
)

func TestCheckFindsDamageToMultiparts(t *testing.T) {
	h := newHouse(t)
	done := h.multipart(direct, "done")
	done.part(1, "one", 6*mib)
	done.part(2, "two", 5)
	done.complete()
	open := h.multipart(direct, "open")
	open.part(1, "one", 5)
	h.must(h.putOnce("k", h.oneUse("signature", time.Hour)))
	h.must(h.Check(h.ctx()))

	lost := []kv.Table{"multiparts", "multipart_names", "multiparts_done", "object_parts", "used_urls", "used_url_age", "references"}
	for _, table := range lost {
		h.damaged(string(table)+" lost", table, func(tx kv.Tx, key, _ []byte) error { return tx.Delete(table, key) })
	}
	for _, table := range append(lost, "parts") {
		h.damaged(string(table)+" stray", table, func(tx kv.Tx, key, value []byte) error {
			return tx.Put(table, append(bytes.Clone(key), 'x'), value)
		})
	}
	h.damaged("part of nothing", "parts", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("parts", bytes.Replace(key, []byte("mpu_"), []byte("mpu_X"), 1), value)
	})
	h.damaged("part of what is completed", "parts", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("parts", bytes.Replace(key, []byte(open.ID), []byte(done.ID), 1), value)
	})
	h.damaged("notes of other parts", "object_parts", func(tx kv.Tx, key, _ []byte) error {
		return tx.Put("object_parts", key, []byte{2, 1, 1})
	})
}

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/registry/kv"
)

// tamperFile has two tiles and a few leaves, two blocks and a signed head that
// covers all but the last three leaves.
func tamperFile(t *testing.T) (*auditFile, *auditLog) {
	t.Helper()
	f := newAuditFile(t)
	a := f.open(t)
	f.fill(t, a, 300, "acme", "other")
	for range 2 {
		for i := range 5 {
			mustAccess(t, a, AccessRecord{Time: f.now(), Tenant: "acme", Principal: "alice", Op: "GetObject", Key: fmt.Sprint("k", i), Status: 200})
		}
		if err := a.FlushAccess(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.fill(t, a, 240, "acme")
	if _, err := a.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.fill(t, a, 3, "other")
	return f, a
}

// row is what a store holds under one key.
type row struct {
	table kv.Table
	key   []byte
}

func (f *auditFile) rows(t *testing.T, table kv.Table) (rows []row) {
	t.Helper()
	err := f.store.View(t.Context(), func(tx kv.Tx) error {
		return tx.Scan(table, kv.Range{}, func(key, _ []byte) error {
			rows = append(rows, row{table, bytes.Clone(key)})
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// edit changes a row and returns what puts it back. A nil result of change
// deletes it; a nil value is that of a row that is not there.
func (f *auditFile) edit(t *testing.T, r row, change func(value []byte) []byte) (undo func()) {
	t.Helper()
	var before []byte
	put := func(tx kv.Tx, value []byte) error {
		if value == nil {
			return tx.Delete(r.table, r.key)
		}
		return tx.Put(r.table, r.key, value)
	}
	err := f.store.Update(t.Context(), func(tx kv.Tx) error {
		v, err := tx.Get(r.table, r.key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		before = nil
		if err == nil {
			before = append([]byte{}, v...)
		}
		return put(tx, change(bytes.Clone(before)))
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := f.store.Update(context.Background(), func(tx kv.Tx) error { return put(tx, before) }); err != nil {
			t.Fatal(err)
		}
	}
}

func flipAt(i int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[i%len(b)] ^= 1 << (i % 8)
		return b
	}
}

// TestFlippedByteIsFound flips one byte in rows of every kind, a different one in
// each, and all along some rows.
func TestFlippedByteIsFound(t *testing.T) {
	f, a := tamperFile(t)
	mustVerify(t, a)
	found := func(r row, at int) {
		t.Helper()
		undo := f.edit(t, r, flipAt(at))
		defer undo()
		_, err := a.VerifyAudit(t.Context())
		if !errors.Is(err, ErrTampered) {
			t.Fatalf("%s %x byte %d: VerifyAudit = %v, want ErrTampered", r.table, r.key, at, err)
		}
		if r.table == tableAuditLeaves || r.table == tableAccessBlocks {
			var broken *TamperError
			if !errors.As(err, &broken) || !bytes.Equal(seqKey(broken.Seq), r.key) {
				t.Fatalf("%s %x byte %d: VerifyAudit = %v, want its seq", r.table, r.key, at, err)
			}
		}
	}
	length := func(r row) (n int) {
		err := f.store.View(t.Context(), func(tx kv.Tx) error {
			v, err := tx.Get(r.table, r.key)
			n = len(v)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, tc := range []struct {
		table kv.Table
		rows  int
		step  int // every row would take long under the race detector
	}{
		{tableAuditLeaves, 300 + 2 + 240 + 3, 5},
		{tableAuditTiles, 2, 1},
		{tableAccessBlocks, 2, 1},
	} {
		rows := f.rows(t, tc.table)
		if len(rows) != tc.rows {
			t.Errorf("%s has %d rows, want %d", tc.table, len(rows), tc.rows)
		}
		for i := 0; i < len(rows); i += tc.step {
			found(rows[i], i*7)
		}
	}
	for _, tc := range []struct {
		row  row
		step int
	}{
		{row{tableAuditLeaves, seqKey(1)}, 2},
		{row{tableAuditLeaves, seqKey(300)}, 5}, // of a block
		{row{tableAuditLeaves, seqKey(544)}, 5}, // the last one, not signed for
		{row{tableAuditTiles, tileKey(1, 0)}, 1},
		{row{tableAccessBlocks, seqKey(300)}, 2},
		{row{tableAuditState, rowAuditHead}, 1},
	} {
		for i := 0; i < length(tc.row); i += tc.step {
			found(tc.row, i)
		}
	}
	mustVerify(t, a)
}

func TestTamperedRowsAreFound(t *testing.T) {
	f, a := tamperFile(t)
	gone := func([]byte) []byte { return nil }
	added := func([]byte) []byte { return []byte("a row that nobody wrote, thirty-two") }
	leaf := func(seq uint64) row { return row{tableAuditLeaves, seqKey(seq)} }
	relabel := func(tb []byte) []byte { // a leaf that is whole in itself, but another's
		return bytes.Replace(tb, []byte(`"alice"`), []byte(`"mallo"`), 1)
	}
	for _, tc := range []struct {
		name   string
		row    row
		change func([]byte) []byte
		seq    int // the first broken leaf, -1 where no one leaf is
	}{
		{"leaf deleted", leaf(17), gone, 17},
		{"last signed leaf deleted", leaf(541), gone, 541},
		{"leaf cut off", leaf(4), func(b []byte) []byte { return b[:20] }, 4},
		{"leaf emptied", leaf(4), func([]byte) []byte { return []byte{} }, 4},
		{"leaf rewritten", leaf(4), relabel, 4},
		{"leaf and its hash rewritten", leaf(4), func(b []byte) []byte { return leafRow(relabel(b[32:])) }, 0},
		{"late leaf and its hash rewritten", leaf(530), func(b []byte) []byte { return leafRow(relabel(b[32:])) }, -1},
		{"leaf is not an event", leaf(544), func([]byte) []byte { return leafRow([]byte("{")) }, 544},
		{"leaf with another seq", leaf(544), func(b []byte) []byte { return leafRow(bytes.Replace(b[32:], []byte("544"), []byte("543"), 1)) }, 544},
		{"tile deleted", row{tableAuditTiles, tileKey(1, 1)}, gone, 256},
		{"tile added", row{tableAuditTiles, tileKey(1, 2)}, added, -1},
		{"tile of no level", row{tableAuditTiles, tileKey(0, 0)}, added, -1},
		{"block deleted", row{tableAccessBlocks, seqKey(301)}, gone, 301},
		{"block added", row{tableAccessBlocks, seqKey(299)}, added, 299},
		{"block emptied", row{tableAccessBlocks, seqKey(300)}, func([]byte) []byte { return []byte{} }, 300},
		{"block with an odd key", row{tableAccessBlocks, append(seqKey(300), 0)}, added, -1},
		{"leaf with an odd key", row{tableAuditLeaves, append(seqKey(300), 0)}, added, -1},
		{"head deleted", row{tableAuditState, rowAuditHead}, gone, -1},
		{"index row deleted", row{tableAuditTenants, tenantKey("other", 0)}, gone, 1},
		{"late index row deleted", row{tableAuditTenants, tenantKey("other", 2)}, gone, 542},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer f.edit(t, tc.row, tc.change)()
			_, err := a.VerifyAudit(t.Context())
			if !errors.Is(err, ErrTampered) {
				t.Fatalf("VerifyAudit = %v, want ErrTampered", err)
			}
			var broken *TamperError
			switch named := errors.As(err, &broken); {
			case tc.seq < 0 && named:
				t.Errorf("VerifyAudit = %v, want no leaf named", err)
			case tc.seq >= 0 && !named:
				t.Errorf("VerifyAudit = %v, want leaf %d named", err, tc.seq)
			case named && broken.Seq != uint64(tc.seq):
				t.Errorf("VerifyAudit = %v, want leaf %d", err, tc.seq)
			}
		})
	}
	mustVerify(t, a)
}

// leafRow is a row of audit_leaves whose hash fits its bytes.
func leafRow(leaf []byte) []byte {
	var f frontier
	f.add(tlog.RecordHash(leaf))
	h := f.root()
	return append(h[:], leaf...)
}

// A ledger that lost its end, or whose signed part was replaced, does not open.
func TestOpenChecksTheLastHead(t *testing.T) {
	for name, tc := range map[string]struct {
		row    row
		change func([]byte) []byte
		says   string
	}{
		"nothing":       {row{tableAuditState, []byte("other")}, func([]byte) []byte { return nil }, ""},
		"leaf replaced": {row{tableAuditLeaves, seqKey(541)}, func([]byte) []byte { return leafRow([]byte("{}")) }, "last signed head says"},
		"leaf missing":  {row{tableAuditLeaves, seqKey(540)}, func([]byte) []byte { return nil }, "last signed head of 542 leaves"},
		"tile missing":  {row{tableAuditTiles, tileKey(1, 0)}, func([]byte) []byte { return nil }, "last signed head of 542 leaves"},
		"head missing":  {row{tableAuditState, rowAuditHead}, func([]byte) []byte { return nil }, "head is missing"},
		"head flipped":  {row{tableAuditState, rowAuditHead}, flipAt(30), "last signed head"},
		"key missing":   {row{tableAuditState, rowAuditKey}, func([]byte) []byte { return nil }, "no signing key"},
		"key flipped":   {row{tableAuditState, rowAuditKey}, flipAt(70), "signing key"},
	} {
		t.Run(name, func(t *testing.T) {
			f, a := tamperFile(t)
			f.abandon(a)
			f.edit(t, tc.row, tc.change)
			b, err := openAudit(t.Context(), f.config())
			if err == nil {
				f.abandon(b)
			}
			if tc.says == "" {
				if err != nil {
					t.Errorf("openAudit = %v", err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("openAudit = %v, want it to say %q", err, tc.says)
			}
		})
	}
	t.Run("end cut off", func(t *testing.T) {
		f, a := tamperFile(t)
		f.abandon(a)
		for seq := uint64(500); seq < 545; seq++ {
			f.edit(t, row{tableAuditLeaves, seqKey(seq)}, func([]byte) []byte { return nil })
		}
		_, err := openAudit(t.Context(), f.config())
		if !errors.Is(err, ErrTampered) || !strings.Contains(err.Error(), "500 leaves") || !strings.Contains(err.Error(), "542") {
			t.Errorf("openAudit = %v, want ErrTampered that names 500 and 542 leaves", err)
		}
		if _, err := a.VerifyAudit(t.Context()); !errors.Is(err, ErrTampered) {
			t.Errorf("VerifyAudit = %v, want ErrTampered", err)
		}
	})
}

// A log never signs a tree that its last head's tree is not the beginning of.
func TestNoHeadOnAChangedTree(t *testing.T) {
	f, a := tamperFile(t)
	before, err := a.Events(t.Context(), "", 541, 1)
	if err != nil {
		t.Fatal(err)
	}
	undo := f.edit(t, row{tableAuditLeaves, seqKey(541)}, func([]byte) []byte {
		return leafRow(bytes.Replace(before[0].Bytes, []byte("alice"), []byte("mallo"), 1))
	})
	if _, err := a.Checkpoint(t.Context()); !errors.Is(err, ErrTampered) {
		t.Errorf("Checkpoint = %v, want ErrTampered", err)
	}
	// Access records are kept all the same.
	mustAccess(t, a, AccessRecord{Time: f.now(), Tenant: "acme", Principal: "alice", Status: 200})
	if err := a.FlushAccess(t.Context()); !errors.Is(err, ErrTampered) {
		t.Errorf("FlushAccess = %v, want ErrTampered", err)
	}
	undo()
	if r := mustVerify(t, a); r.Blocks != 3 || r.Signed.Size != 542 {
		t.Errorf("VerifyAudit = %+v, want 3 blocks and the head of 542", r)
	}
	if _, err := a.Checkpoint(t.Context()); err != nil {
		t.Errorf("Checkpoint = %v", err)
	}
}

func TestReopen(t *testing.T) {
	f, a := tamperFile(t)
	key, before := a.VerifierKey(), mustVerify(t, a)
	if err := a.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.openStore(t)
	b := f.open(t)
	after := mustVerify(t, b)
	if b.VerifierKey() != key {
		t.Errorf("verifier key is %s, was %s", b.VerifierKey(), key)
	}
	if after.Size != before.Size || after.Root != before.Root || after.Signed.Size != before.Size {
		t.Errorf("after reopening %+v, before %+v", after, before)
	}
}

package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/registry/kv"
)

// AuditReport is what VerifyAudit found to be whole.
type AuditReport struct {
	Size   uint64 // leaves when it began
	Root   Hash   // their root
	Signed Checkpoint
	Blocks int // blocks of access records
}

// leavesPerView bounds how long VerifyAudit holds one snapshot: four tiles.
const leavesPerView = 4 * tileWidth

// VerifyAudit computes the whole log anew: every leaf's hash, every tile, the
// last signed head, every block of access records and the tenants' index. The
// error is an ErrTampered, and a *TamperError where one leaf is the first that
// is broken. Appends go on meanwhile; what is appended after the start is not
// looked at. It reads the whole log once: about 4 s for a million leaves.
//
// Rows that were rewritten together with everything above them, and signed
// anew with a stolen key, show only against a checkpoint that somebody kept:
// see VerifyExtension.
func (a *auditLog) VerifyAudit(ctx context.Context) (AuditReport, error) {
	v := auditVerifier{log: a}
	err := a.store.View(ctx, func(tx kv.Tx) (err error) {
		if v.report.Size, err = auditSize(tx); err != nil {
			return err
		}
		v.report.Signed, _, err = a.lastHead(tx)
		return err
	})
	if err != nil {
		return v.report, err
	}
	if v.report.Size < v.report.Signed.Size {
		return v.report, fmt.Errorf("%w: there are %d leaves, but the last signed head is of %d (root %s)",
			ErrTampered, v.report.Size, v.report.Signed.Size, v.report.Signed.Root)
	}
	for v.tree.n < v.report.Size {
		if err := v.page(ctx, min(v.tree.n+leavesPerView, v.report.Size)); err != nil {
			return v.report, err
		}
	}
	if err := v.checkSigned(); err != nil {
		return v.report, err
	}
	v.report.Root = v.tree.root()
	return v.report, a.store.View(ctx, checkTileKeys)
}

// auditVerifier is one run of VerifyAudit.
type auditVerifier struct {
	log    *auditLog
	tree   frontier
	report AuditReport
}

// page verifies the leaves up to number to, then the blocks that they name.
func (v *auditVerifier) page(ctx context.Context, to uint64) error {
	from := v.tree.n
	var blocks []Leaf
	err := v.log.store.View(ctx, func(tx kv.Tx) error {
		v.tree.onTop = func(level int, index uint64, h Hash) error { return checkTile(tx, level, index, h) }
		marks := make(map[string]uint64) // rows of the tenants' index that must be there
		err := scanLeaves(tx, from, to, func(seq uint64, h Hash, leaf []byte) error {
			ev, err := v.addLeaf(seq, h, leaf)
			if err != nil {
				return err
			}
			if ev.Type == EventAccessBlock {
				blocks = append(blocks, Leaf{Seq: seq, Bytes: bytes.Clone(leaf)})
			}
			if ev.Tenant != "" {
				if k := string(tenantKey(ev.Tenant, seq/tileWidth)); marks[k] == 0 {
					marks[k] = seq + 1
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if v.tree.n != to {
			return &TamperError{Seq: v.tree.n, What: "the leaf is missing"}
		}
		return errors.Join(checkMarks(tx, marks), checkBlockKeys(tx, from, to, blocks))
	})
	if err != nil {
		return err
	}
	for _, leaf := range blocks {
		if err := v.block(ctx, leaf); err != nil {
			return err
		}
	}
	return nil
}

// leafFacts are what the verifier asks of an event.
type leafFacts struct {
	Seq    uint64     `json:"seq"`
	Type   EventType  `json:"type"`
	Tenant TenantName `json:"tenant"`
}

// addLeaf verifies one leaf and adds it to the tree.
func (v *auditVerifier) addLeaf(seq uint64, stored Hash, leaf []byte) (ev leafFacts, err error) {
	if seq != v.tree.n {
		return ev, &TamperError{Seq: v.tree.n, What: "the leaf is missing"}
	}
	if v.tree.n == v.report.Signed.Size {
		if err := v.checkSigned(); err != nil {
			return ev, err
		}
	}
	h := tlog.RecordHash(leaf)
	if h != stored {
		return ev, &TamperError{Seq: seq, What: "its bytes do not have the hash that was stored with them"}
	}
	if err := json.Unmarshal(leaf, &ev); err != nil {
		return ev, &TamperError{Seq: seq, What: "not an event: " + err.Error()}
	}
	if ev.Seq != seq {
		return ev, &TamperError{Seq: seq, What: fmt.Sprintf("it says it is leaf %d", ev.Seq)}
	}
	return ev, v.tree.addTo(h)
}

// checkSigned compares the tree, once it is as long as the last signed head's,
// with that head.
func (v *auditVerifier) checkSigned() error {
	s := v.report.Signed
	if v.tree.n != s.Size {
		return nil
	}
	if root := v.tree.root(); root != s.Root {
		return fmt.Errorf("%w: the first %d leaves have root %s, but the last signed head says %s", ErrTampered, s.Size, root, s.Root)
	}
	return nil
}

// checkTile compares a tile's stored root with the one computed.
func checkTile(tx kv.Reader, level int, index uint64, h Hash) error {
	first := index << (level * tileHeight)
	stored, err := tx.Get(tableAuditTiles, tileKey(level, index))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return &TamperError{Seq: first, What: fmt.Sprintf("the hash of the %d leaves from here on is missing", uint64(1)<<(level*tileHeight))}
	case err != nil:
		return err
	case !bytes.Equal(stored, h[:]):
		return &TamperError{Seq: first, What: fmt.Sprintf("the %d leaves from here on do not have the hash that was stored for them", uint64(1)<<(level*tileHeight))}
	}
	return nil
}

// checkTileKeys fails if there are hashes of tiles that the tree does not have.
func checkTileKeys(tx kv.Tx) error {
	size, err := auditSize(tx)
	if err != nil {
		return err
	}
	return tx.Scan(tableAuditTiles, kv.Range{}, func(key, _ []byte) error {
		if len(key) != 9 || key[0] == 0 || int(key[0])*tileHeight >= 64 {
			return fmt.Errorf("%w: a tile's key is %x", ErrTampered, key)
		}
		if index := binary.BigEndian.Uint64(key[1:]); index >= size>>(int(key[0])*tileHeight) {
			return fmt.Errorf("%w: there is tile %d/%d, which a tree of %d leaves does not have", ErrTampered, key[0], index, size)
		}
		return nil
	})
}

// checkMarks fails if a row of the tenants' index is missing. marks holds, for
// each row, the seq plus one of the first leaf that it stands for.
func checkMarks(tx kv.Reader, marks map[string]uint64) error {
	for key, seq := range marks {
		_, err := tx.Get(tableAuditTenants, []byte(key))
		if errors.Is(err, kv.ErrNotFound) {
			return &TamperError{Seq: seq - 1, What: "its tenant would not find it: a row of the index is missing"}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkBlockKeys fails if there is a block of access records among the leaves
// from … to that none of them names.
func checkBlockKeys(tx kv.Reader, from, to uint64, named []Leaf) error {
	return tx.Scan(tableAccessBlocks, kv.Range{From: seqKey(from), To: seqKey(to)}, func(key, _ []byte) error {
		if len(key) != 8 {
			return fmt.Errorf("%w: a block's key is %x", ErrTampered, key)
		}
		seq := binary.BigEndian.Uint64(key)
		if len(named) == 0 || named[0].Seq > seq {
			return &TamperError{Seq: seq, What: "there is a block of access records that its leaf does not name"}
		}
		for len(named) > 0 && named[0].Seq <= seq {
			named = named[1:]
		}
		return nil
	})
}

// block verifies the block that the leaf names.
func (v *auditVerifier) block(ctx context.Context, leaf Leaf) error {
	var stored []byte
	err := v.log.store.View(ctx, func(tx kv.Tx) error {
		b, err := tx.Get(tableAccessBlocks, seqKey(leaf.Seq))
		stored = bytes.Clone(b)
		return err
	})
	if errors.Is(err, kv.ErrNotFound) {
		return &TamperError{Seq: leaf.Seq, What: "its block of access records is missing"}
	}
	if err != nil {
		return err
	}
	if _, err := OpenBlock(leaf, stored); err != nil {
		return err
	}
	v.report.Blocks++
	return nil
}

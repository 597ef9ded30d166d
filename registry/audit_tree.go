package registry

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/registry/kv"
)

// Hash is a node of the audit log's tree; in JSON it is base64.
type Hash = tlog.Hash

// Tiles of height 8 have 256 hashes.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// putLeaf writes leaf seq, and the root of each tile that it completes.
func putLeaf(tx kv.Tx, seq uint64, leaf []byte) error {
	h := tlog.RecordHash(leaf)
	row := make([]byte, 0, len(h)+len(leaf))
	row = append(append(row, h[:]...), leaf...)
	if err := tx.Put(tableAuditLeaves, seqKey(seq), row); err != nil {
		return err
	}
	// If n leaves complete 256^l of them, they complete the l-th level of
	// tiles as well, each from the roots of the level below.
	n := seq + 1
	for level := 1; n%tileWidth == 0; level++ {
		n /= tileWidth
		hashes, err := tileHashes(tx, level-1, n-1, tileWidth)
		if err != nil {
			return err
		}
		var f frontier
		for _, h := range hashes {
			f.add(h)
		}
		root := f.root()
		if err := tx.Put(tableAuditTiles, tileKey(level, n-1), root[:]); err != nil {
			return err
		}
	}
	return nil
}

// tileKey names the root of the index-th complete subtree of 256^level
// leaves: hash number index of tile level `level`.
func tileKey(level int, index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(level)}, index)
}

// getLeaf returns the stored hash and the bytes of leaf seq. They are valid
// until the transaction ends.
func getLeaf(tx kv.Reader, seq uint64) (Hash, []byte, error) {
	row, err := tx.Get(tableAuditLeaves, seqKey(seq))
	if errors.Is(err, kv.ErrNotFound) {
		return Hash{}, nil, fmt.Errorf("%w: leaf %d", ErrNotFound, seq)
	}
	if err != nil {
		return Hash{}, nil, err
	}
	return splitLeaf(seq, row)
}

func splitLeaf(seq uint64, row []byte) (h Hash, leaf []byte, err error) {
	if len(row) < len(h) {
		return h, nil, &TamperError{Seq: seq, What: "its row is cut off"}
	}
	copy(h[:], row)
	return h, row[len(h):], nil
}

// scanLeaves calls fn for each leaf with from <= seq < to. The bytes are valid
// until the transaction ends; kv.Stop ends the scan.
func scanLeaves(tx kv.Reader, from, to uint64, fn func(seq uint64, h Hash, leaf []byte) error) error {
	return tx.Scan(tableAuditLeaves, kv.Range{From: seqKey(from), To: seqKey(to)}, func(key, row []byte) error {
		if len(key) != 8 {
			return fmt.Errorf("%w: a leaf's key is %x", ErrTampered, key)
		}
		seq := binary.BigEndian.Uint64(key)
		h, leaf, err := splitLeaf(seq, row)
		if err != nil {
			return err
		}
		return fn(seq, h, leaf)
	})
}

// tileHashes returns the first width hashes of a tile, as they are stored. It
// is the caller's to know that the tree is large enough to have them.
func tileHashes(tx kv.Reader, level int, index uint64, width int) ([]Hash, error) {
	from := index * tileWidth
	hashes := make([]Hash, 0, width)
	var err error
	if level == 0 {
		err = scanLeaves(tx, from, from+uint64(width), func(seq uint64, h Hash, _ []byte) error {
			if want := from + uint64(len(hashes)); seq != want {
				return &TamperError{Seq: want, What: "the leaf is missing"}
			}
			hashes = append(hashes, h)
			return nil
		})
	} else {
		r := kv.Range{From: tileKey(level, from), To: tileKey(level, from+uint64(width))}
		err = tx.Scan(tableAuditTiles, r, func(_, row []byte) error {
			if len(row) != tlog.HashSize {
				return fmt.Errorf("%w: a tile's root has %d bytes", ErrTampered, len(row))
			}
			hashes = append(hashes, Hash(row))
			return nil
		})
	}
	if err == nil && len(hashes) != width {
		err = &TamperError{
			Seq:  (from + uint64(len(hashes))) << (tileHeight * level),
			What: fmt.Sprintf("tile %d/%d has %d of %d hashes", level, index, len(hashes), width),
		}
	}
	return hashes, err
}

// storedHashes is a tlog.HashReader on the rows of one transaction.
type storedHashes struct{ tx kv.Reader }

// ReadHashes reads each tile that the indexes need once.
func (s storedHashes) ReadHashes(indexes []int64) ([]Hash, error) {
	type place struct {
		level int
		n     int64
	}
	widest := make(map[place]tlog.Tile)
	for _, i := range indexes {
		t := tlog.TileForIndex(tileHeight, i)
		if p := (place{t.L, t.N}); widest[p].W < t.W {
			widest[p] = t
		}
	}
	data := make(map[place][]byte, len(widest))
	for p, t := range widest {
		hashes, err := tileHashes(s.tx, t.L, uint64(t.N), t.W)
		if err != nil {
			return nil, err
		}
		b := make([]byte, 0, len(hashes)*tlog.HashSize)
		for _, h := range hashes {
			b = append(b, h[:]...)
		}
		data[p] = b
	}
	found := make([]Hash, len(indexes))
	for i, x := range indexes {
		t := tlog.TileForIndex(tileHeight, x)
		p := place{t.L, t.N}
		h, err := tlog.HashFromTile(widest[p], data[p], x)
		if err != nil {
			return nil, err
		}
		found[i] = h
	}
	return found, nil
}

// treeHash returns the root of the first n leaves.
func treeHash(tx kv.Reader, n uint64) (Hash, error) {
	return tlog.TreeHash(int64(n), storedHashes{tx})
}

// frontier computes the root of a tree from its leaves, one after the other,
// with the hashes of the complete subtrees on its right edge: O(log n) memory.
type frontier struct {
	n     uint64
	edge  []Hash // largest subtree first
	onTop func(level int, index uint64, h Hash) error
}

// add makes h the hash of the next leaf.
func (f *frontier) add(h Hash) { _ = f.addTo(h) }

// addTo is add, and calls onTop for each tile's root that the leaf completes.
func (f *frontier) addTo(h Hash) error {
	n := f.n
	f.n++
	for level := 1; n&1 == 1; level++ {
		last := len(f.edge) - 1
		h = tlog.NodeHash(f.edge[last], h)
		f.edge = f.edge[:last]
		n >>= 1
		if f.onTop != nil && level%tileHeight == 0 {
			if err := f.onTop(level/tileHeight, n, h); err != nil {
				return err
			}
		}
	}
	f.edge = append(f.edge, h)
	return nil
}

// root returns the tree's root. The empty tree's is the hash of nothing.
func (f *frontier) root() Hash {
	if f.n == 0 {
		h, _ := tlog.TreeHash(0, nil)
		return h
	}
	last := len(f.edge) - 1
	h := f.edge[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(f.edge[i], h)
	}
	return h
}

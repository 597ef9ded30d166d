package boltkv

import (
	"encoding/binary"
	"hash/fnv"
	"math"
)

// rawMeta is the start of one of bbolt's two meta pages, which say where a state
// of the file begins: page header (16 bytes), magic, version, page size, flags (4
// each), root page and sequence (8 each), freelist, high water mark, transaction
// and FNV-1a checksum of the meta (8 each), in the machine's byte order. It lies
// in one sector, so the disk has the old one or the new one.
type rawMeta [metaSize]byte

const (
	metaSize     = 80
	metaChecksum = 72 // where the checksum is
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
)

// meta is what we need to know of a rawMeta.
type meta struct {
	pageSize int64
	txid     uint64
	size     int64 // of the part of the file that may be in use
	freelist bool  // names a list of free pages
}

// parse reports false if m is no valid meta.
func (m *rawMeta) parse() (meta, bool) {
	sum := fnv.New64a()
	sum.Write(m[16:metaChecksum])
	order := binary.NativeEndian
	page := int64(order.Uint32(m[24:]))
	high := order.Uint64(m[56:])
	if order.Uint32(m[16:]) != boltMagic || order.Uint32(m[20:]) != boltVersion || sum.Sum64() != order.Uint64(m[metaChecksum:]) ||
		page < 512 || page > 1<<24 || page&(page-1) != 0 || high > math.MaxInt64/uint64(page) {
		return meta{}, false
	}
	return meta{
		pageSize: page, txid: order.Uint64(m[64:]),
		size: int64(high) * page, freelist: order.Uint64(m[48:]) != math.MaxUint64,
	}, true
}

// offset returns where in the file m stands: a transaction's meta goes into the
// page of its parity.
func (m meta) offset() int64 { return int64(m.txid%2) * m.pageSize }

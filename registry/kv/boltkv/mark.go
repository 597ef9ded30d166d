package boltkv

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// markKey is where, among the quiet tables, the file says what log it has.
const markKey = "(log)"

// mark is the file's side of its bond with the log.
type mark struct {
	id   walID  // of the log, or of the last one
	open bool   // without the log's files the file is not whole
	lsn  uint64 // newest at transaction txid
	txid uint64
}

const markSize = 33

func (m mark) encode() []byte {
	b := make([]byte, markSize)
	if m.open {
		b[0] = 1
	}
	copy(b[1:], m.id[:])
	binary.LittleEndian.PutUint64(b[17:], m.lsn)
	binary.LittleEndian.PutUint64(b[25:], m.txid)
	return b
}

// readMark returns a zero mark for a file that never had a log.
func readMark(btx *bolt.Tx) (m mark, err error) {
	quiet := btx.Bucket([]byte(quietBucket))
	if quiet == nil {
		return m, nil
	}
	b := quiet.Get([]byte(markKey))
	if b == nil {
		return m, nil
	}
	if len(b) != markSize {
		return m, fmt.Errorf("the ledger's mark of its log has %d bytes, want %d", len(b), markSize)
	}
	m.open = b[0] == 1
	copy(m.id[:], b[1:])
	m.lsn, m.txid = binary.LittleEndian.Uint64(b[17:]), binary.LittleEndian.Uint64(b[25:])
	return m, nil
}

func (m mark) write(btx *bolt.Tx) error {
	m.txid = uint64(btx.ID())
	return btx.Bucket([]byte(quietBucket)).Put([]byte(markKey), m.encode())
}

// newest returns the highest LSN that may have been used up to transaction txid:
// without log, each transaction uses one.
func (m mark) newest(txid uint64) uint64 { return max(txid, m.lsn+txid-m.txid) }

// agrees checks that the file and the log's files belong together.
func (m mark) agrees(h *history) error {
	switch {
	case h.base != nil && h.base.id != m.id:
		return errForeign
	case h.base == nil && m.open && (h.pending == nil || h.pending.id != m.id):
		return errMissing
	}
	return nil
}

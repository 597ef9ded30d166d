package boltkv

import (
	"encoding/binary"
	"math"
	"os"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
)

// OpenFlushing opens a store that flushes its log, and its file at checkpoints, with
// flush, and begins a checkpoint after about every bytes.
func OpenFlushing(path string, o Options, every int64, flush func(*os.File) error) (*Store, error) {
	s, err := open(path, o, flush, every)
	if err != nil {
		return nil, err
	}
	s.committer = newCommitter(s)
	go s.run()
	return s, nil
}

// Flush makes what was written to f last.
func Flush(f *os.File) error { return flush(f) }

// Waiting returns how many updates no group has taken yet.
func (s *Store) Waiting() int { return s.queue.len() }

// LeafPages returns how many pages hold a table's rows.
func (s *Store) LeafPages(name kv.Table) (n int, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		n = s.tables[s.index[name]].bucket(tx).Stats().LeafPageN
		return nil
	})
	return n, err
}

// Freelist returns whether the file at path names its free pages, as its newest meta
// page says: page header (16 bytes), magic, version, page size, flags (4 each), root
// (16), freelist, high water mark and transaction (8 each).
func Freelist(path string) (kept bool, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var newest uint64
	for meta := range 2 {
		m := b[meta*os.Getpagesize()+16:]
		if txid := binary.NativeEndian.Uint64(m[48:]); txid >= newest {
			newest, kept = txid, binary.NativeEndian.Uint64(m[32:]) != math.MaxUint64
		}
	}
	return kept, nil
}

// ReadSegment reads b as the first segment of a log and returns how many records
// count and how many bytes they have.
func ReadSegment(b []byte) (records, total int, err error) {
	if len(b) < recordsAt {
		return 0, 0, nil
	}
	head, _ := parseHeader(b)
	if a, ok := parseBase(b[blockSize:]); ok {
		head.seq = a.seq
	}
	h := &history{base: &base{id: head.id, seq: head.seq}, names: head.names}
	if head.first > 0 {
		h.lsn, h.base.lsn = head.first-1, head.first-1
	}
	if _, err := h.readSegment(b, head.seq); err != nil {
		return 0, 0, err
	}
	for _, r := range h.records {
		total += len(r.payload)
	}
	_, err = lastWrites(h)
	if err != nil {
		return 0, 0, err
	}
	return len(h.records), total, nil
}

// CopyWrites reads the writes in payload and encodes them anew, in their order of
// keys.
func CopyWrites(payload []byte) ([]byte, error) {
	o := newOverlay(1 << 8)
	err := readWrites(payload, func(w write) error {
		st := put
		if w.value == nil {
			st = deleted
		}
		o.set(w.table%len(o.tables), w.key, w.value, st)
		return nil
	})
	return o.appendWrites(nil), err
}

package boltkv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The log is a chain of segments: files of blocks. Block 0 of a segment is its
// header, block 1 its base, records follow. A record starts at a block, so that a
// later write never touches a sector that an acknowledged record stands in. All
// numbers are little endian; a checksum covers what follows it.
//
//	header   crc(4) magic(8) version(4) id(16) seq(8) first(8) names(2), each len(2) name
//	base     crc(4) magic(8) final(4) id(16) seq(8) lsn(8) meta(80)
//	record   crc(4) kind(4) id(16) seq(8) lsn(8) length(8) payload
const (
	blockSize    = 4096
	recordsAt    = 2 * blockSize
	recordHeader = 48
	namesAt      = 50
	walVersion   = 1
	headerMagic  = "SALLYLOG"
	baseMagic    = "SALLYBAS"
)

// Kinds of records.
const (
	groupRecord = 1 // the writes of a group
	abortRecord = 2 // the record before it was not committed
	closeRecord = 3 // the commit of an orderly end follows
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// walID tells one log from all others. Nobody outside can guess it, so that no
// value that a client stores can be taken for a record.
type walID [16]byte

// header begins a segment.
type header struct {
	id    walID
	seq   uint64
	first uint64   // LSN of the first record
	names []string // of the tables, by the numbers that records use
}

// base is a state of the file from which the records after lsn lead on.
type base struct {
	id    walID
	seq   uint64
	lsn   uint64
	final bool // of an orderly end: no record follows
	meta  rawMeta
}

// record is one group of updates, or what happened to it.
type record struct {
	kind    uint32
	lsn     uint64
	payload []byte // of a group
}

var errNames = errors.New("the names of the tables do not fit into the log's header")

func (h header) encode() ([]byte, error) {
	b := make([]byte, namesAt, blockSize)
	copy(b[4:], headerMagic)
	binary.LittleEndian.PutUint32(b[12:], walVersion)
	copy(b[16:], h.id[:])
	binary.LittleEndian.PutUint64(b[32:], h.seq)
	binary.LittleEndian.PutUint64(b[40:], h.first)
	binary.LittleEndian.PutUint16(b[48:], uint16(len(h.names)))
	for _, name := range h.names {
		if len(b)+2+len(name) > blockSize {
			return nil, errNames
		}
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(name))), name...)
	}
	return seal(b[:blockSize]), nil
}

// parseHeader reads a segment's first block. ok is false if it is none.
func parseHeader(b []byte) (h header, ok bool) {
	if !sealed(b, headerMagic) || binary.LittleEndian.Uint32(b[12:]) != walVersion {
		return h, false
	}
	copy(h.id[:], b[16:])
	h.seq, h.first = binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:])
	count := int(binary.LittleEndian.Uint16(b[48:]))
	rest := b[namesAt:blockSize]
	for range count {
		if len(rest) < 2 {
			return h, false
		}
		n := int(binary.LittleEndian.Uint16(rest))
		if rest = rest[2:]; n > len(rest) {
			return h, false
		}
		h.names, rest = append(h.names, string(rest[:n])), rest[n:]
	}
	return h, true
}

func (a base) encode() []byte {
	b := make([]byte, blockSize)
	copy(b[4:], baseMagic)
	if a.final {
		b[12] = 1
	}
	copy(b[16:], a.id[:])
	binary.LittleEndian.PutUint64(b[32:], a.seq)
	binary.LittleEndian.PutUint64(b[40:], a.lsn)
	copy(b[48:], a.meta[:])
	return seal(b)
}

// parseBase reads a segment's second block. ok is false if it is none.
func parseBase(b []byte) (a base, ok bool) {
	if !sealed(b, baseMagic) {
		return a, false
	}
	a.final = b[12] == 1
	copy(a.id[:], b[16:])
	a.seq, a.lsn = binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:])
	copy(a.meta[:], b[48:])
	_, ok = a.meta.parse()
	return a, ok
}

// seal sets the checksum of a block.
func seal(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

// sealed reports whether b begins with a whole block of this magic.
func sealed(b []byte, magic string) bool {
	return len(b) >= blockSize && bytes.Equal(b[4:12], []byte(magic)) &&
		binary.LittleEndian.Uint32(b) == crc32.Checksum(b[4:blockSize], castagnoli)
}

// sealRecord completes the record in b, whose payload stands behind room for the
// header, and fills it up to whole blocks.
func sealRecord(b []byte, kind uint32, id walID, seq, lsn uint64) []byte {
	binary.LittleEndian.PutUint32(b[4:], kind)
	copy(b[8:], id[:])
	binary.LittleEndian.PutUint64(b[24:], seq)
	binary.LittleEndian.PutUint64(b[32:], lsn)
	binary.LittleEndian.PutUint64(b[40:], uint64(len(b)-recordHeader))
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	if rest := len(b) % blockSize; rest > 0 {
		b = append(b, make([]byte, blockSize-rest)...)
	}
	return b
}

// parseRecord reads the record at the start of b. It reports how many bytes it
// takes, in whole blocks, or false if there is none of this segment.
func parseRecord(b []byte, id walID, seq uint64) (r record, size int, ok bool) {
	if len(b) < recordHeader || !bytes.Equal(b[8:24], id[:]) || binary.LittleEndian.Uint64(b[24:]) != seq {
		return r, 0, false
	}
	n := binary.LittleEndian.Uint64(b[40:])
	if n > uint64(len(b)-recordHeader) {
		return r, 0, false
	}
	end := recordHeader + int(n)
	if binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:end], castagnoli) {
		return r, 0, false
	}
	r = record{
		kind: binary.LittleEndian.Uint32(b[4:]), lsn: binary.LittleEndian.Uint64(b[32:]),
		payload: b[recordHeader:end:end],
	}
	size = (end + blockSize - 1) / blockSize * blockSize
	return r, min(size, len(b)), true
}

// appendWrites encodes the overlay's writes: for each table its number, the count
// of entries, and each entry as the length of its key, that of its value plus one
// (0 for a delete), key and value.
func (o *overlay) appendWrites(b []byte) []byte {
	for i := range o.tables {
		p := &o.tables[i]
		n := 0
		for _, j := range p.order {
			if p.entries[j].state != unknown {
				n++
			}
		}
		if n == 0 {
			continue
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(i)), uint64(n))
		for _, j := range p.order {
			e := &p.entries[j]
			switch e.state {
			case put:
				b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(len(e.key))), uint64(len(e.value))+1)
			case deleted:
				b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(len(e.key))), 0)
			default:
				continue
			}
			b = append(append(b, e.key...), e.value...)
		}
	}
	return b
}

// write is one write of a record. A deleted key has a nil value.
type write struct {
	table      int
	key, value []byte
}

// readWrites calls fn for each write of a group's record, in order. Key and value
// lie in payload.
func readWrites(payload []byte, fn func(write) error) error {
	d := decoder{b: payload}
	for len(d.b) > 0 && !d.bad {
		table, n := d.number(), d.number()
		for ; n > 0 && !d.bad; n-- {
			klen, vlen := d.number(), d.number()
			w := write{table: int(table), key: d.bytes(klen)}
			if vlen > 0 {
				w.value = d.bytes(vlen - 1)
			}
			if d.bad || table > 1<<16 {
				break
			}
			if err := fn(w); err != nil {
				return err
			}
		}
	}
	if d.bad {
		return fmt.Errorf("a record of the log cannot be read: %w", errDamaged)
	}
	return nil
}

// decoder takes values off the front of b.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

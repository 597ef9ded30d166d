package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/klauspost/compress/zstd"

	"sallyport/registry/kv"
)

// batch is what one block is made of.
type batch struct {
	records []AccessRecord
	refused []AccessRecord // each counts many
	lost    GapNote
}

// lines tells how many records the block will have.
func (b batch) lines() int { return len(b.records) + len(b.refused) }

// afterwards says what the access log is once a batch is written.
type afterwards int

const (
	afterwardsOpen afterwards = iota
	afterwardsClosed
)

// write puts the buffered records and their leaf into the ledger and signs the
// head, all in one transaction. If it fails the records stay in the buffer. If
// we die before it commits, they are lost and the next start says so.
func (l *accessLog) write(ctx context.Context, dueBy time.Time, then afterwards) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	b := l.take(dueBy)
	if b.lines() == 0 && b.lost.Lost == 0 && then == afterwardsOpen {
		l.settle(b, nil)
		_, err := l.audit.Checkpoint(ctx)
		return err
	}
	block, about, err := l.pack(b)
	if err != nil {
		l.settle(b, err)
		return err
	}
	var headErr error
	now := l.audit.now()
	err = l.audit.store.Update(ctx, func(tx kv.Tx) error {
		if err := l.writeBatch(tx, b, block, about, now); err != nil {
			return err
		}
		if then == afterwardsClosed {
			if err := tx.Delete(tableAuditState, rowAccessOpen); err != nil {
				return err
			}
		}
		size, err := auditSize(tx)
		if err != nil {
			return err
		}
		// A head that cannot be signed is no reason to lose the records.
		_, headErr = l.audit.extend(tx, size)
		return nil
	})
	l.settle(b, err)
	if err != nil {
		return err
	}
	if b.lines() > 0 {
		l.count.blocks.Inc()
		l.count.bytes.Add(float64(len(block)))
		l.count.records.Add(float64(b.lines()))
	}
	return headErr
}

// writeBatch writes the rows and leaves of one batch.
func (l *accessLog) writeBatch(tx kv.Tx, b batch, block []byte, about BlockNote, now time.Time) error {
	if b.lost.Lost > 0 {
		if _, err := l.audit.append(tx, &Event{Type: EventAccessGap, Time: now, Gap: &b.lost}); err != nil {
			return err
		}
	}
	if about.Count == 0 {
		return nil
	}
	seq, err := l.audit.append(tx, &Event{Type: EventAccessBlock, Time: now, Block: &about})
	if err != nil {
		return err
	}
	return tx.Put(tableAccessBlocks, seqKey(seq), block)
}

// pack makes the block of the batch, and what its leaf says of it. The caller
// holds writing.
func (l *accessLog) pack(b batch) ([]byte, BlockNote, error) {
	if b.lines() == 0 {
		return nil, BlockNote{}, nil
	}
	l.lines.Reset()
	enc := json.NewEncoder(&l.lines)
	enc.SetEscapeHTML(false)
	about := BlockNote{Count: b.lines(), First: forever}
	for _, records := range [...][]AccessRecord{b.records, b.refused} {
		for i := range records {
			rec := &records[i]
			if err := enc.Encode(rec); err != nil {
				return nil, BlockNote{}, fmt.Errorf("access record: %w", err)
			}
			if rec.Time.Before(about.First) {
				about.First = rec.Time
			}
			for _, t := range [...]time.Time{rec.Time, rec.Until} {
				if t.After(about.Last) {
					about.Last = t
				}
			}
		}
	}
	block := l.encoder.EncodeAll(l.lines.Bytes(), nil)
	about.Bytes = len(block)
	about.SHA256 = digest(block)
	return block, about, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// maxBlock bounds what a damaged or hostile block may unpack to, in bytes.
const maxBlock = 1 << 30

// OpenBlock checks a stored block of access records against the leaf that
// commits to it, and returns its lines of JSON. Their form is AccessRecord's.
// It needs no ledger.
func OpenBlock(leaf Leaf, block []byte) ([]byte, error) {
	ev, err := leaf.Event()
	if err != nil {
		return nil, err
	}
	switch {
	case ev.Type != EventAccessBlock || ev.Block == nil:
		return nil, &TamperError{Seq: leaf.Seq, What: "there is a block of access records, but the leaf is " + string(ev.Type)}
	case digest(block) != ev.Block.SHA256, len(block) != ev.Block.Bytes:
		return nil, &TamperError{Seq: leaf.Seq, What: "the block of access records is not the one that was recorded"}
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	lines, err := d.DecodeAll(block, nil)
	if err != nil {
		return nil, &TamperError{Seq: leaf.Seq, What: "block of access records: " + err.Error()}
	}
	if n := bytes.Count(lines, []byte{'\n'}); n != ev.Block.Count {
		return nil, &TamperError{Seq: leaf.Seq, What: fmt.Sprintf("block has %d access records, not %d", n, ev.Block.Count)}
	}
	return lines, nil
}

// AccessBlock is one second's access records.
type AccessBlock struct {
	Seq   uint64 // of the leaf that commits to it
	Lines []byte // lines of JSON, each an AccessRecord
	// Stored is the block as the leaf's hash has it: zstd. It is nil for a
	// tenant's reader, who sees only a part of it.
	Stored []byte
}

// AccessBlocks walks the blocks whose leaf has seq >= from, in order: whole
// blocks for tenant "", else the lines of that tenant's requests, blocks
// without any left out. Each block is checked against its leaf. A tenant's
// reader costs the unpacking of every block on the way. No snapshot is held
// between blocks.
func (a *auditLog) AccessBlocks(ctx context.Context, tenant TenantName, from uint64) iter.Seq2[AccessBlock, error] {
	return func(yield func(AccessBlock, error) bool) {
		for {
			leaf, stored, err := a.nextBlock(ctx, from)
			if errors.Is(err, errNoBlock) {
				return
			}
			b := AccessBlock{Seq: leaf.Seq, Stored: stored}
			if err == nil {
				b.Lines, err = OpenBlock(leaf, stored)
			}
			if err == nil && tenant != "" {
				b.Stored, b.Lines = nil, linesOf(b.Lines, tenant)
			}
			if err != nil {
				yield(AccessBlock{}, err)
				return
			}
			if len(b.Lines) > 0 && !yield(b, nil) {
				return
			}
			from = leaf.Seq + 1
		}
	}
}

// errNoBlock ends a walk.
var errNoBlock = errors.New("no further block")

// nextBlock returns the first block from seq on, and its leaf.
func (a *auditLog) nextBlock(ctx context.Context, from uint64) (leaf Leaf, block []byte, err error) {
	err = a.store.View(ctx, func(tx kv.Tx) error {
		found := errNoBlock
		err := tx.Scan(tableAccessBlocks, kv.Range{From: seqKey(from)}, func(key, value []byte) error {
			if len(key) != 8 {
				return fmt.Errorf("%w: a block's key is %x", ErrTampered, key)
			}
			leaf.Seq, block, found = binary.BigEndian.Uint64(key), bytes.Clone(value), nil
			return kv.Stop
		})
		if err != nil || found != nil {
			return errors.Join(err, found)
		}
		_, b, err := getLeaf(tx, leaf.Seq)
		if errors.Is(err, ErrNotFound) {
			return &TamperError{Seq: leaf.Seq, What: "there is a block of access records, but no leaf"}
		}
		leaf.Bytes = bytes.Clone(b)
		return err
	})
	return leaf, block, err
}

// linesOf returns the lines of one tenant.
func linesOf(lines []byte, tenant TenantName) []byte {
	var own []byte
	field := tenantField(tenant)
	for line := range bytes.Lines(lines) {
		if bytes.Contains(line, field) {
			own = append(own, line...)
		}
	}
	return own
}

// lastAccess returns the latest time that a block of access records covers,
// zero if there is none.
func lastAccess(tx kv.Reader) (last time.Time, err error) {
	var seq uint64
	found := false
	err = tx.Scan(tableAccessBlocks, kv.Range{Reverse: true}, func(key, _ []byte) error {
		if len(key) != 8 {
			return fmt.Errorf("%w: a block's key is %x", ErrTampered, key)
		}
		seq, found = binary.BigEndian.Uint64(key), true
		return kv.Stop
	})
	if err != nil || !found {
		return last, err
	}
	_, b, err := getLeaf(tx, seq)
	if err != nil {
		return last, err
	}
	ev, err := Leaf{Seq: seq, Bytes: b}.Event()
	if err == nil && ev.Block != nil {
		last = ev.Block.Last
	}
	return last, err
}

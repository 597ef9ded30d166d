package boltkv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Why a store does not open. The messages say what to do; nobody branches on them.
var (
	errDamaged = errors.New("the log beside the ledger is damaged")
	errMissing = errors.New("the log beside the ledger is missing or not whole: the ledger needs all files that begin with its name, from the same moment")
	errForeign = errors.New("the log beside the ledger is not its own: the ledger needs all files that begin with its name, from the same moment")
)

// history is what the log's files say.
type history struct {
	files   []string // of segments, oldest first
	last    uint64   // highest number of a file
	pending *header  // of a log that was being made; its base is not in place

	base    *base // nil without a log
	names   []string
	records []record // after the base, without those taken back
	lsn     uint64   // of the last record, or the base's
	closed  bool     // the last record says that an orderly end follows
}

// readHistory reads the log of the file at path. It changes nothing.
func readHistory(path string) (*history, error) {
	h := &history{}
	if b, err := readPart(newSegmentPath(path), blockSize); err == nil {
		// If we died before its header was whole, nothing speaks of it yet.
		if head, ok := parseHeader(b); ok {
			h.pending = &head
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	numbers, err := segmentNumbers(path)
	if err != nil || len(numbers) == 0 {
		return h, err
	}
	for _, n := range numbers {
		h.files = append(h.files, segmentPath(path, n))
	}
	h.last = numbers[len(numbers)-1]
	start, err := h.findBase(path, numbers)
	if err != nil {
		return nil, err
	}
	if h.base == nil {
		return h, nil
	}
	if !h.base.final && !slices.Contains(numbers, start+1) && !slices.Contains(numbers, start-1) {
		// There are always two: beside the one with the newest base stands the one
		// before it, or already renamed the one after it.
		return nil, fmt.Errorf("%w: a segment beside %s is not there", errMissing, segmentPath(path, start))
	}
	for n := start; slices.Contains(numbers, n); n++ {
		b, err := os.ReadFile(segmentPath(path, n))
		if err != nil {
			return nil, err
		}
		more, err := h.readSegment(b, n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", segmentPath(path, n), err)
		}
		if !more {
			break
		}
	}
	return h, nil
}

// findBase looks for the newest base and returns the number of its segment.
func (h *history) findBase(path string, numbers []uint64) (uint64, error) {
	begun := false
	for _, n := range slices.Backward(numbers) {
		b, err := readPart(segmentPath(path, n), recordsAt)
		if err != nil {
			return 0, err
		}
		if len(b) < recordsAt {
			continue // it was being made
		}
		head, ok := parseHeader(b)
		ok = ok && head.seq == n
		a, based := parseBase(b[blockSize:])
		if based && a.seq == n && ok && head.id == a.id && head.first <= a.lsn+1 {
			h.base, h.names, h.lsn = &a, head.names, head.first-1
			return n, nil
		}
		// Without header the base's flush was cut short: the one before it counts.
		begun = begun || ok || based && a.seq == n
	}
	if begun {
		return 0, fmt.Errorf("%w: no segment has a base", errDamaged)
	}
	// We died while the first segments were made, or the file's mark will tell.
	return 0, nil
}

// readSegment reads the records in segment number n, whose content is b. It
// reports whether the log may go on in the next one.
func (h *history) readSegment(b []byte, n uint64) (more bool, err error) {
	if len(b) < recordsAt {
		return false, nil
	}
	head, ok := parseHeader(b)
	if begun := ok && head.seq == n && head.id == h.base.id; !begun {
		// No record was acknowledged here: the header is flushed with the first.
		// If that one is whole, it is the header's flush that was cut short.
		return false, h.noneAfter(b[recordsAt:], n, h.lsn+2)
	}
	if head.first != h.lsn+1 {
		return false, fmt.Errorf("%w: it begins with record %d, not with %d", errDamaged, head.first, h.lsn+1)
	}
	at := recordsAt
	for {
		r, size, ok := parseRecord(b[at:], h.base.id, n)
		if !ok || r.lsn != h.lsn+1 {
			break
		}
		if err := h.add(r); err != nil {
			return false, err
		}
		at += size
	}
	if err := h.noneAfter(b[at:], n, h.lsn+1); err != nil {
		return false, err
	}
	return true, nil
}

// noneAfter tells a torn end from damage: one record is written at a time, and
// acknowledged before the next, so that after a broken one there is none.
func (h *history) noneAfter(b []byte, n, lsn uint64) error {
	for ; len(b) > 0; b = b[min(blockSize, len(b)):] {
		if r, _, ok := parseRecord(b, h.base.id, n); ok && r.lsn >= lsn {
			return fmt.Errorf("%w: record %d is whole, record %d before it is not", errDamaged, r.lsn, h.lsn+1)
		}
	}
	return nil
}

// add appends the next record.
func (h *history) add(r record) error {
	h.lsn, h.closed = r.lsn, false
	if r.lsn <= h.base.lsn {
		return nil
	}
	switch r.kind {
	case groupRecord:
		h.records = append(h.records, r)
	case closeRecord:
		h.records = append(h.records, record{kind: r.kind, lsn: r.lsn})
		h.closed = true
	case abortRecord:
		if n := len(h.records); n > 0 && h.records[n-1].lsn == r.lsn-1 {
			h.records = h.records[:n-1]
		}
	default:
		return fmt.Errorf("%w: record %d is of unknown kind %d", errDamaged, r.lsn, r.kind)
	}
	return nil
}

// segmentNumbers lists the segments beside the file, in order.
func segmentNumbers(path string) ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".log.")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err == nil && strconv.FormatUint(n, 10) == text {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// readPart reads up to n bytes from the start of a file.
func readPart(path string, n int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n)
	got, err := f.ReadAt(b, 0)
	if got < n && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:got], nil
}

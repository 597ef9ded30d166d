package boltkv

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// wal is the log in front of the file. A group is durable once its record is: one
// write and one flush, where a commit of bbolt takes two flushes and pages all over
// the file. bbolt's pages follow at the next checkpoint.
//
// It belongs to the committer, but for current and its base while a checkpoint
// runs.
type wal struct {
	path  string // of the bbolt file
	id    walID
	names []string
	flush func(*os.File) error

	current *segment
	next    *segment // nil while a checkpoint uses it
	lsn     uint64   // of the last record

	buf []byte // the record being written
}

// keepBuffer bounds what an unusually large group leaves allocated.
const keepBuffer = 4 << 20

// createWAL makes the files of a new log: a segment under its first name, without
// base, and the next one. They are durable when it returns. The first record will
// follow lsn.
func createWAL(path string, seq, lsn uint64, names []string, flush func(*os.File) error) (w *wal, err error) {
	w = &wal{path: path, names: names, flush: flush, lsn: lsn}
	rand.Read(w.id[:]) // never fails
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.current, err = createSegment(newSegmentPath(path), seq); err != nil {
		return w, err
	}
	w.current.first = lsn + 1
	if w.next, err = createSegment(segmentPath(path, seq+1), seq+1); err != nil {
		return w, err
	}
	head, err := w.header(w.current).encode()
	if err != nil {
		return w, err
	}
	if _, err = w.current.f.WriteAt(head, 0); err != nil {
		return w, err
	}
	return w, errors.Join(w.flush(w.current.f), w.flush(w.next.f), syncFolder(filepath.Dir(path)))
}

func (w *wal) header(s *segment) header {
	return header{id: w.id, seq: s.seq, first: s.first, names: w.names}
}

// begin starts a record and returns the buffer to append its payload to.
func (w *wal) begin() []byte {
	if cap(w.buf) < recordHeader {
		w.buf = make([]byte, recordHeader, 64<<10)
	}
	return w.buf[:recordHeader]
}

// append writes the record that begin started; accept, after a flush, makes it
// the last one. Until then it is as if it was not there, and the next append
// overwrites it.
func (w *wal) append(kind uint32, b []byte) error {
	s := w.current
	w.buf = sealRecord(b, kind, w.id, s.seq, w.lsn+1)
	if kind != abortRecord { // whose room was reserved with the record before it
		if err := s.reserve(int64(len(w.buf))); err != nil {
			return err
		}
	}
	if !s.begun {
		// A checkpoint may write the same bytes to the same place.
		head, err := w.header(s).encode()
		if err != nil {
			return err
		}
		if _, err := s.f.WriteAt(head, 0); err != nil {
			return fmt.Errorf("write the log: %w", err)
		}
	}
	if _, err := s.f.WriteAt(w.buf, s.end); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// accept counts the record that append wrote, which has been flushed.
func (w *wal) accept() {
	w.current.end += int64(len(w.buf))
	w.current.begun = true
	w.lsn++
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
}

// abort takes the last record back, durably. There is room for it.
func (w *wal) abort() error {
	if err := w.append(abortRecord, w.begin()); err != nil {
		return err
	}
	if err := w.flush(w.current.f); err != nil {
		return err
	}
	w.accept()
	return nil
}

// change makes the next segment the current one and returns the old one.
func (w *wal) change() *segment {
	old := w.current
	w.current, w.next = w.next, nil
	w.current.first = w.lsn + 1
	return old
}

// writeBase makes b the base that recovery begins with. s is the current segment;
// records may be appended meanwhile.
func (w *wal) writeBase(s *segment, b base) error {
	b.id, b.seq = w.id, s.seq
	head, err := w.header(s).encode()
	if err != nil {
		return err
	}
	if _, err := s.f.WriteAt(append(head, b.encode()...), 0); err != nil {
		return fmt.Errorf("write the log's base: %w", err)
	}
	return w.flush(s.f)
}

// close lets go of the files and leaves them where they are.
func (w *wal) close() error {
	var errs []error
	for _, s := range []*segment{w.current, w.next} {
		if s != nil {
			errs = append(errs, s.f.Close())
		}
	}
	w.current, w.next = nil, nil
	return errors.Join(errs...)
}

// removeFiles removes files beside path that may be gone already, durably.
func removeFiles(path string, names ...string) error {
	removed := false
	for _, name := range names {
		err := os.Remove(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		removed = removed || err == nil
	}
	if !removed {
		return nil
	}
	return syncFolder(filepath.Dir(path))
}

package boltkv

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

const (
	segmentStep = 1 << 20   // how much a segment grows at a time
	segmentMin  = 256 << 10 // size of a new one
)

// zeros is what a segment grows by. It is never written to.
var zeros [64 << 10]byte

// segment is one file of the log. What lies between end and size has been written
// before, so that appending there changes nothing but data: its flush need not
// wait for the file system's journal.
type segment struct {
	f     *os.File
	path  string
	seq   uint64
	first uint64 // LSN of its first record, once it is the current one
	begun bool   // its header is in the file
	end   int64  // where the next record goes
	size  int64
}

func segmentPath(path string, seq uint64) string {
	return path + ".log." + strconv.FormatUint(seq, 10)
}

// newSegmentPath is what the first segment of a log is called until its base is in
// it.
func newSegmentPath(path string) string { return path + ".log.new" }

// createSegment makes a file of zeros.
func createSegment(path string, seq uint64) (*segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	s := &segment{f: f, path: path, seq: seq, end: recordsAt}
	if err := s.grow(segmentMin); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return s, nil
}

// reserve makes sure that n bytes, and one block more for taking the record back,
// can be written at the end.
func (s *segment) reserve(n int64) error {
	need := s.end + n + blockSize
	if need <= s.size {
		return nil
	}
	err := s.grow((need + segmentStep - 1) / segmentStep * segmentStep)
	if err != nil && noSpace(err) {
		err = s.grow(need)
	}
	return err
}

// grow writes zeros up to size.
func (s *segment) grow(size int64) error {
	for at := s.size; at < size; {
		n, err := s.f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
		if at += int64(n); err != nil {
			return fmt.Errorf("extend the log: %w", err)
		}
	}
	s.size = size
	return nil
}

// recycle makes the segment the next one but seq: its old content stays, and is
// told by its number. Of its size at most keep remains.
func (s *segment) recycle(path string, seq uint64, keep int64) error {
	if err := s.rename(segmentPath(path, seq)); err != nil {
		return err
	}
	if s.size > keep {
		if err := s.f.Truncate(keep); err != nil {
			return err
		}
		s.size = keep
	}
	s.seq, s.begun, s.end = seq, false, recordsAt
	return nil
}

func (s *segment) rename(path string) error {
	if err := os.Rename(s.path, path); err != nil {
		return err
	}
	s.path = path
	return nil
}

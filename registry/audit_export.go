package registry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// This file is the reader's side of the audit log. It needs no ledger: only
// the verifier key, which a reader should have got once and kept.

// ErrTampered is what every check of the audit log fails with: leaves, hashes
// or blocks are missing, or are not those that were signed for.
var ErrTampered = errors.New("audit log was tampered with")

// TamperError is the ErrTampered that knows which leaf is the first broken.
type TamperError struct {
	Seq  uint64
	What string
}

func (e *TamperError) Error() string {
	return fmt.Sprintf("%v: leaf %d: %s", ErrTampered, e.Seq, e.What)
}

// Is makes it an ErrTampered.
func (e *TamperError) Is(target error) bool { return target == ErrTampered }

// Checkpoint is a verified head of the log: a signed note whose text is three
// lines, the log's name, the number of leaves and the tree's root in base64
// (https://c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// OpenCheckpoint verifies a signed checkpoint against the verifier key.
func OpenCheckpoint(vkey string, signed []byte) (Checkpoint, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: verifier key: %w", ErrInvalid, err)
	}
	return openCheckpoint(signed, v)
}

func openCheckpoint(signed []byte, v note.Verifier) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint: %w", ErrTampered, err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != v.Name() {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint is not of %s", ErrTampered, v.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint has size %q", ErrTampered, lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint has root %q", ErrTampered, lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: uint64(size), Root: root}, nil
}

// VerifyInclusion checks that leaf is number seq of the log that the signed
// checkpoint is a head of. The proof is what Proof gave for the checkpoint's
// size.
func VerifyInclusion(vkey string, checkpoint, leaf []byte, seq uint64, proof []Hash) error {
	c, err := OpenCheckpoint(vkey, checkpoint)
	if err != nil {
		return err
	}
	if err := checkSeq(leaf, seq); err != nil {
		return err
	}
	if seq >= c.Size {
		return fmt.Errorf("%w: leaf %d is not covered by a checkpoint of %d leaves", ErrInvalid, seq, c.Size)
	}
	if err := tlog.CheckRecord(proof, int64(c.Size), c.Root, int64(seq), tlog.RecordHash(leaf)); err != nil {
		return &TamperError{Seq: seq, What: err.Error()}
	}
	return nil
}

// VerifyExtension checks that the log of the newer checkpoint begins with that
// of the older one: that nothing it promised was changed since. The proof is
// what ConsistencyProof gave for the two sizes; an empty old log needs none.
func VerifyExtension(vkey string, older, newer []byte, proof []Hash) error {
	o, err := OpenCheckpoint(vkey, older)
	if err != nil {
		return err
	}
	n, err := OpenCheckpoint(vkey, newer)
	if err != nil {
		return err
	}
	if o.Size > n.Size {
		return fmt.Errorf("%w: the log went from %d leaves to %d", ErrTampered, o.Size, n.Size)
	}
	if o.Size == 0 {
		return nil
	}
	if err := tlog.CheckTree(proof, int64(n.Size), n.Root, int64(o.Size), o.Root); err != nil {
		return fmt.Errorf("%w: from %d to %d leaves: %w", ErrTampered, o.Size, n.Size, err)
	}
	return nil
}

// maxLeafLine is the longest line VerifyExport reads, in bytes. Leaves are
// bounded well below it.
const maxLeafLine = 1 << 20

// VerifyExport checks that lines are all the leaves of the signed checkpoint,
// each a line of JSON from the first on, as GET /audit gives them. It reads
// once and needs memory for one line and O(log n) hashes.
func VerifyExport(vkey string, checkpoint []byte, lines io.Reader) (Checkpoint, error) {
	c, err := OpenCheckpoint(vkey, checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	var f frontier
	s := bufio.NewScanner(lines)
	s.Buffer(make([]byte, 0, 64<<10), maxLeafLine)
	for s.Scan() {
		if f.n == c.Size {
			return c, fmt.Errorf("%w: there are leaves after the %d that the checkpoint covers", ErrInvalid, c.Size)
		}
		if err := checkSeq(s.Bytes(), f.n); err != nil {
			return c, err
		}
		f.add(tlog.RecordHash(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		return c, fmt.Errorf("leaf %d: %w", f.n, err)
	}
	if f.n < c.Size {
		return c, &TamperError{Seq: f.n, What: fmt.Sprintf("missing: the checkpoint covers %d leaves", c.Size)}
	}
	if root := f.root(); root != c.Root {
		return c, fmt.Errorf("%w: the %d leaves have root %s, the checkpoint says %s", ErrTampered, c.Size, root, c.Root)
	}
	return c, nil
}

// checkSeq fails if the leaf says that it is another than seq.
func checkSeq(leaf []byte, seq uint64) error {
	var has struct {
		Seq *uint64 `json:"seq"`
	}
	if err := json.Unmarshal(leaf, &has); err != nil {
		return &TamperError{Seq: seq, What: "not JSON: " + err.Error()}
	}
	if has.Seq == nil || *has.Seq != seq {
		return &TamperError{Seq: seq, What: "the leaf is not the one that belongs here"}
	}
	return nil
}

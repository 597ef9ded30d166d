package registry

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A part's turn is taken, kept and given back like that of a whole session
// (puts.go), in the part's own row. The session goes to "uploading" with its first
// attempt and stays there until it is finalized; its row carries the latest lease
// of any of its parts, so that it does not expire under one. A turn that ended
// early still counts there until its lease would have.

// stagingPartKey is where an attempt at a part puts its bytes.
func stagingPartKey(pathHash string, at time.Time, id UploadID, number int, attempt uint64) BlobKey {
	return stagingKey(pathHash, at, id, attempt).inPart(number)
}

// inPart puts a part's number before the attempt's.
func (k BlobKey) inPart(number int) BlobKey {
	i := strings.LastIndexByte(string(k), '/') + 1
	return BlobKey(fmt.Sprintf("%s%05d-%s", string(k[:i]), number, string(k[i:])))
}

// splitAttempt takes the last segment of a staging key apart; number is 0 if it is
// none of a part.
func splitAttempt(name string) (number int, attempt string) {
	head, attempt, ok := strings.Cut(name, "-")
	if !ok {
		return 0, name
	}
	number, err := strconv.Atoi(head)
	if err != nil {
		return 0, name
	}
	return number, attempt
}

// acceptedPartKey is where a part of a published object lies, numbered from 1.
func acceptedPartKey(pathHash string, at time.Time, id ObjectID, number int) BlobKey {
	whole := string(acceptedKey(pathHash, at, id))
	i := strings.LastIndexByte(whole, '/') + 1
	return BlobKey(fmt.Sprintf("%spart-%05d", whole[:i], number))
}

func (t *txn) beginPart(x turn, pathHash string, a *Attempt) error {
	u, p := x.u, x.part
	if p.Staging != "" {
		// A dead attempt's bytes, as in beginWhole.
		if err := t.discard(p.Staging); err != nil {
			return err
		}
	}
	a.Number = p.Attempt + 1
	a.Blob = stagingPartKey(pathHash, t.now, u.ID, p.Number, a.Number)
	if err := t.register(a.Epoch, a.Blob); err != nil {
		return err
	}
	p.Attempt, p.Epoch, p.LeaseUntil, p.Staging = a.Number, a.Epoch, a.LeaseUntil, a.Blob
	if err := t.putSessionPart(x); err != nil {
		return err
	}
	if u.State == UploadCreated {
		return t.apply(uploadBegin, u, t.receiving(a), func() { u.prolong(a.Epoch, a.LeaseUntil) })
	}
	return t.rewrite(u, func() { u.prolong(a.Epoch, a.LeaseUntil) })
}

// prolong notes the lease of one of the parts.
func (u *Upload) prolong(epoch uint64, until time.Time) {
	if u.Epoch != epoch || until.After(u.LeaseUntil) {
		u.Epoch, u.LeaseUntil = epoch, until
	}
}

func (t *txn) renewPart(x turn, until time.Time) error {
	x.part.LeaseUntil = until
	if err := t.putSessionPart(x); err != nil {
		return err
	}
	return t.rewrite(x.u, func() { x.u.prolong(x.part.Epoch, until) })
}

func (t *txn) failPart(x turn, ev *Event) error {
	x.part.giveBack()
	return t.partChanged(x, ev)
}

func (p *Part) giveBack() { p.Staging, p.LeaseUntil, p.Epoch = "", time.Time{}, 0 }

// completePart puts the attempt's bytes in the place of what was stored before.
func (t *txn) completePart(x turn, a Attempt, s Stored) error {
	u, p := x.u, x.part
	for _, replaced := range p.Extents {
		if err := t.discard(replaced.Blob); err != nil {
			return err
		}
	}
	first := p.Extents == nil
	p.giveBack()
	p.Extents = []Extent{{Blob: a.Blob, Length: s.Size}}
	p.ETag, p.SHA256, p.Checksums, p.StoredAt = s.MD5, s.SHA256, s.Checksums, t.now
	p.Used = p.Grant == a.Grant // else its URL was replaced while it ran
	ev := t.event(EventUploadPartReceived, a.Actor)
	ev.Grant, ev.Attempt, ev.Part, ev.Size, ev.SHA256 = a.Grant, a.Number, a.Part, &s.Size, s.SHA256
	if err := t.partChanged(x, ev); err != nil || !first {
		return err
	}
	return t.rewrite(u, func() { u.Received += s.Size })
}

package registry_test

import (
	"testing"

	"sallyport/registry"
)

// TestRejectingWithdrawsPartsOfOpenUploads: what an analyst rejected does not come
// back with the upload that a copy of it is a part of.
func TestRejectingWithdrawsPartsOfOpenUploads(t *testing.T) {
	h := newHouse(t)
	o := h.put(direct, "k", "one")
	u := h.multipart(direct, "parts")
	own := u.part(1, "a", 5*mib)
	u.copied(2, o, 0, o.Size)
	_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
	h.must(err)
	_, err = h.CompleteMultipart(h.ctx(), h.amy, u.completion())
	h.want(err, registry.ErrPart)
	h.must(h.Check(h.ctx()))
	parts, _, err := h.Parts(h.ctx(), acme, u.ID, 0, 10)
	h.must(err)
	if len(parts) != 1 || parts[0].ETag != own.ETag {
		t.Errorf("parts are %+v", parts)
	}
	if len(h.garbage()) != 0 {
		t.Error("bytes of a rejected object are garbage")
	}
	u.listed = u.listed[:1]
	u.complete()
}

// TestCompletionOfWhatWasInspected: a part that takes another's place, with the same
// ETag, after inspection has read it.
func TestCompletionOfWhatWasInspected(t *testing.T) {
	h := newHouse(t)
	u := h.multipart(direct, "k")
	u.part(1, "a", 5)
	c := u.completion()
	seen, err := h.Assembled(h.ctx(), acme, c)
	h.must(err)
	c.Inspected = seen.Extents
	collides := u.newPart(1, "b", 5)
	collides.Stored.MD5 = partOf("a", 5).MD5
	_, err = u.tryPart(collides)
	h.must(err)
	_, err = h.CompleteMultipart(h.ctx(), h.amy, c)
	h.want(err, registry.ErrPart)
	if seen, err = h.Assembled(h.ctx(), acme, c); err != nil {
		t.Fatal(err)
	}
	c.Inspected = seen.Extents
	_, err = h.CompleteMultipart(h.ctx(), h.amy, c)
	h.must(err)
}

package registry_test

import (
	"testing"

	"sallyport/registry"
)

// TestCopiesOfCopiesStaySmall: parts are copies of objects of many parts, and the
// next upload's are copies of what that made.
func TestCopiesOfCopiesStaySmall(t *testing.T) {
	h := newHouse(t)
	first := h.multipart(direct, "first")
	first.part(1, "a", 5*mib)
	first.part(2, "b", 1)
	source := first.complete()

	second := h.multipart(direct, "second")
	for n := 1; n <= 110; n++ {
		second.copied(n, source, 0, source.Size)
	}
	source = second.complete()
	if len(source.Extents) != 220 {
		t.Fatalf("copies of 2 pieces have %d", len(source.Extents))
	}

	third := h.multipart(direct, "third")
	n := 1
	for ; n <= 100; n++ {
		p, err := third.tryPart(third.newCopy(n, source, 0, source.Size))
		if err != nil {
			h.want(err, registry.ErrInvalid)
			break
		}
		third.list(p)
	}
	if n != registry.MaxParts/219+1 {
		t.Errorf("refused at part %d", n)
	}
	// One that is replaced counts no more, and bytes of one's own never do.
	third.part(1, "c", 5*mib)
	third.copied(n, source, 0, source.Size)
	third.part(n+1, "d", 5*mib)
	if o := third.complete(); len(o.Extents) != (n-1)*220+2 {
		t.Errorf("%d pieces", len(o.Extents))
	}
	third = h.multipart(direct, "aborted")
	third.copied(1, source, 0, source.Size)
	h.must(h.AbortMultipart(h.ctx(), h.amy, direct, "aborted", third.ID))
}

// TestAdjoiningPiecesBecomeOne: a copy in ranges is as simple as its source.
func TestAdjoiningPiecesBecomeOne(t *testing.T) {
	h := newHouse(t)
	first := h.multipart(direct, "first")
	first.part(1, "a", 20*mib)
	first.part(2, "b", 10*mib)
	source := first.complete()

	second := h.multipart(direct, "second")
	for n := range 6 {
		second.copied(n+1, source, int64(n)*5*mib, 5*mib)
	}
	o := second.complete()
	if len(o.Extents) != 2 || o.Extents[0] != source.Extents[0] || o.Extents[1] != source.Extents[1] || o.PartCount != 6 {
		t.Errorf("made of %+v, want %+v", o.Extents, source.Extents)
	}
	h.must(h.Check(h.ctx()))
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
	h.must(h.Check(h.ctx()))
	if garbage, err := h.Garbage(h.ctx(), 0, 10); err != nil || len(garbage) > 0 {
		t.Errorf("garbage while the source is there: %v, %v", garbage, err)
	}
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, source.ID))
	if garbage, err := h.Garbage(h.ctx(), 0, 10); err != nil || len(garbage) != 2 {
		t.Errorf("garbage: %v, %v", garbage, err)
	}
}

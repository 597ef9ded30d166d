package registry_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/registry"
)

// made stores a rendition for a claim, as the queue does.
func (h *house) made(name, content string) registry.Rendition {
	h.Helper()
	i, err := h.ReserveBlob(h.ctx(), acme)
	h.must(err)
	return registry.Rendition{
		Name: name, ContentType: "image/png", Width: 3, Height: 2,
		Size: int64(len(content)), SHA256: digest(content), Blob: i.Key,
	}
}

// rendered is a published object with the renditions "clean" and "thumb-64".
func (h *house) rendered() (registry.Object, []registry.Rendition) {
	h.Helper()
	h.finalized()
	c := h.claim()
	c.Renditions = []registry.Rendition{h.made("clean", "one"), h.made("thumb-64", "two")}
	o, err := h.SettleScan(h.ctx(), c, clean, "image/png")
	h.must(err)
	o, err = h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
	h.renditions(o.ID, c.Renditions...)
	return o, c.Renditions
}

// renditions checks what an object has.
func (h *house) renditions(id registry.ObjectID, want ...registry.Rendition) {
	h.Helper()
	have, err := h.Renditions(h.ctx(), acme, id)
	h.must(err)
	if !slices.Equal(have, want) {
		h.Fatalf("renditions are %+v, want %+v", have, want)
	}
	o, err := h.Object(h.ctx(), acme, id)
	h.must(err)
	if o.Renditions != len(want) {
		h.Fatalf("the object counts %d renditions, want %d", o.Renditions, len(want))
	}
	for _, r := range want {
		h.standing(r, registry.BlobReferred)
	}
	h.must(h.Check(h.ctx()))
}

func (h *house) standing(r registry.Rendition, want registry.Standing) {
	h.Helper()
	got, err := h.Standing(h.ctx(), r.Blob)
	h.must(err)
	if got != want {
		h.Errorf("rendition %s stands as %d, want %d", r.Name, got, want)
	}
	referred := false
	for key, err := range h.BlobRefs(h.ctx()) {
		h.must(err)
		referred = referred || key == r.Blob
	}
	if referred != (want == registry.BlobReferred) {
		h.Errorf("rendition %s is among the blobs that rows refer to: %v", r.Name, referred)
	}
}

// gone checks that renditions are garbage.
func (h *house) gone(list ...registry.Rendition) {
	h.Helper()
	garbage := h.garbage()
	for _, r := range list {
		if !garbage[r.Blob] {
			h.Errorf("rendition %s is no garbage", r.Name)
		}
		h.standing(r, registry.BlobLeftover)
	}
	h.must(h.Check(h.ctx()))
}

func TestRenditionsNeedACleanVerdict(t *testing.T) {
	for _, result := range []registry.VerdictResult{registry.VerdictInfected, registry.VerdictRefused, registry.VerdictIncomplete, registry.VerdictError} {
		t.Run(string(result), func(t *testing.T) {
			h := newHouse(t)
			o := h.finalized()
			c := h.claim()
			c.Renditions = []registry.Rendition{h.made("clean", "one")}
			_, err := h.SettleScan(h.ctx(), c, registry.Verdict{Result: result, Reason: "x"}, "image/png")
			h.must(err)
			h.renditions(o.ID)
			h.gone(c.Renditions...)
		})
	}
}

func TestRenditionsThatCannotBe(t *testing.T) {
	h := newHouse(t)
	o := h.finalized()
	c := h.claim()
	one, two := h.made("clean", "one"), h.made("clean", "two")
	for name, list := range map[string][]registry.Rendition{
		"Twice":   {one, two},
		"NoName":  {{Blob: one.Blob}},
		"NoWord":  {{Name: "a/b", Blob: one.Blob}},
		"NoBlob":  {{Name: "clean"}},
		"TooMany": make([]registry.Rendition, 33),
	} {
		c.Renditions = list
		_, err := h.SettleScan(h.ctx(), c, clean, "image/png")
		if h.want(err, registry.ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
	}
	// One that was given up meanwhile is nobody's to keep.
	h.must(h.ReleaseBlob(h.ctx(), registry.Intent{Epoch: c.Epoch, Key: one.Blob}))
	c.Renditions = []registry.Rendition{one}
	_, err := h.SettleScan(h.ctx(), c, clean, "image/png")
	h.want(err, registry.ErrFenced)
	h.renditions(o.ID)
	_, err = h.Renditions(h.ctx(), acme, "obj_none")
	h.want(err, registry.ErrNotFound)
	_, err = h.Renditions(h.ctx(), "other", o.ID)
	h.want(err, registry.ErrNotFound)
}

func TestRenditionsGoWithTheirObject(t *testing.T) {
	tests := map[string]func(h *house, o registry.Object){
		"Delete": func(h *house, o registry.Object) { h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID)) },
		"Withdraw": func(h *house, o registry.Object) {
			_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
			h.must(err)
		},
		"DeleteKey": func(h *house, o registry.Object) { h.must(h.deleteKey(files, o.Key)) },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			o, made := h.rendered()
			end(h, o)
			h.renditions(o.ID)
			h.gone(made...)
		})
	}
}

// TestRenditionsOfACrash: bytes that a dead process stored for a claim are nobody's.
func TestRenditionsOfACrash(t *testing.T) {
	h := newHouse(t)
	o := h.finalized()
	h.claim()
	lost := h.made("clean", "one")
	h.crash()
	_, err := h.CondemnDeadIntents(h.ctx(), 1000)
	h.must(err)
	h.gone(lost)
	c := h.claim()
	c.Renditions = []registry.Rendition{lost}
	_, err = h.SettleScan(h.ctx(), c, clean, "image/png")
	h.want(err, registry.ErrFenced)
	h.renditions(o.ID)
}

func TestCopiesShareRenditions(t *testing.T) {
	h := newHouse(t)
	o, made := h.rendered()
	dup := h.copied(o, direct, "copy")
	queued := h.copied(o, files, "queued")
	for _, id := range []registry.ObjectID{o.ID, dup.ID, queued.ID} {
		h.renditions(id, made...)
	}
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
	h.renditions(dup.ID, made...)

	// The queued one is judged anew: what is made of it takes the place of what it
	// had, and what is the same stays.
	c := h.claim()
	if c.Object.ID != queued.ID {
		t.Fatalf("claimed %s", c.Object.ID)
	}
	again, other := h.made("clean", "one"), h.made("thumb-64", "three")
	c.Renditions = []registry.Rendition{again, other}
	_, err := h.SettleScan(h.ctx(), c, clean, "image/png")
	h.must(err)
	h.renditions(queued.ID, made[0], other)
	h.gone(again)
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, queued.ID))
	h.renditions(dup.ID, made...)
	h.gone(other)
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, dup.ID))
	h.gone(made...)
}

// copied is a whole copy with its source's verdict.
func (h *house) copied(o registry.Object, bucket registry.BucketName, key string) registry.Object {
	h.Helper()
	c, err := h.CopyObject(h.ctx(), h.amy, registry.NewCopy{Source: o.ID, Bucket: bucket, Key: key, Verdict: *o.Verdict})
	h.must(err)
	return c
}

func TestIssueRenditionURL(t *testing.T) {
	h := newHouse(t)
	plain := h.published()
	o, made := h.rendered()
	for name, test := range map[string]struct {
		id          registry.ObjectID
		rendition   string
		disposition registry.Disposition
		want        error
	}{
		"Whole":       {o.ID, "", registry.Inline, registry.ErrInvalid},
		"Disposition": {o.ID, "clean", "show", registry.ErrInvalid},
		"Unknown":     {o.ID, "thumb-1", registry.Inline, registry.ErrNotFound},
		"None":        {plain.ID, "clean", registry.Inline, registry.ErrNotFound},
		"NoObject":    {"obj_none", "clean", registry.Inline, registry.ErrNotFound},
	} {
		if _, err := h.IssueRenditionURL(h.ctx(), h.amy, test.id, test.rendition, test.disposition, time.Minute); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	g, err := h.IssueRenditionURL(h.ctx(), h.amy, o.ID, "thumb-64", registry.Inline, time.Minute)
	h.must(err)
	k, err := h.GetTicket(h.ctx(), acme, g.ID)
	h.must(err)
	if k.Rendition != made[1] || k.Grant != g || g.Disposition != registry.Inline || k.Object.ID != o.ID {
		t.Errorf("ticket is %+v", k)
	}
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
	_, err = h.GetTicket(h.ctx(), acme, g.ID)
	h.want(err, registry.ErrNotPublished)
}

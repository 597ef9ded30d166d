package pipeline_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/pipeline"
)

// composed is an object of several extents, as completing a multipart upload and
// copying a range make them: pieces of blobs, one of them empty, one blob twice.
func (r *rig) composed() (o registry.Object, content string) {
	r.tb.Helper()
	blobs := map[blob.Key]string{
		"accepted/00112233/2026/01/02/obj_a/part-00001": "0123456789",
		"accepted/00112233/2026/01/02/obj_a/part-00002": "abcdef",
		"accepted/00112233/2026/01/02/obj_a/part-00003": "",
	}
	for key, data := range blobs {
		if _, err := r.disk.Put(r.ctx(), key, strings.NewReader(data), int64(len(data))); err != nil {
			r.tb.Fatal(err)
		}
		r.tb.Cleanup(func() { // before the rig looks for leftovers
			if err := r.disk.Delete(r.ctx(), key); err != nil {
				r.tb.Error(err)
			}
		})
	}
	o = registry.Object{ID: "obj_a", Tenant: admin.Tenant, State: registry.ObjectPublished}
	for _, x := range []registry.Extent{
		{Blob: "accepted/00112233/2026/01/02/obj_a/part-00001", Offset: 2, Length: 5},
		{Blob: "accepted/00112233/2026/01/02/obj_a/part-00003"},
		{Blob: "accepted/00112233/2026/01/02/obj_a/part-00002", Length: 6},
		{Blob: "accepted/00112233/2026/01/02/obj_a/part-00001", Offset: 9, Length: 1},
	} {
		o.Extents = append(o.Extents, x)
		o.Size += x.Length
		content += blobs[blob.Key(x.Blob)][x.Offset : x.Offset+x.Length]
	}
	return o, content
}

func TestSeriesReadsEveryRange(t *testing.T) {
	r := newRig(t)
	o, content := r.composed()
	if content != "23456abcdef9" {
		t.Fatalf("the object is %q", content)
	}
	for off := range o.Size + 1 {
		for n := int64(-1); n <= o.Size-off+1; n++ {
			want := content[off:]
			if n >= 0 && n < int64(len(want)) {
				want = want[:n]
			}
			rd, err := r.OpenExtents(r.ctx(), o, off, n)
			if err != nil {
				t.Fatalf("%d bytes from %d: %v", n, off, err)
			}
			if rd.Len() != int64(len(want)) || rd.Info().Size != o.Size {
				t.Errorf("%d bytes from %d: length %d, size %d", n, off, rd.Len(), rd.Info().Size)
			}
			if err := iotest.TestReader(rd, []byte(want)); err != nil {
				t.Errorf("%d bytes from %d: %v", n, off, err)
			}
			if err := rd.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	}
	for _, off := range []int64{-1, o.Size + 1} {
		if _, err := r.OpenExtents(r.ctx(), o, off, 1); !errors.Is(err, blob.ErrRange) {
			t.Errorf("from %d: %v, want ErrRange", off, err)
		}
	}
}

// A blob that is too short, and one that is gone, never pass for an end.
func TestSeriesEndsOnlyAtItsEnd(t *testing.T) {
	r := newRig(t)
	o, content := r.composed()
	for what, c := range map[string]struct {
		extent registry.Extent
		want   error
	}{
		"short": {registry.Extent{Blob: o.Extents[2].Blob, Offset: 3, Length: 6}, pipeline.ErrBytesMissing},
		"gone":  {registry.Extent{Blob: "accepted/00112233/2026/01/02/obj_a/part-00009", Length: 6}, registry.ErrNotFound},
	} {
		bad := o
		bad.Extents = append([]registry.Extent(nil), o.Extents...)
		bad.Extents[2] = c.extent
		rd, err := r.OpenExtents(r.ctx(), bad, 0, -1)
		if err != nil {
			t.Fatalf("%s: the first extent is well: %v", what, err)
		}
		got, err := io.ReadAll(rd)
		if string(got) != content[:5] || !errors.Is(err, c.want) {
			t.Errorf("%s: read %q, %v; want %q, %v", what, got, err, content[:5], c.want)
		}
		if err := rd.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
		if _, err := r.OpenExtents(r.ctx(), bad, 5, -1); !errors.Is(err, c.want) {
			t.Errorf("%s: opened at the bad extent: %v, want %v", what, err, c.want)
		}
	}
}

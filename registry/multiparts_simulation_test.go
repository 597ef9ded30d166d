package registry_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"sallyport/registry"
)

// sharing is a world in which blobs are shared in every way there is, and the model of
// it: who has how many bytes, and which blobs there are.
type sharing struct {
	*house
	random  *rand.Rand
	uploads []*upload
	objects []registry.Object // as far as they are published
	blobs   map[registry.BlobKey]bool
	n       int
}

// TestSharedBlobs plays random writes, copies, completions and ends, with restarts in
// between. No blob may be garbage as long as anything has it (Check tells), and all of them
// have to be once nothing is left.
func TestSharedBlobs(t *testing.T) {
	seeds, steps := 6, 150
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &sharing{house: newHouse(t), random: rand.New(rand.NewPCG(uint64(seed), 11)), blobs: make(map[registry.BlobKey]bool)}
			moves := []func(){
				w.begin, w.begin, w.part, w.part, w.part, w.copyPart, w.copyPart, w.complete, w.complete, w.abort, w.put, w.copy, w.delete,
			}
			for i := range steps {
				moves[w.random.IntN(len(moves))]()
				switch i % 50 {
				case 24:
					w.must(w.Check(w.ctx()))
				case 49:
					w.reopen()
				}
			}
			w.end()
		})
	}
}

func (w *sharing) key() string { return fmt.Sprint("key", w.random.IntN(6)) }

func (w *sharing) begin() { w.uploads = append(w.uploads, w.multipart(direct, w.key())) }

// upload is one of the open ones, nil if there is none.
func (w *sharing) upload() *upload {
	if len(w.uploads) == 0 {
		return nil
	}
	return w.uploads[w.random.IntN(len(w.uploads))]
}

func (w *sharing) object() (o registry.Object, ok bool) {
	if len(w.objects) == 0 {
		return o, false
	}
	return w.objects[w.random.IntN(len(w.objects))], true
}

func (w *sharing) remember(extents []registry.Extent) {
	for _, x := range extents {
		w.blobs[x.Blob] = true
	}
}

func (w *sharing) part() {
	if u := w.upload(); u != nil {
		w.n++
		w.remember(u.part(1+w.random.IntN(4), fmt.Sprint(w.n), registry.MinPartSize+int64(w.random.IntN(9))).Extents)
	}
}

func (w *sharing) copyPart() {
	u := w.upload()
	o, ok := w.object()
	if u == nil || !ok || o.Size < registry.MinPartSize {
		return
	}
	offset := w.random.Int64N(o.Size - registry.MinPartSize + 1)
	length := registry.MinPartSize + w.random.Int64N(o.Size-registry.MinPartSize-offset+1)
	p := u.copied(1+w.random.IntN(4), o, offset, length)
	var size int64
	for _, x := range p.Extents {
		size += x.Length
	}
	if size != length {
		w.Errorf("a run of %d bytes has %d", length, size)
	}
}

// shown notes that an object took its key's place.
func (w *sharing) shown(o registry.Object) {
	w.hidden(o.Key)
	w.objects = append(w.objects, o)
	w.remember(o.Extents)
}

func (w *sharing) hidden(key string) {
	w.objects = slices.DeleteFunc(w.objects, func(o registry.Object) bool { return o.Key == key })
}

func (w *sharing) complete() {
	u := w.upload()
	if u == nil || len(u.listed) == 0 {
		return
	}
	if w.random.IntN(3) == 0 { // leave a part out
		u.listed = slices.Delete(u.listed, 0, min(1, len(u.listed)-1))
	}
	w.uploads = slices.DeleteFunc(w.uploads, func(v *upload) bool { return v == u })
	w.shown(u.complete())
}

func (w *sharing) abort() {
	if u := w.upload(); u != nil {
		w.must(w.AbortMultipart(w.ctx(), w.amy, direct, u.Key, u.ID))
		w.uploads = slices.DeleteFunc(w.uploads, func(v *upload) bool { return v == u })
	}
}

func (w *sharing) put() {
	w.n++
	w.shown(w.house.put(direct, w.key(), fmt.Sprint(w.n)))
}

func (w *sharing) copy() {
	if o, ok := w.object(); ok {
		c, err := w.CopyObject(w.ctx(), w.amy, registry.NewCopy{Source: o.ID, Bucket: direct, Key: w.key(), Verdict: clean})
		w.must(err)
		w.shown(c)
	}
}

func (w *sharing) delete() {
	key := w.key()
	w.must(w.deleteKey(direct, key))
	w.hidden(key)
}

// end deletes everything: then every blob is garbage, and none stands as anything else.
func (w *sharing) end() {
	for _, o := range w.objects {
		if got, err := w.Named(w.ctx(), acme, direct, o.Key); err != nil || got.ID != o.ID || got.Size != o.Size {
			w.Errorf("%s is %s (%v), want %s", o.Key, got.ID, err, o.ID)
		}
	}
	for len(w.uploads) > 0 {
		w.abort()
	}
	for len(w.objects) > 0 {
		w.must(w.deleteKey(direct, w.objects[0].Key))
		w.hidden(w.objects[0].Key)
	}
	garbage := w.garbage()
	for blob := range w.blobs {
		if !garbage[blob] {
			w.Error("a blob that nothing has is not garbage")
		}
	}
	for blob := range garbage {
		if !w.blobs[blob] {
			w.Error("a blob is garbage that nothing ever had")
		}
	}
	for blob, err := range w.BlobRefs(w.ctx()) {
		w.must(err)
		w.Errorf("a row has blob %q still", string(blob))
	}
}

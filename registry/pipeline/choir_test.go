package pipeline_test

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"

	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
)

var errTorn = errors.New("torn")

// held says when its first Read was asked for, and holds it back until let go.
type held struct {
	io.Reader
	begun *sync.WaitGroup
	letGo <-chan struct{}
	once  sync.Once
}

func (h *held) Read(p []byte) (int, error) {
	h.once.Do(func() {
		h.begun.Done()
		<-h.letGo
	})
	return h.Reader.Read(p)
}

// wave puts n bodies that are all under way before the first byte of any is read.
// Every third one is torn. It returns once all are under way; letGo sets them
// off, and ended waits for them.
func wave(r *rig, name string, n int) (letGo, ended func()) {
	r.tb.Helper()
	var begun, done sync.WaitGroup
	begun.Add(n)
	start := make(chan struct{})
	for i := range n {
		size := int64(1<<20 + i*4099)
		content := blobtest.Bytes(uint64(i), size)
		torn := i%3 == 1
		if torn {
			content = io.MultiReader(io.LimitReader(content, size/2+int64(i)), broken{errTorn})
		}
		ticket, err := r.AdmitObject(r.ctx(), admin, pipeline.ObjectRequest{
			Bucket: "many", Key: fmt.Sprint(name, i), Declared: pipeline.Declared{Length: size, ContentType: "text/plain"}})
		if err != nil {
			r.tb.Fatal(err)
		}
		done.Go(func() {
			o, err := r.PutObject(r.ctx(), ticket, bodyFrom(&held{Reader: content, begun: &begun, letGo: start}))
			if torn {
				if !errors.Is(err, errTorn) {
					r.tb.Errorf("torn body %s%d: %v", name, i, err)
				}
				return
			}
			want := md5.New()
			if _, copyErr := io.Copy(want, blobtest.Bytes(uint64(i), size)); copyErr != nil {
				r.tb.Error(copyErr)
			}
			if sum := hex.EncodeToString(want.Sum(nil)); err != nil || o.ETag != sum {
				r.tb.Errorf("body %s%d: ETag %s, want %s, %v", name, i, o.ETag, sum, err)
			}
		})
	}
	begun.Wait()
	return func() { close(start) }, done.Wait
}

// TestManyBodiesAtOnce has more bodies under way than there are lanes and voices,
// so that every way of hashing is in use. Each that ends well has the MD5 of its
// own bytes; a voice that a torn body left is as good as a new one.
func TestManyBodiesAtOnce(t *testing.T) {
	r := newRig(t)
	r.bucket("many")
	// These take all lanes and a voice, so that the choir outlives each wave.
	letGo, ended := wave(r, "first", runtime.GOMAXPROCS(0)+1)
	for i := range 3 {
		letGo, ended := wave(r, fmt.Sprint("wave", i, "-"), pipeline.ChoirSize+2)
		letGo()
		ended()
		if n := r.Voices(); n != 1 {
			t.Errorf("%d voices are taken, not 1", n)
		}
	}
	letGo()
	ended()
	if n := r.Voices(); n != 0 {
		t.Errorf("%d voices are taken", n)
	}
}

// broken is a reader that fails.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

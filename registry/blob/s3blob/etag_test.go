package s3blob_test

import (
	"crypto/md5"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/s3blob"
)

// summed is a source that knows its MD5 in the end.
type summed struct {
	io.Reader
	sum hash.Hash
}

var _ blob.MD5er = (*summed)(nil)

func newSummed(size int64) *summed { return &summed{blobtest.Bytes(1, size), md5.New()} }

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.sum.Write(p[:n])
	return n, err
}

func (s *summed) MD5() []byte { return s.sum.Sum(nil) }

// mustPutSummed puts a summed body, the answer to which may be altered, and looks
// whether it came with a trailer.
func mustPutSummed(t *testing.T, p *proxy, s *s3blob.Store, wantTrailer bool, alter func(http.Header)) {
	t.Helper()
	var trailer atomic.Bool
	p.onAnswer(func(r *http.Response) error {
		if r.Request.Method == http.MethodPut {
			trailer.Store(strings.HasPrefix(r.Request.Header.Get("X-Amz-Content-Sha256"), "STREAMING-"))
			if alter != nil {
				alter(r.Header)
			}
		}
		return nil
	})
	if _, err := s.Put(t.Context(), key, newSummed(big), big); err != nil || trailer.Load() != wantTrailer {
		t.Fatalf("trailer: %t, %v; want %t", trailer.Load(), err, wantTrailer)
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

// Once an ETag was the MD5, bodies go without a trailer, and an altered one is
// found by its ETag. The next one has a trailer again.
func testETagIsProof(t *testing.T, p *proxy, s *s3blob.Store) {
	mustPutSummed(t, p, s, true, nil)
	mustPutSummed(t, p, s, false, nil)
	mustPut(t, s, big) // knows no MD5
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	mustPutSummed(t, p, s, false, nil)

	p.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			r.Body = &flipped{r.Body, 100_000}
		}
		return false
	})
	wantPutError(t, s, newSummed(big), big, blob.ErrCorrupt)
	wantAbsent(t, p, s)
	mustPutSummed(t, p, s, true, nil)
	mustPutSummed(t, p, s, false, nil)

	p.onAnswer(func(r *http.Response) error {
		if r.Request.Method == http.MethodPut {
			r.Header.Del("ETag")
		}
		return nil
	})
	wantPutError(t, s, newSummed(big), big, blob.ErrCorrupt)
	wantAbsent(t, p, s)
}

// A service whose ETags are no MD5s gets trailers for ever.
func testETagIsNoMD5(t *testing.T, p *proxy, s *s3blob.Store) {
	for range 2 {
		mustPutSummed(t, p, s, true, func(h http.Header) { h.Set("ETag", `"0123456789abcdef0123456789abcdef"`) })
	}
}

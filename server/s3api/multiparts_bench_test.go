package s3api_test

import (
	"fmt"
	"testing"

	"sallyport/server/s3api"
)

// BenchmarkParseCompletion reads the list of parts of an upload, as SDKs write it.
func BenchmarkParseCompletion(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		doc := []byte(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
		for i := range n {
			doc = fmt.Appendf(doc, "<Part><ChecksumCRC32>AAAAAA==</ChecksumCRC32><ETag>&#34;0cc175b9c0f1b6a831c399e269772661&#34;</ETag><PartNumber>%d</PartNumber></Part>", i+1)
		}
		doc = append(doc, "</CompleteMultipartUpload>"...)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if parts, err := s3api.ParseCompletion(doc); err != nil || len(parts) != n {
					b.Fatalf("%d parts, %v", len(parts), err)
				}
			}
		})
	}
}

// BenchmarkPost sends a large file by a form, and by a PUT for comparison.
func BenchmarkPost(b *testing.B) {
	s := newStack(b)
	s.bucket("photos")
	p := anyKey("form")
	p.file = string(filled(64<<20, 1))
	kind, form := s.form(p)
	b.Run("form", func(b *testing.B) {
		b.SetBytes(int64(len(p.file)))
		for b.Loop() {
			if r := s.postBody("photos", kind, form); r.status != 204 {
				b.Fatalf("%d %s", r.status, r.body)
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(p.file)))
		for b.Loop() {
			if r := s.do(call{method: "PUT", path: "/photos/put", body: p.file, payload: "UNSIGNED-PAYLOAD"}); r.status != 200 {
				b.Fatalf("%d %s", r.status, r.body)
			}
		}
	})
}

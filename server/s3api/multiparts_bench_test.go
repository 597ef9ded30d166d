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

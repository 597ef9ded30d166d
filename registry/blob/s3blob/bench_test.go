package s3blob_test

import (
	"fmt"
	"testing"

	"sallyport/registry/blob/blobtest"
)

// MinIO keeps its files in TMPDIR; 64 MiB puts need room: use -benchtime=20x.
func BenchmarkStore(b *testing.B) {
	m := blobtest.StartMinIO(b)
	for _, size := range []int64{4 << 10, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			blobtest.Bench(b, newStore(b, config(m, fmt.Sprintf("bench-%d", size))), size)
		})
	}
}

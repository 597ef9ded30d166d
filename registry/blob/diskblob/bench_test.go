package diskblob_test

import (
	"fmt"
	"testing"

	"sallyport/registry/blob/blobtest"
)

// The file system of TMPDIR is measured. Nothing is deleted during a run, so
// 64 MiB puts need room: use -benchtime=20x.
func BenchmarkStore(b *testing.B) {
	for _, size := range []int64{4 << 10, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			blobtest.Bench(b, open(b, b.TempDir()), size)
		})
	}
}

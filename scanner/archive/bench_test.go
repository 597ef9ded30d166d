package archive_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"sallyport/scanner/archive"
)

// BenchmarkScan unpacks 64 MiB that pack to half, without malware engines.
func BenchmarkScan(b *testing.B) {
	content := make([]byte, 64<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(random.IntN(16))
	}
	for kind, packed := range map[string][]byte{
		"zip": zipped(b, file{"a", string(content)}), "tar.gz": gzipped(b, tarred(b, file{"a", string(content)})),
		"zstd": zstded(b, content), "none": content,
	} {
		b.Run(kind, func(b *testing.B) {
			cfg := config(b, nil)
			cfg.Malware = nil
			e, in := archive.New(cfg), input(b, packed)
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if _, err := e.Scan(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

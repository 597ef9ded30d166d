package filetype_test

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkScan looks through 64 MiB of random bytes.
func BenchmarkScan(b *testing.B) {
	content := make([]byte, 64<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content)
	for _, detected := range []string{"image/jpeg", "application/pdf", "video/mp4"} {
		b.Run(detected, func(b *testing.B) {
			in := input(b, "", content)
			in.Detected = detected
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if got := verdict(b, direct{}, in); got != "clean" {
					b.Fatal(got)
				}
			}
		})
	}
}

package registry_test

import (
	"fmt"
	"testing"
	"time"

	"sallyport/registry"
)

// BenchmarkCompleteMultipart completes and aborts uploads of many parts on a durable
// ledger; storing the parts is not counted.
func BenchmarkCompleteMultipart(b *testing.B) {
	for _, n := range []int{1000, registry.MaxParts} {
		ends := map[string]func(u *upload){
			"Complete": func(u *upload) { u.complete() },
			"Abort":    func(u *upload) { u.must(u.AbortMultipart(u.ctx(), u.amy, u.Bucket, u.Key, u.ID)) },
		}
		for _, what := range []string{"Complete", "Abort"} {
			b.Run(fmt.Sprintf("%s/parts=%d", what, n), func(b *testing.B) {
				h := benchHouse(b)
				for i := 0; b.Loop(); i++ {
					b.StopTimer()
					u := h.multipartOf(registry.NewMultipart{Bucket: direct, Key: fmt.Sprint(i), ChecksumAlgorithm: "crc32", ChecksumType: registry.FullObject})
					u.fill(n)
					b.StartTimer()
					ends[what](u)
				}
			})
		}
	}
	b.Run("Read", func(b *testing.B) {
		h := benchHouse(b)
		u := h.multipart(direct, "k")
		u.fill(registry.MaxParts)
		u.complete()
		for b.Loop() {
			if _, err := h.Named(h.ctx(), acme, direct, "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// fill stores n parts of 5 MiB from many clients at once: alone, each would wait for
// its own flush.
func (u *upload) fill(n int) {
	u.Helper()
	u.listed = make([]registry.ListedPart, n)
	const clients = 64
	done := make(chan error, clients)
	for c := range clients {
		go func() {
			for i := c; i < n; i += clients {
				blob, err := u.ReserveBlob(u.ctx(), u.Tenant)
				if err != nil {
					done <- err
					return
				}
				p, err := u.PutPart(u.ctx(), u.amy, registry.NewPart{
					Multipart: u.ID, Bucket: u.Bucket, Key: u.Key, Number: i + 1, Intent: &blob, Stored: partOf(fmt.Sprint(i), 5*mib),
				})
				if err != nil {
					done <- err
					return
				}
				u.listed[i] = registry.ListedPart{Number: p.Number, ETag: p.ETag}
			}
			done <- nil
		}()
	}
	for range clients {
		u.must(<-done)
	}
}

// TestMostParts: an upload of as many parts as there can be is completed, read and deleted
// in times that stop nobody else for long. The bounds are generous: they catch what grows
// with the square of the parts.
func TestMostParts(t *testing.T) {
	h := newHouse(t)
	u := h.multipart(direct, "k")
	u.fill(registry.MaxParts)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"complete", func() {
			if o := u.complete(); len(o.Extents) != registry.MaxParts || o.Size != registry.MaxParts*5*mib {
				t.Errorf("the object has %d bytes in %d extents", o.Size, len(o.Extents))
			}
		}},
		{"repeat", func() { u.complete() }},
		{"delete", func() { h.must(h.deleteKey(direct, "k")) }},
	} {
		start := time.Now()
		step.do()
		took := time.Since(start)
		t.Logf("%s: %v", step.name, took)
		if took > 5*time.Second {
			t.Errorf("to %s took %v", step.name, took)
		}
	}
}

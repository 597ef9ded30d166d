package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
)

// BenchmarkAppend measures the appending itself: many to a transaction, no
// flush.
func BenchmarkAppend(b *testing.B) {
	f := newAuditFile(b)
	a := f.open(b)
	for _, group := range []int{1, 32} {
		b.Run(fmt.Sprintf("group=%d", group), func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; n < b.N; n += group {
				err := f.store.Update(b.Context(), func(tx kv.Tx) error {
					for range group {
						if _, err := a.append(tx, testEvent("acme", f.now())); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUpdates measures durable transactions of one row, with and without
// an event, by one and by 64 callers.
func BenchmarkUpdates(b *testing.B) {
	for _, callers := range []int{1, 64} {
		for _, leaves := range []int{0, 1, 2} {
			b.Run(fmt.Sprintf("callers=%d/events=%d", callers, leaves), func(b *testing.B) {
				f := newAuditFile(b)
				if err := f.store.Close(); err != nil {
					b.Fatal(err)
				}
				s, err := boltkv.Open(f.path, boltkv.Options{Tables: auditTables, AppendTables: auditAppendTables, QuietTables: auditQuietTables})
				if err != nil {
					b.Fatal(err)
				}
				f.store = s
				a := f.open(b)
				var n atomic.Uint64
				b.SetParallelism(callers / min(callers, 2))
				b.ResetTimer()
				b.RunParallel(func(p *testing.PB) {
					value := make([]byte, 400)
					for p.Next() {
						key := binary.BigEndian.AppendUint64([]byte("row"), n.Add(1)*0x9e3779b97f4a7c15)
						err := f.store.Update(context.Background(), func(tx kv.Tx) error {
							for range leaves {
								if _, err := a.append(tx, testEvent("acme", f.now())); err != nil {
									return err
								}
							}
							return tx.Put(tableAuditState, key, value)
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			})
		}
	}
}

// BenchmarkBytesPerLeaf tells how much the file grows per leaf.
func BenchmarkBytesPerLeaf(b *testing.B) {
	f := newAuditFile(b)
	a := f.open(b)
	leaf, err := testEvent("acme", f.now()).leaf()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(leaf)), "JSON-B/leaf")
	f.fill(b, a, max(b.N, 200_000), "acme")
	if err := f.store.Close(); err != nil {
		b.Fatal(err)
	}
	st, err := os.Stat(f.path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(st.Size())/float64(max(b.N, 200_000)), "file-B/leaf")
}

// BenchmarkRead measures what readers ask for, in a log of 200,000 leaves.
func BenchmarkRead(b *testing.B) {
	f := newAuditFile(b)
	a := f.open(b)
	const size = 200_000
	f.fill(b, a, size, "acme", "beta", "ceta")
	bench := func(name string, fn func(i int) error) {
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				if err := fn(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	bench("Proof", func(i int) error { _, err := a.Proof(b.Context(), uint64(i*7919)%size, size); return err })
	bench("Events1000", func(i int) error { _, err := a.Events(b.Context(), "", uint64(i*7919)%(size-1000), 1000); return err })
	bench("TenantEvents1000", func(i int) error {
		_, err := a.Events(b.Context(), "beta", uint64(i*7919)%(size-4000), 1000)
		return err
	})
	bench("VerifyAudit200000", func(int) error { _, err := a.VerifyAudit(b.Context()); return err })
	bench("Checkpoint", func(int) error {
		f.fill(b, a, 1, "acme")
		_, err := a.Checkpoint(b.Context())
		return err
	})
}

// BenchmarkAccess measures the recording of a request, its share of encoding
// and writing included.
func BenchmarkAccess(b *testing.B) {
	f := newAuditFile(b)
	a := f.open(b)
	rec := known(f.now(), "holiday/2026/some-picture-of-the-sea.jpg")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := a.Access(b.Context(), rec); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.FlushAccess(b.Context()); err != nil {
		b.Fatal(err)
	}
}

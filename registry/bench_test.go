package registry_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv/boltkv"
)

// benchHouse is a durable ledger with a tenant and a direct bucket.
func benchHouse(b *testing.B) *house {
	b.Helper()
	s, err := boltkv.Open(filepath.Join(b.TempDir(), "ledger.db"), boltkv.Options{Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables})
	if err != nil {
		b.Fatal(err)
	}
	l, err := registry.Open(b.Context(), registry.Config{Store: s, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close(context.Background()) })
	h := &house{TB: b, Ledger: l}
	h.must(h.Bootstrap(h.ctx(), rootCredentials))
	h.amy = h.tenant(acme)
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: direct, Intake: registry.IntakeDirect}))
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: files, Intake: registry.IntakeQuarantine}))
	return h
}

// cpu is the processor time this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// callers runs fn from n goroutines and reports processor time per call.
func callers(b *testing.B, n int, fn func()) {
	b.Helper()
	b.SetParallelism(max(1, n/runtime.GOMAXPROCS(0)))
	if n == 1 {
		b.SetParallelism(1)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	if n == 1 {
		for b.Loop() {
			fn()
		}
	} else {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				fn()
			}
		})
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func BenchmarkCreateUpload(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", n), func(b *testing.B) {
			h := benchHouse(b)
			callers(b, n, func() {
				if _, err := h.CreateUpload(context.Background(), h.amy, sessionOf); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func BenchmarkPutObject(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", n), func(b *testing.B) {
			h := benchHouse(b)
			var next atomic.Uint64
			callers(b, n, func() {
				i, err := h.ReserveBlob(context.Background(), acme)
				if err == nil {
					_, err = h.PutObject(context.Background(), h.amy, registry.NewObject{
						Intent: i, Bucket: direct, Key: fmt.Sprintf("%x", next.Add(1)*0x9e3779b97f4a7c15),
						Kept: registry.Kept{ContentType: "text/plain"}, Stored: stored("x"), Verdict: clean,
					})
				}
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkLookups runs on a ledger that was filled through kv.
func BenchmarkLookups(b *testing.B) {
	if testing.Short() {
		b.Skip("fills a ledger with a million objects; leave -short out")
	}
	h := benchHouse(b)
	const objects = 1_000_000
	h.must(registry.Fill(b.Context(), h.Ledger, acme, direct, objects))
	ctx := context.Background()
	b.Run("Named", func(b *testing.B) {
		i := 0
		callers(b, 1, func() {
			i++
			if _, err := h.Named(ctx, acme, direct, registry.FillKey(i*7919%objects)); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("Credential", func(b *testing.B) {
		callers(b, 1, func() {
			if _, err := h.Credential(ctx, registry.AccessKeyID(h.amy.Credential)); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("List", func(b *testing.B) {
		q := registry.ListQuery{Max: 1000}
		callers(b, 1, func() {
			page, err := h.List(ctx, acme, direct, q)
			if err != nil || len(page.Entries) != 1000 {
				b.Error(len(page.Entries), err)
			}
			q.After = page.Next
			if !page.Truncated {
				q.After = ""
			}
		})
	})
	b.Run("ListDelimiter", func(b *testing.B) {
		callers(b, 1, func() {
			page, err := h.List(ctx, acme, direct, registry.ListQuery{Delimiter: "/", Max: 1000})
			if err != nil || len(page.Prefixes) != 1000 {
				b.Error(len(page.Prefixes), err)
			}
		})
	})
	b.Run("CreateUpload64", func(b *testing.B) {
		callers(b, 64, func() {
			if _, err := h.CreateUpload(ctx, h.amy, sessionOf); err != nil {
				b.Error(err)
			}
		})
	})
}

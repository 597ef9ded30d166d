package boltkv_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

// prefilled is how many rows of valueSize bytes under random keys of keySize
// bytes a benchmark's store holds before it starts.
const (
	prefilled = 200_000
	keySize   = 32
	valueSize = 400
)

func randomKey() []byte {
	key := make([]byte, 0, keySize)
	for len(key) < keySize {
		key = binary.BigEndian.AppendUint64(key, rand.Uint64())
	}
	return key
}

// prefill writes the rows without flushing.
func prefill(b *testing.B, dir string) {
	b.Helper()
	o := options()
	o.NoSync = true
	s := mustOpen(b, dir, o)
	defer s.Close()
	value := make([]byte, valueSize)
	for range prefilled / 10_000 {
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			for range 10_000 {
				if err := tx.Put(kvtest.Rows, randomKey(), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// share runs do b.N times from a number of goroutines.
func share(b *testing.B, callers int, do func() error) {
	b.ReportAllocs()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				start := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				took[n-1] = time.Since(start)
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
}

// BenchmarkUpdate reads one random key and writes another, durably.
func BenchmarkUpdate(b *testing.B) {
	dir := b.TempDir()
	prefill(b, dir)
	value := make([]byte, valueSize)
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("group/callers=%d", callers), func(b *testing.B) {
			var commits, updates atomic.Int64
			s := benchStore(b, dir, &commits, &updates)
			defer s.Close()
			b.ResetTimer()
			share(b, callers, func() error {
				key := randomKey()
				return s.Update(context.Background(), func(tx kv.Tx) error {
					if _, err := tx.Get(kvtest.Rows, key); err == nil {
						return kv.ErrKey // never: keys are random
					}
					return tx.Put(kvtest.Rows, key, value)
				})
			})
			b.ReportMetric(float64(updates.Load())/float64(commits.Load()), "tx/commit")
			st, err := s.Stats()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(st.FileBytes)/(1<<20), "file-MiB")
		})
	}
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("bbolt/callers=%d", callers), func(b *testing.B) {
			db := benchBolt(b, dir)
			defer db.Close()
			b.ResetTimer()
			share(b, callers, func() error {
				key := randomKey()
				return db.Update(func(tx *bolt.Tx) error {
					rows := tx.Bucket([]byte(kvtest.Rows))
					if rows.Get(key) != nil {
						return kv.ErrKey
					}
					return rows.Put(key, value)
				})
			})
		})
	}
}

func benchStore(b *testing.B, dir string, commits, updates *atomic.Int64) *boltkv.Store {
	o := options()
	if commits != nil {
		o.Now = time.Now
		o.OnCommit = func(_ time.Duration, n int) { commits.Add(1); updates.Add(int64(n)) }
	}
	return mustOpen(b, dir, o)
}

func benchBolt(b *testing.B, dir string) *bolt.DB {
	db, err := bolt.Open(filepath.Join(dir, "ledger.db"), 0o600, &bolt.Options{
		NoFreelistSync: true, FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 34,
	})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkRow writes like a session does: a handful of rows in several tables.
func BenchmarkRow(b *testing.B) {
	s := mustOpen(b, b.TempDir(), options())
	defer s.Close()
	value := make([]byte, valueSize)
	var seq atomic.Uint64
	share(b, 64, func() error {
		key := randomKey()
		return s.Update(context.Background(), func(tx kv.Tx) error {
			n := binary.BigEndian.AppendUint64(nil, seq.Add(1))
			for _, err := range []error{
				tx.Put(kvtest.Rows, key, value), tx.Put(kvtest.Index, n, key),
				tx.Put(kvtest.Log, n, value), tx.Put(kvtest.Rows, []byte("head"), n),
			} {
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// BenchmarkView reads one random key, and a page of a hundred, from a snapshot.
func BenchmarkView(b *testing.B) {
	dir := b.TempDir()
	prefill(b, dir)
	s := benchStore(b, dir, nil, nil)
	defer s.Close()
	b.Run("get", func(b *testing.B) {
		share(b, 1, func() error {
			key := randomKey()
			return s.View(context.Background(), func(tx kv.Tx) error {
				if _, err := tx.Get(kvtest.Rows, key); err == nil {
					return kv.ErrKey
				}
				return nil
			})
		})
	})
	b.Run("scan100", func(b *testing.B) {
		share(b, 1, func() error {
			r, n := kv.Range{From: randomKey()}, 0
			return s.View(context.Background(), func(tx kv.Tx) error {
				return tx.Scan(kvtest.Rows, r, func(_, _ []byte) error {
					if n++; n == 100 {
						return kv.Stop
					}
					return nil
				})
			})
		})
	})
}

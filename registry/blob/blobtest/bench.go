package blobtest

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"sallyport/registry/blob"
)

// Bench measures puts and whole reads of size bytes, one at a time and from
// every processor at once.
func Bench(b *testing.B, s blob.Store, size int64) {
	content, err := io.ReadAll(Bytes(1, size))
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	put := func(b *testing.B) blob.Key {
		key := blob.Key(fmt.Sprintf("bench/%012d/%s", n.Add(1), "payload"))
		if _, err := s.Put(b.Context(), key, bytes.NewReader(content), size); err != nil {
			b.Error(err)
		}
		return key
	}
	get := func(b *testing.B, key blob.Key, buf []byte) {
		r, err := s.Open(b.Context(), key, 0, -1)
		if err != nil {
			b.Error(err)
			return
		}
		defer r.Close()
		for err == nil {
			_, err = r.Read(buf)
		}
		if err != io.EOF {
			b.Error(err)
		}
	}
	b.Run("Put", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			put(b)
		}
	})
	b.Run("PutParallel", func(b *testing.B) {
		b.SetBytes(size)
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				put(b)
			}
		})
	})
	b.Run("Get", func(b *testing.B) {
		key, buf := put(b), make([]byte, 256<<10)
		b.SetBytes(size)
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			get(b, key, buf)
		}
	})
}

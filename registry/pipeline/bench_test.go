package pipeline_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
)

// BenchmarkPutObject is a whole write through the pipeline: reserve, hash, store,
// commit. The ledger does not flush here (the rig's NoSync): the bytes do.
func BenchmarkPutObject(b *testing.B) {
	for _, size := range []int64{4 << 10, 1 << 20, 64 << 20} {
		for _, clients := range []int{1, 4} {
			b.Run(fmt.Sprintf("%dKiB/%dx", size>>10, clients), func(b *testing.B) {
				r := newRig(b)
				r.bucket("bench")
				b.SetBytes(size)
				b.SetParallelism(max(1, clients/2)) // of two cores
				b.ResetTimer()
				work := func() {
					t, err := r.AdmitObject(r.ctx(), admin, pipeline.ObjectRequest{
						Bucket: "bench", Key: "k", Declared: pipeline.Declared{Length: size, ContentType: "text/plain"}})
					if err != nil {
						b.Error(err)
						return
					}
					if _, err := r.PutObject(r.ctx(), t, bodyFrom(io.LimitReader(blobtest.Bytes(1, size), size))); err != nil {
						b.Error(err)
					}
				}
				if clients == 1 {
					for range b.N {
						work()
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							work()
						}
					})
				}
				b.StopTimer()
				if err := r.Sweep(b.Context()); err != nil {
					b.Error(err)
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	r := newRig(b)
	r.bucket("bench")
	if _, err := r.putKey("bench", "k", make([]byte, 4<<10)); err != nil {
		b.Fatal(err)
	}
	reader := admin
	reader.Roles = []registry.Role{registry.RoleReader}
	for b.Loop() {
		f, err := r.FindVersion(b.Context(), reader, "bench", "k", "")
		if err != nil {
			b.Fatal(err)
		}
		rd, err := f.Open(b.Context(), 0, -1, nil)
		if err != nil {
			b.Fatal(err)
		}
		rd.Close()
	}
}

func BenchmarkPresignAllowed(b *testing.B) {
	r := newRig(b)
	r.bucket("bench")
	for b.Loop() {
		if err := r.PresignAllowed(b.Context(), admin.Tenant, "bench", time.Minute); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	r := newRig(b)
	r.bucket("bench")
	if _, err := r.putKey("bench", "k", make([]byte, 1<<20)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, err := r.Copy(b.Context(), admin, pipeline.CopyRequest{
			Source: pipeline.Source{Bucket: "bench", Key: "k"}, Bucket: "bench", Key: "copy"})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkComplete completes an upload of 1,000 parts.
func BenchmarkComplete(b *testing.B) {
	r := newRig(b)
	r.bucket("bench")
	if _, err := r.putKey("bench", "k", full); err != nil {
		b.Fatal(err)
	}
	for range b.N {
		b.StopTimer()
		m := r.multipart("bench", "whole")
		parts := make([]registry.Part, 1000)
		for i := range parts {
			var err error
			parts[i], _, err = r.CopyPart(b.Context(), admin, pipeline.PartCopyRequest{
				MultipartRef: refOf(m), Number: i + 1, Source: pipeline.Source{Bucket: "bench", Key: "k"}, Length: -1})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if _, err := r.Complete(b.Context(), admin, completion(m, parts...)); err != nil {
			b.Fatal(err)
		}
	}
}

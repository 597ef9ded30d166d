package s3blob_test

import (
	"fmt"
	"testing"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/s3blob"
)

// newStore returns a store in a bucket of its own, which it makes.
func newStore(tb testing.TB, cfg s3blob.Config) *s3blob.Store {
	tb.Helper()
	s, err := s3blob.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	if err := s.EnsureBucket(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}

func config(m *blobtest.MinIO, bucket string) s3blob.Config {
	return s3blob.Config{Endpoint: m.Endpoint, Bucket: bucket, AccessKey: m.AccessKey, SecretKey: m.SecretKey}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	m := blobtest.StartMinIO(t)
	buckets := 0
	blobtest.Test(t, func(tb testing.TB) blob.Store {
		buckets++
		cfg := config(m, fmt.Sprintf("conformance-%d", buckets))
		cfg.Prefix = "some/prefix/"
		return newStore(tb, cfg)
	})
}

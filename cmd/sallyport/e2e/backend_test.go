package e2e_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/s3blob"
)

// backend is where a server keeps its bytes, seen from below.
type backend interface {
	// settings point a server to it.
	settings() []string
	// blobs returns the sizes of what is stored for the server with that data
	// directory, by name.
	blobs(t testing.TB, data string) map[string]int64
}

// onBackends runs a test on each backend.
func onBackends(t *testing.T, test func(t *testing.T, on backend)) {
	t.Run("disk", func(t *testing.T) { test(t, disk{}) })
	t.Run("minio", func(t *testing.T) { test(t, newBucket(t, sharedMinIO(t))) })
}

// disk is the server's own.
type disk struct{}

func (disk) settings() []string { return []string{"SALLYPORT_BACKEND_KIND=disk"} }

func (disk) blobs(t testing.TB, data string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	root := filepath.Join(data, "objects")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			return nil // deleted meanwhile
		}
		if err == nil {
			found[d.Name()] = info.Size()
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}

// bucket is a bucket of a MinIO.
type bucket struct {
	minio *blobtest.MinIO
	name  string
	store *s3blob.Store
}

// buckets counts those made, for their names.
var buckets atomic.Int64

func newBucket(t testing.TB, m *blobtest.MinIO) *bucket {
	t.Helper()
	b := &bucket{minio: m, name: fmt.Sprintf("hidden-bucket-%d", buckets.Add(1))}
	var err error
	b.store, err = s3blob.New(s3blob.Config{
		Endpoint: m.Endpoint, Bucket: b.name, AccessKey: m.AccessKey, SecretKey: m.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.store.Close() })
	if err := b.store.EnsureBucket(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bucket) settings() []string { return b.settingsVia(b.minio.Endpoint) }

// settingsVia are those of a server that reaches MinIO through something else.
func (b *bucket) settingsVia(endpoint string) []string {
	return []string{
		"SALLYPORT_BACKEND_KIND=s3", "SALLYPORT_BACKEND_S3_ENDPOINT=" + endpoint, "SALLYPORT_BACKEND_S3_BUCKET=" + b.name,
		"SALLYPORT_BACKEND_S3_ACCESS_KEY=" + b.minio.AccessKey, "SALLYPORT_BACKEND_S3_SECRET_KEY=" + b.minio.SecretKey,
	}
}

func (b *bucket) blobs(t testing.TB, _ string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for entry, err := range b.store.List(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		found[string(entry.Key)] = entry.Size
	}
	return found
}

// sizes returns the sizes of blobs, in order.
func sizes(blobs map[string]int64) []int64 {
	all := make([]int64, 0, len(blobs))
	for _, size := range blobs {
		all = append(all, size)
	}
	slices.Sort(all)
	return all
}

// blobWords are the parts of a blob's name that must not be seen anywhere: its
// key as the store knows it, and the tenant's hash inside it.
func blobWords(name string) []string {
	key := strings.ReplaceAll(name, "~", "/")
	words := []string{name, key}
	if parts := strings.Split(key, "/"); len(parts) > 2 {
		words = append(words, parts[1])
	}
	return words
}

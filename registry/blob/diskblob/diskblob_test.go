package diskblob_test

import (
	"testing"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/diskblob"
)

func open(tb testing.TB, dir string) *diskblob.Store {
	tb.Helper()
	s, err := diskblob.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	blobtest.Test(t, func(tb testing.TB) blob.Store { return open(tb, tb.TempDir()) })
}

//go:build soak

package e2e_test

import (
	"context"
	"net/http"
	"testing"
)

// TestLargeFile takes a file along the golden path that no buffer holds.
func TestLargeFile(t *testing.T) {
	const size = 1 << 30
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on)
		u := s.root.begin(size)
		req, err := u.request(context.Background(), &pattern{left: size}, size)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.do(req); err != nil || a.Status != http.StatusOK {
			t.Fatalf("put: %s, %v", a, err)
		}
		u.publish()
		if err := s.compare(s.root.downloadURL(u.ObjectID).GetURL, &pattern{left: size}); err != nil {
			t.Error(err)
		}
		s.Stop()
		s.mustFsck()
	})
}

//go:build !race

package image_test

import (
	"encoding/binary"
	"image"
	"testing"

	"sallyport/registry"
	"sallyport/scanner/sandbox"
)

// TestDefaultLimits: what is allowed by default is done by a child with the default
// limits.
func TestDefaultLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := newChild(t, sandbox.Limits{})
	// As large as phones make them; it is the room it takes that counts.
	m := image.NewYCbCr(image.Rect(0, 0, 8160, 6120), image.YCbCrSubsampleRatio420)
	photo := withExif(encodeJPEG(t, m), tiff(binary.BigEndian, 8))
	r := scan(t, e, "image/jpeg", photo, &registry.ImageRules{Thumbnails: []int{256, 1024}})
	if r.Result != registry.VerdictClean || len(r.Renditions) != 3 || r.Renditions[0].Width != 6120 || r.Renditions[1].Height != 1024 {
		t.Errorf("got %s %s, %d renditions", r.Result, r.Reason, len(r.Renditions))
	}
}

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
	m := image.NewRGBA(image.Rect(0, 0, 8160, 6120)) // as large as phones make them
	for i := range m.Pix {
		m.Pix[i] = byte(i >> 10)
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	photo := withExif(encodeJPEG(t, m), tiff(binary.BigEndian, 8))
	r := scan(t, e, "image/jpeg", photo, &registry.ImageRules{Thumbnails: []int{256, 1024}})
	if r.Result != registry.VerdictClean || len(r.Renditions) != 3 || r.Renditions[0].Width != 6120 || r.Renditions[1].Height != 1024 {
		t.Errorf("got %s %s, %d renditions", r.Result, r.Reason, len(r.Renditions))
	}
}

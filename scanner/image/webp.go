package image

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"

	"golang.org/x/image/webp"
)

// Flags of a VP8X chunk (RFC 9649, section 2.7).
const (
	webpAnimation = 1 << 1
	webpAlpha     = 1 << 4
)

// webpFrame is the length of what an ANMF chunk says before its own chunks.
const webpFrame = 16

// probeWebP passes over the chunks of a WebP (RFC 9649). The decoder holds the
// dimensions of the extended format against those of its picture.
func probeWebP(src *source) (a about, err error) {
	var head [8 + 10]byte
	if _, err := src.ReadAt(head[:12], 0); err != nil || string(head[:4]) != "RIFF" || string(head[8:12]) != "WEBP" {
		return a, fault(ReasonMalformed)
	}
	end := min(src.size, 8+int64(binary.LittleEndian.Uint32(head[4:])))
	moving := false
	for off, n := int64(12), 0; off+8 <= end; n++ {
		k, err := src.ReadAt(head[:], off)
		if err != nil && err != io.EOF || k < 8 {
			return a, fault(ReasonMalformed)
		}
		if n == maxChunks {
			return a, fault(ReasonUnsupported)
		}
		length := int64(binary.LittleEndian.Uint32(head[4:]))
		body := io.NewSectionReader(src, off+8, length)
		switch id := string(head[:4]); {
		case id == "VP8X" && n == 0 && k == len(head):
			moving = head[8]&webpAnimation != 0
			a.width, a.height = triple(head[12:])+1, triple(head[15:])+1
		case id == "ANMF" && moving:
			if a.frames++; a.frames == 1 {
				if err := a.firstOf(body); err != nil {
					return a, err
				}
			}
		case id == "EXIF":
			if a.orientation, err = readOrientation(body); err != nil {
				return a, err
			}
		}
		off += 8 + length + length&1
	}
	switch {
	case moving && a.frames == 0:
		return a, fault(ReasonMalformed)
	case moving:
		return a, nil
	}
	a.frames = 1
	config, err := webp.DecodeConfig(src.whole())
	if err != nil {
		return a, decodeFault(err)
	}
	a.width, a.height = config.Width, config.Height
	return a, nil
}

// firstOf makes a file of a frame by itself: the chunks of an ANMF chunk behind a head
// with the frame's own dimensions, which the decoder insists on.
func (a *about) firstOf(anmf *io.SectionReader) error {
	var f [webpFrame + 4]byte
	if _, err := anmf.ReadAt(f[:], 0); err != nil {
		return fault(ReasonMalformed)
	}
	a.offset = image.Pt(2*triple(f[0:]), 2*triple(f[3:]))
	chunks := anmf.Size() - webpFrame
	head := []byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00")
	binary.LittleEndian.PutUint32(head[4:], uint32(min(4+18+chunks, 1<<32-2)))
	if string(f[webpFrame:]) == "ALPH" {
		head[20] = webpAlpha
	}
	head = append(head, f[6:12]...) // width and height, less one
	size := image.Pt(triple(f[6:])+1, triple(f[9:])+1)
	if !(image.Rectangle{Max: size}).Add(a.offset).In(image.Rect(0, 0, a.width, a.height)) {
		return fault(ReasonMalformed)
	}
	a.first = io.MultiReader(bytes.NewReader(head), io.NewSectionReader(anmf, webpFrame, chunks))
	return nil
}

// triple is a number of three bytes, the least one first.
func triple(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

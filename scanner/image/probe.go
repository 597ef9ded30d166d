package image

import (
	"bufio"
	"encoding/binary"
	"image"
	"image/jpeg"
	"image/png"
	"io"
)

// about is what the headers of a picture say of it.
type about struct {
	width, height int // of the whole canvas, in pixels, as stored
	frames        int
	orientation   int // as Exif has it, 1 to 8; 0 is 1
	// first, if not nil, is a file with the first frame alone, whose upper left corner
	// is at offset on the canvas.
	first  io.Reader
	offset image.Point
}

// probe reads the headers, in bounded memory: what is too large is never decoded.
func probe(src *source, p *params) (about, error) {
	switch p.Kind {
	case kindJPEG:
		return probeJPEG(src)
	case kindPNG:
		return probePNG(src)
	case kindGIF:
		return probeGIF(src, p.MaxFrames)
	case kindWebP:
		return probeWebP(src)
	}
	return about{}, fault(ReasonUnsupported)
}

// maxChunks bounds how many parts of a file are passed over in search of those that
// matter.
const maxChunks = 100_000

// probeJPEG finds the dimensions and, in an APP1 segment before the scan, the
// orientation (ITU T.81, annex B; Exif 2.32, section 4.5.4).
func probeJPEG(src *source) (about, error) {
	config, err := jpeg.DecodeConfig(src.whole())
	if err != nil {
		return about{}, decodeFault(err)
	}
	a := about{width: config.Width, height: config.Height, frames: 1}
	var head [4]byte
	for off, n := int64(2), 0; n < maxChunks; n++ {
		if _, err := src.ReadAt(head[:], off); err != nil || head[0] != 0xff {
			return a, nil // the decoder is the one to say what is wrong
		}
		marker, length := head[1], int64(binary.BigEndian.Uint16(head[2:]))
		switch {
		case marker == 0xff: // fill
			off++
			continue
		case marker == 0xda || marker == 0xd9 || length < 2:
			return a, nil
		case marker == 0xe1:
			b := make([]byte, length-2)
			if _, err := src.ReadAt(b, off+4); err != nil {
				return a, nil
			}
			if o := exifOrientation(b); o != 0 {
				a.orientation = o
				return a, nil
			}
		}
		off += 2 + length
	}
	return a, nil
}

// probePNG reads the chunks before the picture's data (https://www.w3.org/TR/png-3/).
func probePNG(src *source) (about, error) {
	config, err := png.DecodeConfig(src.whole())
	if err != nil {
		return about{}, decodeFault(err)
	}
	a := about{width: config.Width, height: config.Height, frames: 1}
	var head [12]byte
	for off, n := int64(len(magicPNG)), 0; n < maxChunks; n++ {
		if k, err := src.ReadAt(head[:], off); err != nil && k < 8 {
			return a, nil
		}
		length := int64(binary.BigEndian.Uint32(head[:]))
		switch string(head[4:8]) {
		case "IDAT", "IEND":
			return a, nil
		case "acTL":
			a.frames = int(min(binary.BigEndian.Uint32(head[8:]), 1<<31-1))
		case "eXIf":
			b := make([]byte, min(length, maxExif))
			if _, err := src.ReadAt(b, off+8); err != nil {
				return a, nil
			}
			a.orientation = tiffOrientation(b)
		}
		off += 12 + length
	}
	return about{}, fault(ReasonUnsupported)
}

// probeGIF counts the frames (https://www.w3.org/Graphics/GIF/spec-gif89a.txt), no
// further than one too many.
func probeGIF(src *source, most int) (about, error) {
	g := gifWalk{r: bufio.NewReader(src.whole())}
	a, err := g.walk(most)
	if err != nil {
		return about{}, fault(ReasonMalformed)
	}
	if g.firstEnd > 0 {
		a.first = io.MultiReader(io.NewSectionReader(src, 0, g.firstEnd), &trailer{})
	}
	return a, nil
}

// gifWalk passes over the blocks of a GIF.
type gifWalk struct {
	r        *bufio.Reader
	off      int64
	firstEnd int64 // where the first frame ends
}

// The blocks of a GIF.
const (
	gifExtension = 0x21
	gifImage     = 0x2c
	gifTrailer   = 0x3b
)

func (g *gifWalk) walk(most int) (a about, err error) {
	head := make([]byte, 13)
	if err := g.read(head); err != nil {
		return a, err
	}
	a.width, a.height = int(binary.LittleEndian.Uint16(head[6:])), int(binary.LittleEndian.Uint16(head[8:]))
	if err := g.skip(colours(head[10])); err != nil {
		return a, err
	}
	for {
		kind, err := g.byte()
		if err != nil {
			return a, err
		}
		switch kind {
		case gifExtension:
			if _, err := g.byte(); err != nil {
				return a, err
			}
			err = g.blocks()
		case gifImage:
			if a.frames++; a.frames > most {
				return a, nil
			}
			if err = g.frame(); err == nil && a.frames == 1 {
				g.firstEnd = g.off
			}
		case gifTrailer:
			return a, nil
		default:
			return a, fault(ReasonMalformed)
		}
		if err != nil {
			return a, err
		}
	}
}

// frame passes over one image: descriptor, colours, code size and data.
func (g *gifWalk) frame() error {
	descriptor := make([]byte, 9)
	if err := g.read(descriptor); err != nil {
		return err
	}
	if err := g.skip(colours(descriptor[8]) + 1); err != nil {
		return err
	}
	return g.blocks()
}

// blocks passes over sub-blocks up to the empty one.
func (g *gifWalk) blocks() error {
	for {
		n, err := g.byte()
		if err != nil || n == 0 {
			return err
		}
		if err := g.skip(int(n)); err != nil {
			return err
		}
	}
}

// colours is the length in bytes of the colour table that flags announce.
func colours(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

func (g *gifWalk) byte() (byte, error) {
	b, err := g.r.ReadByte()
	g.off++
	return b, err
}

func (g *gifWalk) read(b []byte) error {
	n, err := io.ReadFull(g.r, b)
	g.off += int64(n)
	return err
}

func (g *gifWalk) skip(n int) error {
	m, err := g.r.Discard(n)
	g.off += int64(m)
	return err
}

// trailer is the end of a GIF.
type trailer struct{ read bool }

func (t *trailer) Read(b []byte) (int, error) {
	if t.read || len(b) == 0 {
		return 0, io.EOF
	}
	t.read = true
	b[0] = gifTrailer
	return 1, nil
}

package image

import (
	"image"
	"image/color"
	"image/draw"

	scale "golang.org/x/image/draw"
)

// plain makes of a picture one with eight bits for a channel, in its own memory where it
// can. Colours that nothing is painted in go: a palette is a place to hide bytes in.
func plain(m image.Image) image.Image {
	switch m := m.(type) {
	case *image.NRGBA64:
		halve(m.Pix)
		return &image.NRGBA{Pix: m.Pix[:len(m.Pix)/2], Stride: m.Stride / 2, Rect: m.Rect}
	case *image.RGBA64:
		halve(m.Pix)
		return &image.RGBA{Pix: m.Pix[:len(m.Pix)/2], Stride: m.Stride / 2, Rect: m.Rect}
	case *image.Gray16:
		halve(m.Pix)
		return &image.Gray{Pix: m.Pix[:len(m.Pix)/2], Stride: m.Stride / 2, Rect: m.Rect}
	case *image.NYCbCrA:
		return unpacked(m)
	case *image.Paletted:
		return repainted(m)
	}
	return m
}

// halve drops the lower byte of each pair.
func halve(pix []byte) {
	for i := range len(pix) / 2 {
		pix[i] = pix[2*i]
	}
}

// unpacked is a picture of a lossy WebP with transparency as PNG knows it.
func unpacked(m *image.NYCbCrA) *image.NRGBA {
	b := m.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		row := out.Pix[y*out.Stride:]
		for x := range b.Dx() {
			i, j := m.YOffset(b.Min.X+x, b.Min.Y+y), m.COffset(b.Min.X+x, b.Min.Y+y)
			p := row[4*x : 4*x+4 : 4*x+4]
			p[0], p[1], p[2] = color.YCbCrToRGB(m.Y[i], m.Cb[j], m.Cr[j])
			p[3] = m.A[m.AOffset(b.Min.X+x, b.Min.Y+y)]
		}
	}
	return out
}

// repainted is the picture with only the colours that it uses. A point outside the
// palette is of the first colour, as decoders have it.
func repainted(m *image.Paletted) image.Image {
	if len(m.Palette) == 0 {
		return image.NewNRGBA(m.Rect)
	}
	var place [256]int // in the new palette, plus one
	out := image.NewPaletted(image.Rect(0, 0, m.Rect.Dx(), m.Rect.Dy()), nil)
	for y := range m.Rect.Dy() {
		from, to := m.Pix[y*m.Stride:], out.Pix[y*out.Stride:]
		for x := range m.Rect.Dx() {
			c := int(from[x])
			if c >= len(m.Palette) {
				c = 0
			}
			if place[c] == 0 {
				out.Palette = append(out.Palette, m.Palette[c])
				place[c] = len(out.Palette)
			}
			to[x] = byte(place[c] - 1)
		}
	}
	return out
}

// onCanvas paints a frame where it belongs.
func onCanvas(m image.Image, a about) image.Image {
	canvas := image.Rect(0, 0, a.width, a.height)
	b := m.Bounds()
	if b.Add(a.offset) == canvas {
		return m
	}
	out := image.NewNRGBA(canvas)
	draw.Draw(out, b.Add(a.offset), m, b.Min, draw.Src)
	return out
}

// rows reads a picture by lines of red, green, blue and alpha, these multiplied.
type rows struct {
	m    image.Image
	b    image.Rectangle
	line *image.RGBA
}

func rowsOf(m image.Image) *rows {
	b := m.Bounds()
	return &rows{m: m, b: b, line: image.NewRGBA(image.Rect(0, 0, b.Dx(), 1))}
}

// row returns a line, until it is called again.
func (r *rows) row(y int) []byte {
	draw.Draw(r.line, r.line.Rect, r.m, image.Pt(r.b.Min.X, r.b.Min.Y+y), draw.Src)
	return r.line.Pix
}

// upright turns a picture as its orientation says (Exif 2.32, section 4.6.5: which side
// of the scene the first row and the first column are).
func upright(m image.Image, orientation int) image.Image {
	if orientation < 2 || orientation > 8 {
		return m
	}
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	r := image.Rect(0, 0, w, h)
	if orientation > 4 {
		r = image.Rect(0, 0, h, w)
	}
	out := image.NewRGBA(r)
	s := out.Stride
	// Where the first point of the first row goes, and how far on each next one and
	// each next row.
	var start, right, down int
	switch orientation {
	case 2: // mirrored
		start, right, down = 4*(w-1), -4, s
	case 3: // upside down
		start, right, down = s*(h-1)+4*(w-1), -4, -s
	case 4: // mirrored and upside down
		start, right, down = s*(h-1), 4, -s
	case 5: // mirrored, on its left side
		start, right, down = 0, s, 4
	case 6: // on its left side: a quarter clockwise
		start, right, down = 4*(h-1), s, -4
	case 7: // mirrored, on its right side
		start, right, down = s*(w-1)+4*(h-1), -s, -4
	case 8: // on its right side: a quarter counterclockwise
		start, right, down = s*(w-1), -s, 4
	}
	from := rowsOf(m)
	for y := range h {
		at := start + y*down
		for line := from.row(y); len(line) > 0; line = line[4:] {
			copy(out.Pix[at:at+4], line[:4])
			at += right
		}
	}
	return out
}

// shrink makes a picture fit into a square. One that fits stays as it is.
func shrink(m image.Image, edge int) image.Image {
	size := m.Bounds().Size()
	long := max(size.X, size.Y)
	if long <= edge {
		return m
	}
	want := image.Rect(0, 0, max(1, size.X*edge/long), max(1, size.Y*edge/long))
	if by := long / edge; by > 1 {
		m = averaged(m, by) // what is left is less than a half: no point is passed over
	}
	out := image.NewRGBA(want)
	scale.ApproxBiLinear.Scale(out, want, m, m.Bounds(), scale.Src, nil)
	return out
}

// averaged makes one point of each square of points, as far as there are any.
func averaged(m image.Image, by int) *image.RGBA {
	b := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, (b.Dx()+by-1)/by, (b.Dy()+by-1)/by))
	from := rowsOf(m)
	sums := make([]uint64, 4*out.Rect.Dx())
	for y := range out.Rect.Dy() {
		clear(sums)
		high := min(by, b.Dy()-y*by)
		for dy := range high {
			line := from.row(y*by + dy)
			for x := range b.Dx() {
				s, p := sums[4*(x/by):], line[4*x:4*x+4]
				s[0], s[1], s[2], s[3] = s[0]+uint64(p[0]), s[1]+uint64(p[1]), s[2]+uint64(p[2]), s[3]+uint64(p[3])
			}
		}
		to := out.Pix[y*out.Stride:]
		for i := range sums {
			n := uint64(high * min(by, b.Dx()-i/4*by))
			to[i] = byte((sums[i] + n/2) / n)
		}
	}
	return out
}

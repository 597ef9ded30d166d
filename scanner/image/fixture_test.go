package image_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"

	"sallyport/registry"
	"sallyport/scanner"
	engine "sallyport/scanner/image"
)

// here runs jobs in this process, one after the other.
type here struct{}

func (here) Run(ctx context.Context, job string, in *os.File, params any, frame func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	if job != engine.JobName {
		return nil, os.ErrInvalid
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	v, err := engine.Job(ctx, in, raw, func(kind string, header any) (io.WriteCloser, error) {
		h, err := json.Marshal(header)
		if err != nil {
			return nil, err
		}
		r, w := io.Pipe()
		s := &stream{PipeWriter: w, done: make(chan struct{})}
		go func() {
			defer close(s.done)
			s.err = frame(kind, h, r)
			r.CloseWithError(s.err)
		}()
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// stream is the writing end of a frame.
type stream struct {
	*io.PipeWriter
	done chan struct{}
	err  error
}

func (s *stream) Close() error {
	s.PipeWriter.Close()
	<-s.done
	return s.err
}

// scan judges a file's bytes as of a media type. What it makes is closed with the test.
func scan(tb testing.TB, e *engine.Engine, mediaType string, content []byte, rules *registry.ImageRules) scanner.Result {
	tb.Helper()
	r, err := try(tb, e, mediaType, content, rules)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func try(tb testing.TB, e *engine.Engine, mediaType string, content []byte, rules *registry.ImageRules) (scanner.Result, error) {
	tb.Helper()
	f, err := os.CreateTemp(tb.TempDir(), "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		tb.Fatal(err)
	}
	r, err := e.Scan(tb.Context(), scanner.Input{
		Detected: mediaType, Rules: registry.ScanRules{Image: rules},
		File: func(context.Context) (*os.File, error) { return f, nil },
	})
	for _, made := range r.Renditions {
		tb.Cleanup(func() { made.File.Close() })
	}
	return r, err
}

func newEngine(tb testing.TB) *engine.Engine {
	return engine.New(engine.Config{Runner: here{}, SpoolDir: filepath.Join(tb.TempDir(), "spool")})
}

// content reads a rendition and decodes it.
func content(tb testing.TB, r scanner.Rendition) ([]byte, image.Image) {
	tb.Helper()
	b, err := io.ReadAll(io.NewSectionReader(r.File, 0, r.Size))
	if err != nil {
		tb.Fatal(err)
	}
	m, format, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		tb.Fatalf("%s: %v", r.Name, err)
	}
	if "image/"+format != r.ContentType || m.Bounds().Dx() != r.Width || m.Bounds().Dy() != r.Height {
		tb.Errorf("%s is %s of %v, said to be %s of %d×%d", r.Name, format, m.Bounds(), r.ContentType, r.Width, r.Height)
	}
	return b, m
}

// quarters is a picture with a colour in each corner: red, green, blue, white, from the
// upper left as one reads.
func quarters(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := colours[0]
			switch {
			case x >= w/2 && y >= h/2:
				c = colours[3]
			case y >= h/2:
				c = colours[2]
			case x >= w/2:
				c = colours[1]
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

var colours = [...]color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}

// corners names the colour of each quarter, "rgbw" for quarters.
func corners(m image.Image) string {
	b := m.Bounds()
	var s []byte
	for _, p := range []image.Point{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
		r, g, bl, _ := m.At(b.Min.X+b.Dx()*p.X/4, b.Min.Y+b.Dy()*p.Y/4).RGBA()
		switch {
		case r > 0xc000 && g > 0xc000 && bl > 0xc000:
			s = append(s, 'w')
		case r > 0xc000 && g < 0x4000 && bl < 0x4000:
			s = append(s, 'r')
		case g > 0xc000 && r < 0x4000 && bl < 0x4000:
			s = append(s, 'g')
		case bl > 0xc000 && r < 0x4000 && g < 0x4000:
			s = append(s, 'b')
		default:
			s = append(s, '?')
		}
	}
	return string(s)
}

func encodeJPEG(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// encodeGIF is a picture of so many frames, the first one at an offset on a canvas.
func encodeGIF(tb testing.TB, frames int, at image.Point, canvas image.Point) []byte {
	tb.Helper()
	palette := color.Palette{color.NRGBA{}, colours[0], colours[1], colours[2], colours[3]}
	g := gif.GIF{Config: image.Config{ColorModel: palette, Width: canvas.X, Height: canvas.Y}}
	for i := range frames {
		m := image.NewPaletted(image.Rect(0, 0, 40, 40).Add(at), palette)
		q := quarters(40, 40)
		for y := range 40 {
			for x := range 40 {
				m.Set(at.X+x, at.Y+y, q.At(x, y))
			}
		}
		if i > 0 {
			clear(m.Pix)
		}
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 5)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// tiff is a block of Exif's with an orientation and something to leak.
func tiff(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 0x010f) // Make
	b = order.AppendUint16(b, 2)
	b = order.AppendUint32(b, uint32(len(secret)))
	b = order.AppendUint32(b, 8+2+2*12+4)
	b = order.AppendUint16(b, 0x0112)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, orientation)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, secret...)
}

const secret = "48.2082N 16.3738E camera 1234567"

// withExif puts an APP1 segment behind the first marker of a JPEG.
func withExif(content, exif []byte) []byte {
	segment := append([]byte("Exif\x00\x00"), exif...)
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(segment)+2))...)
	return append(append(out, segment...), content[2:]...)
}

// withChunk puts a chunk behind the header of a PNG.
func withChunk(content []byte, kind string, data []byte) []byte {
	const head = 8 + 12 + 13
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	chunk = append(append(chunk, kind...), data...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return append(append(append([]byte{}, content[:head]...), chunk...), content[head:]...)
}

func sample(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// riff is a WebP of these chunks.
func riff(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func chunk(kind string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(data)))
	b = append(b, data...)
	if len(data)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func three(n int) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16)} }

func extended(flags byte, w, h int) []byte {
	return chunk("VP8X", bytes.Join([][]byte{{flags, 0, 0, 0}, three(w - 1), three(h - 1)}, nil))
}

// animated is a WebP of frames, each with the chunks of another one behind its header.
func animated(w, h int, frames ...[]byte) []byte {
	chunks := [][]byte{extended(1<<1|1<<4, w, h), chunk("ANIM", make([]byte, 6))}
	for _, f := range frames {
		chunks = append(chunks, chunk("ANMF", f))
	}
	return riff(chunks...)
}

// moment is a frame of w × h with these chunks, at twice x and y.
func moment(x, y, w, h int, chunks []byte) []byte {
	return bytes.Join([][]byte{three(x), three(y), three(w - 1), three(h - 1), three(100), {0}, chunks}, nil)
}

// solid is a lossless WebP's picture of one colour: every code has one symbol and takes
// no bits (RFC 9649, section 3.7.2.1.1).
func solid(w, h int, c color.NRGBA) []byte {
	bits := bitWriter{}
	bits.put(0x2f, 8)
	bits.put(w-1, 14)
	bits.put(h-1, 14)
	bits.put(1, 1) // alpha is used
	bits.put(0, 3) // version
	bits.put(0, 1) // no transform
	bits.put(0, 1) // no colour cache
	bits.put(0, 1) // one group of codes
	for _, symbol := range []byte{c.G, c.R, c.B, c.A, 0} {
		bits.put(1, 1) // simple
		bits.put(0, 1) // one symbol
		bits.put(1, 1) // of eight bits
		bits.put(int(symbol), 8)
	}
	return chunk("VP8L", bits.out)
}

type bitWriter struct {
	out []byte
	n   int
}

func (b *bitWriter) put(v, n int) {
	for i := range n {
		if b.n%8 == 0 {
			b.out = append(b.out, 0)
		}
		b.out[b.n/8] |= byte(v>>i&1) << (b.n % 8)
		b.n++
	}
}

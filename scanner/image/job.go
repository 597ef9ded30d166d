package image

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/image/webp"
)

// The formats, as the parent names them to the job.
const (
	kindJPEG = "jpeg"
	kindPNG  = "png"
	kindGIF  = "gif"
	kindWebP = "webp"
)

// params are what a job is told.
type params struct {
	Kind       string `json:"kind"`
	MaxPixels  int64  `json:"max_pixels"`
	MaxFrames  int    `json:"max_frames"`
	Thumbnails []int  `json:"thumbnails"` // edges in pixels, the smallest first
}

// names are what is to be made, in this order: thumbnails follow one another from the
// largest.
func (p *params) names() []string {
	list := []string{"clean"}
	for _, edge := range slices.Backward(p.Thumbnails) {
		list = append(list, thumbName(edge))
	}
	return list
}

func thumbName(edge int) string { return "thumb-" + strconv.Itoa(edge) }

// frameKind is the kind of the frames that a job sends: one for each rendition.
const frameKind = "rendition"

// frameHeader goes before a rendition's bytes.
type frameHeader struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
}

// reply is what a job concludes: a reason, "" if all is well.
type reply struct {
	Reason string `json:"reason"`
}

// fault is a picture that nothing is made of, by its reason.
type fault string

func (f fault) Error() string { return string(f) }

// JobName is what the parent calls Job.
const JobName = "image"

// Job makes the renditions of the picture in. It runs in the sandbox and is what a hostile
// picture gets to see of us.
func Job(_ context.Context, in *os.File, raw json.RawMessage, frame func(kind string, header any) (io.WriteCloser, error)) (any, error) {
	var p params
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("image: params: %w", err)
	}
	info, err := in.Stat()
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	src := &source{r: in, size: info.Size()}
	err = render(src, &p, frame)
	var f fault
	switch {
	case src.err != nil:
		return nil, fmt.Errorf("image: read: %w", src.err)
	case errors.As(err, &f):
		return reply{Reason: string(f)}, nil
	case err != nil:
		return nil, err
	}
	return reply{}, nil
}

// render decodes the picture and sends what is to be made of it.
func render(src *source, p *params, frame func(string, any) (io.WriteCloser, error)) error {
	about, err := probe(src, p)
	if err != nil {
		return err
	}
	if about.width < 1 || about.height < 1 {
		return fault(ReasonMalformed)
	}
	// Neither product nor sum can overflow: formats have 32 bits for an edge at most.
	if int64(about.width) > p.MaxPixels/int64(about.height) {
		return fault(ReasonPixels)
	}
	if about.frames > p.MaxFrames {
		return fault(ReasonFrames)
	}
	m, err := decode(src, p.Kind, about)
	if err != nil {
		return decodeFault(err)
	}
	runtime.GC() // what decoding needed may be half of what we have
	format := typePNG
	if _, lossy := m.(*image.YCbCr); lossy || p.Kind == kindJPEG {
		format = typeJPEG
	}
	m = upright(plain(m), about.orientation)
	if err := send(frame, "clean", format, m); err != nil {
		return err
	}
	for _, edge := range slices.Backward(p.Thumbnails) {
		m = shrink(m, edge) // each of the one before, which is larger
		if err := send(frame, thumbName(edge), format, m); err != nil {
			return err
		}
	}
	return nil
}

// decode returns the picture, or the first frame of several on its canvas.
func decode(src *source, kind string, about about) (m image.Image, err error) {
	r := bufio.NewReaderSize(src.whole(), 64<<10)
	if about.first != nil {
		r.Reset(about.first)
	}
	switch kind {
	case kindJPEG:
		return jpeg.Decode(r)
	case kindPNG:
		return png.Decode(r)
	case kindGIF:
		m, err = gif.Decode(r)
	case kindWebP:
		m, err = webp.Decode(r)
	default:
		err = fault(ReasonUnsupported)
	}
	if err != nil || about.first == nil {
		return m, err
	}
	return onCanvas(m, about), nil
}

// decodeFault says what it means that a decoder failed.
func decodeFault(err error) error {
	var (
		j jpeg.UnsupportedError
		p png.UnsupportedError
		f fault
	)
	if errors.As(err, &f) {
		return f
	}
	if errors.As(err, &j) || errors.As(err, &p) {
		return fault(ReasonUnsupported)
	}
	return fault(ReasonMalformed)
}

// jpegQuality is what loses nothing that one sees.
const jpegQuality = 90

// send encodes a rendition into a frame.
func send(frame func(string, any) (io.WriteCloser, error), name, format string, m image.Image) error {
	size := m.Bounds().Size()
	w, err := frame(frameKind, frameHeader{Name: name, ContentType: format, Width: size.X, Height: size.Y})
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if format == typeJPEG {
		err = jpeg.Encode(out, m, &jpeg.Options{Quality: jpegQuality})
	} else {
		err = png.Encode(out, m)
	}
	if err = errors.Join(err, out.Flush(), w.Close()); err != nil {
		return fmt.Errorf("image: %s: %w", name, err)
	}
	return nil
}

// source is the file that is looked at. It remembers the first error of the file itself:
// whatever comes of that says nothing of the picture.
type source struct {
	r    io.ReaderAt
	size int64
	err  error
}

// ReadAt implements io.ReaderAt.
func (s *source) ReadAt(b []byte, off int64) (int, error) {
	n, err := s.r.ReadAt(b, off)
	if err != nil && err != io.EOF && s.err == nil {
		s.err = err
	}
	return n, err
}

// whole reads the file from its first byte.
func (s *source) whole() io.Reader { return io.NewSectionReader(s, 0, s.size) }

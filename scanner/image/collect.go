package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sallyport/registry"
	"sallyport/scanner"
)

// collector takes the renditions that a job sends. It takes its word for nothing that
// can be checked.
type collector struct {
	params params
	dir    string
	made   []scanner.Rendition
	failed error // of ours, that ended the job
}

// spoolPattern names files for the moment in which they have a name. What is called so
// in the spool is cleared away at the next start.
const spoolPattern = "spool-image-*"

// frame takes one rendition.
func (c *collector) frame(kind string, header json.RawMessage, body io.Reader) error {
	c.failed = c.take(kind, header, body)
	return c.failed
}

func (c *collector) take(kind string, header json.RawMessage, body io.Reader) error {
	var h frameHeader
	names := c.params.names()
	switch err := json.Unmarshal(header, &h); {
	case err != nil, kind != frameKind, len(c.made) >= len(names), h.Name != names[len(c.made)]:
		return fmt.Errorf("%w: frame", errJob)
	case h.Width < 1, h.Height < 1, int64(h.Width)*int64(h.Height) > c.params.MaxPixels:
		return fmt.Errorf("%w: dimensions", errJob)
	}
	f, err := spool(c.dir)
	if err != nil {
		return noRoom(err)
	}
	r := registry.Rendition{Name: h.Name, ContentType: h.ContentType, Width: h.Width, Height: h.Height}
	if err := c.fill(f, &r, body); err != nil {
		f.Close()
		return err
	}
	c.made = append(c.made, scanner.Rendition{Rendition: r, File: f})
	return nil
}

// fill writes a body to its file and notes what it is.
func (c *collector) fill(f *os.File, r *registry.Rendition, body io.Reader) error {
	sum := sha256.New()
	w := &sink{w: f}
	// Four bytes for a pixel are the most that a picture without compression has.
	limit := c.params.MaxPixels*5 + 1<<20
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(body, limit+1))
	switch {
	case w.err != nil:
		return noRoom(w.err)
	case err != nil:
		return fmt.Errorf("rendition: %w", err)
	case n > limit:
		return fmt.Errorf("%w: length", errJob)
	}
	head := make([]byte, len(magicPNG))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return noRoom(err)
	}
	if magic := magicOf(r.ContentType); magic == nil || !bytes.HasPrefix(head, magic) {
		return fmt.Errorf("%w: content", errJob)
	}
	r.Size, r.SHA256 = n, hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (c *collector) close() {
	for _, r := range c.made {
		_ = r.File.Close()
	}
	c.made = nil
}

// The media types of renditions.
const (
	typeJPEG = "image/jpeg"
	typePNG  = "image/png"
)

const (
	magicPNG  = "\x89PNG\r\n\x1a\n" // https://www.w3.org/TR/png-3/#5PNG-file-signature
	magicJPEG = "\xff\xd8\xff"
)

// magicOf is what a rendition of a type begins with; nil for what is none.
func magicOf(mediaType string) []byte {
	switch mediaType {
	case typeJPEG:
		return []byte(magicJPEG)
	case typePNG:
		return []byte(magicPNG)
	}
	return nil
}

// sink remembers the error of a writer, to tell it from the reader's.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

// spool returns a new file without a name: if we die, nothing is left.
func spool(dir string) (*os.File, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.CreateTemp(dir, spoolPattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// noRoom makes what is wrong with the spool an engine that is down: it is no fault of
// the object's. It does not say where the spool is.
func noRoom(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%w: spool: %w", scanner.ErrDown, err)
}

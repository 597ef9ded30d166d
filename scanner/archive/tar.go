package archive

import (
	"archive/tar"
	"bufio"
	"io"
)

func (w *walker) tar() error {
	all := &counter{r: w.src.section(0, w.src.size)}
	br := bufio.NewReaderSize(all, readAhead)
	tr := tar.NewReader(br)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			w.found(ReasonDamaged)
			// What cannot be read as a header is looked at as it is.
			return w.trailer(br)
		}
		if err := w.entry(); err != nil {
			return err
		}
		w.tarNames(h)
		if err := w.member(tr); err != nil {
			return err
		}
	}
	// Tars may lack the zeros that end them, but not a part of a block. Their reader
	// does not mind.
	if w.src.size%512 != 0 && all.n-int64(br.Buffered()) == w.src.size {
		w.found(ReasonDamaged)
	}
	// Readers may be told to go on behind the end.
	return w.trailer(br)
}

// counter counts what was read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (w *walker) tarNames(h *tar.Header) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return
	}
	if !w.names.entry(h.Name) {
		w.found(ReasonPath)
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		if !w.names.symlink(h.Name, h.Linkname) {
			w.found(ReasonLink)
		}
	case tar.TypeLink:
		if !w.names.entry(h.Linkname) {
			w.found(ReasonLink)
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		w.found(ReasonSpecial)
	}
}

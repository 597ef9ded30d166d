package archive

import (
	"archive/tar"
	"io"
)

func (w *walker) tar() error {
	br := w.all()
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
	// Readers may be told to go on behind the end.
	return w.trailer(br)
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

package filetype

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
)

// windowSize is how much is looked at a time, and overlap how much of it again with the
// next: more than anything that is looked for.
const (
	windowSize = 256 << 10
	overlap    = 256
)

// search goes through the whole content, without the zeros of wide encodings.
func (l *look) search(see func(window []byte)) error {
	var narrowed []byte
	return windows(l.ctx.Err, io.NewSectionReader(l.content, 0, l.content.Size()), func(w []byte, _ int64) {
		narrowed = appendNarrow(narrowed[:0], w)
		see(narrowed)
	})
}

// appendNarrow appends all but zeros.
func appendNarrow(to, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return append(to, b...)
		}
		to, b = append(to, b[:i]...), b[i+1:]
	}
}

// windows reads r to its end and shows it piece by piece, with the place in r that
// each begins at. Each begins with the last bytes of the one before.
func windows(ended func() error, r io.Reader, see func(window []byte, at int64)) error {
	buf := make([]byte, windowSize)
	kept, at := 0, int64(0)
	for {
		n, err := io.ReadFull(r, buf[kept:])
		if n > 0 {
			see(buf[:kept+n], at)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ended(); err != nil {
			return err
		}
		at += int64(kept + n - overlap)
		kept = copy(buf, buf[kept+n-overlap:])
	}
}

// image looks for a second file in a picture, in its metadata or behind its end.
// Pictures carry each other, sound and XMP, which is XML: those are let be.
func (l *look) image() error {
	if isCode(l.head) {
		l.note(HiddenScript)
	}
	return l.search(func(w []byte) {
		l.markupIn(w, "<body", "<object", "<embed", "<svg onload", "<svg/onload", "<foreignobject")
		for _, magic := range []string{"Rar!\x1a\x07", "7z\xbc\xaf\x27\x1c"} {
			if bytes.Contains(w, []byte(magic)) {
				l.note(HiddenArchive)
			}
		}
		for _, magic := range []string{"This program cannot be run in DOS mode", "\x7fELF\x02\x01\x01", "\x7fELF\x01\x01\x01"} {
			if bytes.Contains(w, []byte(magic)) {
				l.note(HiddenProgram)
			}
		}
	})
}

// beginsMedia knows pictures and sound that the detector takes for something else, for
// what follows.
func beginsMedia(head []byte) bool {
	for _, magic := range []string{"\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "GIF8", "RIFF", "BM", "II*\x00", "MM\x00*", "ID3", "OggS", "fLaC", "\x1aE\xdf\xa3"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return len(head) > 8 && string(head[4:8]) == "ftyp"
}

// isCode knows pictures whose first numbers are the beginning of a comment in
// JavaScript: GIF and BMP sizes, the length of a JPEG's first segment.
func isCode(head []byte) bool {
	for _, begin := range []string{"GIF87a/*", "GIF89a/*", "BM/*", "\xff\xd8\xff\xe0/*"} {
		if bytes.HasPrefix(head, []byte(begin)) {
			return true
		}
	}
	return false
}

// markupIn looks for tags that run. They are as long as it takes for compressed bytes
// not to look the same by chance: one in 2^48 and more.
func (l *look) markupIn(w []byte, more ...string) {
	tags := append([]string{"<script", "<html", "<iframe", "<!doctype html"}, more...)
	for i := bytes.IndexByte(w, '<'); i >= 0; {
		rest := w[i:min(len(w), i+16)]
		for _, tag := range tags {
			if len(rest) > len(tag) && bytes.EqualFold(rest[:len(tag)], []byte(tag)) && strings.IndexByte(space+">/", rest[len(tag)]) >= 0 {
				l.note(HiddenMarkup)
			}
		}
		if len(rest) > 5 && bytes.EqualFold(rest[:5], []byte("<?php")) && strings.IndexByte(space, rest[5]) >= 0 {
			l.note(HiddenScript)
		}
		next := bytes.IndexByte(w[i+1:], '<')
		if next < 0 {
			return
		}
		i += 1 + next
	}
}

// tailSize is how far from the end a zip file's last record may begin.
const tailSize = 1<<16 + 22

// tail looks for a zip file at the end of content that is none: readers of zip begin
// there, whatever comes before.
func (l *look) tail() error {
	switch c := classOf(l.detected); {
	case c == Archive, c == Program, c == Document && !isPDF(l.detected):
		return nil // such are zip files, or the archive engine's
	}
	if bytes.HasPrefix(l.head, []byte("PK")) {
		return nil
	}
	start := max(l.content.Size()-tailSize, 0)
	tail, err := l.read(start, tailSize)
	if err != nil {
		return err
	}
	for i := len(tail); i >= 0; {
		if i = bytes.LastIndex(tail[:i], []byte("PK\x05\x06")); i < 0 || len(tail)-i < 22 {
			continue
		}
		size := int64(binary.LittleEndian.Uint32(tail[i+12:]))
		sig, err := l.read(start+int64(i)-size, 4)
		if err != nil {
			return err
		}
		if string(sig) == "PK\x01\x02" {
			l.note(HiddenArchive)
			return nil
		}
	}
	return nil
}

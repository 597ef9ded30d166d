package filetype

import (
	"bytes"
	"compress/zlib"
	"io"
)

// Bounds of what is unpacked of one PDF.
const (
	maxStreams     = 100_000   // and what looks like some
	maxStream      = 32 << 20  // bytes of one object stream
	maxStreamsSize = 512 << 20 // bytes of all
	maxDictionary  = 16 << 10  // bytes from a name in a dictionary to the stream behind it
)

// pdfAt returns where a PDF begins, -1 if none does: readers look for it in the first
// 1,024 bytes (ISO 32000-1, Annex H, 3.4.1).
func pdfAt(head []byte) int {
	return bytes.Index(head[:min(len(head), 1024)], []byte("%PDF-"))
}

// pdf looks for actions that run something, in the file and in its object streams,
// where most of its objects are packed. Every name counts, wherever it stands: a
// cross-reference may point into anything.
func (l *look) pdf() error {
	if pdfAt(l.head) > 0 && beginsMarkup(l.head) {
		l.note(HiddenMarkup)
	}
	var streams []int64 // places of names in the dictionaries of object streams
	err := windows(l.ctx.Err, io.NewSectionReader(l.content, 0, l.content.Size()), func(w []byte, at int64) {
		l.markupIn(w)
		l.pdfNames(w, func(i int) {
			if n := len(streams); n < maxStreams && (n == 0 || streams[n-1] < at+int64(i)) {
				streams = append(streams, at+int64(i))
			}
		})
	})
	if err != nil {
		return err
	}
	if len(streams) == maxStreams {
		l.note(Unreadable)
	}
	left := int64(maxStreamsSize)
	for _, at := range streams {
		n, err := l.pdfStream(at, min(left, maxStream))
		if err != nil {
			return err
		}
		if left -= n; left <= 0 || n >= maxStream {
			l.note(Unreadable)
			return nil
		}
	}
	return nil
}

// pdfNames notes the names of actions in w and calls object with the places of names that
// object streams have. Not all readers want to see their type; none can do without
// /First, which chapters have, too.
func (l *look) pdfNames(w []byte, object func(i int)) {
	for i := bytes.IndexByte(w, '/'); i >= 0; {
		name, n := pdfName(w[i+1 : min(len(w), i+64)])
		switch string(name[:n]) {
		case "JavaScript", "Launch":
			l.note(FoundAction)
		case "ObjStm", "First":
			object(i)
		}
		next := bytes.IndexByte(w[i+1:], '/')
		if next < 0 {
			return
		}
		i += 1 + next
	}
}

// pdfName reads one name, or what is compared of it. Any letter of it may be written as its number: /J#61vaScript.
func pdfName(b []byte) (name [16]byte, n int) {
	for i := 0; i < len(b) && n < len(name); i++ {
		c := b[i]
		if bytes.IndexByte([]byte("\x00\t\n\f\r ()<>[]{}/%"), c) >= 0 {
			break
		}
		if c == '#' && i+2 < len(b) {
			high, low := nibble(b[i+1]), nibble(b[i+2])
			if high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		name[n] = c
		n++
	}
	return name, n
}

func nibble(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// pdfStream unpacks the object stream whose dictionary has a name at a place, and looks at the names in it. What is broken is looked at as far as it goes, as readers
// do. It returns how many bytes it unpacked.
func (l *look) pdfStream(at, most int64) (int64, error) {
	from := max(at-1024, 0)
	around, err := l.read(from, 1024+maxDictionary)
	if err != nil {
		return 0, err
	}
	i := int(at - from)
	begin, end := bytes.Index(around[i:], []byte("stream")), bytes.Index(around[i:], []byte("endobj"))
	switch {
	case end >= 0 && (begin < 0 || end < begin):
		return 0, nil // a dictionary and no more
	case begin < 0 && len(around) == 1024+maxDictionary:
		l.note(Unreadable)
		return 0, nil
	case begin < 0:
		return 0, nil
	}
	begin += i
	if pdfPacked(around[max(bytes.LastIndex(around[:i], []byte("obj")), 0):begin]) {
		l.note(Unreadable)
		return 0, nil
	}
	data := bytes.TrimLeft(around[begin+len("stream"):], "\r\n ")
	start := from + int64(len(around)-len(data))
	if start == l.stream {
		return 0, nil // by another of its names
	}
	l.stream = start
	z, err := zlib.NewReader(io.NewSectionReader(l.content, start, l.content.Size()-start))
	if err != nil {
		return 0, nil // not packed, and so looked at already; or encrypted
	}
	unpacked := &counted{r: io.LimitReader(z, most)}
	_ = windows(l.ctx.Err, unpacked, func(w []byte, _ int64) { l.pdfNames(w, func(int) {}) })
	return unpacked.n, l.ctx.Err()
}

// pdfPacked says whether a stream's dictionary has more than one filter, or one that
// nobody uses for objects but to hide them.
func pdfPacked(dictionary []byte) bool {
	filters := 0
	for i := bytes.IndexByte(dictionary, '/'); i >= 0; {
		name, n := pdfName(dictionary[i+1:])
		switch string(name[:n]) {
		case "ASCIIHexDecode", "ASCII85Decode", "LZWDecode", "RunLengthDecode", "Predictor":
			return true
		case "FlateDecode":
			filters++
		}
		next := bytes.IndexByte(dictionary[i+1:], '/')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return filters > 1
}

// counted counts what it reads.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

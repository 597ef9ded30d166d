package s3api

import (
	"bytes"
	"strconv"
	"strings"

	"sallyport/registry"
)

// partScanner reads the list of parts in the shape that clients write it in, at a
// tenth of the price of encoding/xml: a completion of thousands of parts is mostly
// its document. It takes no other shape: what it does not take is no error,
// but left to encoding/xml.
type partScanner struct {
	rest []byte
	buf  []byte // a text without its escapes
}

// xmlSpace is white space in XML.
const xmlSpace = " \t\r\n"

// scanCompletion returns the parts as they stand in the document, and false if the
// document is of another shape.
func scanCompletion(b []byte) ([]completedPart, bool) {
	s := partScanner{rest: bytes.Trim(bytes.TrimPrefix(b, []byte(`<?xml version="1.0" encoding="UTF-8"?>`)), xmlSpace)}
	if !s.take("<CompleteMultipartUpload") {
		return nil, false
	}
	if s.take(` xmlns="`) {
		end := bytes.IndexByte(s.rest, '"')
		if end < 0 || !isBare(s.rest[:end]) {
			return nil, false
		}
		s.rest = s.rest[end+1:]
	}
	if !s.take(">") {
		return nil, false
	}
	parts := make([]completedPart, 0, min(len(b)/80, registry.MaxParts)+1)
	for {
		s.space()
		if s.take("</CompleteMultipartUpload>") {
			return parts, len(s.rest) == 0 && len(parts) > 0
		}
		if !s.take("<Part>") {
			return nil, false
		}
		parts = append(parts, completedPart{})
		if !s.part(&parts[len(parts)-1]) {
			return nil, false
		}
	}
}

// part reads the elements of one part.
func (s *partScanner) part(p *completedPart) bool {
	for {
		s.space()
		if s.take("</Part>") {
			return true
		}
		name, text, ok := s.element()
		if !ok {
			return false
		}
		var field *string
		switch string(name) {
		case "PartNumber":
			n, err := strconv.ParseUint(text, 10, 31)
			if err != nil || p.Number != nil {
				return false
			}
			number := int(n)
			p.Number = &number
			continue
		case "ETag":
			field = &p.ETag
		case "ChecksumCRC32":
			field = &p.CRC32
		case "ChecksumCRC32C":
			field = &p.CRC32C
		case "ChecksumCRC64NVME":
			field = &p.CRC64NVME
		case "ChecksumSHA1":
			field = &p.SHA1
		case "ChecksumSHA256":
			field = &p.SHA256
		default:
			return false
		}
		if *field != "" {
			return false
		}
		*field = text
	}
}

// element reads <name>text</name>.
func (s *partScanner) element() (name []byte, text string, ok bool) {
	if !s.take("<") {
		return nil, "", false
	}
	end := bytes.IndexByte(s.rest, '>')
	if end < 0 {
		return nil, "", false
	}
	name, s.rest = s.rest[:end], s.rest[end+1:]
	if end = bytes.IndexByte(s.rest, '<'); end < 0 {
		return nil, "", false
	}
	raw := s.rest[:end]
	s.rest = s.rest[end:]
	if text, ok = s.text(raw); !ok || !s.take("</") || !bytes.HasPrefix(s.rest, name) {
		return nil, "", false
	}
	s.rest = s.rest[len(name):]
	return name, text, s.take(">")
}

// text is raw text with the escapes of quotes undone: clients write no others here.
func (s *partScanner) text(raw []byte) (string, bool) {
	s.buf = s.buf[:0]
	for len(raw) > 0 {
		at := bytes.IndexByte(raw, '&')
		if at < 0 {
			at = len(raw)
		}
		if !isBare(raw[:at]) {
			return "", false
		}
		s.buf = append(s.buf, raw[:at]...)
		if raw = raw[at:]; len(raw) == 0 {
			break
		}
		n := 0
		for _, quote := range [...]string{"&quot;", "&#34;", "&#x22;"} {
			if len(raw) >= len(quote) && string(raw[:len(quote)]) == quote {
				n = len(quote)
			}
		}
		if n == 0 {
			return "", false
		}
		s.buf, raw = append(s.buf, '"'), raw[n:]
	}
	return string(s.buf), true
}

// isBare tells whether text means itself in XML: printable ASCII without what marks
// something.
func isBare(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

func (s *partScanner) take(what string) bool {
	if len(s.rest) < len(what) || string(s.rest[:len(what)]) != what {
		return false
	}
	s.rest = s.rest[len(what):]
	return true
}

// space passes over white space between elements.
func (s *partScanner) space() {
	for len(s.rest) > 0 && strings.IndexByte(xmlSpace, s.rest[0]) >= 0 {
		s.rest = s.rest[1:]
	}
}

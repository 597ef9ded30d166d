package filetype

import (
	"bytes"
	"strings"
)

// space is what the MIME sniffing standard calls whitespace.
const space = "\t\n\f\r "

// tags are what makes a browser take content for HTML, by the MIME Sniffing Standard,
// 7.1, and for SVG and XHTML. A space or > follows.
func tags() []string {
	return []string{
		"!doctype html", "html", "head", "script", "iframe", "h1", "div", "font", "table", "a", "style", "title", "b", "body",
		"br", "p", "svg", "img", "meta", "link", "base", "form", "object", "embed", "frameset", "math", "!doctype svg",
	}
}

// beginsMarkup says whether content begins as browsers' documents do, in any encoding
// they know, behind spaces, comments and declarations.
func beginsMarkup(head []byte) bool {
	rest := bytes.ToLower(narrow(head))
	for {
		rest = bytes.TrimLeft(rest, space)
		switch {
		case bytes.HasPrefix(rest, []byte("<!--")):
			end := bytes.Index(rest, []byte("-->"))
			if end < 0 {
				return true
			}
			rest = rest[end+3:]
			continue
		case bytes.HasPrefix(rest, []byte("<?xml")):
			end := bytes.Index(rest, []byte("?>"))
			if end < 0 {
				return false
			}
			rest = rest[end+2:]
			continue
		}
		return beginsTag(rest)
	}
}

func beginsTag(rest []byte) bool {
	rest, ok := bytes.CutPrefix(rest, []byte("<"))
	if !ok {
		return false
	}
	for _, tag := range tags() {
		if after, ok := bytes.CutPrefix(rest, []byte(tag)); ok && len(after) > 0 && strings.IndexByte(space+">/[", after[0]) >= 0 {
			return true
		}
	}
	return false
}

func beginsXML(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(narrow(head), space), []byte("<"))
}

// narrow takes the mark of an encoding away, and the zeros that wide ones have between
// letters.
func narrow(b []byte) []byte {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		b = bytes.TrimPrefix(b, []byte(mark))
	}
	return appendNarrow(nil, b)
}

// xml looks for what turns XML into a document that runs: the names of HTML and SVG,
// a style sheet, and entities, which can spell either.
func (l *look) xml() error {
	return l.search(func(window []byte) {
		for _, name := range []string{"http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"} {
			if bytes.Contains(window, []byte(name)) {
				l.note(FoundMarkup)
			}
		}
		for _, begin := range []string{"<?xml-stylesheet", "<!entity"} {
			if bytes.Contains(bytes.ToLower(window), []byte(begin)) {
				l.note(FoundMarkup)
			}
		}
	})
}

package s3api

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// Answers are written by hand: their shapes are few and fixed, and a list of a
// thousand keys through reflection costs more than reading it from the ledger.

const (
	xmlType   = "application/xml"
	namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

	xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
)

// element is one element with text.
type element struct{ name, value string }

// document is an XML answer being written.
type document struct {
	b    []byte
	root string
}

// newDocument begins a document. AWS puts its answers into a namespace, errors
// excepted.
func newDocument(root string) *document {
	d := &document{b: make([]byte, 0, 1024), root: root}
	d.b = append(d.b, xmlDeclaration+"<"...)
	d.b = append(d.b, root...)
	if root != "Error" {
		d.b = append(d.b, ` xmlns="`+namespace+`"`...)
	}
	d.b = append(d.b, '>')
	return d
}

// end closes the root and returns the document.
func (d *document) end() []byte {
	d.close(d.root)
	return d.b
}

func (d *document) open(name string) { d.b = append(append(append(d.b, '<'), name...), '>') }

func (d *document) close(name string) { d.b = append(append(append(d.b, "</"...), name...), '>') }

// text writes one element.
func (d *document) text(name, value string) {
	d.open(name)
	d.b = appendText(d.b, value)
	d.close(name)
}

// texts writes one element for each value.
func (d *document) texts(name string, values []string) {
	for _, v := range values {
		d.text(name, v)
	}
}

func (d *document) number(name string, n int64) {
	d.open(name)
	d.b = strconv.AppendInt(d.b, n, 10)
	d.close(name)
}

func (d *document) flag(name string, v bool) {
	d.open(name)
	d.b = strconv.AppendBool(d.b, v)
	d.close(name)
}

// appendText escapes text. What XML 1.0 cannot carry at all, not even escaped,
// becomes U+FFFD (XML 1.0, section 2.2): clients that have such keys ask for
// encoding-type=url.
func appendText(b []byte, s string) []byte {
	for _, c := range s {
		switch {
		case c == '&':
			b = append(b, "&amp;"...)
		case c == '<':
			b = append(b, "&lt;"...)
		case c == '>':
			b = append(b, "&gt;"...)
		case c == '"':
			b = append(b, "&quot;"...)
		case c == '\t' || c == '\n' || c == '\r':
			b = append(b, "&#"...)
			b = strconv.AppendInt(b, int64(c), 10)
			b = append(b, ';')
		case c < ' ' || c == 0xFFFE || c == 0xFFFF:
			b = utf8.AppendRune(b, utf8.RuneError)
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return b
}

// sendXML answers 200 with a document.
func sendXML(ctx *fasthttp.RequestCtx, d *document) {
	ctx.SetContentType(xmlType)
	ctx.SetBody(d.end())
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// decodeXML reads exactly one document.
func decodeXML(b []byte, into any) error {
	// What stands in front of the first element is passed over by Decode.
	if !bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\uFEFF")), xmlSpace), []byte("<")) {
		return refuse(codeMalformedXML)
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(into); err != nil {
		return refuse(codeMalformedXML)
	}
	for {
		switch t, err := d.Token(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return refuse(codeMalformedXML)
		default:
			text, isText := t.(xml.CharData)
			if _, element := t.(xml.StartElement); element || isText && len(bytes.TrimSpace(text)) > 0 {
				return refuse(codeMalformedXML)
			}
		}
	}
}

// shape is what a document may look like: below each element that has others, the
// names of those, with a "*" behind the ones that may stand there more than once.
// What is not named has no elements below it. encoding/xml passes over what it does
// not know and takes the last of what stands twice; a rule that deletes data is not
// to be half understood.
type shape map[string]string

// decodeShaped is decodeXML for a document of that shape. Anything else is
// MalformedXML.
func decodeShaped(b []byte, s shape, into any) error {
	if err := s.check(b); err != nil {
		return err
	}
	return decodeXML(b, into)
}

func (s shape) check(b []byte) error {
	var path []opened
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return refuse(codeMalformedXML)
		}
		ok := true
		switch t := t.(type) {
		case xml.StartElement:
			if len(path) > 0 {
				ok = path[len(path)-1].takes(t.Name.Local)
			}
			path = append(path, opened{allowed: strings.Fields(s[t.Name.Local])})
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData: // has its place in elements without others
			ok = len(path) == 0 || len(path[len(path)-1].allowed) == 0 || len(bytes.TrimSpace(t)) == 0
		}
		if !ok {
			return refuse(codeMalformedXML)
		}
	}
}

// opened is an element whose end is still to come.
type opened struct {
	allowed []string
	seen    []string // of what may stand there once
}

// takes tells whether another element may stand in this one.
func (o *opened) takes(name string) bool {
	if slices.Contains(o.allowed, name+"*") {
		return true
	}
	if !slices.Contains(o.allowed, name) || slices.Contains(o.seen, name) {
		return false
	}
	o.seen = append(o.seen, name)
	return true
}

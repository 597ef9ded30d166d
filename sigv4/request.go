package sigv4

import (
	"bytes"
	"iter"
)

// Field is one header line as it came: the name in any case, the value raw.
type Field struct{ Name, Value []byte }

// Request is a request as it came on the wire. The slices are only read, never
// kept beyond the call, except by a [Claim], which points into them.
type Request struct {
	Method []byte  // as sent: "PUT"
	Path   []byte  // raw: not decoded, not normalised, without the query; "" is "/"
	Query  []byte  // raw, without the "?"
	Header []Field // in the order of the wire, Host included
}

// HeaderValue returns the value of the first line of that name, trimmed. The
// name is given in lower case. The slice points into the request.
func (r *Request) HeaderValue(name string) (value []byte, ok bool) {
	for i := range r.Header {
		if equalFold(r.Header[i].Name, name) {
			return trim(r.Header[i].Value), true
		}
	}
	return nil, false
}

// HeaderValues yields the trimmed value of each line of that name, in order.
// The name is given in lower case.
func (r *Request) HeaderValues(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range r.Header {
			if equalFold(r.Header[i].Name, name) && !yield(trim(r.Header[i].Value)) {
				return
			}
		}
	}
}

// Param returns the decoded value of the first query parameter of that exact
// (decoded, case-sensitive) name. The slice points into the request, unless
// the value had escapes: then it is new. A name without "=" has the value "".
func (r *Request) Param(name string) (value []byte, ok bool) {
	c := queryCursor{rest: r.Query}
	for c.next() {
		if nameIs(c.name, name) {
			return decodeParam(nil, c.value), true
		}
	}
	return nil, false
}

// Params yields the decoded names and values of the query in the order of the
// wire. Empty segments ("a&&b") are passed over; ";" separates nothing.
func (r *Request) Params() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		c := queryCursor{rest: r.Query}
		for c.next() {
			if !yield(decodeParam(nil, c.name), decodeParam(nil, c.value)) {
				return
			}
		}
	}
}

// queryCursor walks the raw segments of a query without allocating.
type queryCursor struct {
	rest        []byte
	name, value []byte // raw
}

func (c *queryCursor) next() bool {
	for len(c.rest) > 0 {
		seg := c.rest
		if i := bytes.IndexByte(seg, '&'); i >= 0 {
			seg, c.rest = seg[:i], seg[i+1:]
		} else {
			c.rest = nil
		}
		if len(seg) == 0 {
			continue
		}
		c.name, c.value = seg, nil
		if i := bytes.IndexByte(seg, '='); i >= 0 {
			c.name, c.value = seg[:i], seg[i+1:]
		}
		return true
	}
	return false
}

// nameIs reports whether the raw query name decodes to name.
func nameIs(raw []byte, name string) bool {
	if string(raw) == name {
		return true
	}
	if len(raw) <= len(name) || bytes.IndexByte(raw, '%') < 0 {
		return false
	}
	var buf [64]byte
	return string(decodeParam(buf[:0], raw)) == name
}

// equalFold compares a header name with a lower-case one, in ASCII.
func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := 0; i < len(lower); i++ {
		if toLower(name[i]) != lower[i] {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// trim drops the white space that may stand around a header value.
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

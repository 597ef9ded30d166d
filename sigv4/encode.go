package sigv4

import (
	"bytes"
	"fmt"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// unreserved reports whether AWS's URI encoding leaves c alone: RFC 3986
// section 2.3, and nothing else.
func unreserved(c byte) bool { return class[c]&classUnreserved != 0 }

const (
	classUnreserved = 1 << iota
	classUpperHex   // 0-9 A-F
	classLowerHex   // a-f
	classHeaderName // a token of RFC 9110 section 5.6.2 without capitals
)

// class sorts bytes; an array looked up by byte is what keeps the encoders at
// about a nanosecond a byte.
var class = func() (t [256]uint8) {
	for c := range t {
		b := byte(c)
		digit, upper, lower := '0' <= b && b <= '9', 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z'
		if digit || upper || lower || b == '-' || b == '.' || b == '_' || b == '~' {
			t[c] |= classUnreserved
		}
		if digit || ('A' <= b && b <= 'F') {
			t[c] |= classUpperHex
		}
		if 'a' <= b && b <= 'f' {
			t[c] |= classLowerHex
		}
		if digit || lower || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0 {
			t[c] |= classHeaderName
		}
	}
	return t
}()

func isHex(c byte) bool { return class[c]&(classUpperHex|classLowerHex) != 0 }

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// AppendPath appends the URI encoding of a decoded path: everything but
// unreserved characters and "/" becomes %XX, once. Nothing is normalised.
func AppendPath(dst []byte, path string) []byte {
	for i := 0; i < len(path); i++ {
		if path[i] == '/' {
			dst = append(dst, '/')
			continue
		}
		dst = appendEscaped(dst, path[i])
	}
	return dst
}

// AppendComponent appends the URI encoding of one name or value: everything
// but unreserved characters becomes %XX, "/" and " " included.
func AppendComponent(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = appendEscaped(dst, s[i])
	}
	return dst
}

// EncodeComponent is [AppendComponent] as a string.
func EncodeComponent(s string) string {
	return string(AppendComponent(make([]byte, 0, len(s)+16), s))
}

func appendEscaped(dst []byte, c byte) []byte {
	if unreserved(c) {
		return append(dst, c)
	}
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}

// DecodePath appends the decoded form of a raw path: %XX in either case
// becomes its byte, "+" stays a plus. It fails on a broken escape.
func DecodePath(dst, raw []byte) ([]byte, error) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return dst, fmt.Errorf("decode path: malformed escape at byte %d", i)
			}
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// decodeParam decodes a raw query name or value: %XX in either case, "+" is a
// space. A broken escape stands for itself; [Verifier.CheckSignature] has
// refused such a query by the time anybody acts on it. The result is raw
// itself where there is nothing to decode, else it is appended to dst.
func decodeParam(dst, raw []byte) []byte {
	if bytes.IndexByte(raw, '%') < 0 && bytes.IndexByte(raw, '+') < 0 {
		return raw
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(raw) && isHex(raw[i+1]) && isHex(raw[i+2]):
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

package auth

import (
	"bytes"
	"errors"

	"github.com/valyala/fasthttp"

	"sallyport/sigv4"
)

// ErrMalformedHeader is a header block in which a line is not a field: no
// signature can be checked over it.
var ErrMalformedHeader = errors.New("malformed header line")

// Wire fills r with the request as it came: the raw path and query of the
// request line and the header lines in their order. The slices point into
// ctx's request and live until its handler returns.
//
// It reads the raw header block because fasthttp's own view of it is
// normalised: names in canonical case, some fields moved out, one of several
// Hosts chosen.
func Wire(ctx *fasthttp.RequestCtx, r *sigv4.Request) error {
	h := &ctx.Request.Header
	r.Method = h.Method()
	r.Path, r.Query = splitTarget(h.RequestURI())
	r.Header = r.Header[:0]
	for raw := h.RawHeaders(); len(raw) > 0; {
		line := raw
		if end := bytes.IndexByte(raw, '\n'); end >= 0 {
			line, raw = raw[:end], raw[end+1:]
		} else {
			raw = nil
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return ErrMalformedHeader
		}
		r.Header = append(r.Header, sigv4.Field{Name: name, Value: value})
	}
	return nil
}

// splitTarget cuts a request target into raw path and query. The absolute form
// (RFC 9112, section 3.2.2) loses scheme and authority: what is signed is the
// path.
func splitTarget(target []byte) (path, query []byte) {
	path, query, _ = bytes.Cut(target, []byte{'?'})
	if len(path) > 0 && path[0] != '/' {
		if i := bytes.Index(path, []byte("://")); i >= 0 {
			rest := path[i+3:]
			slash := bytes.IndexByte(rest, '/')
			if slash < 0 {
				return []byte{'/'}, query
			}
			path = rest[slash:]
		}
	}
	if len(path) == 0 {
		path = []byte{'/'}
	}
	return path, query
}

// Target returns the raw path and query of a request, as Wire sees them.
func Target(ctx *fasthttp.RequestCtx) (path, query []byte) {
	return splitTarget(ctx.Request.Header.RequestURI())
}

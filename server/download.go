package server

import (
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"
)

// Sandbox is a Content-Security-Policy that denies a document everything, its
// origin included.
const Sandbox = "sandbox; default-src 'none'"

// DressDownload puts the headers on an answer that holds bytes of strangers: a
// browser saves them under filename instead of running them, and nobody keeps
// them. An empty contentType, or one that no header can carry, stands for bytes
// of no known type.
func DressDownload(h *fasthttp.ResponseHeader, contentType, filename string) {
	dressStrange(h, contentType, "attachment", filename)
	h.Set("Cross-Origin-Resource-Policy", "same-site")
}

// DressInline is DressDownload for what a browser may show, in pages of any site: the
// URL is the right to see it. It belongs on a host that serves nothing else.
func DressInline(h *fasthttp.ResponseHeader, contentType, filename string) {
	dressStrange(h, contentType, "inline", filename)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

func dressStrange(h *fasthttp.ResponseHeader, contentType, disposition, filename string) {
	if contentType == "" || strings.ContainsFunc(contentType, func(c rune) bool { return c < ' ' || c > '~' }) {
		contentType = "application/octet-stream"
	}
	h.SetContentType(contentType)
	h.Set("Content-Disposition", disposition+named(filename))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", Sandbox)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, no-store")
}

// named are the parameters of a Content-Disposition that name the file twice (RFC 6266,
// appendix D): in ASCII for old clients, and in UTF-8 (RFC 8187).
func named(filename string) string {
	if filename == "" {
		return ""
	}
	var plain, extended strings.Builder
	for _, c := range filename {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '%' {
			c = '_'
		}
		plain.WriteRune(c)
	}
	for i := range len(filename) {
		c := filename[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0 {
			extended.WriteByte(c)
		} else {
			fmt.Fprintf(&extended, "%%%02X", c)
		}
	}
	return `; filename="` + plain.String() + `"; filename*=UTF-8''` + extended.String()
}

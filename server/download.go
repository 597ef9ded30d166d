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
	if contentType == "" || strings.ContainsFunc(contentType, func(c rune) bool { return c < ' ' || c > '~' }) {
		contentType = "application/octet-stream"
	}
	h.SetContentType(contentType)
	h.Set("Content-Disposition", attachment(filename))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", Sandbox)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-site")
	h.Set("Cache-Control", "private, no-store")
}

// attachment is a Content-Disposition that names the file twice (RFC 6266, appendix
// D): in ASCII for old clients, and in UTF-8 (RFC 8187).
func attachment(filename string) string {
	if filename == "" {
		return "attachment"
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
	return `attachment; filename="` + plain.String() + `"; filename*=UTF-8''` + extended.String()
}

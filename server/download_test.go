package server_test

import (
	"bufio"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"sallyport/server"
)

// Names come from strangers and go into a header.
func TestDressDownload(t *testing.T) {
	for name, want := range map[string]string{
		"":                          `attachment`,
		"a.txt":                     `attachment; filename="a.txt"; filename*=UTF-8''a.txt`,
		"a b;c=d.txt":               `attachment; filename="a b;c=d.txt"; filename*=UTF-8''a%20b%3Bc%3Dd.txt`,
		`"; filename="evil.exe`:     `attachment; filename="_; filename=_evil.exe"; filename*=UTF-8''%22%3B%20filename%3D%22evil.exe`,
		`a\"b%22.txt`:               `attachment; filename="a__b_22.txt"; filename*=UTF-8''a%5C%22b%2522.txt`,
		"a\r\nSet-Cookie: b":        `attachment; filename="a__Set-Cookie: b"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b`,
		"\x00\x7f\xff":              `attachment; filename="___"; filename*=UTF-8''%00%7F%FF`,
		"naïve 文.txt":               `attachment; filename="na_ve _.txt"; filename*=UTF-8''na%C3%AFve%20%E6%96%87.txt`,
		strings.Repeat("\u202e", 2): `attachment; filename="__"; filename*=UTF-8''%E2%80%AE%E2%80%AE`,
	} {
		var h fasthttp.ResponseHeader
		server.DressDownload(&h, "", name)
		if got := string(h.Peek("Content-Disposition")); got != want {
			t.Errorf("%q:\n got %s\nwant %s", name, got, want)
		}
		if got := string(h.ContentType()); got != "application/octet-stream" {
			t.Errorf("%q: type %q", name, got)
		}
	}
}

func TestDressInline(t *testing.T) {
	var h fasthttp.ResponseHeader
	server.DressInline(&h, "image/png", "a.png")
	for name, want := range map[string]string{
		"Content-Type":                 "image/png",
		"Content-Disposition":          `inline; filename="a.png"; filename*=UTF-8''a.png`,
		"X-Content-Type-Options":       "nosniff",
		"Content-Security-Policy":      server.Sandbox,
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "cross-origin",
		"Cache-Control":                "private, no-store",
	} {
		if got := string(h.Peek(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// FuzzDressDownload: whatever an object is called and said to be, the answer has
// our headers and no others, and the file its name.
func FuzzDressDownload(f *testing.F) {
	for _, name := range []string{"", "a.txt", "a\r\nSet-Cookie: b", `"; filename="b`, `a\"b`, "%00", "文 .txt", "\xff\x00", "a;b=c", "*=UTF-8''x", "'"} {
		f.Add(name, "text/plain")
		f.Add("a", name)
	}
	f.Fuzz(func(t *testing.T, name, contentType string) {
		var h fasthttp.ResponseHeader
		server.DressDownload(&h, contentType, name)
		h.SetContentLength(0)
		text := h.String()
		answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		answer.Header.Del("Date") // fasthttp's own
		want := []string{"Cache-Control", "Content-Disposition", "Content-Length", "Content-Security-Policy", "Content-Type",
			"Cross-Origin-Resource-Policy", "Referrer-Policy", "X-Content-Type-Options"}
		if names := slices.Sorted(maps.Keys(answer.Header)); !slices.Equal(names, want) {
			t.Errorf("%q, %q: headers %q", name, contentType, names)
		}
		for field, values := range answer.Header {
			if len(values) != 1 {
				t.Errorf("%s: %q", field, values)
			}
		}
		kind, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Disposition"))
		if err != nil || kind != "attachment" || parameters["filename"] != name {
			t.Errorf("%q: %s %q, %v", name, kind, parameters, err)
		}
	})
}

package auth_test

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"sallyport/server/auth"
	"sallyport/sigv4"
)

// received is a request as the listener has it once its header arrived.
func received(t testing.TB, text string) *fasthttp.RequestCtx {
	t.Helper()
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	if err := ctx.Request.Header.Read(bufio.NewReaderSize(strings.NewReader(text), 16<<10)); err != nil {
		t.Fatal(err)
	}
	return &ctx
}

// shown prints a wire request on one line.
func shown(r *sigv4.Request) string {
	s := fmt.Sprintf("%s %s ?%s", r.Method, r.Path, r.Query)
	for _, f := range r.Header {
		s += fmt.Sprintf(" | %s:%s", f.Name, f.Value)
	}
	return s
}

func TestWire(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n", "GET /b/k ? | Host: h"},
		{"raw path", "GET /b/a%2fb//../c+d?x=%2F+ HTTP/1.1\r\nHost: h\r\n\r\n", "GET /b/a%2fb//../c+d ?x=%2F+ | Host: h"},
		{"case, order and doubles", "PUT / HTTP/1.1\r\nX-B: 2\r\nHost: h\r\nx-a:  1 \r\nX-B: 1\r\nContent-Length: 0\r\n\r\n",
			"PUT / ? | X-B: 2 | Host: h | x-a:  1  | X-B: 1 | Content-Length: 0"},
		{"absolute form", "GET http://other/b?x HTTP/1.1\r\nHost: h\r\n\r\n", "GET /b ?x | Host: h"},
		{"absolute form without a path", "GET http://other?x HTTP/1.1\r\nHost: h\r\n\r\n", "GET / ?x | Host: h"},
		{"two question marks", "GET /b?x?y HTTP/1.1\r\nHost: h\r\n\r\n", "GET /b ?x?y | Host: h"},
		{"empty value", "GET / HTTP/1.1\r\nHost: h\r\nX-A:\r\n\r\n", "GET / ? | Host: h | X-A:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r sigv4.Request
			if err := auth.Wire(received(t, test.text), &r); err != nil || shown(&r) != test.want {
				t.Errorf("%s, %v", shown(&r), err)
			}
		})
	}
	for name, line := range map[string]string{"no colon": "nothing", "space before the colon": "X-A : 1", "no name": ": 1"} {
		t.Run(name, func(t *testing.T) {
			var ctx fasthttp.RequestCtx
			ctx.Init(&fasthttp.Request{}, nil, nil)
			text := "GET / HTTP/1.1\r\nHost: h\r\n" + line + "\r\n\r\n"
			if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(text))); err != nil {
				return // fasthttp refuses it itself
			}
			var r sigv4.Request
			if err := auth.Wire(&ctx, &r); !errors.Is(err, auth.ErrMalformedHeader) {
				t.Errorf("%v: %s", err, shown(&r))
			}
		})
	}
}

// TestWireAgain fills a request that was used before.
func TestWireAgain(t *testing.T) {
	var r sigv4.Request
	for _, text := range []string{"PUT /long?query HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: i\r\n\r\n"} {
		if err := auth.Wire(received(t, text), &r); err != nil {
			t.Fatal(err)
		}
	}
	if got := shown(&r); got != "GET / ? | Host: i" {
		t.Error(got)
	}
}

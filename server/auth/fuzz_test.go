package auth_test

import (
	"bufio"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"sallyport/server/auth"
	"sallyport/sigv4"
)

// reshaped are the fields that net/http takes out of, or adds to, the header.
var reshaped = []string{"Host", "Transfer-Encoding", "Content-Length", "Trailer", "Cache-Control", "Connection"}

// FuzzWire: what is signed is what others on the way read. Where Wire and
// net/http both take a request, they see the same one.
func FuzzWire(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "PUT /b/a%2fb//../c+d?x=%2F+ HTTP/1.1\r\nhost: h\r\nX-A:  1 \r\nx-a: 2\r\nContent-Length: 0\r\n\r\n",
		"GET http://other/b?x HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\t2\r\nX-B: 3\r\n\r\n", "GET / HTTP/1.1\nHost: h\nX-A: 1\n\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX-A : 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX-A: a\rX-B: b\r\n\r\n", "GET / HTTP/1.1\r\n X-A: 1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX-A: \x00\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX-A\x00: 1\r\n\r\n", "GET /?a?b#c HTTP/1.1\r\nHost: h\r\n\r\n", "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", "GET //h/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nÄ: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX_A: 1\r\nX-A:\r\n\r\n", "GET / HTTP/1.1\r\nHost:h\r\nCookie: a=b\r\nCookie: c\r\nContent-Type: x\r\nUser-Agent: y\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		if ctx.Request.Header.Read(bufio.NewReaderSize(strings.NewReader(text), 16<<10)) != nil {
			return
		}
		var r sigv4.Request
		if auth.Wire(&ctx, &r) != nil {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		if string(r.Method) != theirs.Method {
			t.Errorf("%q: method %q, net/http has %q", text, r.Method, theirs.Method)
		}
		if strings.HasPrefix(theirs.RequestURI, "/") {
			path, query, _ := strings.Cut(theirs.RequestURI, "?")
			if string(r.Path) != path || string(r.Query) != query {
				t.Errorf("%q: %q ? %q, net/http has %q", text, r.Path, r.Query, theirs.RequestURI)
			}
			if host, _ := r.HeaderValue("host"); string(host) != theirs.Host {
				t.Errorf("%q: host %q, net/http has %q", text, host, theirs.Host)
			}
		}
		ours := http.Header{}
		for _, field := range r.Header {
			ours.Add(string(field.Name), textproto.TrimString(string(field.Value)))
		}
		for _, name := range reshaped {
			ours.Del(name)
			theirs.Header.Del(name)
		}
		if !reflect.DeepEqual(ours, theirs.Header) {
			t.Errorf("%q: fields %q, net/http has %q", text, ours, theirs.Header)
		}
	})
}

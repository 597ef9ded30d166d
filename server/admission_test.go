package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/server"
)

const refusalBody = "<Error><Code>AccessDenied</Code></Error>"

func refuseAll(*fasthttp.RequestCtx) *server.Refusal {
	return &server.Refusal{
		Status: 403, ContentType: "application/xml", Body: []byte(refusalBody), Reason: "AccessDenied",
		Header: []server.Field{{Name: "X-Extra", Value: "1"}},
	}
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"

// bodies are all the ways a request can announce a body, each followed in the same
// segment by what looks like a second request.
var bodies = []struct{ name, head, after string }{
	{"expect", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000000000000\r\nExpect: 100-continue\r\n\r\n", ""},
	{"expect, bytes in flight", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000000000000\r\nExpect: 100-continue\r\n\r\n", smuggled},
	{"expect in another case", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000\r\nExpect: 100-Continue\r\n\r\n", smuggled},
	{"no expect, header only", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000000000000\r\n\r\n", ""},
	{"no expect, body bytes", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000000000000\r\n\r\n", smuggled},
	{"exact length", fmt.Sprintf("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n", len(smuggled)), smuggled},
	{"chunked", "PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n", smuggled},
	{"chunked, expect, keep-alive", "PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\r\n", smuggled},
	{"HTTP/1.0 keep-alive", "PUT /k HTTP/1.0\r\nHost: s\r\nContent-Length: 5000\r\nConnection: keep-alive\r\n\r\n", smuggled},
	{"GET with a body", "GET /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000\r\n\r\n", smuggled},
	{"HEAD with a body", "HEAD /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000\r\n\r\n", smuggled},
	{"DELETE with chunks", "DELETE /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n", smuggled},
}

func TestRefusalBeforeBody(t *testing.T) {
	var handled atomic.Int32
	f := start(t, server.Config{Admit: refuseAll, Routes: routes(func(*fiber.Ctx) error {
		handled.Add(1)
		return nil
	})})
	for _, tc := range bodies {
		t.Run(tc.name, func(t *testing.T) {
			c := f.dial()
			c.send(tc.head + tc.after)
			got := c.rest()
			if strings.Contains(got, "100 Continue") {
				t.Error("the client was told to send its body")
			}
			if n := strings.Count(got, "HTTP/1.1 "); n != 1 || !strings.HasPrefix(got, "HTTP/1.1 403 ") {
				t.Errorf("%d answers, want one 403: %q", n, got)
			}
			if !strings.HasPrefix(tc.head, "HEAD") && !strings.HasSuffix(got, "\r\n\r\n"+refusalBody) {
				t.Errorf("error body missing: %q", got)
			}
			if !strings.Contains(got, "X-Extra: 1\r\n") || !strings.Contains(got, "X-Request-Id: ") {
				t.Errorf("header missing: %q", got)
			}
		})
	}
	if n := handled.Load(); n != 0 {
		t.Errorf("a handler ran %d times", n)
	}
}

func TestHandlerLeavesBody(t *testing.T) {
	var smuggledIn atomic.Int32
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		if strings.Contains(c.Path(), "smuggled") {
			smuggledIn.Add(1)
		}
		switch c.Query("exit") {
		case "error":
			return fiber.ErrTeapot
		case "panic":
			panic("gone wrong")
		case "some":
			if _, err := io.ReadFull(server.BodyOf(c), make([]byte, 3)); err != nil {
				return err
			}
		}
		return c.Status(403).SendString(refusalBody)
	})})
	for _, exit := range []string{"return", "error", "panic", "some"} {
		for _, tc := range bodies {
			if tc.after == "" || strings.Contains(tc.name, "chunked, expect") && exit == "some" {
				continue
			}
			t.Run(exit+"/"+tc.name, func(t *testing.T) {
				c := f.dial()
				c.send(strings.Replace(tc.head, "/k", "/k?exit="+exit, 1) + tc.after)
				got := c.rest()
				got = strings.TrimPrefix(got, "HTTP/1.1 100 Continue\r\n\r\n")
				if strings.Count(got, "HTTP/1.1 ") != 1 {
					t.Errorf("want one answer: %q", got)
				}
			})
		}
	}
	if n := smuggledIn.Load(); n != 0 {
		t.Errorf("%d smuggled requests were executed", n)
	}
}

func TestKeepAliveAfterRefusalWithoutBody(t *testing.T) {
	f := start(t, server.Config{Admit: refuseAll, Routes: routes(drain)})
	c := f.dial()
	for range 2 {
		c.send("GET /k HTTP/1.1\r\nHost: s\r\n\r\n")
		if resp, body := c.answer(); resp.StatusCode != 403 || body != refusalBody || resp.Close {
			t.Fatalf("status %d, close %v, body %q", resp.StatusCode, resp.Close, body)
		}
	}
}

func TestFraming(t *testing.T) {
	var handled atomic.Int32
	f := start(t, server.Config{Routes: routes(func(*fiber.Ctx) error {
		handled.Add(1)
		return nil
	})})
	for _, tc := range []struct {
		name, fields string
		status       int
		reason       string
	}{
		{"length and chunks", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400, server.ReasonAmbiguousLength},
		{"chunks and length", "Transfer-Encoding: chunked\r\ncONTENT-lENGTH: 3\r\n", 400, server.ReasonAmbiguousLength},
		{"two lengths", "Content-Length: 3\r\nContent-Length: 4\r\n", 400, server.ReasonAmbiguousLength},
		{"same length twice", "Content-Length: 3\r\nContent-Length: 3\r\n", 400, server.ReasonAmbiguousLength},
		{"identity", "Content-Length: 3\r\nTransfer-Encoding: identity\r\n", 400, server.ReasonAmbiguousLength},
		{"identity alone", "Transfer-Encoding: identity\r\n", 400, server.ReasonAmbiguousLength},
		{"gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", 400, server.ReasonBadRequest},
		{"list of lengths", "Content-Length: 3, 3\r\n", 400, server.ReasonBadRequest},
		{"negative length", "Content-Length: -3\r\n", 400, server.ReasonBadRequest},
		{"length overflow", "Content-Length: 99999999999999999999\r\n", 400, server.ReasonBadRequest},
		{"folded line", "X-A: 1\r\n  2\r\n", 400, server.ReasonBadRequest},
		{"space before colon", "Content-Length : 3\r\n", 400, server.ReasonBadRequest},
		{"NUL in a name", "\x00refuse: 3\r\n", 400, server.ReasonBadRequest},
		{"unknown expectation", "Expect: tea\r\nContent-Length: 3\r\n", 417, server.ReasonExpectation},
		{"header too large", "X-A: " + strings.Repeat("a", 17<<10) + "\r\n", 431, server.ReasonHeaderTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := f.dial()
			c.send("PUT /k HTTP/1.1\r\nHost: s\r\n" + tc.fields + "\r\n" + smuggled)
			got := c.rest()
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", tc.status)) ||
				!strings.HasSuffix(got, "<Error><Code>"+tc.reason+"</Code></Error>") ||
				strings.Count(got, "HTTP/1.1 ") != 1 || strings.Count(got, "X-Request-Id: ") != 1 {
				t.Errorf("want one %d %s: %q", tc.status, tc.reason, got)
			}
		})
	}
	if n := handled.Load(); n != 0 {
		t.Errorf("a handler ran %d times", n)
	}
}

func TestExpectContinue(t *testing.T) {
	f := start(t, server.Config{Routes: routes(drain)})
	for _, tc := range []struct {
		name, head string
		asks       bool
	}{
		{"as specified", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", true},
		{"another case", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nexpect: 100-CONTINUE\r\n\r\n", true},
		{"HTTP/1.0 is not told", "PUT /k HTTP/1.0\r\nHost: s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := f.dial()
			c.send(tc.head)
			if tc.asks {
				// Nothing but the invitation may come first: the body is sent only after it.
				if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 100 {
					t.Fatalf("want 100, got %v, %v", resp, err)
				}
			}
			c.send("hello")
			if resp, body := c.answer(); resp.StatusCode != 200 || body != "5" {
				t.Errorf("status %d, body %q", resp.StatusCode, body)
			}
		})
	}
	t.Run("an empty body is invited, and the connection goes on", func(t *testing.T) {
		c := f.dial()
		for range 2 {
			c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n")
			if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 100 {
				t.Fatalf("want 100, got %v, %v", resp, err)
			}
			if resp, body := c.answer(); resp.StatusCode != 200 || body != "0" {
				t.Errorf("status %d, body %q", resp.StatusCode, body)
			}
		}
	})
	t.Run("no body, no invitation", func(t *testing.T) {
		c := f.dial()
		c.send("GET /k HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\n\r\n")
		if resp, _ := c.answer(); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

func TestAdmitSeesAndTells(t *testing.T) {
	type key struct{}
	f := start(t, server.Config{
		Admit: func(ctx *fasthttp.RequestCtx) *server.Refusal {
			ctx.SetUserValue(key{}, fmt.Sprintf("%s %s %d %s", ctx.Method(), ctx.RequestURI(),
				server.ContentLength(ctx), ctx.RemoteIP()))
			server.ExchangeOf(ctx).Op = "Told"
			return nil
		},
		Routes: routes(func(c *fiber.Ctx) error {
			if _, err := server.BodyOf(c).ReadAll(10); err != nil {
				return err
			}
			return c.SendString(c.Context().UserValue(key{}).(string))
		}),
	})
	for _, tc := range []struct{ request, want string }{
		{"PUT /a%2Fb//../c?x HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nab", "PUT /a%2Fb//../c?x 2 127.0.0.1"},
		{"PUT /a HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n", "PUT /a 0 127.0.0.1"},
		{"PUT /a HTTP/1.1\r\nHost: s\r\n\r\n", "PUT /a -2 127.0.0.1"},
		{"PUT /a HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "PUT /a -1 127.0.0.1"},
		{"GET /a HTTP/1.1\r\nHost: s\r\n\r\n", "GET /a -2 127.0.0.1"},
	} {
		c := f.dial()
		for range 2 { // the second on the same connection
			c.send(tc.request)
			if resp, body := c.answer(); resp.StatusCode != 200 || body != tc.want {
				t.Errorf("status %d: %q, want %q", resp.StatusCode, body, tc.want)
			}
		}
	}
	if e := f.seen(10); e.Op != "Told" {
		t.Errorf("op %q", e.Op)
	}
}

func TestAdmitPanic(t *testing.T) {
	f := start(t, server.Config{
		Admit:  func(*fasthttp.RequestCtx) *server.Refusal { panic("secret") },
		Routes: routes(drain),
	})
	c := f.dial()
	c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 500 ") || !strings.Contains(got, server.ReasonPanic) {
		t.Errorf("%q", got)
	}
	if strings.Contains(f.logs.String(), "secret") {
		t.Error("the panic's value is in the log")
	}
}

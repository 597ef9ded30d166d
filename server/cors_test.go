package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/server"
)

func corsRequest(method string, header map[string]string) *fasthttp.RequestCtx {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod(method)
	for k, v := range header {
		ctx.Request.Header.Set(k, v)
	}
	return &ctx
}

func TestCORSPreflight(t *testing.T) {
	rule := server.CORS{
		AllowedOrigins: []string{"https://app.example.com", "https://*.example.org"},
		AllowedMethods: []string{"GET", "PUT"}, AllowedHeaders: []string{"content-type", "x-amz-*"}, MaxAge: time.Hour,
	}
	for _, tc := range []struct {
		name, origin, method, headers string
		rule                          server.CORS
		allowed                       string // the origin answered; empty: refused
	}{
		{"exact", "https://app.example.com", "PUT", "Content-Type, X-Amz-Date", rule, "https://app.example.com"},
		{"wildcard", "https://a.b.example.org", "GET", "", rule, "https://a.b.example.org"},
		{"wildcard needs its dot", "https://evilexample.org", "GET", "", rule, ""},
		{"suffix of another host", "https://app.example.com.evil.net", "GET", "", rule, ""},
		{"scheme", "http://app.example.com", "GET", "", rule, ""},
		{"null origin", "null", "GET", "", rule, ""},
		{"method", "https://app.example.com", "DELETE", "", rule, ""},
		{"header", "https://app.example.com", "PUT", "x-amz-date,authorization", rule, ""},
		{"header that is none", "https://app.example.com", "PUT", "a\tb", server.CORS{AllowedOrigins: []string{"*"}}, ""},
		{"everybody", "https://any.example.net", "PUT", "x-any", server.CORS{AllowedOrigins: []string{"*"}}, "*"},
		{"nobody", "https://any.example.net", "PUT", "", server.CORS{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := map[string]string{"Origin": tc.origin, "Access-Control-Request-Method": tc.method}
			if tc.headers != "" {
				header["Access-Control-Request-Headers"] = tc.headers
			}
			ctx := corsRequest("OPTIONS", header)
			if !server.IsPreflight(ctx) {
				t.Fatal("not taken for a preflight")
			}
			ok := tc.rule.Preflight(ctx)
			h := &ctx.Response.Header
			if got := string(h.Peek("Access-Control-Allow-Origin")); ok != (tc.allowed != "") || got != tc.allowed {
				t.Errorf("%v, origin %q", ok, got)
			}
			if ok && (ctx.Response.StatusCode() != 204 || !strings.Contains(string(h.Peek("Access-Control-Allow-Methods")), tc.method) ||
				string(h.Peek("Access-Control-Allow-Headers")) != strings.ToLower(tc.headers)) {
				t.Errorf("answer: %s", h)
			}
			if v := h.String(); !strings.Contains(v, "Vary: Origin") || strings.Contains(v, "Credentials") {
				t.Errorf("answer: %s", v)
			}
		})
	}
}

func TestCORSDecorate(t *testing.T) {
	rule := server.CORS{AllowedOrigins: []string{"https://app.example.com"}}
	ctx := corsRequest("GET", map[string]string{"Origin": "https://app.example.com"})
	for range 2 { // the second time must not add to Vary
		if !rule.Decorate(ctx) {
			t.Fatal("refused")
		}
	}
	h := ctx.Response.Header.String()
	for _, want := range []string{"Access-Control-Allow-Origin: https://app.example.com\r\n", "ETag", "x-amz-request-id", "x-amz-checksum-sha256"} {
		if !strings.Contains(h, want) {
			t.Errorf("%q missing: %s", want, h)
		}
	}
	if n := strings.Count(h, "Vary:"); n != 1 {
		t.Errorf("%d times Vary: %s", n, h)
	}
	for name, header := range map[string]map[string]string{"no origin": {}, "foreign": {"Origin": "https://evil.example"}} {
		ctx := corsRequest("GET", header)
		if rule.Decorate(ctx) || len(ctx.Response.Header.Peek("Access-Control-Allow-Origin")) > 0 {
			t.Errorf("%s: allowed", name)
		}
		if string(ctx.Response.Header.Peek("Vary")) != "Origin" {
			t.Errorf("%s: caches are not told", name)
		}
	}
	if server.IsPreflight(corsRequest("OPTIONS", map[string]string{"Origin": "https://a.example"})) {
		t.Error("an OPTIONS without a method asked for is no preflight")
	}
}

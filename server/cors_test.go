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
	rule := server.CORSRules{{
		AllowedOrigins: []string{"https://app.example.com", "https://*.example.org"},
		AllowedMethods: []string{"GET", "PUT"}, AllowedHeaders: []string{"content-type", "x-amz-*"}, MaxAge: time.Hour,
	}}
	everybody := server.CORSRules{server.OpenCORS([]string{"*"})}
	for _, tc := range []struct {
		name, origin, method, headers string
		rule                          server.CORSRules
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
		{"header that is none", "https://app.example.com", "PUT", "a\tb", everybody, ""},
		{"everybody", "https://any.example.net", "PUT", "x-any", everybody, "*"},
		{"no headers", "https://app.example.com", "GET", "x-any", server.CORSRules{{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET"}}}, ""},
		{"no methods", "https://app.example.com", "GET", "", server.CORSRules{{AllowedOrigins: []string{"*"}}}, ""},
		{"no rules", "https://app.example.com", "GET", "", nil, ""},
		{"nobody", "https://any.example.net", "PUT", "", server.CORSRules{server.OpenCORS(nil)}, ""},
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
	rule := server.CORSRules{server.OpenCORS([]string{"https://app.example.com"})}
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

// TestCORSRules: the first rule that covers a request is the one that counts, for
// all that it says.
func TestCORSRules(t *testing.T) {
	rules := server.CORSRules{
		{AllowedOrigins: []string{"https://a.example"}, AllowedMethods: []string{"GET"}, ExposeHeaders: []string{"ETag"}, MaxAge: time.Minute},
		{AllowedOrigins: []string{"https://a.example"}, AllowedMethods: []string{"PUT"}, AllowedHeaders: []string{"x-one"}},
		{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET", "PUT"}, AllowedHeaders: []string{"*"}},
	}
	for _, test := range []struct {
		name, origin, method, headers   string
		allowed, methods, exposed, kept string
	}{
		{"first", "https://a.example", "GET", "", "https://a.example", "GET", "ETag", "60"},
		{"second, by method", "https://a.example", "PUT", "x-one", "https://a.example", "PUT", "", ""},
		{"third, by headers", "https://a.example", "PUT", "x-two", "*", "GET, PUT", "", ""},
		{"third, by origin", "https://b.example", "GET", "", "*", "GET, PUT", "", ""},
		{"none, by method", "https://a.example", "DELETE", "", "", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := map[string]string{"Origin": test.origin, "Access-Control-Request-Method": test.method}
			if test.headers != "" {
				header["Access-Control-Request-Headers"] = test.headers
			}
			ctx := corsRequest("OPTIONS", header)
			rules.Preflight(ctx)
			h := &ctx.Response.Header
			for name, want := range map[string]string{"Access-Control-Allow-Origin": test.allowed, "Access-Control-Allow-Methods": test.methods,
				"Access-Control-Expose-Headers": test.exposed, "Access-Control-Max-Age": test.kept} {
				if got := string(h.Peek(name)); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
	ctx := corsRequest("PUT", map[string]string{"Origin": "https://a.example"})
	if !rules.Decorate(ctx) || string(ctx.Response.Header.Peek("Access-Control-Allow-Origin")) != "https://a.example" ||
		len(ctx.Response.Header.Peek("Access-Control-Expose-Headers")) != 0 {
		t.Errorf("an answer: %s", &ctx.Response.Header)
	}
}

package server_test

import (
	"net"
	"testing"

	"github.com/valyala/fasthttp"

	"sallyport/server"
)

func TestTrustedProxies(t *testing.T) {
	trusted, err := server.ParseTrustedProxies([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, peer string
		forwarded  []string
		proto      []string
		ip         string
		secure     bool
	}{
		{"stranger says nothing", "198.51.100.9", nil, nil, "198.51.100.9", false},
		{"stranger lies", "198.51.100.9", []string{"1.2.3.4"}, []string{"https"}, "198.51.100.9", false},
		{"proxy says nothing", "10.1.1.1", nil, nil, "10.1.1.1", false},
		{"proxy speaks", "10.1.1.1", []string{"1.2.3.4"}, []string{"https"}, "1.2.3.4", true},
		{"proxy says plain", "10.1.1.1", []string{"1.2.3.4"}, []string{"http"}, "1.2.3.4", false},
		{"client lied to the proxy", "10.1.1.1", []string{"6.6.6.6, 1.2.3.4"}, []string{"HTTPS"}, "1.2.3.4", true},
		{"two proxies", "10.1.1.1", []string{"6.6.6.6, 1.2.3.4, 192.0.2.1"}, nil, "1.2.3.4", false},
		{"two lines", "10.1.1.1", []string{"6.6.6.6", "1.2.3.4"}, nil, "1.2.3.4", false},
		{"two protos", "10.1.1.1", nil, []string{"https", "http"}, "10.1.1.1", false},
		{"nonsense", "10.1.1.1", []string{"6.6.6.6, what, 192.0.2.1"}, nil, "192.0.2.1", false},
		{"only proxies", "10.1.1.1", []string{"10.2.2.2"}, nil, "10.2.2.2", false},
		{"IPv6", "fd00::1", []string{"2001:db8::5"}, []string{"https"}, "2001:db8::5", true},
		{"mapped", "::ffff:10.1.1.1", []string{"::ffff:1.2.3.4"}, nil, "1.2.3.4", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var ctx fasthttp.RequestCtx
			ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(tc.peer), Port: 1}, nil)
			for _, v := range tc.forwarded {
				ctx.Request.Header.Add("X-Forwarded-For", v)
			}
			for _, v := range tc.proto {
				ctx.Request.Header.Add("X-Forwarded-Proto", v)
			}
			if got := trusted.ClientIP(&ctx).String(); got != tc.ip {
				t.Errorf("client %s, want %s", got, tc.ip)
			}
			if got := trusted.Secure(&ctx); got != tc.secure {
				t.Errorf("secure %v, want %v", got, tc.secure)
			}
			var nobody server.TrustedProxies
			if got := nobody.ClientIP(&ctx); nobody.Secure(&ctx) || !net.ParseIP(tc.peer).Equal(got.AsSlice()) {
				t.Errorf("without trust: client %s", got)
			}
		})
	}
	for _, bad := range []string{"", "example.com", "10.0.0.0/33", "10.0.0.1:80"} {
		if _, err := server.ParseTrustedProxies([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// FuzzClientIP: whatever stands in X-Forwarded-For, the client is the one that the
// last trusted proxy saw, and a stranger is nobody else.
func FuzzClientIP(f *testing.F) {
	for _, seed := range []string{"", "1.2.3.4", "6.6.6.6, 10.2.2.2", ",", " ,1.2.3.4\t", "::ffff:10.0.0.1", "fe80::1%eth0", "1.2.3.4:80", "[::1]", "unknown", "10.1.1.1,,10.1.1.2"} {
		f.Add(seed, seed)
	}
	trusted, err := server.ParseTrustedProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		client := func(peer string, lines ...string) string {
			var ctx fasthttp.RequestCtx
			ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(peer), Port: 1}, nil)
			for _, line := range lines {
				ctx.Request.Header.Add("X-Forwarded-For", line)
			}
			return trusted.ClientIP(&ctx).String()
		}
		if got := client("198.51.100.9", one, two); got != "198.51.100.9" {
			t.Errorf("%q, %q: a stranger is %s", one, two, got)
		}
		for _, lines := range [][]string{{one, two, "198.51.100.9"}, {one, two + ",198.51.100.9"}, {one, two, "198.51.100.9, 10.3.3.3"}} {
			if got := client("10.1.1.1", lines...); got != "198.51.100.9" {
				t.Errorf("%q: %s", lines, got)
			}
		}
		if got := net.ParseIP(client("10.1.1.1", one, two)); got == nil {
			t.Errorf("%q, %q: no address", one, two)
		}
	})
}

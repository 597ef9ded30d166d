package control_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRevocationsCutDownloads: a reader that takes its time loses its connection
// when what allowed the transfer goes.
func TestRevocationsCutDownloads(t *testing.T) {
	const size = 32 << 20 // more than the sockets of a loopback connection hold
	r := newRig(t)
	boss := r.tenant("acme")
	for _, c := range []struct {
		name   string
		revoke func(object, token string)
	}{
		{"object", func(object, _ string) { r.do(boss, "DELETE", "/objects/"+object, "").want(204, "") }},
		{"token", func(_, token string) { r.do(boss, "DELETE", "/tokens/"+token, "").want(204, "") }},
		{"tenant", func(string, string) { r.do(r.root, "POST", "/tenants/acme/suspend", "").want(204, "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.do(boss, "POST", "/uploads", fmt.Sprintf(`{"filename":"a.bin","content_type":"application/octet-stream","size":%d}`, size)).want(201, "")
			r.send(boss, request{method: "PUT", path: "/uploads/" + a.text("upload_id") + "/content", body: make([]byte, size)}).want(200, "")
			r.do(boss, "POST", "/uploads/"+a.text("upload_id")+"/finalize", "").want(200, "")
			r.inspect()
			token := r.do(boss, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"1h"}`).want(201, "")

			conn := r.dial()
			_, err := fmt.Fprintf(conn, "GET /objects/%s/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", a.text("object_id"), token.text("token"))
			must(t, err)
			first := make([]byte, 4096)
			_, err = io.ReadFull(conn, first)
			must(t, err)
			if !bytes.HasPrefix(first, []byte("HTTP/1.1 200 ")) {
				t.Fatalf("got %s", first)
			}
			c.revoke(a.text("object_id"), token.text("id"))
			must(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
			rest, err := io.Copy(io.Discard, conn)
			if timeout, ok := errors.AsType[interface {
				error
				Timeout() bool
			}](err); ok && timeout.Timeout() {
				t.Error("the connection is still open")
			}
			if rest >= size {
				t.Error("all of it came through")
			}
		})
	}
}

// TestCORS: pages of allowed origins may ask and read, errors too.
func TestCORS(t *testing.T) {
	r := newRig(t)
	preflight := func(origin string) answer {
		return r.exchange(who{}, request{method: "OPTIONS", path: "/uploads", header: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,idempotency-key"}})
	}
	if a := preflight("https://evil.test"); a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %d %v", a.status, a.header)
	}
	a := preflight("https://app.test")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "https://app.test" ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "idempotency-key") {
		t.Errorf("an allowed origin: %d %v", a.status, a.header)
	}
	for _, c := range []struct {
		name         string
		by           who
		method, path string
		status       int
	}{
		{"success", r.root, "GET", "/me", 200},
		{"refused on its header", who{}, "GET", "/me", 401},
		{"no such path", r.root, "GET", "/nowhere", 404},
		{"refused by the handler", r.root, "GET", "/uploads/upl_1", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			for origin, allowed := range map[string]string{"https://app.test": "https://app.test", "https://evil.test": ""} {
				a := r.send(c.by, request{method: c.method, path: c.path, header: map[string]string{"Origin": origin}}).want(c.status, "")
				if got := a.header.Get("Access-Control-Allow-Origin"); got != allowed || !strings.Contains(a.header.Get("Vary"), "Origin") {
					t.Errorf("%s: allowed is %q, Vary %q", origin, got, a.header.Get("Vary"))
				}
			}
			if a := r.send(c.by, request{method: c.method, path: c.path}); a.header.Get("Vary") != "Origin" {
				t.Errorf("without an origin, Vary is %q", a.header.Get("Vary"))
			}
		})
	}
}

// TestFaultsAreSaidInJSON: what the listener finds by itself has the same form.
func TestFaultsAreSaidInJSON(t *testing.T) {
	r := newRig(t)
	for name, text := range map[string]string{
		"two lengths":    "POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"unknown method": "BREW /uploads HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"expectation":    "POST /uploads HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n",
		"long header":    "GET /me HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 20<<10) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			head, body, _ := strings.Cut(r.raw(text), "\r\n\r\n")
			a := answer{tb: t, body: []byte(body), header: http.Header{}}
			if !strings.HasPrefix(head, "HTTP/1.1 4") || !strings.Contains(head, "application/json") {
				t.Errorf("got %s", head)
			}
			r.spec.validate(t, name, a, "#/components/schemas/Error")
			if a.text("code") != "INVALID_REQUEST" {
				t.Errorf("got %s", body)
			}
		})
	}
}

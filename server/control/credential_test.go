package control_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// absent skips a test for want of something, or fails it where all is required.
func absent(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}

func TestStrangersAreRefusedAlike(t *testing.T) {
	r := newRig(t)
	worker := r.key(r.root, "worker", "uploader")
	revoked := r.key(r.root, "gone", "uploader")
	r.do(r.root, "DELETE", "/keys/"+revoked.key, "").want(204, "")
	badToken := who{token: "spt_0000000000000000000000000000000000000000000"}
	me := request{method: "GET", path: "/me"}
	cases := []struct {
		name string
		by   who
		q    request
	}{
		{"no credential", who{}, me},
		{"no credential, no such path", who{}, request{method: "GET", path: "/nowhere"}},
		{"no credential, no such method", who{}, request{method: "PATCH", path: "/me"}},
		{"unknown key", who{key: "SPAAAAAAAAAAAAAAAAAA", secret: worker.secret}, me},
		{"wrong secret", who{key: worker.key, secret: revoked.secret}, me},
		{"revoked key", revoked, me},
		{"unknown token", badToken, me},
		{"no token", who{token: "x"}, me},
		{"basic", who{}, request{method: "GET", path: "/me", header: map[string]string{"Authorization": "Basic QUs6U0s="}}},
		{"empty bearer", who{}, request{method: "GET", path: "/me", header: map[string]string{"Authorization": "Bearer "}}},
		{"another body than signed", worker, request{method: "POST", path: "/uploads", body: []byte(`{}`), hash: strings.Repeat("0", 64)}},
		{"a hash that is none", worker, request{method: "POST", path: "/uploads", body: []byte(`{}`), hash: "abc"}},
	}
	var bodies []string
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := r.send(c.by, c.q).want(401, "UNAUTHENTICATED")
			if got := a.header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("WWW-Authenticate is %q", got)
			}
			if c.by == revoked || c.name == "unknown key" || c.name == "wrong secret" {
				bodies = append(bodies, strings.ReplaceAll(string(a.body), a.text("request_id"), ""))
			}
		})
	}
	for _, b := range bodies {
		if b != bodies[0] || len(bodies) != 3 {
			t.Errorf("unknown, wrong and revoked keys can be told apart: %q", bodies)
		}
	}
}

func TestOldAndOtherSignatures(t *testing.T) {
	r := newRig(t)
	late := r.exchange(r.root, request{method: "GET", path: "/me", header: map[string]string{}})
	late.want(200, "")
	r.advance(16 * time.Minute)
	a := r.raw("GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: " + late.header.Get("nothing") + "\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(a, "HTTP/1.1 401 ") {
		t.Errorf("an empty Authorization: %s", a)
	}
	r.send(r.root, request{method: "GET", path: "/me", hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}).want(400, "INVALID_REQUEST")
	r.send(r.root, request{method: "GET", path: "/me?X-Amz-Algorithm=AWS4-HMAC-SHA256"}).want(401, "UNAUTHENTICATED")
	two := r.raw("GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer spt_a\r\nAuthorization: Bearer spt_b\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(two, "HTTP/1.1 401 ") || !strings.Contains(two, "more than one") {
		t.Errorf("two Authorization headers: %s", two)
	}
}

func TestTokenLife(t *testing.T) {
	r := newRig(t)
	a := r.do(r.root, "POST", "/tokens", `{"name":"ci","roles":["reader"],"ttl":"10m"}`).want(201, "")
	token := who{token: a.text("token")}
	me := r.do(token, "GET", "/me", "").want(200, "")
	if me.text("principal") != "root" || !strings.Contains(string(me.body), `"roles":["reader"]`) {
		t.Errorf("the token stands for %s", me.body)
	}
	r.do(token, "POST", "/uploads", `{}`).want(400, "INVALID_REQUEST")
	r.do(token, "GET", "/keys", "").want(403, "FORBIDDEN")
	r.advance(10*time.Minute + time.Second)
	r.do(token, "GET", "/me", "").want(401, "UNAUTHENTICATED")

	b := r.do(r.root, "POST", "/tokens", `{"name":"ci","roles":["reader"],"ttl":"10m"}`).want(201, "")
	token = who{token: b.text("token")}
	r.do(token, "GET", "/me", "").want(200, "")
	r.do(r.root, "DELETE", "/tokens/"+b.text("id"), "").want(204, "")
	r.do(r.root, "DELETE", "/tokens/"+b.text("id"), "").want(204, "")
	r.do(token, "GET", "/me", "").want(401, "UNAUTHENTICATED")
	if list := string(r.do(r.root, "GET", "/tokens", "").want(200, "").body); strings.Contains(list, `"token":`) || !strings.Contains(list, `"revoked":true`) {
		t.Errorf("tokens are listed as %s", list)
	}
}

func TestRevocationsStopCredentials(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	for _, c := range []struct {
		name         string
		by           who
		method, path string
		back         string // undoes it
	}{
		{"principal", boss, "DELETE", "/principals/user%40acme.test", ""},
		{"tenant", r.root, "POST", "/tenants/acme/suspend", "/tenants/acme/resume"},
	} {
		t.Run(c.name, func(t *testing.T) {
			principal := "user@acme.test"
			if c.back != "" {
				principal = "another"
			}
			user := r.key(boss, principal, "uploader")
			r.do(user, "GET", "/me", "").want(200, "")
			r.do(c.by, c.method, c.path, "").want(204, "")
			r.do(c.by, c.method, c.path, "").want(204, "")
			r.do(user, "GET", "/me", "").want(401, "UNAUTHENTICATED")
			if c.back != "" {
				r.do(r.root, "POST", c.back, "").want(204, "")
				r.do(user, "GET", "/me", "").want(200, "")
				return
			}
			r.do(boss, "POST", "/keys", `{"principal":"`+principal+`","roles":["uploader"]}`).want(403, "FORBIDDEN")
		})
	}
}

// secretive are requests that plain HTTP from afar must not carry, or not be
// answered.
func secretive(r *rig) map[string]func() answer {
	session := `{"filename":"a","content_type":"text/plain","size":1}`
	token := who{token: r.do(r.root, "POST", "/tokens", `{"name":"x","roles":["reader"],"ttl":"1h"}`).text("token")}
	return map[string]func() answer{
		"token":        func() answer { return r.do(token, "GET", "/me", "") },
		"issue":        func() answer { return r.do(r.root, "POST", "/uploads", session) },
		"key":          func() answer { return r.do(r.root, "POST", "/keys", `{"principal":"p","roles":["reader"]}`) },
		"unsigned put": func() answer { return r.send(r.root, unsigned("PUT", "/profiles/evidence", `{}`)) },
	}
}

func unsigned(method, path, body string) request {
	return request{method: method, path: path, body: []byte(body), hash: "UNSIGNED-PAYLOAD"}
}

func TestSecretsNeedTLSBeyondLoopback(t *testing.T) {
	far := beyondLoopback(t)
	r := newRig(t, func(s *setup) { s.addr = net.JoinHostPort(far, "0") })
	r.do(r.root, "GET", "/me", "").want(200, "")
	for name, q := range map[string]struct {
		by who
		request
	}{
		"token":             {who{token: "spt_x"}, request{method: "GET", path: "/me"}},
		"issue":             {r.root, request{method: "POST", path: "/uploads", body: []byte(`{}`)}},
		"reissue":           {r.root, request{method: "POST", path: "/uploads/upl_0/url"}},
		"download":          {r.root, request{method: "GET", path: "/objects/obj_0/download-url"}},
		"new key":           {r.root, request{method: "POST", path: "/keys", body: []byte(`{}`)}},
		"new token":         {r.root, request{method: "POST", path: "/tokens", body: []byte(`{}`)}},
		"unsigned body":     {r.root, unsigned("PUT", "/profiles/evidence", `{}`)},
		"a proxy's say-so":  {who{token: "spt_x"}, request{method: "GET", path: "/me", header: map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}}},
		"forwarded, signed": {r.root, request{method: "POST", path: "/uploads", header: map[string]string{"X-Forwarded-Proto": "https"}}},
	} {
		t.Run(name, func(t *testing.T) { r.send(q.by, q.request).want(403, "TLS_REQUIRED") })
	}
}

func TestSecretsOverPlainHTTP(t *testing.T) {
	far := beyondLoopback(t)
	for name, r := range map[string]*rig{
		"allowed":  newRig(t, func(s *setup) { s.addr, s.api.AllowPlain = net.JoinHostPort(far, "0"), true }),
		"loopback": newRig(t),
	} {
		for what, do := range secretive(r) {
			t.Run(name+"/"+what, func(t *testing.T) {
				if a := do(); a.status >= 300 {
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
	}
}

func TestTrustedProxySpeaksForItsClient(t *testing.T) {
	r := newRig(t, func(s *setup) { s.proxies = []string{"127.0.0.1"} })
	token := who{token: r.do(r.root, "POST", "/tokens", `{"name":"x","roles":["reader"],"ttl":"1h"}`).text("token")}
	for _, c := range []struct {
		name   string
		header map[string]string
		status int
	}{
		{"from afar", map[string]string{"X-Forwarded-For": "203.0.113.9"}, 403},
		{"from afar over http", map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}, 403},
		{"from afar over https", map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}, 200},
		{"from here", nil, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.send(token, request{method: "GET", path: "/me", header: c.header}).want(c.status, "")
		})
	}
}

// A signature over a body whose hash was not sent proves nothing before the body is
// there: strangers must not make the server keep much of one, or any.
func TestUnprovedBodiesAreSmall(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		what, key, length, body string
	}{
		{"no such key", "SP000000000000000000", "Content-Length: 100", ""},
		{"too long", r.root.key, "Content-Length: 16385", ""},
		{"too long in chunks", r.root.key, "Transfer-Encoding: chunked", "8000\r\n" + strings.Repeat(" ", 20000)},
	} {
		t.Run(c.what, func(t *testing.T) {
			conn := r.dial()
			stamp := r.now().UTC().Format("20060102T150405Z")
			_, err := fmt.Fprintf(conn, "POST /uploads HTTP/1.1\r\nHost: h\r\nX-Amz-Date: %s\r\n%s\r\n"+
				"Authorization: AWS4-HMAC-SHA256 Credential=%s/%s/%s/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=%064d\r\n\r\n%s",
				stamp, c.length, c.key, stamp[:8], region, 0, c.body)
			must(t, err)
			// The rest of the body never comes: only an answer to what is there does.
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			if resp.StatusCode != 401 {
				t.Errorf("answered %d", resp.StatusCode)
			}
			must(t, resp.Body.Close())
		})
	}
}

// TestProxyForItsOwnMachine: a client beside a trusted proxy is on the proxy's
// loopback, and what it says crosses the network from there on.
func TestProxyForItsOwnMachine(t *testing.T) {
	far := beyondLoopback(t)
	r := newRig(t, func(s *setup) { s.addr, s.proxies = net.JoinHostPort(far, "0"), []string{far} })
	for proto, code := range map[string]string{"http": "TLS_REQUIRED", "https": "UNAUTHENTICATED"} {
		header := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": proto}
		a := r.send(who{token: "spt_x"}, request{method: "GET", path: "/me", header: header})
		if a.text("code") != code {
			t.Errorf("over %s: %d %s", proto, a.status, a.body)
		}
	}
}

// TestCurl signs with the curl that is installed: before version 8 it sends no
// x-amz-content-sha256, and signs a file as if it were empty.
func TestCurl(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "note.txt")
	must(t, os.WriteFile(file, []byte("hello"), 0o600))
	small, big, none := r.begin(r.root, "hello"), r.begin(r.root, "hello"), r.begin(r.root, "")
	for _, c := range []struct {
		name, secret string
		args         []string
		status       int
	}{
		{"wrong secret", "x", []string{r.url + "/me"}, 401},
		{"wrong secret with a body", "x", []string{"-d", "{}", r.url + "/uploads"}, 401},
		{"wrong secret with a file", "x", []string{"-T", file, r.url + "/uploads/" + big.upload + "/content"}, 401},
		{"body where none is taken", r.root.secret, []string{"-X", "DELETE", "-d", "{}", r.url + "/objects/" + small.object}, 401},
		{"get", r.root.secret, []string{r.url + "/me"}, 200},
		{"get with a query", r.root.secret, []string{r.url + "/objects?limit=5"}, 200},
		{"head", r.root.secret, []string{"-I", r.url + "/me"}, 200},
		{"post", r.root.secret, []string{"-d", `{"filename":"a","content_type":"text/plain","size":1}`, r.url + "/uploads"}, 201},
		{"put", r.root.secret, []string{"-X", "PUT", "-d", `{}`, r.url + "/profiles/evidence"}, 200},
		{"put bytes", r.root.secret, []string{"-X", "PUT", "--data-binary", "@" + file, r.url + "/uploads/" + small.upload + "/content"}, 200},
		{"put a file", r.root.secret, []string{"-T", file, r.url + "/uploads/" + big.upload + "/content"}, 200},
		{"put nothing", r.root.secret, []string{"-X", "PUT", "-d", "", r.url + "/uploads/" + none.upload + "/content"}, 200},
		{"post without a body", r.root.secret, []string{"-X", "POST", r.url + "/uploads/" + big.upload + "/finalize"}, 200},
		{"delete", r.root.secret, []string{"-X", "DELETE", r.url + "/uploads/" + small.upload}, 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			if out := r.curl(t, c.secret, c.args...); !strings.HasSuffix(out, fmt.Sprintf("\n%d", c.status)) {
				t.Errorf("want %d: %s", c.status, out)
			}
		})
	}
}

// TestFilesOfCurlNeedTLS: nothing vouches for the bytes of a file that was
// signed as if it were empty, or not at all.
func TestFilesOfCurlNeedTLS(t *testing.T) {
	far := beyondLoopback(t)
	r := newRig(t, func(s *setup) { s.addr = net.JoinHostPort(far, "0") })
	file := filepath.Join(t.TempDir(), "note.txt")
	must(t, os.WriteFile(file, []byte("hello"), 0o600))
	out := r.curl(t, r.root.secret, "-T", file, r.url+"/uploads/upl_0/content")
	if !strings.Contains(out, "TLS_REQUIRED") || !strings.HasSuffix(out, "\n403") {
		t.Errorf("got %s", out)
	}
}

// curl runs the installed curl as the root key with a secret and returns what it
// got, the status on a line of its own.
func (r *rig) curl(t *testing.T, secret string, args ...string) string {
	t.Helper()
	curl, err := exec.LookPath("curl")
	if err != nil {
		absent(t, "needs curl in PATH (apt-get install curl)")
	}
	args = append([]string{"-sS", "-m", "20", "-w", "\n%{http_code}", "--aws-sigv4", "aws:amz:" + region + ":s3", "-u", r.root.key + ":" + secret}, args...)
	out, err := exec.Command(curl, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	return string(out)
}

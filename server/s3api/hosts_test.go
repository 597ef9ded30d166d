package s3api_test

import (
	"strings"
	"testing"

	"sallyport/registry"
)

// TestHosts names buckets in the host, below a configured domain.
func TestHosts(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.Domains = []string{"s3.Example.test"} })
	s.bucket("photos")
	at := func(host, method, path, body string) reply {
		t.Helper()
		req := s.request(call{method: method, path: path, body: body})
		req.Host = host
		s.resign(req, body)
		return s.send(req)
	}
	if r := at("photos.s3.example.test", "PUT", "/_/objects/x", "mine"); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	for _, host := range []string{"photos.s3.example.test", "photos.s3.example.test:9000", "PHOTOS.s3.example.test"} {
		if r := at(host, "GET", "/_/objects/x", ""); r.status != 200 || string(r.body) != "mine" {
			t.Errorf("get at %s: %d %s", host, r.status, r.body)
		}
	}
	for _, host := range []string{"s3.example.test", "127.0.0.1", "other.test", "xs3.example.test"} {
		if r := at(host, "GET", "/photos/_/objects/x", ""); r.status != 200 || string(r.body) != "mine" {
			t.Errorf("get by path at %s: %d %s", host, r.status, r.body)
		}
		at(host, "GET", "/_/objects/x", "").want(t, 403, "SignatureDoesNotMatch")
	}
	if r := at("photos.s3.example.test", "GET", "/?list-type=2", ""); !strings.Contains(string(r.body), "<Key>_/objects/x</Key>") {
		t.Errorf("list: %s", r.body)
	}
	if r := at("music.s3.example.test", "PUT", "/", ""); r.status != 200 {
		t.Errorf("create: %d %s", r.status, r.body)
	}
	at("nothing.s3.example.test", "GET", "/k", "").want(t, 404, "NoSuchBucket")
}

// TestCORS asks as browsers do.
func TestCORS(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.ConsoleOrigins = []string{"https://ui.test"} })
	_, err := s.ledger.CreateTenant(s.ctx(), root, "acme")
	s.must(err)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "web", Intake: registry.IntakeDirect, CORSOrigins: []string{"https://app.test"}}))
	ann := registry.Actor{Tenant: "acme", Principal: "ann", Roles: []registry.Role{registry.RoleAdmin}}
	ann.Credential = s.key("acme", "ann", registry.RoleAdmin).AccessKeyID
	s.must(s.pipe.PutProfile(s.ctx(), ann, registry.Bucket{Name: "default", Intake: registry.IntakeQuarantine, CORSOrigins: []string{"https://acme.test"}}))
	begun := s.begin(ann, 12, "")
	put := strings.TrimPrefix(s.sign(link{tenant: "acme", method: "PUT", path: "/_/uploads/" + string(begun.Upload.ID), grant: string(begun.Grant.ID), headers: plainText}), s.url)
	ours := strings.TrimPrefix(s.putURL(s.session(12, "")), s.url)

	for _, test := range []struct {
		path, origin string
		allowed      bool
	}{
		{put, "https://acme.test", true},
		{put, "https://console.test", false}, // the bucket has a rule of its own
		{put, "https://ui.test", true},
		{ours, "https://console.test", true},
		{ours, "https://acme.test", false},
		{"/web/k", "https://app.test", true},
		{"/web/k", "https://console.test", false},
		{"/nothing/k", "https://console.test", true},
		{"/", "https://console.test", true},
		{"/", "https://evil.test", false},
		{"/_/uploads/x", "https://console.test", true},
	} {
		r := s.do(call{method: "OPTIONS", path: test.path, anonymous: true, header: header("Origin", test.origin,
			"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type")})
		if test.allowed {
			if r.status != 204 || r.header.Get("Access-Control-Allow-Origin") != test.origin || !strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "PUT") {
				t.Errorf("%s from %s: %d %v", test.path, test.origin, r.status, r.header)
			}
		} else if r.want(t, 403, "AccessForbidden"); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s from %s: %v", test.path, test.origin, r.header)
		}
		if !strings.Contains(r.header.Get("Vary"), "Origin") {
			t.Errorf("%s from %s: Vary %q", test.path, test.origin, r.header.Get("Vary"))
		}
	}
	// Errors found before the body, errors found after it, and successes.
	short := s.put(s.url+put, "short", "Origin", "https://acme.test")
	wrong := s.put(s.url+put, hello, "Origin", "https://acme.test", "Content-MD5", md5Of("x"))
	good := s.put(s.url+put, hello, "Origin", "https://acme.test")
	for i, r := range []reply{short, wrong, good} {
		if r.header.Get("Access-Control-Allow-Origin") != "https://acme.test" || !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "ETag") ||
			r.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%d: %d %v", i, r.status, r.header)
		}
	}
	if short.status != 400 || wrong.status != 400 || good.status != 200 {
		t.Errorf("%d %d %d", short.status, wrong.status, good.status)
	}
	if r := s.put(s.url+put, hello, "Origin", "https://console.test"); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", r.header)
	}
}

package control_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var calledMethods = []string{"GET", "PUT", "POST", "DELETE"}

// ours are names that later calls need as they are.
var ours = regexp.MustCompile(`root|caller|default`)

// FuzzRequest: whatever path, parameters and body a caller sends, the answer is one
// that the OpenAPI document has, it is not that we broke, and no log holds a secret.
func FuzzRequest(f *testing.F) {
	r := newRig(f)
	f.Cleanup(func() { r.tb = f })
	var open, parts session
	s := r.published(r.root, "text")
	// By token: what is signed must be written in one way only.
	caller := who{token: r.do(r.root, "POST", "/tokens", `{"name":"caller","roles":["operator","admin","analyst"],"ttl":"24h"}`).want(201, "").text("token")}
	// What is in capitals is there, and under another name in each process.
	for _, seed := range [][3]string{
		{"POST", "/uploads", `{"filename":"a.txt","content_type":"text/plain","size":1,"multipart":true}`},
		{"GET", "/uploads?limit=1&cursor=YQ"}, {"GET", "/uploads/PARTS/parts?limit=2&cursor=1"},
		{"PUT", "/uploads/PARTS/parts/1", `{"etag":"x","size":4}`}, {"POST", "/uploads/PARTS/parts/1/url", `{"ttl":"1m"}`},
		{"POST", "/uploads/UPLOAD/url", `{"ttl":"2m"}`}, {"PUT", "/uploads/UPLOAD/content", "more"},
		{"POST", "/uploads/UPLOAD/finalize", `{}`}, {"DELETE", "/uploads/UPLOAD"},
		{"GET", "/objects?state=published&profile=default&limit=1"}, {"GET", "/objects/OBJECT/events?after=1&limit=2"},
		{"GET", "/objects/OBJECT/download-url?ttl=1m&disposition=inline"}, {"GET", "/objects/OBJECT/content"}, {"DELETE", "/urls/URL"},
		{"POST", "/objects/OBJECT/review", `{"decision":"reject","reason":"x","note":"y"}`}, {"POST", "/objects/OBJECT/rescan", `{}`},
		{"GET", "/objects/OBJECT/content?as=zip"}, {"GET", "/objects/OBJECT/downloads?limit=1&cursor=2"}, {"GET", "/objects?held=true"},
		{"PUT", "/profiles/scans", `{"scan":{"mode":"async","archive":{"max_depth":2},"image":{"thumbnails":[64]},"keep_rejected":"1h"}}`},
		{"POST", "/tenants", `{"name":"acme"}`}, {"PUT", "/tenants/acme/limits", `{"presign_max_ttl":"2m"}`}, {"POST", "/tenants/acme/suspend", `{}`},
		{"POST", "/keys", `{"tenant":null,"principal":"p","roles":["analyst"]}`}, {"POST", "/tokens", `{"name":"p","roles":["analyst"],"ttl":"1h"}`},
		{"DELETE", "/principals/p"}, {"PUT", "/profiles/scans", `{"max_size":1,"allowed_types":["a/b"]}`}, {"GET", "/profiles/scans"},
		{"GET", "/audit?after=1&limit=9"}, {"GET", "/audit/proof?seq=0&size=1"}, {"GET", "/audit/consistency?old=1&size=2"},
		{"POST", "/system/clock/accept"}, {"GET", "/me?x=%zz&&="}, {"GET", "/%2e%2e/uploads//"}, {"GET", "/uploads/%2F?limit=0"},
	} {
		f.Add(uint8(slices.Index(calledMethods, seed[0])), seed[1], []byte(seed[2]))
	}
	f.Fuzz(func(t *testing.T, m uint8, path string, body []byte) {
		r.tb = t
		method := calledMethods[int(m)%len(calledMethods)]
		if strings.Contains(path, "UPLOAD") && r.do(caller, "GET", "/uploads/"+open.upload, "").text("state") != "created" {
			open = r.begin(r.root, "more")
		}
		if strings.Contains(path, "PARTS") && r.do(caller, "GET", "/uploads/"+parts.upload, "").text("state") != "created" {
			begun := r.do(r.root, "POST", "/uploads", `{"filename":"a","content_type":"a/b","size":4,"multipart":true}`).want(201, "")
			parts.upload = begun.text("upload_id")
		}
		path = strings.NewReplacer("UPLOAD", open.upload, "PARTS", parts.upload, "OBJECT", s.object, "URL", s.url).Replace(path)
		target, err := url.Parse(r.url + path)
		if err != nil || !strings.HasPrefix(path, "/") || target.RequestURI() != path {
			return // net/http sends something else
		}
		if method != "GET" && ours.MatchString(target.Path) {
			return // it may end what this test does
		}
		if a := r.send(caller, request{method: method, path: path, body: body}); a.status < 200 || a.status >= 500 {
			t.Errorf("%s %q %q: %d %s\n%s", method, path, body, a.status, a.body, r.logs)
		}
		r.silent("the log", r.logs.String())
		r.logs.mu.Lock()
		r.logs.b.Reset()
		r.logs.mu.Unlock()
	})
}

package control_test

import (
	"strings"
	"testing"

	"sallyport/server/control"
)

func TestBodiesAreTakenToTheLetter(t *testing.T) {
	r := newRig(t)
	open := r.begin(r.root, "hello")
	const good = `"filename":"a","content_type":"text/plain","size":1`
	secret := strings.Repeat("s3cr3t", 8)
	for _, c := range []struct{ name, method, path, body, code string }{
		{"no body", "POST", "/uploads", "", ""},
		{"blank body", "POST", "/uploads", " \n", ""},
		{"not JSON", "POST", "/uploads", "hello", ""},
		{"ends early", "POST", "/uploads", `{"size":1`, ""},
		{"null", "POST", "/uploads", "null", ""},
		{"list", "POST", "/uploads", "[]", ""},
		{"string", "POST", "/uploads", `"x"`, ""},
		{"two values", "POST", "/uploads", `{` + good + `}{}`, ""},
		{"trailing text", "POST", "/uploads", `{` + good + `}x`, ""},
		{"byte order mark", "POST", "/uploads", "\ufeff{" + good + "}", ""},
		{"not UTF-8", "POST", "/uploads", "{\"filename\":\"\xff\",\"content_type\":\"text/plain\",\"size\":1}", ""},
		{"bucket", "POST", "/uploads", `{` + good + `,"bucket":"b"}`, ""},
		{"key", "POST", "/uploads", `{` + good + `,"key":"k"}`, ""},
		{"path", "POST", "/uploads", `{` + good + `,"path":"p"}`, ""},
		{"tenant", "POST", "/uploads", `{` + good + `,"tenant":"t"}`, ""},
		{"another case", "POST", "/uploads", `{` + good + `,"Profile":"default"}`, ""},
		{"escaped name", "POST", "/uploads", `{` + good + `,"\u0070rofile":"default"}`, ""},
		{"twice", "POST", "/uploads", `{` + good + `,"size":2}`, ""},
		{"an unknown object", "POST", "/uploads", `{` + good + `,"x":{"size":1}}`, ""},
		{"a secret for a name", "POST", "/uploads", `{` + good + `,"` + secret + `":1}`, ""},
		{"size missing", "POST", "/uploads", `{"filename":"a","content_type":"text/plain"}`, ""},
		{"size null", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":null}`, ""},
		{"size a string", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":"1"}`, ""},
		{"size a fraction", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":1.5}`, ""},
		{"size too large a number", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":99999999999999999999}`, ""},
		{"size negative", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":-1}`, "SIZE_NOT_ALLOWED"},
		{"size over the most", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":5368709121}`, "SIZE_NOT_ALLOWED"},
		{"multipart a string", "POST", "/uploads", `{` + good + `,"multipart":"yes"}`, ""},
		{"multipart over the most", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","multipart":true,"size":5497558138881}`, "SIZE_NOT_ALLOWED"},
		{"multipart negative", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","multipart":true,"size":-1}`, "SIZE_NOT_ALLOWED"},
		{"sha256 of another length", "POST", "/uploads", `{` + good + `,"sha256":"abcd"}`, ""},
		{"sha256 not hex", "POST", "/uploads", `{` + good + `,"sha256":"` + strings.Repeat("x", 64) + `"}`, ""},
		{"sha256 in base64", "POST", "/uploads", `{` + good + `,"sha256":"LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}`, ""},
		{"no file name", "POST", "/uploads", `{"content_type":"text/plain","size":1}`, ""},
		{"file name with a path", "POST", "/uploads", `{"filename":"../a","content_type":"text/plain","size":1}`, ""},
		{"file name with a line end", "POST", "/uploads", `{"filename":"a\nb","content_type":"text/plain","size":1}`, ""},
		{"no content type", "POST", "/uploads", `{"filename":"a","size":1}`, ""},
		{"content type is none", "POST", "/uploads", `{"filename":"a","content_type":"text","size":1}`, ""},
		{"content type with a line end", "POST", "/uploads", `{"filename":"a","content_type":"text/plain\r\nx: y","size":1}`, ""},
		{"over a MiB", "POST", "/uploads", `{` + good + strings.Repeat(" ", 1<<20) + `}`, ""},
		{"reissue an unknown field", "POST", "/uploads/" + open.upload + "/url", `{"size":1}`, ""},
		{"finalize an unknown field", "POST", "/uploads/" + open.upload + "/finalize", `{"state":"published"}`, ""},
		{"finalize null", "POST", "/uploads/" + open.upload + "/finalize", "null", ""},
		{"finalize a bad digest", "POST", "/uploads/" + open.upload + "/finalize", `{"sha256":"00"}`, ""},
		{"suspend with a field", "POST", "/tenants/default/suspend", `{"for":"ever"}`, ""},
		{"tenant name", "POST", "/tenants", `{"name":"A B"}`, ""},
		{"tenant name missing", "POST", "/tenants", `{}`, ""},
		{"unknown role", "POST", "/keys", `{"principal":"p","roles":["` + secret + `"]}`, ""},
		{"no roles", "POST", "/keys", `{"principal":"p","roles":[]}`, ""},
		{"a role twice", "POST", "/keys", `{"principal":"p","roles":["reader","reader"]}`, ""},
		{"role a number", "POST", "/keys", `{"principal":"p","roles":[1]}`, ""},
		{"no principal", "POST", "/keys", `{"roles":["reader"]}`, ""},
		{"principal with a space", "POST", "/keys", `{"principal":"a b","roles":["reader"]}`, ""},
		{"token without a name", "POST", "/tokens", `{"roles":["reader"],"ttl":"1h"}`, ""},
		{"profile intake", "PUT", "/profiles/evidence", `{"intake":"none"}`, ""},
		{"profile type", "PUT", "/profiles/evidence", `{"allowed_types":["` + secret + strings.Repeat("x", 400) + `"]}`, ""},
		{"profile name", "PUT", "/profiles/A", `{}`, ""},
		{"scan mode", "PUT", "/profiles/evidence", `{"scan":{"mode":"sometimes"}}`, ""},
		{"scan inline in quarantine", "PUT", "/profiles/evidence", `{"scan":{"mode":"inline"}}`, ""},
		{"scan off with engines", "PUT", "/profiles/evidence", `{"scan":{"mode":"off","engines":["clamd"]}}`, ""},
		{"scan engine", "PUT", "/profiles/evidence", `{"scan":{"engines":["` + secret + `/"]}}`, ""},
		{"scan engine twice", "PUT", "/profiles/evidence", `{"scan":{"engines":["clamd","clamd"]}}`, ""},
		{"scan unknown", "PUT", "/profiles/evidence", `{"scan":{"two_person":true}}`, ""},
		{"scan in another case", "PUT", "/profiles/evidence", `{"scan":{"Mode":"off"}}`, ""},
		{"scan twice", "PUT", "/profiles/evidence", `{"scan":{"mode":"async","mode":"off"}}`, ""},
		{"scan no object", "PUT", "/profiles/evidence", `{"scan":"off"}`, ""},
		{"scan archive unknown", "PUT", "/profiles/evidence", `{"scan":{"archive":{"depth":1}}}`, ""},
		{"scan archive negative", "PUT", "/profiles/evidence", `{"scan":{"archive":{"max_depth":-1}}}`, ""},
		{"scan archive too deep", "PUT", "/profiles/evidence", `{"scan":{"archive":{"max_depth":65}}}`, ""},
		{"scan thumbnail", "PUT", "/profiles/evidence", `{"scan":{"image":{"thumbnails":[1]}}}`, ""},
		{"scan pixels", "PUT", "/profiles/evidence", `{"scan":{"image":{"max_pixels":-5}}}`, ""},
		{"keep no time", "PUT", "/profiles/evidence", `{"scan":{"keep_rejected":"0s"}}`, "INVALID_TTL"},
		{"keep part of a second", "PUT", "/profiles/evidence", `{"scan":{"keep_rejected":"1500ms"}}`, "INVALID_TTL"},
		{"profile size", "PUT", "/profiles/evidence", `{"max_size":-1}`, "SIZE_NOT_ALLOWED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.code == "" {
				c.code = "INVALID_REQUEST"
			}
			a := r.do(r.root, c.method, c.path, c.body).want(400, c.code)
			if strings.Contains(string(a.body), secret) {
				t.Errorf("what was sent comes back: %s", a.body)
			}
		})
	}
	if rows := r.do(r.root, "GET", "/uploads", ""); strings.Count(string(rows.body), "upload_id") != 1 {
		t.Errorf("a refused request made a session: %s", rows.body)
	}
}

// TestQueriesAreTakenToTheLetter asks every call for a parameter it does not
// know and for each of its own twice.
func TestQueriesAreTakenToTheLetter(t *testing.T) {
	r := newRig(t)
	for _, route := range control.Routes() {
		path := strings.NewReplacer("{id}", "upl_01ARZ3NDEKTSV4RRFFQ69G5FAV", "{n}", "1", "{name}", "clean").Replace(route.Pattern)
		r.exchange(r.root, request{method: route.Method, path: path + "?verbose=1"}).want(400, "INVALID_REQUEST")
		for _, name := range route.Query {
			r.exchange(r.root, request{method: route.Method, path: path + "?" + name + "=1&" + name + "=1"}).want(400, "INVALID_REQUEST")
		}
	}
}

// TestBodiesWhereNoneBelong sends one to every call that takes none.
func TestBodiesWhereNoneBelong(t *testing.T) {
	r := newRig(t)
	for _, route := range control.Routes() {
		if route.TakesJSON || route.Op == "PutUploadContent" {
			continue
		}
		path := strings.NewReplacer("{id}", "upl_01ARZ3NDEKTSV4RRFFQ69G5FAV", "{n}", "1", "{name}", "clean").Replace(route.Pattern)
		a := r.exchange(r.root, request{method: route.Method, path: path, body: []byte("{}")})
		if a.status != 400 || a.text("code") != "INVALID_REQUEST" {
			t.Errorf("%s with a body: %d %s", route.Op, a.status, a.body)
		}
	}
}

func TestNumbersInQueries(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{
		"/uploads?limit=0", "/uploads?limit=1001", "/uploads?limit=-1", "/uploads?limit=", "/uploads?limit=1.0", "/uploads?limit=%2B1",
		"/uploads?limit=0x10", "/uploads?limit=99999999999999999999", "/uploads?cursor=%00", "/uploads?cursor=!", "/uploads?cursor=" + strings.Repeat("A", 4000),
		"/objects?state=", "/objects?state=Published", "/objects?state=gone",
		"/audit?after=x", "/audit?after=-1", "/audit?after=9223372036854775808", "/audit?limit=0",
		"/audit/proof", "/audit/proof?seq=0", "/audit/proof?size=1", "/audit/proof?seq=1&size=1", "/audit/proof?seq=2&size=1", "/audit/proof?seq=0&size=100000",
	} {
		r.do(r.root, "GET", path, "").want(400, "INVALID_REQUEST")
	}
	for _, path := range []string{"/uploads?limit=1", "/uploads?limit=1000", "/objects?state=published", "/audit?after=9223372036854775807"} {
		r.do(r.root, "GET", path, "").want(200, "")
	}
}

func TestPathsAndMethods(t *testing.T) {
	r := newRig(t)
	token := who{token: r.do(r.root, "POST", "/tokens", `{"name":"x","roles":["admin"],"ttl":"1h"}`).text("token")}
	for _, path := range []string{"/", "/uploads/", "//uploads", "/uploads//content", "/UPLOADS", "/uploads/a/b/c", "/me/", "/objects/%2e%2e",
		"/objects/a%2Fb", "/objects/a%00b", "/uploads/" + strings.Repeat("a", 129), "/up%6Coads"} {
		r.do(token, "GET", path, "").want(404, "NOT_FOUND") // a token signs no path: any will do
	}
	for path, allow := range map[string]string{"/uploads": "POST, GET, HEAD", "/me": "GET, HEAD", "/uploads/upl_1/content": "PUT", "/objects/obj_1/download-url": "GET"} {
		a := r.do(r.root, "DELETE", path, "").want(405, "INVALID_REQUEST")
		if got := a.header.Get("Allow"); got != allow {
			t.Errorf("%s allows %q, not %q", path, got, allow)
		}
	}
	if a := r.do(r.root, "HEAD", "/objects/obj_1/download-url", ""); a.status != 405 || len(a.body) > 0 {
		t.Errorf("HEAD of a URL to be issued: %d %q", a.status, a.body)
	}
}

// TestHead: a HEAD is the GET without its body.
func TestHead(t *testing.T) {
	r := newRig(t)
	done := r.published(r.root, "hello")
	for _, route := range control.Routes() {
		if route.Method != "GET" || route.Issues {
			continue
		}
		for _, id := range []string{done.object, "nothing"} {
			path := strings.NewReplacer("{id}", id, "{n}", "1", "{name}", "clean").Replace(route.Pattern)
			if route.Op == "AuditProof" {
				path += "?seq=0&size=1"
			}
			if route.Op == "WatchEvents" {
				path += "?wait=0"
			}
			if route.Op == "AuditConsistency" {
				path += "?old=1&size=1"
			}
			by := r.root
			get, head := r.do(by, "GET", path, ""), r.do(by, "HEAD", path, "")
			if len(head.body) > 0 || head.status != get.status {
				t.Errorf("HEAD %s: %d %q, GET: %d", path, head.status, head.body, get.status)
			}
			for _, name := range []string{"Content-Type", "Content-Length", "ETag", "Content-Disposition"} {
				if name == "Content-Length" && strings.HasPrefix(path, "/audit") {
					continue // the log grows
				}
				if head.header.Get(name) != get.header.Get(name) {
					t.Errorf("HEAD %s: %s is %q, GET's %q", path, name, head.header.Get(name), get.header.Get(name))
				}
			}
		}
	}
}

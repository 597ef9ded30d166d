package control_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

const picture = "\x89PNG\r\n\x1a\n and so on"

// rendered is a published object with one rendition, "clean".
func (r *rig) rendered(by who, text string) session {
	r.tb.Helper()
	r.inspect()
	return r.render(r.finalized(by, text))
}

// render settles the one object that waits as if an engine had made a picture of it.
func (r *rig) render(s session) session {
	r.tb.Helper()
	ctx := context.Background()
	c, err := r.moves.Claim(ctx, "test", time.Minute)
	must(r.tb, err)
	if string(c.Object.ID) != s.object {
		r.tb.Fatalf("claimed %s, not %s", c.Object.ID, s.object)
	}
	sum := sha256.Sum256([]byte(picture))
	kept, err := r.moves.Keep(ctx, c, registry.Rendition{
		Name: "clean", ContentType: "image/png", Width: 4, Height: 3, Size: int64(len(picture)), SHA256: hex.EncodeToString(sum[:]),
	}, bytes.NewReader([]byte(picture)))
	must(r.tb, err)
	c.Renditions = append(c.Renditions, kept)
	must(r.tb, r.moves.Settle(ctx, c, registry.Verdict{Result: registry.VerdictClean}, "text/plain; charset=utf-8"))
	return s
}

func TestRenditions(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	stranger := r.tenant("other")
	plain := r.published(boss, "hello")
	r.do(boss, "GET", "/objects/"+plain.object+"/renditions", "").want(200, "")
	s := r.rendered(boss, "hello")
	var list struct {
		Inline     bool `json:"inline"`
		Renditions []struct {
			Name   string `json:"name"`
			Width  int    `json:"width"`
			Size   int    `json:"size"`
			SHA256 string `json:"sha256"`
		} `json:"renditions"`
	}
	r.do(boss, "GET", "/objects/"+s.object+"/renditions", "").want(200, "").into(&list)
	if len(list.Renditions) != 1 || list.Renditions[0].Name != "clean" || list.Renditions[0].Width != 4 || list.Renditions[0].Size != len(picture) || list.Inline {
		t.Errorf("list is %+v", list)
	}
	at := "/objects/" + s.object + "/renditions/clean/content"
	a := r.do(boss, "GET", at, "").want(200, "")
	if string(a.body) != picture || a.header.Get("Content-Type") != "image/png" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment;") ||
		!strings.Contains(a.header.Get("Content-Disposition"), `-clean.png"`) || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%q %v", a.body, a.header)
	}
	if a := r.do(boss, "HEAD", at, "").want(200, ""); a.header.Get("Content-Length") != "18" || len(a.body) != 0 {
		t.Errorf("HEAD: %v", a.header)
	}
	for _, path := range []string{
		"/objects/" + s.object + "/renditions/other/content", "/objects/" + plain.object + "/renditions/clean/content",
		"/objects/obj_none/renditions", "/objects/obj_none/renditions/clean/content",
		"/objects/" + s.object + "/renditions/clean", "/objects/" + s.object + "/renditions/a/b/content",
		"/objects/" + s.object + "/renditions/clean/x", "/objects/" + s.object + "/renditions/~/content",
	} {
		if a := r.exchange(boss, request{method: "GET", path: path}); a.status != 404 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	r.do(stranger, "GET", at, "").want(404, "NOT_FOUND")
	r.do(stranger, "GET", "/objects/"+s.object+"/renditions", "").want(404, "NOT_FOUND")
	r.do(boss, "DELETE", "/objects/"+s.object, "").want(204, "")
	r.do(boss, "GET", at, "").want(409, "OBJECT_NOT_PUBLISHED")
	r.do(boss, "GET", "/objects/"+s.object+"/renditions", "").want(200, "").into(&list)
	if len(list.Renditions) != 0 {
		t.Errorf("of a deleted one: %+v", list)
	}
}

// TestRenditionURLs: a URL that shows something begins with the host for it, and every
// other one never does.
func TestRenditionURLs(t *testing.T) {
	r := newRig(t, func(s *setup) { s.api.InlineURL = "https://media.test" })
	boss := r.tenant("acme")
	s := r.rendered(boss, "hello")
	issue := "/objects/" + s.object + "/download-url"
	for query, code := range map[string]string{
		"?disposition=inline":                 "INVALID_REQUEST",
		"?disposition=show&rendition=clean":   "INVALID_REQUEST",
		"?rendition=":                         "INVALID_REQUEST",
		"?rendition=a%2Fb":                    "INVALID_REQUEST",
		"?rendition=clean&rendition=clean":    "INVALID_REQUEST",
		"?rendition=other":                    "NOT_FOUND",
		"?rendition=clean&disposition=inline": "FORBIDDEN", // not by the profile
		"?rendition=clean&ttl=1":              "INVALID_TTL",
	} {
		if a := r.exchange(boss, request{method: "GET", path: issue + query}); a.text("code") != code {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	r.do(boss, "PUT", "/profiles/default", `{"scan":{"image":{"inline":true}}}`).want(200, "")
	if a := r.do(boss, "GET", "/objects/"+s.object+"/renditions", "").want(200, ""); !strings.Contains(string(a.body), `"inline":true`) {
		t.Errorf("list: %s", a.body)
	}
	for query, base := range map[string]string{
		"":                                    "http://s3.test:9000",
		"?disposition=attachment":             "http://s3.test:9000",
		"?rendition=clean":                    "http://s3.test:9000",
		"?rendition=clean&disposition=inline": "https://media.test",
		"?rendition=clean&disposition=inline&ttl=100": "https://media.test",
	} {
		a := r.do(boss, "GET", issue+query, "").want(200, "")
		u, err := url.Parse(a.text("get_url"))
		must(t, err)
		if u.Scheme+"://"+u.Host != base || u.Path != "/_/objects/"+s.object || u.Query().Get("X-Sp-Grant") != a.text("url_id") {
			t.Errorf("%s: %s", query, u.Redacted())
		}
	}

	off := newRig(t)
	boss = off.tenant("acme")
	off.do(boss, "PUT", "/profiles/default", `{"scan":{"image":{"inline":true}}}`).want(200, "")
	s = off.rendered(boss, "hello")
	off.do(boss, "GET", "/objects/"+s.object+"/download-url?rendition=clean&disposition=inline", "").want(403, "FORBIDDEN")
	if a := off.do(boss, "GET", "/objects/"+s.object+"/renditions", "").want(200, ""); !strings.Contains(string(a.body), `"inline":false`) {
		t.Errorf("list: %s", a.body)
	}
}

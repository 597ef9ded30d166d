package control_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// things are one tenant's, in states in which calls differ.
type things struct {
	tenant    string
	boss      who
	open      session
	parts     session
	done      session
	url       string // of a download
	key       string
	token     string
	profile   string
	principal string
	hook      string
}

func (r *rig) things(boss who, name string) things {
	r.tb.Helper()
	x := things{tenant: name, boss: boss, open: r.begin(boss, "hello"), done: r.published(boss, "hello"), profile: "only-" + name, principal: "only-" + name}
	x.parts = r.beginParts(boss, 1)
	x.parts.url = r.do(boss, "POST", "/uploads/"+x.parts.upload+"/parts/1/url", "").want(200, "").text("url_id")
	x.url = r.do(boss, "GET", "/objects/"+x.done.object+"/download-url", "").text("url_id")
	x.key = r.key(boss, x.principal, "reader").key
	x.token = r.do(boss, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"1h"}`).text("id")
	r.do(boss, "PUT", "/profiles/"+x.profile, "{}").want(200, "")
	x.hook = r.do(boss, "POST", "/webhooks", `{"url":"https://hooks.example/in"}`).want(201, "").text("webhook_id")
	return x
}

// unlike returns an id of the same form that does not exist.
func unlike(id string) string {
	last := id[len(id)-1:]
	if last == "0" {
		return id[:len(id)-1] + "1"
	}
	return id[:len(id)-1] + "0"
}

// TestForeignIsUnknown: for every pair of tenants, every role and every call that
// names a thing, another tenant's is answered as one that never was.
func TestForeignIsUnknown(t *testing.T) {
	r := newRig(t)
	tenants := map[string]things{"default": r.things(r.root, "default")}
	for _, name := range []string{"acme", "bolt"} {
		tenants[name] = r.things(r.tenant(name), name)
	}
	for mine, a := range tenants {
		callers := map[string]who{}
		for _, role := range []string{"uploader", "reader", "auditor", "admin", "analyst"} {
			callers[role] = r.key(a.boss, "one-"+role, role)
		}
		for theirs, b := range tenants {
			if mine == theirs {
				continue
			}
			for role, by := range callers {
				for _, c := range naming(b) {
					t.Run(mine+"/"+role+"/"+theirs+"/"+c.name, func(t *testing.T) { r.compare(t, by, c) })
				}
			}
		}
	}
	for name, x := range tenants {
		r.do(x.boss, "GET", "/objects/"+x.done.object+"/content", "").want(200, "")
		if r.do(x.boss, "GET", "/uploads/"+x.open.upload, "").text("state") != "created" {
			t.Errorf("%s: the open session was touched", name)
		}
	}
}

// named is a call that names a thing.
type named struct {
	name, method, path, body string // "{id}" stands where the id does
	id                       string
}

func naming(b things) []named {
	var all []named
	for state, s := range map[string]session{"open": b.open, "done": b.done, "parts": b.parts} {
		for _, c := range []named{
			{"GetUpload", "GET", "/uploads/{id}", "", s.upload},
			{"AbortUpload", "DELETE", "/uploads/{id}", "", s.upload},
			{"ReissueUploadURL", "POST", "/uploads/{id}/url", "{}", s.upload},
			{"PutUploadContent", "PUT", "/uploads/{id}/content", "hello", s.upload},
			{"PutUploadContent, too long", "PUT", "/uploads/{id}/content", "hello!", s.upload},
			{"ListUploadParts", "GET", "/uploads/{id}/parts", "", s.upload},
			{"RegisterUploadPart", "PUT", "/uploads/{id}/parts/1", `{"etag":"x","size":1}`, s.upload},
			{"RegisterUploadPart, no number", "PUT", "/uploads/{id}/parts/x", `{"etag":"x","size":1}`, s.upload},
			{"IssueUploadPartURL", "POST", "/uploads/{id}/parts/1/url", "", s.upload},
			{"IssueUploadPartURL, out of range", "POST", "/uploads/{id}/parts/99999/url", "", s.upload},
			{"IssueUploadPartURL, bad ttl", "POST", "/uploads/{id}/parts/1/url", `{"ttl":"99h"}`, s.upload},
			{"FinalizeUpload", "POST", "/uploads/{id}/finalize", "{}", s.upload},
			{"GetObjectRow", "GET", "/objects/{id}", "", s.object},
			{"HEAD", "HEAD", "/objects/{id}", "", s.object},
			{"DeleteObjectByID", "DELETE", "/objects/{id}", "", s.object},
			{"IssueDownloadURL", "GET", "/objects/{id}/download-url", "", s.object},
			{"IssueDownloadURL, bad ttl", "GET", "/objects/{id}/download-url?ttl=1", "", s.object},
			{"GetObjectContent", "GET", "/objects/{id}/content", "", s.object},
			{"GetObjectContent, examined", "GET", "/objects/{id}/content?as=zip", "", s.object},
			{"ReviewObject", "POST", "/objects/{id}/review", `{"decision":"reject","reason":"x"}`, s.object},
			{"RescanObject", "POST", "/objects/{id}/rescan", "", s.object},
			{"ListDownloads", "GET", "/objects/{id}/downloads", "", s.object},
			{"GetTimeline", "GET", "/objects/{id}/events", "", s.object},
			{"RevokeURL", "DELETE", "/urls/{id}", "", s.url},
		} {
			c.name += " " + state
			all = append(all, c)
		}
	}
	return append(all,
		named{"RevokeURL get", "DELETE", "/urls/{id}", "", b.url},
		named{"RevokeKey", "DELETE", "/keys/{id}", "", b.key},
		named{"RevokeToken", "DELETE", "/tokens/{id}", "", b.token},
		named{"RevokePrincipal", "DELETE", "/principals/{id}", "", b.principal},
		named{"GetWebhook", "GET", "/webhooks/{id}", "", b.hook},
		named{"PutWebhook", "PUT", "/webhooks/{id}", `{"url":"https://hooks.example/in"}`, b.hook},
		named{"PutWebhook, not allowed", "PUT", "/webhooks/{id}", `{"url":"http://10.0.0.1/"}`, b.hook},
		named{"DeleteWebhook", "DELETE", "/webhooks/{id}", "", b.hook},
		named{"RotateWebhookSecret", "POST", "/webhooks/{id}/secret", "", b.hook},
		named{"ReplayWebhook", "POST", "/webhooks/{id}/replay", `{"dead":true}`, b.hook},
		named{"ListWebhookMessages", "GET", "/webhooks/{id}/messages", "", b.hook},
		named{"GetProfile", "GET", "/profiles/{id}", "", b.profile},
		named{"ListObjects", "GET", "/objects?profile={id}", "", b.profile},
		named{"CreateUpload", "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":1,"profile":"{id}"}`, b.profile},
		named{"SetTenantLimits", "PUT", "/tenants/{id}/limits", "{}", b.tenant},
		named{"SuspendTenant", "POST", "/tenants/{id}/suspend", "", b.tenant},
		named{"CreateKey", "POST", "/keys", `{"tenant":"{id}","principal":"p","roles":["reader"]}`, b.tenant},
	)
}

func (r *rig) compare(t *testing.T, by who, c named) {
	call := func(id string) answer {
		return r.exchange(by, request{method: c.method, path: strings.ReplaceAll(c.path, "{id}", id), body: []byte(strings.ReplaceAll(c.body, "{id}", id))})
	}
	unknownID := unlike(c.id)
	foreign, unknown := call(c.id), call(unknownID)
	if foreign.status != unknown.status || foreign.status < 300 && c.name != "ListObjects" {
		t.Fatalf("foreign %d %s, unknown %d %s", foreign.status, foreign.body, unknown.status, unknown.body)
	}
	if f, u := impersonal(foreign, c.id), impersonal(unknown, unknownID); f != u {
		t.Errorf("foreign %s\nunknown %s", f, u)
	}
	hf, hu := impersonalHeader(foreign.header), impersonalHeader(unknown.header)
	if !maps.EqualFunc(hf, hu, func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }) {
		t.Errorf("foreign %v\nunknown %v", hf, hu)
	}
}

// impersonal is a body without its request id and the id that was asked for.
func impersonal(a answer, id string) string {
	return strings.ReplaceAll(strings.ReplaceAll(string(a.body), a.header.Get("X-Request-Id"), "REQUEST"), id, "ID")
}

func impersonalHeader(h http.Header) http.Header {
	h = h.Clone()
	h.Del("Date")
	h.Del("X-Request-Id")
	return h
}

package control_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/server/control"
)

// TestDocumentIsTheRouteTable: every route is in the document and the other way
// round, with the same parameters, bodies and openness.
func TestDocumentIsTheRouteTable(t *testing.T) {
	s := loadSpec(t)
	documented := map[string]bool{}
	for pattern, item := range s.doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			documented[strings.ToUpper(method)+" "+pattern] = true
		}
	}
	for _, route := range control.Routes() {
		name := route.Method + " " + route.Pattern
		if !documented[name] {
			t.Errorf("%s is not in the document", name)
			continue
		}
		delete(documented, name)
		at := []string{"paths", route.Pattern, strings.ToLower(route.Method)}
		if id := s.at(append(at, "operationId")...); id != route.Op {
			t.Errorf("%s has operationId %v, not %s", name, id, route.Op)
		}
		if got := s.queryOf(at); !slices.Equal(got, route.Query) {
			t.Errorf("%s takes %v, documented are %v", name, route.Query, got)
		}
		if json := s.at(append(at, "requestBody", "content", "application/json")...) != nil; json != route.TakesJSON {
			t.Errorf("%s: JSON body in the document is %v", name, json)
		}
		if _, open := s.at(append(at, "security")...).([]any); open != route.Open {
			t.Errorf("%s: open in the document is %v", name, open)
		}
	}
	for name := range documented {
		t.Errorf("%s is in the document only", name)
	}
}

func (s *spec) queryOf(at []string) []string {
	var names []string
	parameters, _ := s.at(append(at, "parameters")...).([]any)
	for _, p := range parameters {
		if m := p.(map[string]any); m["in"] == "query" {
			names = append(names, m["name"].(string))
		}
	}
	return names
}

// TestDocumentKnowsEveryCode: the codes of the error table and those of the
// document are the same.
func TestDocumentKnowsEveryCode(t *testing.T) {
	s := loadSpec(t)
	documented := map[string]bool{}
	for name := range s.at("components", "responses").(map[string]any) {
		schema := s.at("components", "responses", name, "content", "application/json", "schema", "properties", "code", "enum")
		for _, code := range schema.([]any) {
			documented[code.(string)] = true
		}
	}
	given := map[string]bool{}
	for _, code := range control.Codes() {
		given[code] = true
		if !documented[code] {
			t.Errorf("%s is not in the document", code)
		}
	}
	for code := range documented {
		if !given[code] {
			t.Errorf("%s is in the document and never given", code)
		}
	}
}

// TestEveryCallAnswersAsDocumented makes every call there is; the rig judges
// each answer.
func TestEveryCallAnswersAsDocumented(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	hook := r.do(boss, "POST", "/webhooks", `{"url":"https://hooks.example/in"}`).want(201, "").text("webhook_id")
	done := r.published(boss, "hello")
	shown := r.rendered(boss, "hello")
	open := r.begin(boss, "hello")
	parted := r.beginParts(boss, 1)
	part := r.putPart(boss, parted, 1, []byte("x"))
	key := r.key(boss, "worker", "uploader")
	token := r.do(boss, "POST", "/tokens", `{"name":"ci","roles":["reader"],"ttl":"1h"}`).want(201, "").text("id")
	got := r.do(boss, "GET", "/objects/"+done.object+"/download-url", "").want(200, "").text("url_id")
	for _, c := range []struct {
		by                 who
		method, path, body string
		status             int
	}{
		{boss, "GET", "/uploads", "", 200},
		{boss, "GET", "/uploads/" + open.upload, "", 200},
		{boss, "POST", "/uploads/" + open.upload + "/url", `{"ttl":"90s"}`, 200},
		{boss, "DELETE", "/uploads/" + open.upload, "", 204},
		{boss, "GET", "/uploads/" + parted.upload, "", 200},
		{boss, "GET", "/uploads/" + parted.upload + "/parts?limit=5", "", 200},
		{boss, "POST", "/uploads/" + parted.upload + "/parts/1/url", `{"ttl":"10m"}`, 200},
		{boss, "PUT", "/uploads/" + parted.upload + "/parts/1", registration(part), 200},
		{boss, "GET", "/objects?limit=2&state=published&profile=default", "", 200},
		{boss, "GET", "/objects/" + done.object, "", 200},
		{boss, "GET", "/objects/" + done.object + "/content", "", 200},
		{boss, "GET", "/objects/" + done.object + "/events", "", 200},
		{boss, "GET", "/objects/" + shown.object + "/renditions", "", 200},
		{boss, "GET", "/objects/" + shown.object + "/renditions/clean/content", "", 200},
		{boss, "POST", "/objects/" + done.object + "/rescan", "", 202},
		{boss, "GET", "/objects/" + done.object + "/downloads?limit=10", "", 200},
		{boss, "POST", "/objects/" + done.object + "/review", `{"decision":"reject","reason":"late_find"}`, 200},
		{boss, "GET", "/objects/" + done.object + "/content?as=zip", "", 200},
		{boss, "POST", "/objects/" + done.object + "/review", `{"decision":"release","reason":"false_positive"}`, 200},
		{boss, "DELETE", "/urls/" + got, "", 204},
		{boss, "GET", "/me", "", 200},
		{r.root, "GET", "/tenants", "", 200},
		{r.root, "PUT", "/tenants/acme/limits", `{"presign_max_ttl":"10m"}`, 200},
		{r.root, "PUT", "/tenants/acme/limits", `{"presign_max_ttl":"1000h"}`, 400},
		{r.root, "POST", "/tenants/acme/suspend", "", 204},
		{r.root, "POST", "/tenants/acme/resume", "{}", 204},
		{r.root, "POST", "/system/clock/accept", "{}", 204},
		{boss, "GET", "/keys", "", 200},
		{boss, "DELETE", "/keys/" + key.key, "", 204},
		{boss, "DELETE", "/principals/worker", "", 204},
		{boss, "GET", "/tokens", "", 200},
		{boss, "DELETE", "/tokens/" + token, "", 204},
		{boss, "PUT", "/profiles/evidence", `{"allowed_types":["image/*"],"session_ttl":"30m","put_url_ttl":"1m","max_size":1000,"single_use":true,"presign_max_ttl":"5m"}`, 200},
		{boss, "PUT", "/profiles/strict", everyScanRule, 200},
		{boss, "GET", "/profiles/evidence", "", 200},
		{boss, "GET", "/profiles", "", 200},
		{boss, "GET", "/events?after=0&wait=0", "", 200},
		{boss, "GET", "/events?after=x", "", 400},
		{boss, "POST", "/webhooks", `{"url":"https://hooks.example/in","events":["object.published"]}`, 201},
		{boss, "POST", "/webhooks", `{"url":"http://hooks.example/in"}`, 400},
		{boss, "GET", "/webhooks?limit=1", "", 200},
		{boss, "GET", "/webhooks/" + hook, "", 200},
		{boss, "PUT", "/webhooks/" + hook, `{"url":"https://hooks.example/other","events":null,"disabled":true}`, 200},
		{boss, "POST", "/webhooks/" + hook + "/secret", "", 200},
		{boss, "POST", "/webhooks/" + hook + "/replay", `{"from":"2026-01-01T00:00:00Z"}`, 202},
		{boss, "POST", "/webhooks/" + hook + "/replay", `{"from":"2026-01-01T00:00:00Z"}`, 409},
		{boss, "POST", "/webhooks/" + hook + "/replay", `{}`, 400},
		{boss, "GET", "/webhooks/" + hook + "/messages", "", 200},
		{boss, "DELETE", "/webhooks/" + hook, "", 204},
		{boss, "GET", "/audit?limit=5", "", 200},
		{boss, "GET", "/audit/checkpoint", "", 200},
		{boss, "GET", "/audit/key", "", 200},
		{boss, "GET", "/audit/proof?seq=1&size=4", "", 200},
		{boss, "GET", "/audit/consistency?old=1&size=4", "", 200},
		{boss, "GET", "/audit/consistency?old=5&size=4", "", 400},
		{boss, "GET", "/audit/consistency?size=4", "", 400},
		{boss, "DELETE", "/objects/" + done.object, "", 204},
		{who{}, "GET", "/openapi.json", "", 200},
	} {
		if a := r.do(c.by, c.method, c.path, c.body); a.status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	for _, route := range control.Routes() {
		var ok bool
		for seen := range r.spec.seen {
			ok = ok || strings.HasPrefix(seen, route.Method+" "+route.Pattern+" 2")
		}
		if !ok {
			t.Errorf("%s %s was not shown to succeed", route.Method, route.Pattern)
		}
	}
}

package control_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"sallyport/registry/policy"
)

// hook makes a webhook of the root's tenant, in place of the one before: there is a
// limit.
func (r *rig) hook() string {
	r.tb.Helper()
	r.unhook()
	return r.do(r.root, "POST", "/webhooks", `{"url":"https://hooks.example/in"}`).want(201, "").text("webhook_id")
}

// unhook deletes all of the root's tenant.
func (r *rig) unhook() {
	r.tb.Helper()
	var list struct {
		Webhooks []struct {
			ID string `json:"webhook_id"`
		} `json:"webhooks"`
	}
	r.do(r.root, "GET", "/webhooks", "").want(200, "").into(&list)
	for _, w := range list.Webhooks {
		r.do(r.root, "DELETE", "/webhooks/"+w.ID, "").want(204, "")
	}
}

func TestWebhookBodies(t *testing.T) {
	r := newRig(t, func(s *setup) {
		s.moves.Targets = policy.Targets{Hosts: []string{"hooks.corp"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	})
	hook := r.hook()
	for _, body := range []string{
		`{}`, `{"url":""}`, `{"url":"hooks.example"}`, `{"url":"http://hooks.example/"}`, `{"url":"https://user:pw@hooks.example/"}`,
		`{"url":"https://10.2.0.1/"}`, `{"url":"https://169.254.169.254/latest/meta-data"}`, `{"url":"https://[::1]:9001/"}`,
		`{"url":"https://hooks.example/","events":["object.launched"]}`, `{"url":"https://hooks.example/","events":["object.held","object.held"]}`,
		`{"url":"https://hooks.example/","events":"object.held"}`, `{"url":"https://hooks.example/","secret":"whsec_mine"}`,
		`{"url":"https://hooks.example/","tenant":"default"}`, `{"url":"https://hooks.example/` + strings.Repeat("x", 3000) + `"}`,
	} {
		r.do(r.root, "POST", "/webhooks", body).want(400, "INVALID_REQUEST")
		r.do(r.root, "PUT", "/webhooks/"+hook, body).want(400, "INVALID_REQUEST")
	}
	for _, body := range []string{
		`{"url":"https://hooks.example/a?b=c"}`, `{"url":"http://hooks.corp:8080/"}`, `{"url":"https://10.1.0.1/","events":["object.held","upload.expired"]}`,
		`{"url":"https://hooks.example/","events":[],"disabled":true}`, `{"url":"https://hooks.example/","events":null}`,
	} {
		r.do(r.root, "POST", "/webhooks", body).want(201, "")
		r.do(r.root, "PUT", "/webhooks/"+hook, body).want(200, "")
	}
	for _, body := range []string{
		`{}`, `{"dead":false}`, `{"dead":true,"from":"2026-01-01T00:00:00Z"}`, `{"dead":true,"to":"2026-01-01T00:00:00Z"}`,
		`{"to":"2026-01-01T00:00:00Z"}`, `{"from":"yesterday"}`, `{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`,
	} {
		r.do(r.root, "POST", "/webhooks/"+hook+"/replay", body).want(400, "INVALID_REQUEST")
	}
}

// TestWebhookSecretIsToldOnce: by what makes it, and by nothing else.
func TestWebhookSecretIsToldOnce(t *testing.T) {
	r := newRig(t)
	made := r.do(r.root, "POST", "/webhooks", `{"url":"https://hooks.example/in","events":["object.published"]}`).want(201, "")
	hook, first := made.text("webhook_id"), made.text("secret")
	second := r.do(r.root, "POST", "/webhooks/"+hook+"/secret", "").want(200, "").text("secret")
	if first == "" || second == "" || first == second {
		t.Error("there is no secret, or no other one")
	}
	for _, a := range []answer{
		r.do(r.root, "GET", "/webhooks", ""), r.do(r.root, "GET", "/webhooks/"+hook, ""), r.do(r.root, "GET", "/audit?limit=1000", ""),
		r.do(r.root, "PUT", "/webhooks/"+hook, `{"url":"https://hooks.example/other"}`),
	} {
		if a.want(200, ""); strings.Contains(string(a.body), first) || strings.Contains(string(a.body), second) {
			t.Errorf("it is told again: %s", a.body)
		}
	}
	if audit := r.do(r.root, "GET", "/audit?limit=1000", ""); strings.Contains(string(audit.body), "hooks.example") {
		t.Error("the audit log has the URL")
	} else if n := strings.Count(string(audit.body), `"type":"webhook.put"`); n != 3 {
		t.Errorf("%d changes by the audit log", n)
	}
	var list struct {
		Webhooks []json.RawMessage `json:"webhooks"`
	}
	r.do(r.root, "GET", "/webhooks", "").into(&list)
	if len(list.Webhooks) != 1 {
		t.Errorf("%d webhooks", len(list.Webhooks))
	}
}

// TestSecretsNeedTLS beyond loopback, as those of keys do.
func TestSecretsNeedTLS(t *testing.T) {
	r := newRig(t, func(s *setup) { s.addr = beyondLoopback(t) + ":0" })
	for _, c := range [][2]string{{"POST", "/webhooks"}, {"POST", "/webhooks/whk_01ARZ3NDEKTSV4RRFFQ69G5FAV/secret"}} {
		r.do(r.root, c[0], c[1], `{"url":"https://hooks.example/in"}`).want(403, "TLS_REQUIRED")
	}
}

package control_test

import (
	"fmt"
	"testing"

	"sallyport/registry"
	"sallyport/registry/policy"
	"sallyport/server/control"
)

// attempt is a call on a thing that owner made.
type attempt struct {
	action policy.Action // "" is for everybody
	or     policy.Action // suffices, too
	list   bool          // a list is the caller's own where the right is to one's own
	owned  bool          // the right depends on who made the thing
	make   func(r *rig, owner who, n int) (method, path, body string)
}

// attempts says of each call what it needs.
var attempts = map[string]attempt{
	"CreateUpload": {action: policy.CreateUpload, make: func(*rig, who, int) (string, string, string) {
		return "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":1}`
	}},
	"ListUploads": {action: policy.ReadUpload, list: true, make: get("/uploads")},
	"GetUpload": {action: policy.ReadUpload, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/uploads/" + r.begin(owner, "x").upload, ""
	}},
	"AbortUpload": {action: policy.AbortUpload, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "DELETE", "/uploads/" + r.begin(owner, "x").upload, ""
	}},
	"ReissueUploadURL": {action: policy.PutContent, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "POST", "/uploads/" + r.begin(owner, "x").upload + "/url", ""
	}},
	"PutUploadContent": {action: policy.PutContent, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "PUT", "/uploads/" + r.begin(owner, "x").upload + "/content", "x"
	}},
	"ListUploadParts": {action: policy.ReadUpload, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/uploads/" + r.beginParts(owner, 1).upload + "/parts", ""
	}},
	"IssueUploadPartURL": {action: policy.PutContent, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "POST", "/uploads/" + r.beginParts(owner, 1).upload + "/parts/1/url", ""
	}},
	"RegisterUploadPart": {action: policy.PutContent, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		s := r.beginParts(owner, 1)
		return "PUT", "/uploads/" + s.upload + "/parts/1", registration(r.putPart(owner, s, 1, []byte("x")))
	}},
	"FinalizeUpload": {action: policy.FinalizeUpload, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "POST", "/uploads/" + r.received(owner, "x").upload + "/finalize", ""
	}},
	"ListObjects": {action: policy.ListObjects, list: true, make: get("/objects")},
	"GetObjectRow": {action: policy.ReadObject, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/objects/" + r.begin(owner, "x").object, ""
	}},
	"DeleteObjectByID": {action: policy.DeleteObject, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "DELETE", "/objects/" + r.published(owner, "x").object, ""
	}},
	"IssueDownloadURL": {action: policy.IssueGetURL, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/objects/" + r.published(owner, "x").object + "/download-url", ""
	}},
	"GetObjectContent": {action: policy.ReadContent, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/objects/" + r.published(owner, "x").object + "/content", ""
	}},
	"ReviewObject": {action: policy.ReviewObject, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "POST", "/objects/" + r.published(owner, "x").object + "/review", `{"decision":"reject","reason":"test"}`
	}},
	"RescanObject": {action: policy.RescanObject, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "POST", "/objects/" + r.published(owner, "x").object + "/rescan", ""
	}},
	"ListDownloads": {action: policy.ReadTimeline, or: policy.ReviewObject, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/objects/" + r.begin(owner, "x").object + "/downloads", ""
	}},
	"ListRenditions": {action: policy.ReadObject, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/objects/" + r.begin(owner, "x").object + "/renditions", ""
	}},
	"GetRenditionContent": {action: policy.ReadContent, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/objects/" + r.rendered(owner, "x").object + "/renditions/clean/content", ""
	}},
	"GetTimeline": {action: policy.ReadTimeline, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "GET", "/objects/" + r.begin(owner, "x").object + "/events", ""
	}},
	"RevokeURL": {action: policy.RevokeURL, owned: true, make: func(r *rig, owner who, _ int) (string, string, string) {
		return "DELETE", "/urls/" + r.begin(owner, "x").url, ""
	}},
	"Me": {make: get("/me")},
	"CreateTenant": {action: policy.ManageTenants, make: func(_ *rig, _ who, n int) (string, string, string) {
		return "POST", "/tenants", fmt.Sprintf(`{"name":"new-%d"}`, n)
	}},
	"ListTenants": {action: policy.ManageTenants, make: get("/tenants")},
	"SetTenantLimits": {action: policy.ManageTenants, make: func(*rig, who, int) (string, string, string) {
		return "PUT", "/tenants/other/limits", "{}"
	}},
	"SuspendTenant": {action: policy.ManageTenants, make: post("/tenants/other/suspend")},
	"ResumeTenant":  {action: policy.ManageTenants, make: post("/tenants/other/resume")},
	"RevokePrincipal": {action: policy.ManageKeys, make: func(r *rig, _ who, n int) (string, string, string) {
		name := fmt.Sprintf("victim-%d", n)
		r.key(r.root, name, "reader")
		return "DELETE", "/principals/" + name, ""
	}},
	"CreateKey": {action: policy.ManageKeys, make: func(*rig, who, int) (string, string, string) {
		return "POST", "/keys", `{"principal":"p","roles":["reader"]}`
	}},
	"ListKeys": {action: policy.ManageKeys, make: get("/keys")},
	"RevokeKey": {action: policy.ManageKeys, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "DELETE", "/keys/" + r.key(r.root, "p", "reader").key, ""
	}},
	"CreateToken": {action: policy.ManageTokens, make: func(*rig, who, int) (string, string, string) {
		return "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"1h"}`
	}},
	"ListTokens": {action: policy.ManageTokens, make: get("/tokens")},
	"RevokeToken": {action: policy.ManageTokens, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "DELETE", "/tokens/" + r.do(r.root, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"1h"}`).text("id"), ""
	}},
	"ListProfiles": {action: policy.S3ListBuckets, make: get("/profiles")},
	"GetProfile":   {action: policy.S3ListBuckets, make: get("/profiles/default")},
	"PutProfile": {action: policy.ManageProfiles, make: func(*rig, who, int) (string, string, string) {
		return "PUT", "/profiles/evidence", `{}`
	}},
	"WatchEvents": {action: policy.ReadEvents, list: true, make: get("/events?after=0&wait=0")},
	"CreateWebhook": {action: policy.ManageWebhooks, make: func(r *rig, _ who, _ int) (string, string, string) {
		r.unhook()
		return "POST", "/webhooks", `{"url":"https://hooks.example/in"}`
	}},
	"ListWebhooks": {action: policy.ManageWebhooks, make: get("/webhooks")},
	"GetWebhook": {action: policy.ManageWebhooks, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "GET", "/webhooks/" + r.hook(), ""
	}},
	"PutWebhook": {action: policy.ManageWebhooks, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "PUT", "/webhooks/" + r.hook(), `{"url":"https://hooks.example/other"}`
	}},
	"DeleteWebhook": {action: policy.ManageWebhooks, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "DELETE", "/webhooks/" + r.hook(), ""
	}},
	"RotateWebhookSecret": {action: policy.ManageWebhooks, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "POST", "/webhooks/" + r.hook() + "/secret", ""
	}},
	"ReplayWebhook": {action: policy.ManageWebhooks, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "POST", "/webhooks/" + r.hook() + "/replay", `{"dead":true}`
	}},
	"ListWebhookMessages": {action: policy.ManageWebhooks, make: func(r *rig, _ who, _ int) (string, string, string) {
		return "GET", "/webhooks/" + r.hook() + "/messages", ""
	}},
	"ReadAudit":        {action: policy.ReadAudit, make: get("/audit?limit=1")},
	"AuditCheckpoint":  {action: policy.ReadAudit, make: get("/audit/checkpoint")},
	"AuditKey":         {make: get("/audit/key")},
	"AuditProof":       {action: policy.ReadAudit, make: get("/audit/proof?seq=0&size=1")},
	"AuditConsistency": {action: policy.ReadAudit, make: get("/audit/consistency?old=1&size=1")},
	"AcceptClock":      {action: policy.RunSystem, make: post("/system/clock/accept")},
	"OpenAPI":          {make: get("/openapi.json")},
}

func get(path string) func(*rig, who, int) (string, string, string) {
	return func(*rig, who, int) (string, string, string) { return "GET", path, "" }
}

func post(path string) func(*rig, who, int) (string, string, string) {
	return func(*rig, who, int) (string, string, string) { return "POST", path, "" }
}

// TestEveryCallForEveryRole tries each call with a key of each role, on things of
// the caller's own and of a colleague's.
func TestEveryCallForEveryRole(t *testing.T) {
	r := newRig(t)
	r.tenant("other")
	n := 0
	for _, role := range registry.Roles {
		principal := "a-" + string(role)
		caller := r.key(r.root, principal, string(role))
		owners := map[registry.PrincipalName]who{
			registry.PrincipalName(principal): r.key(r.root, principal, "admin"), // another key of the caller's
			"colleague":                       r.key(r.root, "colleague", "admin"),
		}
		actor := registry.Actor{Tenant: registry.DefaultTenant, Principal: registry.PrincipalName(principal), Roles: []registry.Role{role}}
		for _, route := range control.Routes() {
			try, ok := attempts[route.Op]
			if !ok {
				t.Fatalf("no attempt at %s", route.Op)
			}
			for owner, key := range owners {
				n++
				method, path, body := try.make(r, key, n)
				allowed := try.action == "" || try.list && policy.ScopeOf(actor, try.action) != policy.Nothing
				if !allowed {
					if !try.owned {
						owner = ""
					}
					allowed = policy.Allow(actor, try.action, owner) == nil || policy.Allow(actor, try.or, owner) == nil
				}
				a := r.do(caller, method, path, body)
				switch {
				case allowed && a.status >= 300:
					t.Errorf("%s by %s on %s's: %d %s", route.Op, role, owner, a.status, a.body)
				case !allowed && (a.status != 403 || a.text("code") != "FORBIDDEN"):
					t.Errorf("%s by %s on %s's must be forbidden: %d %s", route.Op, role, owner, a.status, a.body)
				}
			}
		}
	}
}

// TestListsShowOnesOwn: an uploader's lists hold its own things only.
func TestListsShowOnesOwn(t *testing.T) {
	r := newRig(t)
	mine, theirs := r.key(r.root, "mine", "uploader"), r.key(r.root, "theirs", "uploader")
	own := r.begin(mine, "x")
	r.begin(theirs, "x")
	var uploads struct {
		Uploads []struct {
			ID string `json:"upload_id"`
		} `json:"uploads"`
	}
	r.do(mine, "GET", "/uploads", "").into(&uploads)
	if len(uploads.Uploads) != 1 || uploads.Uploads[0].ID != own.upload {
		t.Errorf("sessions: %v", uploads)
	}
	var objects struct {
		Objects []struct {
			ID string `json:"object_id"`
		} `json:"objects"`
	}
	r.do(mine, "GET", "/objects", "").into(&objects)
	if len(objects.Objects) != 1 || objects.Objects[0].ID != own.object {
		t.Errorf("objects: %v", objects)
	}
}

// TestRolesAreASubsetOfTheCreators on keys and tokens.
func TestRolesAreASubsetOfTheCreators(t *testing.T) {
	r := newRig(t)
	r.tenant("other")
	admin := r.key(r.root, "plain-admin", "admin")
	operator := r.key(r.root, "plain-operator", "operator")
	for _, c := range []struct {
		name       string
		by         who
		path, body string
		status     int
	}{
		{"admin gives operator", admin, "/keys", `{"principal":"p","roles":["operator"]}`, 403},
		{"admin gives analyst", admin, "/keys", `{"principal":"p","roles":["reader","analyst"]}`, 403},
		{"admin gives analyst on a token", admin, "/tokens", `{"name":"t","roles":["analyst"],"ttl":"1h"}`, 403},
		{"admin names another tenant", admin, "/keys", `{"tenant":"other","principal":"p","roles":["reader"]}`, 403},
		{"admin names an unknown tenant", admin, "/keys", `{"tenant":"nobody","principal":"p","roles":["reader"]}`, 403},
		{"operator gives operator elsewhere", operator, "/keys", `{"tenant":"other","principal":"p","roles":["operator"]}`, 403},
		{"operator in its own tenant", operator, "/keys", `{"principal":"p","roles":["reader"]}`, 403},
		{"operator names an unknown tenant", operator, "/keys", `{"tenant":"nobody","principal":"p","roles":["admin"]}`, 404},
		{"operator makes a tenant's first key", operator, "/keys", `{"tenant":"other","principal":"p","roles":["admin","analyst"]}`, 201},
		{"admin gives what it includes", admin, "/keys", `{"principal":"p","roles":["uploader","reader","auditor","admin"]}`, 201},
		{"admin names its own tenant", admin, "/keys", `{"tenant":"default","principal":"p","roles":["reader"]}`, 201},
	} {
		t.Run(c.name, func(t *testing.T) { r.do(c.by, "POST", c.path, c.body).want(c.status, "") })
	}
}

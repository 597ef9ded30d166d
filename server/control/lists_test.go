package control_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestListsInPages: newest first, each row once, until there is no cursor.
func TestListsInPages(t *testing.T) {
	r := newRig(t)
	var uploads, objects, keys, tokens []string
	for i := range 5 {
		s := r.begin(r.root, "x")
		uploads, objects = append(uploads, s.upload), append(objects, s.object)
		keys = append(keys, r.key(r.root, fmt.Sprint("p", i), "reader").key)
		tokens = append(tokens, r.do(r.root, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"1h"}`).text("id"))
	}
	keys = append([]string{r.root.key}, keys...)
	for _, c := range []struct {
		path, field, id string
		want            []string
	}{
		{"/uploads?", "uploads", "upload_id", uploads},
		{"/objects?", "objects", "object_id", objects},
		{"/objects?state=pending&", "objects", "object_id", objects},
		{"/objects?profile=default&", "objects", "object_id", objects},
		{"/objects?state=published&", "objects", "object_id", nil},
		{"/objects?profile=nowhere&", "objects", "object_id", nil},
		{"/keys?", "keys", "access_key", keys},
		{"/tokens?", "tokens", "id", tokens},
	} {
		for _, limit := range []int{1, 2, 5, 100} {
			t.Run(fmt.Sprintf("%s%d", c.path, limit), func(t *testing.T) {
				got := r.follow(c.path, c.field, c.id, limit)
				if len(got) != len(c.want) {
					t.Fatalf("%d rows, not %d", len(got), len(c.want))
				}
				if c.field == "keys" {
					return // made within one millisecond they have no order
				}
				for i, id := range got {
					if id != c.want[len(c.want)-1-i] {
						t.Fatalf("row %d is %s: %v", i, id, got)
					}
				}
			})
		}
	}
}

func (r *rig) follow(path, field, id string, limit int) []string {
	r.tb.Helper()
	var got []string
	cursor := ""
	for range 100 {
		at := fmt.Sprintf("%slimit=%d", path, limit)
		if cursor != "" {
			at = fmt.Sprintf("%scursor=%s&limit=%d", path, cursor, limit)
		}
		var answer map[string]json.RawMessage
		var rows []map[string]any
		r.do(r.root, "GET", at, "").want(200, "").into(&answer)
		must(r.tb, json.Unmarshal(answer[field], &rows))
		if len(rows) > limit {
			r.tb.Fatalf("%d rows for a limit of %d", len(rows), limit)
		}
		for _, row := range rows {
			got = append(got, row[id].(string))
		}
		if answer["next_cursor"] == nil {
			return got
		}
		must(r.tb, json.Unmarshal(answer["next_cursor"], &cursor))
	}
	r.tb.Fatal("the list does not end")
	return nil
}

func TestProfiles(t *testing.T) {
	r := newRig(t)
	if got := r.do(r.root, "GET", "/profiles", "").want(200, ""); strings.Count(string(got.body), `"name":`) != 1 || !strings.Contains(string(got.body), `"name":"default","intake":"quarantine"`) {
		t.Errorf("at first there are %s", got.body)
	}
	const policy = `{"allowed_types":["image/*"],"max_size":7,"session_ttl":"30m0s","put_url_ttl":"1m0s","get_url_min_ttl":"10s","get_url_max_ttl":"20s","cors_origins":["https://a.test"],"single_use":true,"presign_max_ttl":"5m0s"}`
	put := r.do(r.root, "PUT", "/profiles/evidence", policy).want(200, "")
	if got := r.do(r.root, "GET", "/profiles/evidence", "").want(200, ""); string(got.body) != string(put.body) {
		t.Errorf("put %s, got %s", put.body, got.body)
	}
	for _, part := range strings.Split(strings.Trim(policy, "{}"), ",\"") {
		if !strings.Contains(string(put.body), strings.TrimPrefix(part, `"`)) {
			t.Errorf("%s is not in %s", part, put.body)
		}
	}
	r.do(r.root, "PUT", "/profiles/evidence", `{"presign_max_ttl":"2h"}`).want(400, "INVALID_TTL") // above the server's
	r.do(r.root, "GET", "/profiles/nowhere", "").want(404, "NOT_FOUND")
	a := r.do(r.root, "POST", "/uploads", `{"filename":"a.png","content_type":"image/png","size":7,"profile":"evidence"}`).want(201, "")
	r.do(r.root, "GET", "/profiles/evidence", "").want(200, "")
	if got := r.do(r.root, "GET", "/uploads/"+a.text("upload_id"), "").text("profile"); got != "evidence" {
		t.Errorf("the session is under %q", got)
	}
}

// TestTenantLimits bounds the URLs of a tenant, and takes the bound away again.
func TestTenantLimits(t *testing.T) {
	r := newRig(t)
	r.do(r.root, "POST", "/tenants", `{"name":"acme"}`).want(201, "")
	for _, test := range []struct{ body, want string }{
		{`{"presign_max_ttl":"10m"}`, "10m0s"}, {`{"presign_max_ttl":"1h"}`, "1h0m0s"}, {`{}`, ""},
	} {
		var row struct {
			PresignMax string `json:"presign_max_ttl"`
		}
		r.do(r.root, "PUT", "/tenants/acme/limits", test.body).want(200, "").into(&row)
		got := row.PresignMax
		if got != test.want {
			t.Errorf("%s: %q", test.body, got)
		}
		list := r.do(r.root, "GET", "/tenants", "").want(200, "")
		if told := strings.Contains(string(list.body), `"presign_max_ttl":"`+test.want+`"`); told != (test.want != "") {
			t.Errorf("%s: listed as %s", test.body, list.body)
		}
	}
	r.do(r.root, "PUT", "/tenants/acme/limits", `{"presign_max_ttl":"61m"}`).want(400, "INVALID_TTL") // above the server's
	r.do(r.root, "PUT", "/tenants/acme/limits", `{"presign_max_ttl":"0s"}`).want(400, "INVALID_TTL")
	r.do(r.root, "PUT", "/tenants/nowhere/limits", `{}`).want(404, "NOT_FOUND")
}

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// TestGoldenPath takes files from session to signed download.
func TestGoldenPath(t *testing.T) {
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on)
		user := s.root.newKey("", "ann", "uploader", "reader", "auditor")
		for _, size := range []int{0, 1, 5<<20 + 1} {
			t.Run(fmt.Sprint(size), func(t *testing.T) { golden(t, s, user, noise(uint64(size)+1, size)) })
		}
		s.swept()
		if got := sizes(s.blobs()); !slices.Equal(got, []int64{0, 1, 5<<20 + 1}) {
			t.Errorf("the backend holds %v", got)
		}
		if out, ok := s.cli("audit", "verify"); !ok {
			t.Errorf("audit verify: %s", out)
		}
		s.Stop()
		s.mustFsck()
	})
}

func golden(t *testing.T, s *Server, user *Client, data []byte) {
	s.in(t)
	u := user.beginAs(newUpload{Filename: "Prüf \"bericht\".bin", ContentType: octets, Size: int64(len(data)), SHA256: payloadHash(data)})
	if u.State != "created" || u.UploadID == "" || u.ObjectID == "" {
		t.Errorf("a session begins as %+v", u)
	}
	user.refused(http.StatusConflict, "UPLOAD_NOT_RECEIVED", "POST", "/uploads/"+u.UploadID+"/finalize", map[string]any{})
	u.mustPut(data)
	user.refused(http.StatusConflict, "OBJECT_NOT_PUBLISHED", "GET", "/objects/"+u.ObjectID+"/download-url", nil)
	user.refused(http.StatusConflict, "OBJECT_NOT_PUBLISHED", "GET", "/objects/"+u.ObjectID+"/content", nil)
	u.publish()

	a := s.mustGet(user.downloadURL(u.ObjectID).GetURL, data)
	for name, want := range map[string]string{
		"Content-Disposition":          `attachment; filename="Pr_f _bericht_.bin"; filename*=UTF-8''Pr%C3%BCf%20%22bericht%22.bin`,
		"X-Content-Type-Options":       "nosniff",
		"Content-Security-Policy":      "sandbox; default-src 'none'",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-site",
		"Cache-Control":                "private, no-store",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a, err := user.call("GET", "/objects/"+u.ObjectID+"/content", nil); err != nil || !bytes.Equal(a.Body, data) {
		t.Errorf("through the control port: %s, %v", a, err)
	}
	checkRow(t, user, u, data)
	checkTimeline(t, user, u)
}

func checkRow(t *testing.T, user *Client, u *Session, data []byte) {
	t.Helper()
	var row struct {
		State, SHA256, Filename, Profile string
		Size                             int64
	}
	user.must("GET", "/objects/"+u.ObjectID, nil, &row)
	if row.State != "published" || row.SHA256 != payloadHash(data) || row.Size != int64(len(data)) || row.Profile != "default" {
		t.Errorf("the object is %+v", row)
	}
}

// checkTimeline wants each step once and in its order.
func checkTimeline(t *testing.T, user *Client, u *Session) {
	t.Helper()
	a, err := user.call("GET", "/objects/"+u.ObjectID+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	var timeline struct{ Events []event }
	if err := json.Unmarshal(a.Body, &timeline); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range timeline.Events {
		kinds = append(kinds, e.Type)
	}
	want := []string{
		"upload.created", "upload.receiving", "upload.received", "upload.finalized", "object.quarantined",
		"object.scanning", "object.verdict", "object.published", "url.issued",
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("the timeline is %v, want %v", kinds, want)
	}
}

package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestNothingLeaks uses everything that has a secret in it, well and badly. What
// is looked for when a server ends is looked for after every test; this one sees
// to it that there is something of each kind to find.
func TestNothingLeaks(t *testing.T) {
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on)
		s.root.must("POST", "/tenants", map[string]any{"name": "acme"}, nil)
		admin := s.root.newKey("acme", "boss", "admin")
		token := admin.newToken("ci", "uploader", "reader")
		for _, c := range []*Client{s.root, admin, token} {
			leakSessions(c)
			leakPartURLs(c)
		}
		leakRefusals(t, s, admin, token)
		leakObjects(t, s, admin)
		leakMultiparts(s, admin)
		leakCopies(s, admin)
		leakForms(s, admin)
		if out, ok := s.cli("audit", "verify"); !ok {
			t.Errorf("audit verify: %s", out)
		}
		s.searchAnswers()
		s.Stop()
		for _, word := range []string{"hidden-key", "hidden-file", "hidden-meta", "hidden%2Dkey", "hidden-upload", "hidden-source"} {
			if strings.Contains(s.logs, word) {
				t.Errorf("%s is in the log", word)
			}
		}
		if !strings.Contains(s.logs, "level=DEBUG") {
			t.Error("there is nothing at debug level to look at")
		}
		if len(s.seen.signatures) < 20 || len(s.seen.secrets) < 3 {
			t.Errorf("only %d signatures and %d secrets were seen", len(s.seen.signatures), len(s.seen.secrets))
		}
	})
}

func leakSessions(c *Client) {
	c.server.t.Helper()
	data := noise(7, 5000)
	u := c.beginAs(newUpload{Filename: "hidden-file.bin", ContentType: octets, Size: int64(len(data))})
	u.reissue(map[string]any{})
	u.mustPut(data)
	_, _ = u.put(data) // refused: used
	u.publish()
	d := c.downloadURL(u.ObjectID)
	c.server.mustGet(d.GetURL, data)
	c.must("DELETE", "/urls/"+d.URLID, nil, nil)
	_, _ = c.server.get(d.GetURL) // refused: revoked
}

// leakRefusals are refused for every reason that concerns a credential.
func leakRefusals(t *testing.T, s *Server, admin, token *Client) {
	t.Helper()
	u := admin.begin(10)
	d := s.root.presign("GET", "/nobody/hidden-key", time.Minute)
	for _, target := range []string{
		u.PutURL, // with GET
		withParam(u.PutURL, "X-Amz-Expires", "1"), withParam(u.PutURL, "X-Amz-Date", "20200101T000000Z"),
		withParam(u.PutURL, "X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
		d, withParam(d, "X-Amz-Expires", "604801"), withParam(d, "response-content-type", "text/html"),
		strings.Replace(d, "hidden-key", "another-hidden-key", 1), d + "&X-Amz-Signature=" + strings.Repeat("0", 64),
	} {
		if a, err := s.get(target); err != nil || a.Status < 400 {
			t.Errorf("a URL that is wrong: %s, %v", a, err)
		}
	}
	wrong := &Client{server: s, access: admin.access, secret: "not-the-secret-of-that-key"}
	for _, c := range []*Client{wrong, {server: s, access: "SPNOSUCHKEY000000000", secret: "x"}, {server: s, token: token.token + "x"}} {
		if a, err := c.call("GET", "/me", nil); err != nil || a.Status != http.StatusUnauthorized {
			t.Errorf("a wrong credential: %s, %v", a, err)
		}
		if a, err := c.object("GET", "/nobody/hidden-key", "", nil, nil); err != nil || a.Status < 400 {
			t.Errorf("a wrong credential: %s, %v", a, err)
		}
	}
}

func leakObjects(t *testing.T, s *Server, admin *Client) {
	t.Helper()
	if a, err := admin.object("PUT", "/photos", "", nil, nil); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s, %v", a, err)
	}
	meta := http.Header{"X-Amz-Meta-Note": {"hidden-meta"}}
	if a, err := admin.object("PUT", "/photos/hidden-key", "", []byte("x"), meta); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s, %v", a, err)
	}
	s.mustGet(admin.presign("GET", "/photos/hidden-key", time.Minute), []byte("x"))
	for _, path := range []string{"/photos/hidden-key-2", "/hidden-key-3/x", "/photos/hidden-key?uploads"} {
		if a, err := admin.object("GET", path, "", nil, nil); err != nil || a.Status != http.StatusNotFound {
			t.Errorf("what is not there: %s, %v", a, err)
		}
	}
	if a, err := admin.object("DELETE", "/photos/hidden-key", "", nil, nil); err != nil || a.Status != http.StatusNoContent {
		t.Errorf("%s, %v", a, err)
	}
}

// TestWatch holds the watch itself against what it must find.
func TestWatch(t *testing.T) {
	w := newSeen()
	signature := strings.Repeat("ab", 32)
	w.signature("http://127.0.0.1/x?a=b&X-Amz-Signature=" + signature)
	w.signature("AWS4-HMAC-SHA256 Credential=x, Signature=" + strings.Repeat("cd", 32))
	w.secret("spt_token")
	for text, want := range map[string]int{
		"": 0, "harmless": 0, strings.Repeat("ef", 32): 0,
		"sig=" + signature: 1, strings.Repeat("cd", 32) + " spt_token": 2, "a word": 1,
	} {
		if found := w.leaks(text, "word"); len(found) != want {
			t.Errorf("%q: found %q", text, found)
		}
	}
}

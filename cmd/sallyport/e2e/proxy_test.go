package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestBehindProxy puts a reverse proxy in front that has another host and port
// and hands on its own Host.
func TestBehindProxy(t *testing.T) {
	var inside string // the server's own URL
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		target, err := url.Parse(inside)
		if err != nil {
			t.Error(err)
			return
		}
		r.SetURL(target)
		r.Out.Host = target.Host // the client's is lost
	}})
	defer proxy.Close()
	external := strings.Replace(proxy.URL, "127.0.0.1", "localhost", 1)
	s := serve(t, disk{}, "S3_EXTERNAL_URL="+external)
	inside = s.S3
	user := s.root.newKey("", "ann", "uploader", "reader", "admin")

	data := noise(1, 100_000)
	u := user.begin(int64(len(data)))
	if !strings.HasPrefix(u.PutURL, external+"/_/uploads/") {
		t.Errorf("the URL is for %s", address(u.PutURL))
	}
	direct := strings.Replace(u.PutURL, external, s.S3, 1)
	u.mustPut(data)
	u.publish()
	d := user.downloadURL(u.ObjectID)
	s.mustGet(d.GetURL, data)

	s.S3 = external // where clients go
	if a, err := user.object("PUT", "/photos", "", nil, nil); err != nil || a.Status != http.StatusOK {
		t.Errorf("a signed request through the proxy: %s, %v", a, err)
	}
	presigned := user.presign("GET", "/photos/none", time.Minute)
	s.S3 = inside
	if a, err := s.get(presigned); err != nil || !a.is(http.StatusNotFound, "NoSuchKey") {
		t.Errorf("a presigned URL through the proxy: %s, %v", a, err)
	}
	// A URL stands for the one who signed it, whichever way it comes.
	if a, err := s.get(strings.Replace(d.GetURL, external, inside, 1)); err != nil || a.Status != http.StatusOK {
		t.Errorf("a signed URL past the proxy: %s, %v", a, err)
	}
	u.PutURL = direct
	if a, err := u.put(data); err != nil || !a.is(http.StatusConflict, "UploadURLAlreadyUsed") {
		t.Errorf("a used URL past the proxy: %s, %v", a, err)
	}
}

package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"sallyport/sigv4"
)

// expect ends nothing, but fails the test for an answer with another status.
func (s *Server) expect(what string, want int, a answer, err error) answer {
	s.t.Helper()
	if err != nil || a.Status != want {
		s.t.Errorf("%s: %s, %v, want %d", what, a, err, want)
	}
	return a
}

// put sends a body to a URL as it is.
func (s *Server) put(target string, body []byte) (answer, error) {
	req, err := http.NewRequest(http.MethodPut, target, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	return s.do(req)
}

// leakPartURLs takes a session in parts to its end, with URLs that work and others.
func leakPartURLs(c *Client) {
	s := c.server
	s.t.Helper()
	data := noise(8, 3000)
	var u struct {
		UploadID string `json:"upload_id"`
		ObjectID string `json:"object_id"`
	}
	c.must("POST", "/uploads", map[string]any{"filename": "hidden-file.bin", "content_type": octets, "size": len(data), "multipart": true}, &u)
	part := "/uploads/" + u.UploadID + "/parts/1"
	var urls [3]partURL
	for i := range urls {
		c.must("POST", part+"/url", map[string]any{}, &urls[i])
		s.seen.signature(urls[i].URL)
	}
	for i, want := range map[int]int{0: http.StatusForbidden, 2: http.StatusOK} { // the first was replaced
		a, err := s.putPart(urls[i], data)
		s.expect("a part's URL", want, a, err)
	}
	a, err := s.putPart(urls[2], data)
	s.expect("a part's used URL", http.StatusConflict, a, err)
	altered := urls[2]
	altered.URL = withParam(altered.URL, "partNumber", "2")
	a, err = s.putPart(altered, data)
	s.expect("a part's altered URL", http.StatusForbidden, a, err)
	a, err = c.call("PUT", part, map[string]any{"etag": "hidden-etag", "size": len(data)})
	s.expect("another part", http.StatusConflict, a, err)
	c.must("POST", "/uploads/"+u.UploadID+"/finalize", map[string]any{}, nil)
	eventually(s.t, "it is published", func() bool { return c.objectState(u.ObjectID) == "published" })
	s.mustGet(c.downloadURL(u.ObjectID).GetURL, data)
}

// leakMultiparts goes through a multipart upload with URLs that a client signs, in a
// bucket where they work once.
func leakMultiparts(s *Server, c *Client) {
	s.t.Helper()
	c.must("PUT", "/profiles/single", map[string]any{"intake": "direct", "single_use": true}, nil)
	const path = "/single/hidden-key"
	a, err := c.object("POST", path, "uploads=", nil, nil)
	s.expect("create", http.StatusOK, a, err)
	var made struct{ UploadId string }
	if err := xml.Unmarshal(a.Body, &made); err != nil {
		s.t.Fatal(err)
	}
	query := func(number, id string) []sigv4.Param {
		return []sigv4.Param{{Name: "partNumber", Value: number}, {Name: "uploadId", Value: id}}
	}
	target := c.presign("PUT", path, time.Minute, query("1", made.UploadId)...)
	for _, want := range []int{http.StatusOK, http.StatusConflict} { // it works once
		a, err = s.put(target, []byte("part"))
		s.expect("a presigned part", want, a, err)
	}
	etag := md5Of([]byte("part"))
	for _, wrong := range []string{
		withParam(target, "partNumber", "2"),
		c.presign("PUT", path, time.Minute, query("1", "hidden-upload")...),
		c.presign("PUT", path, time.Minute, query("hidden-upload", made.UploadId)...),
	} {
		if a, err := s.put(wrong, []byte("part")); err != nil || a.Status < 400 {
			s.t.Errorf("a part's URL that is wrong: %s, %v", a, err)
		}
	}
	list := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>"
	for _, step := range []struct {
		etag string
		want int
	}{{"hidden-etag", http.StatusBadRequest}, {etag, http.StatusOK}, {etag, http.StatusOK}} {
		a, err = c.object("POST", path, "uploadId="+made.UploadId, fmt.Appendf(nil, list, step.etag), nil)
		s.expect("complete", step.want, a, err)
	}
	a, err = c.object("DELETE", path, "uploadId="+made.UploadId, nil, nil)
	s.expect("abort what is completed", http.StatusNotFound, a, err)
}

// leakCopies names sources that are there and others.
func leakCopies(s *Server, c *Client) {
	s.t.Helper()
	for source, want := range map[string]int{
		"/single/hidden-key": http.StatusOK, "/single/hidden-source": http.StatusNotFound, "/hidden-source/x": http.StatusNotFound,
		"/single/hidden-key?versionId=hidden-source": http.StatusBadRequest,
	} {
		a, err := c.object("PUT", "/single/hidden-key-copy", "", nil, http.Header{"X-Amz-Copy-Source": {source}})
		s.expect("a copy of "+source, want, a, err)
	}
}

// leakForms posts forms with a policy that holds and others.
func leakForms(s *Server, c *Client) {
	s.t.Helper()
	for _, f := range []struct {
		what     string
		lifetime time.Duration
		longest  int
		change   func(signature string) string
		want     int
	}{
		{"a form", time.Minute, 100, strings.ToLower, http.StatusNoContent},
		{"an expired form", -time.Minute, 100, strings.ToLower, http.StatusForbidden},
		{"a form with too long a file", time.Minute, 2, strings.ToLower, http.StatusBadRequest},
		{"a form with a wrong signature", time.Minute, 100, func(sig string) string { return sig[1:] + sig[:1] }, http.StatusForbidden},
	} {
		kind, body := c.form("single", "hidden-key-form", f.lifetime, f.longest, f.change)
		req, err := http.NewRequest(http.MethodPost, s.S3+"/single", bytes.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		a, err := s.do(req)
		s.expect(f.what, f.want, a, err)
	}
}

// form signs a form for one key and writes it. Neither policy nor signature may
// turn up anywhere.
func (c *Client) form(bucket, key string, lifetime time.Duration, longest int, change func(string) string) (contentType string, body []byte) {
	s := c.server
	s.t.Helper()
	now := time.Now().UTC()
	fields := [][2]string{
		{"key", key}, {"x-amz-algorithm", "AWS4-HMAC-SHA256"}, {"x-amz-date", now.Format("20060102T150405Z")},
		{"x-amz-credential", c.access + "/" + now.Format("20060102") + "/" + s.region() + "/s3/aws4_request"},
	}
	conditions := []any{map[string]string{"bucket": bucket}, []any{"content-length-range", 0, longest}}
	for _, f := range fields {
		conditions = append(conditions, map[string]string{f[0]: f[1]})
	}
	text, err := json.Marshal(map[string]any{"expiration": now.Add(lifetime).Format("2006-01-02T15:04:05.000Z"), "conditions": conditions})
	if err != nil {
		s.t.Fatal(err)
	}
	policy := base64.StdEncoding.EncodeToString(text)
	signature := string(sigv4.SignPolicy(nil, policy, c.key(now)))
	s.seen.secret(policy)
	for _, sent := range []string{signature, change(signature)} {
		s.seen.signature("Signature=" + sent)
	}
	fields = append(fields, [2]string{"policy", policy}, [2]string{"x-amz-signature", change(signature)})
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		err = w.WriteField(f[0], f[1])
		if err != nil {
			s.t.Fatal(err)
		}
	}
	file, err := w.CreateFormFile("file", "hidden-file")
	if err == nil {
		_, err = file.Write([]byte("form"))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

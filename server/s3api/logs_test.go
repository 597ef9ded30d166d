package s3api_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/server"
)

// TestRecords looks at what an exchange says, and at what the logs must not.
func TestRecords(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	const secretKey = "very-private-key-name"
	s.do(call{method: "PUT", path: "/photos/" + secretKey, body: "x"})
	s.do(call{method: "GET", path: "/photos/" + secretKey})
	s.do(call{method: "GET", path: "/photos/" + secretKey, credentials: aws.Credentials{AccessKeyID: rootKey, SecretAccessKey: "wrong"}})
	s.do(call{method: "PUT", path: "/photos/" + secretKey, body: "x", payload: strings.Repeat("0", 64)})
	b := s.session(12, "")
	url := s.putURL(b)
	s.put(url, "short")
	s.put(url, hello)
	s.put(url, hello)
	s.put(flip(url, -1), hello)
	gone, get := s.getURL(s.publish(hello).ID)
	s.must(s.pipe.RevokeURL(s.ctx(), root, get.ID))
	s.get("GET", gone)

	for name, test := range map[string]struct {
		pick func(*server.Exchange) bool
		ok   func(*server.Exchange) bool
	}{
		"put": {
			func(e *server.Exchange) bool { return e.Op == "PutObject" && e.Status == 200 },
			func(e *server.Exchange) bool {
				return e.Tenant == "default" && e.Principal == "root" && e.AccessKey == rootKey && e.Bucket == "photos" &&
					e.Key == secretKey && strings.HasPrefix(e.Object, "obj_") && e.Reason == "" && e.BytesIn == 1
			}},
		"get": {
			func(e *server.Exchange) bool { return e.Op == "GetObject" && e.Status == 200 },
			func(e *server.Exchange) bool {
				return e.Key == secretKey && strings.HasPrefix(e.Object, "obj_") && e.BytesOut == 1
			}},
		"forged": {
			func(e *server.Exchange) bool { return e.Reason == "SignatureDoesNotMatch" && e.Grant == "" },
			func(e *server.Exchange) bool {
				return e.Tenant == "" && e.Principal == "" && e.Key == "" && e.Upload == ""
			}},
		"changed": {
			func(e *server.Exchange) bool { return e.Reason == "XAmzContentSHA256Mismatch" },
			func(e *server.Exchange) bool { return e.Op == "PutObject" && e.Status == 400 && e.Key == secretKey }},
		"short": {
			func(e *server.Exchange) bool { return e.Reason == "EntityTooSmall" },
			func(e *server.Exchange) bool {
				return e.Op == "UploadByURL" && e.Upload == string(b.Upload.ID) && e.Grant == string(b.Grant.ID) && e.Tenant == "default" &&
					e.Principal == "root" && e.AccessKey == rootKey && e.Countable
			}},
		"used": {
			func(e *server.Exchange) bool { return e.Reason == "UploadURLAlreadyUsed" },
			func(e *server.Exchange) bool {
				return e.Grant == string(b.Grant.ID) && e.Tenant == "default" && e.Principal == "root" && e.AccessKey == rootKey && e.Countable
			}},
		"revoked": {
			func(e *server.Exchange) bool { return e.Op == "DownloadByURL" && e.Status == 403 },
			func(e *server.Exchange) bool {
				return e.Grant == string(get.ID) && e.Tenant == "default" && e.Principal == "root" && e.AccessKey == rootKey && e.Countable
			}},
		"upload": {
			func(e *server.Exchange) bool {
				return e.Op == "UploadByURL" && e.Status == 200 && e.Upload == string(b.Upload.ID)
			},
			func(e *server.Exchange) bool {
				return !e.Countable && e.Object == string(b.Object.ID) && e.Grant == string(b.Grant.ID) &&
					e.AccessKey == rootKey && e.Principal == "root" && e.Bucket == "default"
			}},
	} {
		if e := s.exchange(test.pick); !test.ok(e) {
			t.Errorf("%s: %+v", name, *e)
		}
	}
	logs := s.logs.String()
	_, signature, _ := strings.Cut(url, "X-Amz-Signature=")
	for what, text := range map[string]string{
		"client key": secretKey, "signature": signature, "parameter": "X-Amz", "secret": rootSecret,
		"staging key": "staging/", "accepted key": "accepted/", "query": "X-Sp-Grant", "authorization": "AWS4-HMAC-SHA256 Credential",
	} {
		if strings.Contains(logs, text) {
			t.Errorf("the log holds a %s", what)
		}
	}
}

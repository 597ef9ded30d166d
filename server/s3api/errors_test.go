package s3api_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/server/s3api"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const deleteOne = `<Delete><Object><Key>k</Key></Object></Delete>`

// TestErrors goes through the refusals: what is asked, and the answer.
func TestErrors(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.bucket("full")
	if r := s.do(call{method: "PUT", path: "/full/k", body: "x"}); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "small", Intake: registry.IntakeDirect, MaxSize: 10}))
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "images", Intake: registry.IntakeDirect, AllowedTypes: []string{"image/*"}}))
	reader := s.key(registry.DefaultTenant, "ray", registry.RoleReader)
	revoked := s.key(registry.DefaultTenant, "rex", registry.RoleAdmin)
	s.must(s.pipe.RevokeKey(s.ctx(), root, registry.AccessKeyID(revoked.AccessKeyID)))
	long := strings.Repeat("k", 1025)

	tests := []struct {
		name   string
		call   call
		status int
		code   string
	}{
		// who
		{"anonymous", call{method: "GET", path: "/photos", anonymous: true}, 403, "AccessDenied"},
		{"unknown key", call{method: "GET", path: "/photos", credentials: aws.Credentials{AccessKeyID: "SPNOBODY", SecretAccessKey: "x"}}, 403, "InvalidAccessKeyId"},
		{"revoked key", call{method: "GET", path: "/photos", credentials: revoked}, 403, "InvalidAccessKeyId"},
		{"wrong secret", call{method: "GET", path: "/photos", credentials: aws.Credentials{AccessKeyID: rootKey, SecretAccessKey: "x"}}, 403, "SignatureDoesNotMatch"},
		{"stale", call{method: "GET", path: "/photos", at: time.Now().Add(-16 * time.Minute)}, 403, "RequestTimeTooSkewed"},
		{"of the future", call{method: "GET", path: "/photos", at: time.Now().Add(16 * time.Minute)}, 403, "RequestTimeTooSkewed"},
		{"wrong region", call{method: "GET", path: "/photos", region: "eu-west-1"}, 400, "AuthorizationHeaderMalformed"},
		{"basic auth", call{method: "GET", path: "/photos", anonymous: true, header: header("Authorization", "Basic eDp5")}, 400, "InvalidRequest"},
		{"half a header", call{method: "GET", path: "/photos", anonymous: true, header: header("Authorization", "AWS4-HMAC-SHA256 Credential=x")}, 400, "AuthorizationHeaderMalformed"},
		{"half a query", call{method: "GET", path: "/photos?X-Amz-Algorithm=AWS4-HMAC-SHA256", anonymous: true}, 400, "AuthorizationQueryParametersError"},
		{"two credentials", call{method: "GET", path: "/photos?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x"}, 400, "InvalidArgument"},
		{"ecdsa", call{method: "GET", path: "/photos", anonymous: true, header: header("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=x")}, 501, "NotImplemented"},
		{"no payload hash", call{method: "GET", path: "/photos", after: func(h http.Header) { h.Del("X-Amz-Content-Sha256") }}, 400, "InvalidRequest"},
		{"bad payload hash", call{method: "GET", path: "/photos", payload: "nonsense"}, 400, "InvalidArgument"},
		{"unsigned header", call{method: "GET", path: "/photos", after: func(h http.Header) { h.Set("x-amz-acl", "private") }}, 403, "AccessDenied"},
		{"temporary credentials", call{method: "GET", path: "/photos", header: header("X-Amz-Security-Token", "t")}, 400, "InvalidToken"},

		// what
		{"reader writes", call{method: "PUT", path: "/photos/k", body: "x", credentials: reader}, 403, "AccessDenied"},
		{"reader deletes", call{method: "DELETE", path: "/photos/k", credentials: reader}, 403, "AccessDenied"},
		{"reader makes a bucket", call{method: "PUT", path: "/more-photos", credentials: reader}, 403, "AccessDenied"},
		{"other owner", call{method: "GET", path: "/photos", header: header("X-Amz-Expected-Bucket-Owner", "123456789012")}, 403, "AccessDenied"},
		{"bad escape", call{method: "GET", path: "/photos/%zz"}, 400, "InvalidURI"},
		{"not UTF-8", call{method: "GET", path: "/photos/%ff"}, 400, "InvalidURI"},
		{"long key", call{method: "GET", path: "/photos/" + long}, 400, "KeyTooLongError"},
		{"user key under _", call{method: "GET", path: "/_/objects/obj_x"}, 403, "SignatureDoesNotMatch"},
		{"user key under _ alone", call{method: "GET", path: "/_/"}, 403, "SignatureDoesNotMatch"},
		{"bucket named _", call{method: "PUT", path: "/_"}, 400, "InvalidBucketName"},

		// other operations
		{"post to the service", call{method: "POST", path: "/"}, 405, "MethodNotAllowed"},
		{"post to an object", call{method: "POST", path: "/photos/k"}, 405, "MethodNotAllowed"},
		{"copy a missing key", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Copy-Source", "/full/missing")}, 404, "NoSuchKey"},
		{"copy an empty name", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Copy-Source", "")}, 400, "InvalidArgument"},
		{"part of a get", call{method: "GET", path: "/full/k?partNumber=2"}, 416, "InvalidPartNumber"},
		{"escaped name", call{method: "GET", path: "/full/k?%70artNumber=2"}, 416, "InvalidPartNumber"},
		{"version of a write", call{method: "PUT", path: "/full/k?versionId=1", body: "x"}, 400, "InvalidArgument"},
		{"two sub-resources", call{method: "GET", path: "/photos?cors&policy"}, 400, "InvalidArgument"},
		{"sub-resource of another method", call{method: "POST", path: "/photos?website"}, 405, "MethodNotAllowed"},
		{"sub-resource of another level", call{method: "GET", path: "/photos/k?website"}, 501, "NotImplemented"},
		{"torrent", call{method: "GET", path: "/full/k?torrent"}, 501, "NotImplemented"},
		{"policy", call{method: "PUT", path: "/photos?policy", body: "{}"}, 501, "NotImplemented"},
		{"delete policy", call{method: "DELETE", path: "/photos?policy"}, 501, "NotImplemented"},
		{"unknown sub-resource", call{method: "GET", path: "/photos?newThing"}, 501, "NotImplemented"},
		{"unknown argument of a write", call{method: "PUT", path: "/photos/k?newThing=1", body: "x"}, 501, "NotImplemented"},
		{"sse", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Server-Side-Encryption", "AES256")}, 501, "NotImplemented"},
		{"sse of no kind", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Server-Side-Encryption", "ROT13")}, 400, "InvalidEncryptionAlgorithmError"},
		{"sse with the client's key", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")}, 501, "NotImplemented"},
		{"redirect", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Website-Redirect-Location", "/other")}, 501, "NotImplemented"},
		{"append", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Write-Offset-Bytes", "0")}, 501, "NotImplemented"},
		{"tags", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Tagging", "a=b&a=c")}, 400, "InvalidArgument"},
		{"half a lock", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Object-Lock-Mode", "GOVERNANCE")}, 400, "InvalidArgument"},
		{"lock without its bucket", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Object-Lock-Legal-Hold", "ON")}, 400, "InvalidRequest"},
		{"public", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Acl", "public-read")}, 400, "AccessControlListNotSupported"},
		{"storage class", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Storage-Class", "GLACIER")}, 400, "InvalidStorageClass"},
		{"conditional delete", call{method: "DELETE", path: "/full/k", header: header("If-Match", "x")}, 412, "PreconditionFailed"},

		// buckets
		{"get from no bucket", call{method: "GET", path: "/nothing/k"}, 404, "NoSuchBucket"},
		{"list no bucket", call{method: "GET", path: "/nothing?list-type=2"}, 404, "NoSuchBucket"},
		{"locate no bucket", call{method: "GET", path: "/nothing?location"}, 404, "NoSuchBucket"},
		{"probe no bucket", call{method: "GET", path: "/nothing?versioning"}, 404, "NoSuchBucket"},
		{"put to no bucket", call{method: "PUT", path: "/nothing/k", body: "x"}, 404, "NoSuchBucket"},
		{"delete from no bucket", call{method: "DELETE", path: "/nothing/k"}, 404, "NoSuchBucket"},
		{"delete no bucket", call{method: "DELETE", path: "/nothing"}, 404, "NoSuchBucket"},
		{"delete many from no bucket", call{method: "POST", path: "/nothing?delete", body: deleteOne, header: header("Content-Md5", md5Of(deleteOne))}, 404, "NoSuchBucket"},
		{"make it again", call{method: "PUT", path: "/photos"}, 409, "BucketAlreadyOwnedByYou"},
		{"bad name", call{method: "PUT", path: "/No"}, 400, "InvalidBucketName"},
		{"name with a slash", call{method: "PUT", path: "/a%2Fb"}, 400, "InvalidBucketName"},
		{"elsewhere", call{method: "PUT", path: "/else", body: "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"}, 400, "InvalidLocationConstraint"},
		{"bad configuration", call{method: "PUT", path: "/else", body: "<CreateBucket"}, 400, "MalformedXML"},
		{"another document", call{method: "PUT", path: "/else", body: "<Delete/>"}, 400, "MalformedXML"},
		{"two documents", call{method: "PUT", path: "/else", body: "<CreateBucketConfiguration/><CreateBucketConfiguration/>"}, 400, "MalformedXML"},
		{"not empty", call{method: "DELETE", path: "/full"}, 409, "BucketNotEmpty"},
		{"profile default", call{method: "DELETE", path: "/default"}, 409, "InvalidBucketState"},
		{"no policy", call{method: "GET", path: "/photos?policy"}, 404, "NoSuchBucketPolicy"},
		{"no lock", call{method: "GET", path: "/photos?object-lock"}, 404, "ObjectLockConfigurationNotFoundError"},

		// bodies
		{"no such key", call{method: "GET", path: "/photos/k"}, 404, "NoSuchKey"},
		{"too large", call{method: "PUT", path: "/small/k", body: strings.Repeat("x", 11)}, 400, "EntityTooLarge"},
		{"wrong type", call{method: "PUT", path: "/images/k", body: "x", header: header("Content-Type", "text/plain")}, 400, "InvalidRequest"},
		{"content is not its type", call{method: "PUT", path: "/images/k", body: "plain words", header: header("Content-Type", "image/png")}, 400, "InvalidRequest"},
		{"body changed", call{method: "PUT", path: "/photos/k", body: "x", payload: strings.Repeat("0", 64)}, 400, "XAmzContentSHA256Mismatch"},
		{"document changed", call{method: "PUT", path: "/else", body: "<x/>", payload: strings.Repeat("0", 64)}, 400, "XAmzContentSHA256Mismatch"},
		{"md5 malformed", call{method: "PUT", path: "/photos/k", body: "x", header: header("Content-Md5", "?")}, 400, "InvalidDigest"},
		{"md5 empty", call{method: "PUT", path: "/photos/k", body: "x", header: header("Content-Md5", "")}, 400, "InvalidDigest"},
		{"md5 wrong", call{method: "PUT", path: "/photos/k", body: "x", header: header("Content-Md5", md5Of("y"))}, 400, "BadDigest"},
		{"crc malformed", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Checksum-Crc32", "AAA")}, 400, "InvalidRequest"},
		{"crc wrong", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Checksum-Crc32", "AAAAAA==")}, 400, "BadDigest"},
		{"two checksums", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Checksum-Crc32", "AAAAAA==", "X-Amz-Checksum-Crc32c", "AAAAAA==")}, 400, "InvalidRequest"},
		{"unknown checksum", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Checksum-Md6", "AAAAAA==")}, 400, "InvalidRequest"},
		{"trailer without chunks", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Trailer", "x-amz-checksum-crc32")}, 400, "InvalidRequest"},
		{"chunks without length", call{method: "PUT", path: "/photos/k", body: "0\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, 411, "MissingContentLength"},
		{"chunks with a bad length", call{method: "PUT", path: "/photos/k", body: "0\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: header("X-Amz-Decoded-Content-Length", "one")}, 400, "InvalidArgument"},
		{"chunks that cannot hold it", call{method: "PUT", path: "/photos/k", body: "0\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: header("X-Amz-Decoded-Content-Length", "5")}, 400, "IncompleteBody"},
		{"chunks that hold less", call{method: "PUT", path: "/photos/k", body: "1\r\nx\r\n0\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: header("X-Amz-Decoded-Content-Length", "2")}, 400, "IncompleteBody"},
		{"broken chunks", call{method: "PUT", path: "/photos/k", body: "1\r\nxy\r\n0\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: header("X-Amz-Decoded-Content-Length", "1")}, 400, "IncompleteBody"},
		{"chunk signature", call{method: "PUT", path: "/photos/k", body: "1;chunk-signature=" + strings.Repeat("0", 64) + "\r\nx\r\n0;chunk-signature=" + strings.Repeat("0", 64) + "\r\n\r\n",
			payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", header: header("X-Amz-Decoded-Content-Length", "1")}, 403, "SignatureDoesNotMatch"},
		{"trailer wrong", call{method: "PUT", path: "/photos/k", body: "1\r\nx\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
			header: header("X-Amz-Decoded-Content-Length", "1", "X-Amz-Trailer", "x-amz-checksum-crc32")}, 400, "BadDigest"},
		{"trailer missing", call{method: "PUT", path: "/photos/k", body: "1\r\nx\r\n0\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
			header: header("X-Amz-Decoded-Content-Length", "1", "X-Amz-Trailer", "x-amz-checksum-crc32")}, 400, "MalformedTrailerError"},
		{"chunks elsewhere", call{method: "PUT", path: "/else", body: "0\r\n\r\n", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: header("X-Amz-Decoded-Content-Length", "0")}, 501, "NotImplemented"},
		{"much metadata", call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Meta-A", strings.Repeat("x", 2048))}, 400, "MetadataTooLarge"},
		{"precondition", call{method: "PUT", path: "/full/k", body: "x", header: header("If-None-Match", "*")}, 412, "PreconditionFailed"},
		{"precondition on nothing", call{method: "PUT", path: "/photos/k", body: "x", header: header("If-Match", `"abc"`)}, 404, "NoSuchKey"},
		{"empty condition", call{method: "PUT", path: "/photos/k", body: "x", header: header("If-Match", "")}, 400, "InvalidArgument"},
		{"dated condition", call{method: "PUT", path: "/photos/k", body: "x", header: header("If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT")}, 501, "NotImplemented"},

		// deletes
		{"no digest", call{method: "POST", path: "/photos?delete", body: deleteOne}, 400, "InvalidRequest"},
		{"digest of another", call{method: "POST", path: "/photos?delete", body: deleteOne, header: header("Content-Md5", md5Of("x"))}, 400, "BadDigest"},
		{"checksum of another", call{method: "POST", path: "/photos?delete", body: deleteOne, header: header("X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA=")}, 400, "BadDigest"},
		{"no keys", call{method: "POST", path: "/photos?delete", body: "<Delete/>", header: header("Content-Md5", md5Of("<Delete/>"))}, 400, "MalformedXML"},
		{"1001 keys", deletion(strings.Repeat("<Object><Key>k</Key></Object>", 1001)), 400, "MalformedXML"},
		{"empty key", deletion("<Object><Key></Key></Object>"), 400, "MalformedXML"},
		{"an empty condition", deletion("<Object><Key>k</Key><ETag></ETag></Object>"), 400, "MalformedXML"},
		{"an unknown condition", deletion("<Object><Key>k</Key><Colour>red</Colour></Object>"), 400, "MalformedXML"},
		{"huge", deletion(strings.Repeat(" ", 2<<20)), 400, "MaxMessageLengthExceeded"},

		// lists
		{"max-keys", call{method: "GET", path: "/photos?max-keys=many"}, 400, "InvalidArgument"},
		{"negative max-keys", call{method: "GET", path: "/photos?list-type=2&max-keys=-1"}, 400, "InvalidArgument"},
		{"list type", call{method: "GET", path: "/photos?list-type=3"}, 400, "InvalidArgument"},
		{"encoding", call{method: "GET", path: "/photos?encoding-type=base64"}, 400, "InvalidArgument"},
		{"token", call{method: "GET", path: "/photos?list-type=2&continuation-token=%21"}, 400, "InvalidArgument"},
		{"empty token", call{method: "GET", path: "/photos?list-type=2&continuation-token="}, 400, "InvalidArgument"},
		{"long prefix", call{method: "GET", path: "/photos?prefix=" + long}, 400, "KeyTooLongError"},
		{"max-buckets", call{method: "GET", path: "/?max-buckets=0"}, 400, "InvalidArgument"},
		{"control character", call{method: "GET", path: "/full/k?response-content-type=a%0D%0Ab"}, 400, "InvalidArgument"},
		{"range", call{method: "GET", path: "/full/k", header: header("Range", "bytes=1-")}, 416, "InvalidRange"},
		{"if-match", call{method: "GET", path: "/full/k", header: header("If-Match", `"x"`)}, 412, "PreconditionFailed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := s.do(test.call)
			e := got.want(t, test.status, test.code)
			path, _, _ := strings.Cut(test.call.path, "?")
			if e.Resource != "" && e.Resource != path {
				t.Errorf("resource %q", e.Resource)
			}
			head := test.call
			if head.method != "GET" {
				return
			}
			head.method = "HEAD"
			if r := s.do(head); len(r.body) != 0 || r.status < 300 && r.status != 200 {
				t.Errorf("HEAD: %d %q", r.status, r.body)
			}
		})
	}
	if list := s.do(call{method: "GET", path: "/photos"}); strings.Contains(string(list.body), "<Contents>") {
		t.Errorf("something was stored: %s", list.body)
	}
}

func deletion(objects string) call {
	body := "<Delete>" + objects + "</Delete>"
	return call{method: "POST", path: "/photos?delete", body: body, header: header("Content-Md5", md5Of(body))}
}

// TestErrorDetails looks at what some answers say beyond their code.
func TestErrorDetails(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	e := s.do(call{method: "GET", path: "/photos", region: "eu-west-1"}).want(t, 400, "AuthorizationHeaderMalformed")
	if e.Region != region || !strings.Contains(e.Message, "the region 'eu-west-1' is wrong; expecting 'us-east-1'") {
		t.Errorf("wrong region: %+v", e)
	}
	e = s.do(call{method: "GET", path: "/photos", at: time.Now().Add(-time.Hour)}).want(t, 403, "RequestTimeTooSkewed")
	if e.MaxAllowedSkewMilliseconds != "900000" || e.RequestTime == "" || e.ServerTime == "" {
		t.Errorf("skew: %+v", e)
	}
	e = s.do(call{method: "GET", path: "/photos", after: func(h http.Header) { h.Set("x-amz-b", "1"); h.Set("x-amz-a", "1") }}).want(t, 403, "AccessDenied")
	if e.HeadersNotSigned != "x-amz-a, x-amz-b" {
		t.Errorf("headers not signed: %+v", e)
	}
	e = s.do(call{method: "GET", path: "/photos/a%20%26"}).want(t, 404, "NoSuchKey")
	if e.Key != "a &" || e.Resource != "/photos/a%20%26" {
		t.Errorf("no such key: %+v", e)
	}
	e = s.do(call{method: "GET", path: "/nothing/k"}).want(t, 404, "NoSuchBucket")
	if e.BucketName != "nothing" {
		t.Errorf("no such bucket: %+v", e)
	}
	s.do(call{method: "PUT", path: "/photos/k", body: "x"})
	e = s.do(call{method: "PUT", path: "/photos/k", body: "x", header: header("If-None-Match", "*")}).want(t, 412, "PreconditionFailed")
	if e.Condition != "If-None-Match" {
		t.Errorf("precondition: %+v", e)
	}
	if r := s.do(call{method: "GET", path: "/photos/k", header: header("Range", "bytes=9-")}); r.header.Get("Content-Range") != "bytes */1" {
		t.Errorf("range: %v", r.header)
	}
}

// TestListenerFaults are found before this package is asked; their answers are
// its own all the same.
func TestListenerFaults(t *testing.T) {
	s := newStack(t)
	for _, test := range []struct {
		name, text string
		status     int
		code       string
	}{
		{"no request", "NONSENSE\r\n\r\n", 400, "BadRequest"},
		{"two lengths", "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "BadRequest"},
		{"expectation", "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\n", 417, "ExpectationFailed"},
		{"method", "BREW /b HTTP/1.1\r\nHost: x\r\n\r\n", 405, "MethodNotAllowed"},
		{"large header", "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 20000) + "\r\n\r\n", 400, "RequestHeaderSectionTooLarge"},
		{"no path", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 403, "AccessDenied"},
		{"bad field", "GET /b HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n", 400, "BadRequest"},
	} {
		t.Run(test.name, func(t *testing.T) { s.raw(test.text).want(t, test.status, test.code) })
	}
}

// TestStoreFaults asks a store that does not answer, or is full.
func TestStoreFaults(t *testing.T) {
	var blobs *blobtest.Faulty
	s := newStack(t, func(c *setup) {
		c.wrap = func(b blob.Store) blob.Store { blobs = blobtest.NewFaulty(b); return blobs }
	})
	s.bucket("photos")
	if r := s.do(call{method: "PUT", path: "/photos/k", body: "x"}); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	if r := s.do(call{method: "GET", path: "/photos/k"}); r.status != 200 || string(r.body) != "x" {
		t.Fatalf("get through memory: %d %s", r.status, r.body)
	}
	for _, test := range []struct {
		name   string
		fault  blobtest.Fault
		call   call
		status int
		code   string
	}{
		{"put while away", blobtest.Fault{Op: blobtest.Put, When: blobtest.Before}, call{method: "PUT", path: "/photos/n", body: "x"}, 503, "ServiceUnavailable"},
		{"get while away", blobtest.Fault{Op: blobtest.Open, When: blobtest.Before}, call{method: "GET", path: "/photos/k"}, 503, "ServiceUnavailable"},
		{"put into full", blobtest.Fault{Op: blobtest.Put, When: blobtest.Before, Err: blob.ErrFull}, call{method: "PUT", path: "/photos/n", body: "x"}, 503, "ServiceUnavailable"},
		{"corrupt", blobtest.Fault{Op: blobtest.Put, When: blobtest.Before, Err: blob.ErrCorrupt}, call{method: "PUT", path: "/photos/n", body: "x"}, 500, "InternalError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			blobs.Inject(test.fault)
			defer blobs.Heal()
			s.do(test.call).want(t, test.status, test.code)
		})
	}
	t.Run("no room", func(t *testing.T) {
		blobs.SetFree(0)
		defer blobs.Heal()
		s.do(call{method: "PUT", path: "/photos/n", body: "x"}).want(t, 503, "ServiceUnavailable")
	})
	s.do(call{method: "GET", path: "/photos/n"}).want(t, 404, "NoSuchKey")
}

// TestDebugSignatures shows what was signed only where it is asked for.
func TestDebugSignatures(t *testing.T) {
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			s := newStack(t, func(c *setup) { c.api = withDebug(c.api, on) })
			bad := aws.Credentials{AccessKeyID: rootKey, SecretAccessKey: "wrong"}
			e := s.do(call{method: "GET", path: "/my-bucket/my-key", credentials: bad}).want(t, 403, "SignatureDoesNotMatch")
			shown := strings.Contains(e.CanonicalRequest, "/my-bucket/my-key") && strings.HasPrefix(e.StringToSign, "AWS4-HMAC-SHA256\n")
			if shown != on || !on && e.CanonicalRequest+e.StringToSign != "" {
				t.Errorf("canonical request %q, string to sign %q", e.CanonicalRequest, e.StringToSign)
			}
			logs := s.logs.String()
			if !strings.Contains(logs, "signature does not match") || !strings.Contains(logs, "x-amz-date (16)") {
				t.Error("the log does not explain the mismatch")
			}
			if strings.Contains(logs, "my-key") {
				t.Error("the log holds the client's key")
			}
		})
	}
}

func withDebug(c s3api.Config, on bool) s3api.Config {
	c.DebugSignatures = on
	return c
}

package s3api_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// called are what the fuzzed requests are about.
var (
	calledMethods = [...]string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"}
	calledPaths   = [...]string{"/", "/plain", "/plain/key", "/locked", "/locked/key", "/fresh", "/missing", "/missing/key", "/_/objects/obj_1", "/_/uploads/upl_1"}
)

// calledSeeds are requests by method, path, query, header and body. UPLOAD stands for
// an upload in progress.
var calledSeeds = [][5]string{
	{"GET", "/", "prefix=p&max-buckets=1&continuation-token=cA"},
	{"GET", "/plain", "list-type=2&delimiter=/&encoding-type=url&start-after=a"},
	{"GET", "/plain", "versions&key-marker=key&version-id-marker=null"},
	{"GET", "/plain", "uploads&key-marker=k&upload-id-marker=x&max-uploads=1&prefix=k"},
	{"GET", "/plain/key", "uploadId=UPLOAD&max-parts=1&part-number-marker=0"},
	{"GET", "/plain/key", "response-content-type=a/b&response-expires=x&partNumber=1", "If-Match: \"x\", *\nIf-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"},
	{"GET", "/plain/key", "versionId=null", "Range: bytes=1-2\nIf-Range: \"x\"\nX-Amz-Checksum-Mode: ENABLED"},
	{"GET", "/plain/key", "attributes", "X-Amz-Object-Attributes: ETag, Checksum,ObjectParts\nX-Amz-Max-Parts: 1\nX-Amz-Part-Number-Marker: 0"},
	{"GET", "/plain/key", "acl"}, {"GET", "/plain/key", "torrent"}, {"GET", "/plain", "policyStatus"}, {"GET", "/plain", "website"},
	{"HEAD", "/locked/key", "versionId=1", "If-None-Match: W/\"x\"\nIf-Unmodified-Since: Monday, 02-Jan-06 15:04:05 GMT"},
	{"OPTIONS", "/plain/key", "", "Origin: https://a.test\nAccess-Control-Request-Method: PUT\nAccess-Control-Request-Headers: x-a, X-B"},
	{"PUT", "/plain/key", "", "If-None-Match: *\nX-Amz-Meta-A: b\nX-Amz-Tagging: a=b\nX-Amz-Checksum-Crc32: AAAAAA==\nX-Amz-Storage-Class: STANDARD\nExpires: 0\nContent-Encoding: gzip", "x"},
	{"PUT", "/plain/key", "", "X-Amz-Copy-Source: /plain/key?versionId=null\nX-Amz-Metadata-Directive: REPLACE\nX-Amz-Copy-Source-If-Match: \"x\"\nX-Amz-Tagging-Directive: COPY"},
	{"PUT", "/plain/key", "", "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\nContent-Encoding: aws-chunked\nX-Amz-Decoded-Content-Length: 1\nX-Amz-Trailer: x-amz-checksum-crc32", "1\r\nx\r\n0\r\nx-amz-checksum-crc32:jNwsgw==\r\n\r\n"},
	{"PUT", "/plain/key", "partNumber=1&uploadId=UPLOAD", "X-Amz-Checksum-Sha256: x", "part"},
	{"PUT", "/plain/key", "partNumber=2&uploadId=UPLOAD", "X-Amz-Copy-Source: plain/key\nX-Amz-Copy-Source-Range: bytes=0-1"},
	{"PUT", "/locked/key", "", "X-Amz-Object-Lock-Mode: GOVERNANCE\nX-Amz-Object-Lock-Retain-Until-Date: 2099-01-01T00:00:00Z\nX-Amz-Object-Lock-Legal-Hold: ON", "x"},
	{"PUT", "/locked/key", "retention", "X-Amz-Bypass-Governance-Retention: true", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00.000Z</RetainUntilDate></Retention>"},
	{"PUT", "/locked/key", "legal-hold", "", "<LegalHold><Status>ON</Status></LegalHold>"},
	{"PUT", "/locked", "object-lock", "", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"},
	{"PUT", "/plain/key", "tagging", "", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"},
	{"PUT", "/plain", "tagging", "", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"},
	{"PUT", "/plain", "versioning", "", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"},
	{"PUT", "/plain", "cors", "", "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.test</AllowedOrigin><AllowedMethod>PUT</AllowedMethod></CORSRule></CORSConfiguration>"},
	{"PUT", "/plain", "lifecycle", "", "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"},
	{"PUT", "/plain", "ownershipControls", "", "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"},
	{"PUT", "/plain", "publicAccessBlock", "", "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"},
	{"PUT", "/plain", "acl", "X-Amz-Acl: private"}, {"PUT", "/plain", "acl", "", "<AccessControlPolicy><Owner><ID>a</ID></Owner></AccessControlPolicy>"},
	{"PUT", "/fresh", "", "X-Amz-Bucket-Object-Lock-Enabled: true\nX-Amz-Object-Ownership: BucketOwnerEnforced", "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>"},
	{"POST", "/plain", "delete", "X-Amz-Checksum-Crc32c: AAAAAA==", "<Delete><Object><Key>x</Key><VersionId>null</VersionId></Object><Quiet>true</Quiet></Delete>"},
	{"POST", "/plain/key", "uploads", "X-Amz-Checksum-Algorithm: CRC64NVME\nX-Amz-Checksum-Type: FULL_OBJECT\nContent-Type: a/b"},
	{"POST", "/plain/key", "uploadId=UPLOAD", "X-Amz-Mp-Object-Size: 4", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"},
	{"POST", "/plain/key", "restore&select"},
	{"POST", "/plain", "", "Content-Type: multipart/form-data; boundary=e", "--e\r\nContent-Disposition: form-data; name=key\r\n\r\nk\r\n--e\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--e--"},
	{"DELETE", "/plain/key", "versionId=null", "If-Match: *\nX-Amz-If-Match-Size: 1\nX-Amz-If-Match-Last-Modified-Time: Mon, 02 Jan 2006 15:04:05 GMT"},
	{"DELETE", "/plain/key", "uploadId=UPLOAD"}, {"DELETE", "/plain/key", "tagging"}, {"DELETE", "/plain", "cors"}, {"DELETE", "/fresh"},
	{"GET", "/_/objects/obj_1", "X-Amz-Signature=0&X-Sp-Grant=g_1"}, {"PUT", "/_/uploads/upl_1", "partNumber=1"},
}

// unspaced is what net/http sends in no URL.
var unspaced = regexp.MustCompile(`[\x00-\x20\x7f]`)

// FuzzRequest: whatever the parameters, fields and body of a signed request, there is
// an answer soon, it is not that we broke, and its XML is XML.
func FuzzRequest(f *testing.F) {
	s := newStack(f)
	s.bucket("plain")
	s.lockable("locked")
	c := &caller{stack: s, transport: &http.Transport{DisableCompression: true, ResponseHeaderTimeout: patience}}
	f.Cleanup(func() {
		s.TB = f
		c.transport.CloseIdleConnections()
	})
	for _, seed := range calledSeeds {
		method, path := indexOf(f, calledMethods[:], seed[0]), indexOf(f, calledPaths[:], seed[1])
		f.Add(method, path, seed[2], seed[3], []byte(seed[4]))
	}
	f.Fuzz(func(t *testing.T, method, path uint8, query, fields string, body []byte) {
		s.TB = t
		c.restore()
		c.check(call{
			method: calledMethods[int(method)%len(calledMethods)],
			path:   calledPaths[int(path)%len(calledPaths)] + "?" + unspaced.ReplaceAllStringFunc(strings.ReplaceAll(query, "UPLOAD", c.upload), url.PathEscape),
			header: sendable(fields), body: string(body),
		})
	})
}

func indexOf(f *testing.F, list []string, value string) uint8 {
	for i, v := range list {
		if v == value {
			return uint8(i)
		}
	}
	f.Fatalf("%q is not called", value)
	return 0
}

// caller makes one call after the other.
type caller struct {
	*stack
	transport *http.Transport
	upload    string // in progress
	stale     bool   // something may have been written since restore
}

// restore brings back what a write took away.
func (c *caller) restore() {
	c.Helper()
	c.mu.Lock()
	c.exchanges = nil
	c.mu.Unlock()
	c.logs.mu.Lock()
	c.logs.b.Reset()
	c.logs.mu.Unlock()
	if c.upload != "" && !c.stale {
		return
	}
	for _, bucket := range []string{"/plain", "/locked"} {
		if c.answer(call{method: "HEAD", path: bucket + "/key"}).status == 200 {
			continue
		}
		if r := c.answer(call{method: "PUT", path: bucket + "/key", body: "content"}); r.status != 200 {
			c.Fatalf("%s cannot be written any more: %d %s", bucket, r.status, r.body)
		}
	}
	if c.upload == "" || c.answer(call{method: "GET", path: "/plain/key?uploadId=" + c.upload}).status != 200 {
		r := c.answer(call{method: "POST", path: "/plain/key?uploads"})
		var begun struct{ UploadId string }
		c.must(xml.Unmarshal(r.body, &begun))
		c.upload = begun.UploadId
	}
	c.stale = false
}

// answer is do on a connection that is kept.
func (c *caller) answer(q call) reply {
	c.Helper()
	resp, err := c.transport.RoundTrip(c.request(q))
	if err != nil {
		c.Fatalf("%s %s: %v\n%s", q.method, q.path, err, c.logs)
	}
	b, err := io.ReadAll(resp.Body)
	c.must(errors.Join(err, resp.Body.Close()))
	return reply{resp.StatusCode, resp.Header, b}
}

// check makes a call and judges the answer.
func (c *caller) check(q call) {
	c.Helper()
	c.stale = c.stale || q.method != "GET" && q.method != "HEAD" && q.method != "OPTIONS"
	q.payload = q.header.Get("X-Amz-Content-Sha256")
	if q.header.Get("Content-Md5") == "" && q.body != "" && !strings.HasPrefix(q.payload, "STREAMING") {
		sum := md5.Sum([]byte(q.body))
		q.header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	q.anonymous = strings.HasPrefix(q.header.Get("Content-Type"), "multipart/")
	r := c.answer(q)
	if r.status < 200 || r.status >= 500 && r.status != http.StatusNotImplemented {
		c.Fatalf("%s %q %q %q: %d %s\n%s", q.method, q.path, q.header, q.body, r.status, r.body, c.logs)
	}
	if r.status >= 400 && q.method != "HEAD" {
		if e := r.error(c); e.Code == "" || e.RequestID == "" {
			c.Errorf("%s %q %q %q: %d %s", q.method, q.path, q.header, q.body, r.status, r.body)
		}
	}
	if !bytes.HasPrefix(r.body, []byte("<?xml")) || r.header.Get("Etag") != "" && q.method == "GET" {
		return // or what was stored
	}
	for d := xml.NewDecoder(bytes.NewReader(r.body)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			c.Fatalf("%s %q %q %q: %v in %q", q.method, q.path, q.header, q.body, err, r.body)
		}
	}
}

// sendable reads the fields that net/http lets a client send and that do not say
// where a message ends.
func sendable(fields string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(fields, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" ||
			strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			continue
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Trailer", "Te", "Upgrade", "Keep-Alive", "Authorization", "X-Amz-Date":
		default:
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h
}

package s3api_test

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

// copyDocument is the answer of CopyObject.
type copyDocument struct {
	XMLName                                                             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
	ETag, LastModified, ChecksumSHA256, ChecksumCRC64NVME, ChecksumType string
}

// copyTo copies what source names, with more headers.
func (s *stack) copyTo(path, source string, more ...string) reply {
	s.Helper()
	return s.do(call{method: "PUT", path: path, header: header(append([]string{"X-Amz-Copy-Source", source}, more...)...)})
}

func (r reply) copied(t testing.TB) copyDocument {
	t.Helper()
	var d copyDocument
	if err := xml.Unmarshal(r.body, &d); r.status != 200 || err != nil {
		t.Fatalf("copy: %d %v %s", r.status, err, r.body)
	}
	return d
}

func TestCopy(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.bucket("archive")
	put := s.ok("PUT", "/photos/a%20b%2Bc", "content", header("Content-Type", "text/x-odd", "Cache-Control", "no-cache",
		"X-Amz-Meta-Who", "me", "X-Amz-Tagging", "a=b", "X-Amz-Storage-Class", "STANDARD_IA"))

	r := s.copyTo("/archive/k", "/photos/a%20b%2Bc")
	if d := r.copied(t); d.ETag != put.header.Get("ETag") || !strings.HasSuffix(d.LastModified, "Z") || r.header.Get("ETag") != "" {
		t.Errorf("copy: %+v %v", d, r.header)
	}
	got := s.ok("GET", "/archive/k", "", nil)
	for name, want := range map[string]string{"Content-Type": "text/x-odd", "Cache-Control": "no-cache", "x-amz-meta-who": "me",
		"x-amz-tagging-count": "1", "x-amz-storage-class": "", "ETag": put.header.Get("ETag")} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	if string(got.body) != "content" {
		t.Errorf("content %q", got.body)
	}

	s.copyTo("/archive/k", "photos/a+b%2Bc", "X-Amz-Metadata-Directive", "REPLACE", "Content-Type", "text/new", "X-Amz-Meta-New", "1",
		"X-Amz-Tagging-Directive", "REPLACE", "X-Amz-Tagging", "x=1&y=2", "X-Amz-Storage-Class", "ONEZONE_IA").copied(t)
	got = s.ok("GET", "/archive/k", "", nil)
	for name, want := range map[string]string{"Content-Type": "text/new", "Cache-Control": "", "x-amz-meta-who": "", "x-amz-meta-new": "1",
		"x-amz-tagging-count": "2", "x-amz-storage-class": "ONEZONE_IA"} {
		if got.header.Get(name) != want {
			t.Errorf("replaced: %s: %q, want %q", name, got.header.Get(name), want)
		}
	}

	d := s.copyTo("/archive/k", "/photos/a%20b%2Bc", "X-Amz-Checksum-Algorithm", "SHA256").copied(t)
	if d.ChecksumSHA256 != "7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=" || d.ChecksumType != "FULL_OBJECT" {
		t.Errorf("checksum: %+v", d)
	}
	// Onto itself, with a change.
	s.copyTo("/archive/k", "/archive/k", "X-Amz-Metadata-Directive", "REPLACE").copied(t)
	if h := s.ok("HEAD", "/archive/k", "", nil).header; h.Get("Content-Type") != "binary/octet-stream" {
		t.Errorf("onto itself: %v", h)
	}
}

func TestCopyVersions(t *testing.T) {
	s := newStack(t)
	s.versioned("photos")
	one := s.ok("PUT", "/photos/k", "one", nil).version()
	s.ok("PUT", "/photos/k", "two", nil)
	r := s.copyTo("/photos/k", "/photos/k?versionId="+one) // brings it back
	r.copied(t)
	if r.header.Get("x-amz-copy-source-version-id") != one || r.version() == "" || r.version() == one {
		t.Errorf("headers %v", r.header)
	}
	if got := s.ok("GET", "/photos/k", "", nil); string(got.body) != "one" || got.version() != r.version() {
		t.Errorf("current: %q", got.body)
	}
	marker := s.ok("DELETE", "/photos/k", "", nil).version()
	s.copyTo("/photos/n", "/photos/k").want(t, 404, "NoSuchKey")
	e := s.copyTo("/photos/n", "/photos/k?versionId="+marker).want(t, 400, "InvalidRequest")
	if e.Message != "The source of a copy request may not specifically refer to a delete marker by version id." {
		t.Errorf("message %q", e.Message)
	}
}

func TestCopyErrors(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.ok("PUT", "/photos/k", "x", nil)
	h := s.ok("HEAD", "/photos/k", "", nil).header
	etag := h.Get("ETag")
	when, err := http.ParseTime(h.Get("Last-Modified"))
	s.must(err)
	earlier, later := when.Add(-time.Hour).Format(http.TimeFormat), when.Add(time.Hour).Format(http.TimeFormat)
	_, err = s.ledger.CreateTenant(s.ctx(), root, "rivals")
	s.must(err)
	s.must(s.pipe.CreateBucket(s.ctx(), registry.Actor{Tenant: "rivals", Principal: "x", Roles: []registry.Role{registry.RoleAdmin}}, "theirs"))
	writer := s.key(registry.DefaultTenant, "wim", registry.RoleUploader)
	for _, test := range []struct {
		name, path, source string
		more               []string
		status             int
		code, message      string
	}{
		{"only a bucket", "/photos/n", "/photos", nil, 400, "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"},
		{"an empty key", "/photos/n", "/photos/", nil, 400, "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"},
		{"a long key", "/photos/n", "/photos/" + strings.Repeat("k", 1025), nil, 400, "InvalidArgument", "Invalid copy source object key"},
		{"bad escape", "/photos/n", "/photos/%zz", nil, 400, "InvalidArgument", "Invalid copy source encoding."},
		{"not UTF-8", "/photos/n", "/photos/%ff", nil, 400, "InvalidArgument", "Invalid copy source encoding."},
		{"empty version", "/photos/n", "/photos/k?versionId=", nil, 400, "InvalidArgument", "Version id cannot be the empty string"},
		{"bad version", "/photos/n", "/photos/k?versionId=v", nil, 400, "InvalidArgument", "Invalid version id specified"},
		{"unknown version", "/photos/n", "/photos/k?versionId=01ARZ3NDEKTSV4RRFFQ69G5FAV", nil, 404, "NoSuchVersion", ""},
		{"no source bucket", "/photos/n", "/nothing/k", nil, 404, "NoSuchBucket", ""},
		{"a foreign bucket", "/photos/n", "/theirs/k", nil, 404, "NoSuchBucket", ""},
		{"no source key", "/photos/n", "/photos/none", nil, 404, "NoSuchKey", ""},
		{"no bucket", "/nothing/n", "/photos/k", nil, 404, "NoSuchBucket", ""},
		{"onto itself", "/photos/k", "/photos/k", nil, 400, "InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."},
		{"metadata directive", "/photos/n", "/photos/k", []string{"X-Amz-Metadata-Directive", "MERGE"}, 400, "InvalidArgument", "Unknown metadata directive."},
		{"tagging directive", "/photos/n", "/photos/k", []string{"X-Amz-Tagging-Directive", "MERGE"}, 400, "InvalidArgument", "Unknown tagging directive."},
		{"checksum algorithm", "/photos/n", "/photos/k", []string{"X-Amz-Checksum-Algorithm", "MD6"}, 400, "InvalidRequest", ""},
		{"range", "/photos/n", "/photos/k", []string{"X-Amz-Copy-Source-Range", "bytes=0-0"}, 501, "NotImplemented", ""},
		{"client's key", "/photos/n", "/photos/k", []string{"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm", "AES256"}, 501, "NotImplemented", ""},
		{"match", "/photos/n", "/photos/k", []string{"X-Amz-Copy-Source-If-Match", `"x"`}, 412, "PreconditionFailed", ""},
		{"none match", "/photos/n", "/photos/k", []string{"X-Amz-Copy-Source-If-None-Match", etag}, 412, "PreconditionFailed", ""},
		{"unmodified", "/photos/n", "/photos/k", []string{"X-Amz-Copy-Source-If-Unmodified-Since", earlier}, 412, "PreconditionFailed", ""},
		{"modified", "/photos/n", "/photos/k", []string{"X-Amz-Copy-Source-If-Modified-Since", later}, 412, "PreconditionFailed", ""},
		{"destination taken", "/photos/k", "/photos/k", []string{"If-None-Match", "*", "X-Amz-Metadata-Directive", "REPLACE"}, 412, "PreconditionFailed", ""},
		{"match, and unmodified", "/photos/n1", "/photos/k", []string{"X-Amz-Copy-Source-If-Match", etag, "X-Amz-Copy-Source-If-Unmodified-Since", earlier}, 200, "", ""},
		{"none match, and modified", "/photos/n2", "/photos/k", []string{"X-Amz-Copy-Source-If-None-Match", `"x"`, "X-Amz-Copy-Source-If-Modified-Since", later}, 200, "", ""},
		{"destination free", "/photos/n3", "/photos/k", []string{"If-None-Match", "*"}, 200, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.copyTo(test.path, test.source, test.more...)
			if test.status == 200 {
				r.copied(t)
				return
			}
			e := r.want(t, test.status, test.code)
			if test.message != "" && e.Message != test.message {
				t.Errorf("message %q", e.Message)
			}
			if source := strings.Trim(test.source, "/"); e.Code == "NoSuchKey" && e.Key != source[strings.Index(source, "/")+1:] {
				t.Errorf("key %q", e.Key)
			}
		})
	}
	if e := s.copyTo("/photos/n", "/photos/k", "X-Amz-Copy-Source-If-Match", `"x"`).want(t, 412, "PreconditionFailed"); e.Condition != "x-amz-copy-source-If-Match" {
		t.Errorf("condition %q", e.Condition)
	}
	// Who may write and not read, must not read by copying.
	c := call{method: "PUT", path: "/photos/n", header: header("X-Amz-Copy-Source", "/photos/k"), credentials: writer}
	s.do(c).want(t, 403, "AccessDenied")
	s.do(call{method: "GET", path: "/photos/n"}).want(t, 404, "NoSuchKey")
}

package s3api_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

// TestDeleteConditions deletes only what is as the client knows it.
func TestDeleteConditions(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	put := s.ok("PUT", "/photos/k", "x", nil)
	etag := put.header.Get("ETag")
	modified := s.ok("HEAD", "/photos/k", "", nil).header.Get("Last-Modified")
	when, err := http.ParseTime(modified)
	s.must(err)
	for _, test := range []struct {
		name      string
		header    http.Header
		status    int
		condition string
	}{
		{"another ETag", header("If-Match", `"x"`), 412, "If-Match"},
		{"another size", header("X-Amz-If-Match-Size", "2"), 412, "x-amz-if-match-size"},
		{"another time", header("X-Amz-If-Match-Last-Modified-Time", when.Add(time.Second).Format(http.TimeFormat)), 412, "x-amz-if-match-last-modified-time"},
		{"size is no number", header("X-Amz-If-Match-Size", "x"), 400, ""},
		{"time is no time", header("X-Amz-If-Match-Last-Modified-Time", "yesterday"), 400, ""},
		{"if none match", header("If-None-Match", "*"), 501, ""},
		{"all hold", header("If-Match", etag, "X-Amz-If-Match-Size", "1", "X-Amz-If-Match-Last-Modified-Time", modified), 204, ""},
		{"nothing there", header("If-Match", etag), 204, ""},
	} {
		r := s.do(call{method: "DELETE", path: "/photos/k", header: test.header})
		if r.status != test.status {
			t.Errorf("%s: %d %s", test.name, r.status, r.body)
		}
		if test.condition != "" {
			if e := r.want(t, 412, "PreconditionFailed"); e.Condition != test.condition {
				t.Errorf("%s: condition %q", test.name, e.Condition)
			}
		}
	}
	s.do(call{method: "GET", path: "/photos/k"}).want(t, 404, "NoSuchKey")
}

// deleteResult is the answer of DeleteObjects.
type deleteResult struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []struct {
		Key                   string
		VersionID             string `xml:"VersionId"`
		DeleteMarker          bool
		DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId"`
	}
	Error []struct {
		Key, Code, Message string
		VersionID          string `xml:"VersionId"`
	}
}

func (s *stack) deleteMany(objects string, more ...string) deleteResult {
	s.Helper()
	c := deletion(objects)
	for i := 0; i+1 < len(more); i += 2 {
		c.header.Set(more[i], more[i+1])
	}
	r := s.do(c)
	if r.status != 200 {
		s.Fatalf("delete: %d %s", r.status, r.body)
	}
	var d deleteResult
	s.must(xml.Unmarshal(r.body, &d))
	return d
}

func objectNamed(key, more string) string {
	return "<Object><Key>" + key + "</Key>" + more + "</Object>"
}

func TestDeleteVersions(t *testing.T) {
	s := newStack(t)
	s.versioned("photos")
	version := s.ok("PUT", "/photos/a", "x", nil).version()
	etag := s.ok("PUT", "/photos/b", "x", nil).header.Get("ETag")
	d := s.deleteMany(objectNamed("a", "") + objectNamed("b", "<ETag>\"no\"</ETag>") + objectNamed("a", "<VersionId>not-a-version</VersionId>"))
	if len(d.Deleted) != 1 || !d.Deleted[0].DeleteMarker || d.Deleted[0].DeleteMarkerVersionID == "" || d.Deleted[0].VersionID != "" {
		t.Fatalf("deleted: %+v", d.Deleted)
	}
	marker := d.Deleted[0].DeleteMarkerVersionID
	if len(d.Error) != 2 || d.Error[0].Code != "PreconditionFailed" || d.Error[0].Key != "b" ||
		d.Error[1].Code != "NoSuchVersion" || d.Error[1].VersionID != "not-a-version" || d.Error[1].Message != "The specified version does not exist." {
		t.Errorf("errors: %+v", d.Error)
	}
	d = s.deleteMany(objectNamed("a", "<VersionId>"+marker+"</VersionId>") + objectNamed("a", "<VersionId>"+version+"</VersionId>") +
		objectNamed("b", "<ETag>"+strings.ReplaceAll(etag, `"`, "&quot;")+"</ETag><Size>1</Size>"))
	if len(d.Error) != 0 || len(d.Deleted) != 3 || !d.Deleted[0].DeleteMarker || d.Deleted[0].DeleteMarkerVersionID != marker ||
		d.Deleted[0].VersionID != marker || d.Deleted[1].DeleteMarker || d.Deleted[1].VersionID != version {
		t.Errorf("deleted: %+v, errors %+v", d.Deleted, d.Error)
	}
	s.do(call{method: "GET", path: "/photos/a"}).want(t, 404, "NoSuchKey")
	if d := s.deleteMany("<Quiet>true</Quiet>" + objectNamed("b", "<Size>9</Size>") + objectNamed("c", "")); len(d.Deleted) != 0 {
		t.Errorf("quiet: %+v", d)
	}
}

// TestDeleteAThousand deletes as many as one request may name.
func TestDeleteAThousand(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.ok("PUT", "/photos/key-999", "x", nil)
	var b strings.Builder
	for i := range 1000 {
		b.WriteString(objectNamed(fmt.Sprintf("key-%03d", i), ""))
	}
	if d := s.deleteMany(b.String()); len(d.Deleted) != 1000 || d.Deleted[999].Key != "key-999" {
		t.Errorf("%d deleted", len(d.Deleted))
	}
	s.do(call{method: "GET", path: "/photos/key-999"}).want(t, 404, "NoSuchKey")
}

// TestLockedDeletes deletes what is locked: not at all, or by who may bypass it.
func TestLockedDeletes(t *testing.T) {
	s := newStack(t)
	s.lockable("photos")
	until := s.now().Add(time.Hour).UTC().Format(time.RFC3339)
	governed := s.ok("PUT", "/photos/g", "x", header("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", until)).version()
	held := s.ok("PUT", "/photos/h", "x", header("X-Amz-Object-Lock-Legal-Hold", "ON")).version()
	kept := s.ok("PUT", "/photos/c", "x", header("X-Amz-Object-Lock-Mode", "COMPLIANCE", "X-Amz-Object-Lock-Retain-Until-Date", until)).version()
	const message = "Access Denied because object protected by object lock."
	bypass := header("X-Amz-Bypass-Governance-Retention", "true")
	for _, test := range []struct {
		path   string
		header http.Header
	}{
		{"g?versionId=" + governed, nil}, {"h?versionId=" + held, nil}, {"h?versionId=" + held, bypass},
		{"c?versionId=" + kept, nil}, {"c?versionId=" + kept, bypass},
	} {
		if e := s.do(call{method: "DELETE", path: "/photos/" + test.path, header: test.header}).want(t, 403, "AccessDenied"); e.Message != message {
			t.Errorf("%s: %q", test.path, e.Message)
		}
	}
	objects := objectNamed("g", "<VersionId>"+governed+"</VersionId>") + objectNamed("c", "<VersionId>"+kept+"</VersionId>")
	if d := s.deleteMany(objects); len(d.Error) != 2 || d.Error[0].Code != "AccessDenied" || d.Error[0].Message != message {
		t.Errorf("many: %+v", d)
	}
	d := s.deleteMany(objects, "X-Amz-Bypass-Governance-Retention", "true")
	if len(d.Deleted) != 1 || d.Deleted[0].Key != "g" || len(d.Error) != 1 || d.Error[0].Key != "c" {
		t.Errorf("many with bypass: %+v", d)
	}
	if r := s.do(call{method: "DELETE", path: "/photos/c"}); r.status != 204 || r.header.Get("x-amz-delete-marker") != "true" {
		t.Errorf("a marker before a locked version: %d %s", r.status, r.body)
	}
}

// lockable makes a bucket whose objects can be locked.
func (s *stack) lockable(name string) {
	s.Helper()
	s.versioned(name)
	s.must(s.pipe.SetBucketLock(s.ctx(), root, registry.BucketName(name), registry.BucketLock{}))
}

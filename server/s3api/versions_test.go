package s3api_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sallyport/registry"
)

// versioned makes a bucket with versioning.
func (s *stack) versioned(name string) {
	s.Helper()
	s.bucket(name)
	s.must(s.pipe.SetVersioning(s.ctx(), root, registry.BucketName(name), registry.VersioningEnabled))
}

// ok sends a call that must succeed.
func (s *stack) ok(method, path, body string, header http.Header) reply {
	s.Helper()
	r := s.do(call{method: method, path: path, body: body, header: header})
	if r.status >= 300 {
		s.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
	}
	return r
}

// version is the version id that an answer is about.
func (r reply) version() string { return r.header.Get("x-amz-version-id") }

// TestVersions walks one key through its history.
func TestVersions(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	before := s.ok("PUT", "/photos/k", "zero", nil)
	if before.version() != "" || s.ok("GET", "/photos/k", "", nil).version() != "" {
		t.Errorf("a version id where versioning never was on: %v", before.header)
	}
	s.must(s.pipe.SetVersioning(s.ctx(), root, "photos", registry.VersioningEnabled))
	one := s.ok("PUT", "/photos/k", "one", nil).version()
	two := s.ok("PUT", "/photos/k", "two", nil).version()
	if one == "" || two == "" || one == two || one == "null" {
		t.Fatalf("versions %q %q", one, two)
	}
	gone := s.ok("DELETE", "/photos/k", "", nil)
	marker := gone.version()
	if gone.status != 204 || gone.header.Get("x-amz-delete-marker") != "true" || marker == "" {
		t.Fatalf("delete: %d %v", gone.status, gone.header)
	}
	for path, want := range map[string]string{"k?versionId=null": "zero", "k?versionId=" + one: "one", "k?versionId=" + two: "two"} {
		r := s.ok("GET", "/photos/"+path, "", nil)
		if string(r.body) != want || r.version() != strings.TrimPrefix(path, "k?versionId=") {
			t.Errorf("%s: %q, version %q", path, r.body, r.version())
		}
	}

	r := s.do(call{method: "GET", path: "/photos/k"})
	r.want(t, 404, "NoSuchKey")
	if r.header.Get("x-amz-delete-marker") != "true" || r.version() != marker {
		t.Errorf("get of a deleted key: %v", r.header)
	}
	r = s.do(call{method: "GET", path: "/photos/k?versionId=" + marker})
	r.want(t, 405, "MethodNotAllowed")
	if r.header.Get("x-amz-delete-marker") != "true" || r.version() != marker || r.header.Get("Allow") != "DELETE" || r.header.Get("Last-Modified") == "" {
		t.Errorf("get of the marker: %v", r.header)
	}
	for path, status := range map[string]int{"k": 404, "k?versionId=" + marker: 405} {
		if h := s.do(call{method: "HEAD", path: "/photos/" + path}); h.status != status || h.header.Get("x-amz-delete-marker") != "true" || h.version() != marker {
			t.Errorf("head %s: %d %v", path, h.status, h.header)
		}
	}

	if h := s.ok("DELETE", "/photos/k?versionId="+marker, "", nil); h.header.Get("x-amz-delete-marker") != "true" || h.version() != marker {
		t.Errorf("delete of the marker: %v", h.header)
	}
	if h := s.ok("DELETE", "/photos/k?versionId="+two, "", nil); h.header.Get("x-amz-delete-marker") != "" || h.version() != two {
		t.Errorf("delete of a version: %v", h.header)
	}
	if r := s.ok("GET", "/photos/k", "", nil); string(r.body) != "one" || r.version() != one {
		t.Errorf("what is current now: %q %q", r.body, r.version())
	}

	s.must(s.pipe.SetVersioning(s.ctx(), root, "photos", registry.VersioningSuspended))
	if v := s.ok("PUT", "/photos/k", "null", nil).version(); v != "null" {
		t.Errorf("put while suspended: version %q", v)
	}
	if r := s.ok("GET", "/photos/k?versionId=null", "", nil); string(r.body) != "null" {
		t.Errorf("the null version: %q", r.body)
	}
	if h := s.ok("DELETE", "/photos/k", "", nil); h.version() != "null" || h.header.Get("x-amz-delete-marker") != "true" {
		t.Errorf("delete while suspended: %v", h.header)
	}
}

// TestVersionErrors names versions that are not there.
func TestVersionErrors(t *testing.T) {
	s := newStack(t)
	s.versioned("photos")
	s.ok("PUT", "/photos/k", "x", nil)
	other := s.ok("PUT", "/photos/other", "x", nil).version()
	for _, test := range []struct {
		name, method, version string
		status                int
		code, message         string
	}{
		{"empty", "GET", "", 400, "InvalidArgument", "Version id cannot be the empty string"},
		{"malformed", "GET", "not-a-version", 400, "InvalidArgument", "Invalid version id specified"},
		{"unknown", "GET", "01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "NoSuchVersion", "The specified version does not exist."},
		{"of another key", "GET", other, 404, "NoSuchVersion", "The specified version does not exist."},
		{"null where there is none", "GET", "null", 404, "NoSuchVersion", "The specified version does not exist."},
		{"empty delete", "DELETE", "", 400, "InvalidArgument", "Version id cannot be the empty string"},
		{"malformed delete", "DELETE", "not-a-version", 400, "InvalidArgument", "Invalid version id specified"},
		{"of a put", "PUT", "null", 400, "InvalidArgument", "This operation does not accept a version-id."},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.do(call{method: test.method, path: "/photos/k?versionId=" + test.version})
			if e := r.want(t, test.status, test.code); e.Message != test.message {
				t.Errorf("message %q", e.Message)
			}
		})
	}
	for _, version := range []string{"01ARZ3NDEKTSV4RRFFQ69G5FAV", other} {
		if r := s.do(call{method: "DELETE", path: "/photos/k?versionId=" + version}); r.status != 204 {
			t.Errorf("delete of what is not there: %d %s", r.status, r.body)
		}
	}
	for _, key := range []string{"k", "other"} {
		if r := s.do(call{method: "GET", path: "/photos/" + key}); r.status != 200 {
			t.Errorf("%s: %d", key, r.status)
		}
	}
}

// versionsResult is the answer of ListObjectVersions, its entries in their order.
type versionsResult struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	KeyMarker           string
	VersionIDMarker     string `xml:"VersionIdMarker"`
	NextKeyMarker       string
	NextVersionIDMarker string `xml:"NextVersionIdMarker"`
	MaxKeys             int
	IsTruncated         bool
	EncodingType        string
	Entries             []versionEntry `xml:",any"`
}

type versionEntry struct {
	XMLName                         xml.Name
	Key, ETag, LastModified, Prefix string
	VersionID                       string `xml:"VersionId"`
	IsLatest                        bool
	Size                            int64
	Owner                           *struct{ ID string }
	StorageClass                    string
}

func (s *stack) versions(query string) versionsResult {
	s.Helper()
	r := s.ok("GET", "/photos?versions&"+query, "", nil)
	var l versionsResult
	s.must(xml.Unmarshal(r.body, &l))
	l.Entries = slices.DeleteFunc(l.Entries, func(e versionEntry) bool {
		return e.XMLName.Local != "Version" && e.XMLName.Local != "DeleteMarker" && e.XMLName.Local != "CommonPrefixes"
	})
	return l
}

// lines are the entries in short: V or M, the key, "*" for the latest, or a prefix.
func (l versionsResult) lines() []string {
	var all []string
	for _, e := range l.Entries {
		line := e.XMLName.Local[:1] + " " + e.Key + e.Prefix
		if e.IsLatest {
			line += "*"
		}
		all = append(all, line)
	}
	return all
}

func TestListVersions(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.ok("PUT", "/photos/a", "0", nil) // before there are versions
	s.must(s.pipe.SetVersioning(s.ctx(), root, "photos", registry.VersioningEnabled))
	for _, key := range []string{"a", "b/1", "b/1", "b/2", "c", "d"} {
		s.ok("PUT", "/photos/"+key, key, nil)
	}
	s.ok("DELETE", "/photos/c", "", nil)
	s.ok("DELETE", "/photos/never", "", nil)
	for _, test := range []struct{ query, want string }{
		{"", "V a*,V a,V b/1*,V b/1,V b/2*,D c*,V c,V d*,D never*"},
		{"prefix=b/", "V b/1*,V b/1,V b/2*"},
		{"delimiter=/", "V a*,V a,D c*,V c,V d*,D never*,C b/"},
		{"key-marker=b/1", "V b/2*,D c*,V c,V d*,D never*"},
		{"key-marker=b/&delimiter=/", "D c*,V c,V d*,D never*"},
		{"max-keys=2", "V a*,V a"},
		{"max-keys=0", ""},
		{"prefix=none", ""},
	} {
		if got := strings.Join(s.versions(test.query).lines(), ","); got != test.want {
			t.Errorf("%s: %s, want %s", test.query, got, test.want)
		}
	}
	all := s.versions("encoding-type=url")
	for _, e := range all.Entries {
		marker := e.XMLName.Local == "DeleteMarker"
		if e.VersionID == "" || e.Owner == nil || e.LastModified == "" || (e.ETag == "") != marker || (e.StorageClass == "") != marker {
			t.Errorf("entry %+v", e)
		}
	}
	if all.Entries[1].VersionID != "null" || all.EncodingType != "url" {
		t.Errorf("null version %+v", all.Entries[1])
	}
	for size := 1; size <= 4; size++ {
		for _, delimiter := range []string{"", "/"} {
			base := fmt.Sprintf("max-keys=%d&delimiter=%s", size, delimiter)
			var got []string
			for next := ""; ; {
				page := s.versions(base + next)
				got = append(got, page.lines()...)
				if !page.IsTruncated {
					break
				}
				if len(page.Entries) != size {
					t.Errorf("a truncated page of %d has %d", size, len(page.Entries))
				}
				next = "&key-marker=" + page.NextKeyMarker
				if page.NextVersionIDMarker != "" {
					next += "&version-id-marker=" + page.NextVersionIDMarker
				}
			}
			want := s.versions("delimiter=" + delimiter).lines()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d: %q", size, got)
			}
		}
	}
	for query, message := range map[string]string{
		"version-id-marker=x":              "A version-id marker cannot be specified without a key marker.",
		"key-marker=a&version-id-marker=x": "Invalid version id specified",
		"max-keys=x":                       "Provided max-keys not an integer or within integer range",
	} {
		if e := s.do(call{method: "GET", path: "/photos?versions&" + query}).want(t, 400, "InvalidArgument"); e.Message != message {
			t.Errorf("%s: %q", query, e.Message)
		}
	}
}

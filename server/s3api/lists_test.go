package s3api_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/sigv4"
)

// listResult is the answer of both versions of ListObjects.
type listResult struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Prefix   string
	Contents []struct {
		Key, ETag, LastModified, StorageClass string
		Size                                  int64
		Owner                                 *struct{ ID string }
	}
	CommonPrefixes                           []struct{ Prefix string }
	KeyCount, MaxKeys                        int
	IsTruncated                              bool
	EncodingType, Delimiter                  string
	ContinuationToken, NextContinuationToken string
	StartAfter                               string
	Marker, NextMarker                       string
}

func (s *stack) list(query string) listResult {
	s.Helper()
	r := s.do(call{method: "GET", path: "/photos?" + query})
	if r.status != 200 {
		s.Fatalf("list %s: %d %s", query, r.status, r.body)
	}
	var l listResult
	s.must(xml.Unmarshal(r.body, &l))
	return l
}

// names are the keys and prefixes of a page.
func (l listResult) names() []string {
	var all []string
	for _, c := range l.Contents {
		all = append(all, c.Key)
	}
	for _, p := range l.CommonPrefixes {
		all = append(all, p.Prefix)
	}
	return all
}

func TestListPages(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	for _, key := range []string{"a", "b/1", "b/2", "c", "d"} {
		if r := s.do(call{method: "PUT", path: "/photos/" + key, body: key}); r.status != 200 {
			t.Fatalf("put: %d %s", r.status, r.body)
		}
	}
	tests := []struct {
		query     string
		names     string
		truncated bool
	}{
		{"list-type=2", "a b/1 b/2 c d", false},
		{"list-type=2&max-keys=5", "a b/1 b/2 c d", false}, // exactly all of them
		{"list-type=2&max-keys=4", "a b/1 b/2 c", true},
		{"list-type=2&max-keys=5000", "a b/1 b/2 c d", false},
		{"list-type=2&max-keys=0", "", false},
		{"list-type=2&max-keys=", "a b/1 b/2 c d", false},
		{"list-type=2&delimiter=/", "a c d b/", false},
		{"list-type=2&delimiter=/&max-keys=4", "a c d b/", false},
		{"list-type=2&delimiter=/&max-keys=2", "a b/", true},
		{"list-type=2&delimiter=/&prefix=b/", "b/1 b/2", false},
		{"list-type=2&delimiter=/&prefix=b", "b/", false},
		{"list-type=2&prefix=x", "", false},
		{"list-type=2&start-after=b/1", "b/2 c d", false},
		{"list-type=2&start-after=b/&delimiter=/", "c d", false},
		{"list-type=2&start-after=d", "", false},
		{"delimiter=/&max-keys=2", "a b/", true},
		{"marker=b/2", "c d", false},
		{"marker=b/&delimiter=/", "c d", false},
		{"", "a b/1 b/2 c d", false},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			l := s.list(test.query)
			if got := strings.Join(l.names(), " "); got != test.names || l.IsTruncated != test.truncated {
				t.Errorf("%q, truncated %v", got, l.IsTruncated)
			}
			second := strings.HasPrefix(test.query, "list-type=2")
			if second && (l.KeyCount != len(l.names()) || (l.NextContinuationToken != "") != test.truncated) {
				t.Errorf("count %d, token %q", l.KeyCount, l.NextContinuationToken)
			}
			for _, c := range l.Contents {
				if (c.Owner == nil) != second || c.Size == 0 || c.StorageClass != "STANDARD" || !strings.HasSuffix(c.LastModified, "Z") || len(c.ETag) != 34 {
					t.Errorf("entry %+v", c)
				}
			}
		})
	}
	if l := s.list("list-type=2&fetch-owner=true&max-keys=5000"); l.Contents[0].Owner == nil || l.MaxKeys != 1000 {
		t.Errorf("owner %v, max keys %d", l.Contents[0].Owner, l.MaxKeys)
	}
	if l := s.list("delimiter=/&max-keys=2"); l.NextMarker != "b/" {
		t.Errorf("next marker %q", l.NextMarker)
	}
	for size := 1; size <= 6; size++ {
		for _, delimiter := range []string{"", "/"} {
			var got []string
			query := fmt.Sprintf("list-type=2&max-keys=%d&delimiter=%s", size, delimiter)
			token, pages := "", 0
			for more := true; more; pages++ {
				page := s.list(query + token)
				if page.IsTruncated && len(page.names()) != size {
					t.Errorf("a truncated page of %d has %d", size, len(page.names()))
				}
				got = append(got, page.names()...)
				token, more = "&continuation-token="+page.NextContinuationToken, page.IsTruncated
			}
			want := s.list("list-type=2&delimiter=" + delimiter).names()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || pages > len(want)/size+1 {
				t.Errorf("pages of %d: %q in %d pages", size, got, pages)
			}
		}
	}
}

// oddKeys are keys that something on the way may want to change.
var oddKeys = []string{
	"a b", "a+b", "a%2Fb", "%", "a%20b", "ä/ö/ü", "日本/語", "😀", "a//b", "//", "/leading", "trailing/", ".", "..", "a/../b", "./a",
	"a&b=c?d#e", "<key>", "'\"", "*!()~-_.", "tab\tkey", "line\nkey", "\x01\x7f", "\u2028", "a\\b", strings.Repeat("k", 1024), "_/uploads/x", "photos/photos",
}

func TestOddKeys(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	for _, key := range oddKeys {
		path := "/photos/" + string(sigv4.AppendPath(nil, key))
		put := s.do(call{method: "PUT", path: path, body: key})
		if put.status != 200 {
			t.Errorf("put %q: %d %s", key, put.status, put.body)
			continue
		}
		if get := s.do(call{method: "GET", path: path}); get.status != 200 || string(get.body) != key {
			t.Errorf("get %q: %d %q", key, get.status, get.body)
		}
		l := s.list("list-type=2&encoding-type=url&prefix=" + url.QueryEscape(key) + "&start-after=")
		if l.EncodingType != "url" || !slices.ContainsFunc(l.names(), func(n string) bool {
			plain, err := url.QueryUnescape(n)
			return err == nil && plain == key
		}) {
			t.Errorf("list with prefix %q: %q", key, l.names())
		}
	}
	want := slices.Clone(oddKeys)
	slices.Sort(want)
	var got []string
	for _, c := range s.list("list-type=2&encoding-type=url").Contents {
		key, err := url.PathUnescape(c.Key)
		s.must(err)
		got = append(got, key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q", got)
	}
	// Without encoding the answer must still be XML, whatever the keys are.
	if l := s.list("list-type=2"); len(l.Contents) != len(oddKeys) {
		t.Errorf("%d keys unencoded", len(l.Contents))
	}
	for _, key := range oddKeys {
		if r := s.do(call{method: "DELETE", path: "/photos/" + string(sigv4.AppendPath(nil, key))}); r.status != 204 || len(r.body) != 0 {
			t.Errorf("delete %q: %d %s", key, r.status, r.body)
		}
	}
	if l := s.list("list-type=2"); len(l.Contents) != 0 {
		t.Errorf("left over: %q", l.names())
	}
}

func TestDeleteObjects(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.do(call{method: "PUT", path: "/photos/a%26b", body: "x"})
	s.do(call{method: "PUT", path: "/photos/c", body: "x"})
	const objects = "<Object><Key>a&amp;b</Key></Object><Object><Key>never</Key></Object>"
	if r := s.do(deletion(objects)); r.status != 200 || strings.Count(string(r.body), "<Deleted>") != 2 || !strings.Contains(string(r.body), "<Key>a&amp;b</Key>") {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	if r := s.do(deletion("<Quiet>true</Quiet><Object><Key>c</Key></Object>")); r.status != 200 || strings.Contains(string(r.body), "<Deleted>") {
		t.Errorf("quiet: %d %s", r.status, r.body)
	}
	if l := s.list("list-type=2"); len(l.Contents) != 0 {
		t.Errorf("left over: %q", l.names())
	}
}

// TestDocumentsAreBounded holds the room for documents with one that does not come
// to its end: others are told to come later, and may once it is gone.
func TestDocumentsAreBounded(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.DocumentMemory = 10_000 })
	s.bucket("photos")
	small, large := deletion("<Object><Key>c</Key></Object>"), deletion("<Object><Key>c</Key></Object>"+strings.Repeat(" ", 9950))
	for range 20 { // what was used is given back
		if r := s.do(small); r.status != 200 {
			t.Fatalf("alone: %d %s", r.status, r.body)
		}
	}
	body, more := io.Pipe()
	req := s.request(large)
	req.Body = body
	done := make(chan reply, 1)
	go func() { done <- s.send(req) }()
	_, err := io.WriteString(more, large.body[:9000]) // more than the client keeps to itself
	s.must(err)
	for deadline := time.Now().Add(patience); ; {
		if r := s.do(small); r.status != 200 {
			r.want(t, 503, "SlowDown")
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the room is without bounds")
		}
	}
	_, err = io.WriteString(more, large.body[9000:])
	s.must(errors.Join(err, more.Close()))
	if r := <-done; r.status != 200 {
		t.Errorf("who held the room: %d %s", r.status, r.body)
	}
	if r := s.do(small); r.status != 200 {
		t.Errorf("afterwards: %d %s", r.status, r.body)
	}
}

// TestListBuckets pages through the buckets of a tenant.
func TestListBuckets(t *testing.T) {
	s := newStack(t)
	for _, name := range []string{"pa", "qa"} {
		if r := s.do(call{method: "PUT", path: "/" + name}); r.status != 400 {
			t.Errorf("a bucket name of two letters: %d", r.status)
		}
	}
	for _, name := range []string{"photos-1", "photos-2", "music"} {
		s.bucket(name)
	}
	for query, want := range map[string]string{
		"":                             "music photos-1 photos-2 ",
		"prefix=photos":                "photos-1 photos-2 ",
		"max-buckets=3":                "music photos-1 photos-2 ",
		"max-buckets=2":                "music photos-1 +",
		"max-buckets=1&prefix=photos":  "photos-1 +",
		"x-id=ListBuckets&max-buckets": "music photos-1 photos-2 ",
		"bucket-region=us-east-1":      "music:us-east-1 photos-1:us-east-1 photos-2:us-east-1 ",
		"bucket-region=eu-west-1":      "",
	} {
		r := s.do(call{method: "GET", path: "/?" + query})
		var l struct {
			Buckets           []struct{ Name, CreationDate, BucketRegion string } `xml:"Buckets>Bucket"`
			ContinuationToken string
		}
		s.must(xml.Unmarshal(r.body, &l))
		got := ""
		for _, b := range l.Buckets {
			got += b.Name
			if strings.Contains(query, "region") {
				got += ":" + b.BucketRegion
			}
			got += " "
		}
		if l.ContinuationToken != "" {
			got += "+"
		}
		if r.status != 200 || got != want {
			t.Errorf("%s: %d %q, want %q", query, r.status, got, want)
		}
	}
	s.publish("x") // the profile "default" is listed once it holds something
	if r := s.do(call{method: "GET", path: "/"}); !strings.Contains(string(r.body), "<Name>default</Name>") {
		t.Errorf("default is not listed: %s", r.body)
	}
}

// TestHeadBucket asks what clients ask first.
func TestHeadBucket(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	if r := s.do(call{method: "HEAD", path: "/photos"}); r.status != 200 || r.header.Get("x-amz-bucket-region") != region || len(r.body) != 0 {
		t.Errorf("head: %d %v", r.status, r.header)
	}
	if r := s.do(call{method: "HEAD", path: "/nothing"}); r.status != 404 || len(r.body) != 0 || r.header.Get("x-amz-request-id") == "" {
		t.Errorf("head of nothing: %d %v", r.status, r.header)
	}
}

// TestElsewhere serves a region that a location constraint names.
func TestElsewhere(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.Region, c.auth.Region = "eu-central-1", "eu-central-1" })
	const body = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>"
	if r := s.do(call{method: "PUT", path: "/photos", body: body, region: "eu-central-1"}); r.status != 200 || r.header.Get("Location") != "/photos" {
		t.Fatalf("create: %d %s", r.status, r.body)
	}
	if r := s.do(call{method: "GET", path: "/photos?location", region: "eu-central-1"}); !strings.Contains(string(r.body), ">eu-central-1<") {
		t.Errorf("location: %s", r.body)
	}
}

// TestRoles holds every operation against every role.
func TestRoles(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.do(call{method: "PUT", path: "/photos/k", body: "x"})
	const (
		all     = "uploader reader admin"
		readers = "reader admin"
		writers = "uploader admin"
		admins  = "admin"
	)
	deletes := deletion("<Object><Key>never</Key></Object>")
	for _, test := range []struct {
		call call
		may  string
	}{
		{call{method: "GET", path: "/"}, all},
		{call{method: "HEAD", path: "/photos"}, all},
		{call{method: "GET", path: "/photos?location"}, all},
		{call{method: "GET", path: "/photos?versioning"}, all},
		{call{method: "GET", path: "/photos"}, readers},
		{call{method: "GET", path: "/photos/k"}, readers},
		{call{method: "HEAD", path: "/photos/k"}, readers},
		{call{method: "PUT", path: "/photos/n", body: "x"}, writers},
		{call{method: "DELETE", path: "/photos/n"}, admins},
		{deletes, admins},
		{call{method: "PUT", path: "/more"}, admins},
		{call{method: "DELETE", path: "/more"}, admins},
	} {
		for _, role := range registry.Roles {
			c := test.call
			c.credentials = s.key(registry.DefaultTenant, registry.PrincipalName("p-"+role), role)
			may := slices.Contains(strings.Fields(test.may), string(role))
			if r := s.do(c); (r.status == 403) == may || may && r.status >= 300 {
				t.Errorf("%s %s as %s: %d %s", c.method, c.path, role, r.status, r.body)
			}
		}
	}
}

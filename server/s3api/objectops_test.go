package s3api_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/registry"
)

// objectOp is one operation on objects, and what it meets.
type objectOp struct {
	name    string
	method  string
	path    string // of /photos/k, which is there, or of the bucket
	body    string
	header  []string
	missing string // the code for a key that is not there; "" if that is all the same
	right   string // the roles that may
	xml     bool   // there is a document in the request
	bad     string // what is added to the path to make a parameter bad; "" if there is none
	badCode string
}

const (
	readers = "reader admin"
	writers = "uploader admin"
	admins  = "admin"
)

var objectOps = []objectOp{
	{name: "GetObject", method: "GET", path: "/photos/k", missing: "NoSuchKey", right: readers, bad: "?versionId=", badCode: "InvalidArgument"},
	{name: "GetObject by part", method: "GET", path: "/photos/k?partNumber=1", missing: "NoSuchKey", right: readers, bad: "0000x", badCode: "InvalidArgument"},
	{name: "PutObject", method: "PUT", path: "/photos/new", body: "x", right: writers, bad: "?versionId=x", badCode: "InvalidArgument"},
	{name: "CopyObject", method: "PUT", path: "/photos/new", header: []string{"X-Amz-Copy-Source", "/photos/k"}, right: admins, bad: "?versionId=x", badCode: "InvalidArgument"},
	{name: "DeleteObject", method: "DELETE", path: "/photos/none", right: admins, bad: "?versionId=", badCode: "InvalidArgument"},
	{name: "DeleteObjects", method: "POST", path: "/photos?delete", body: "<Delete><Object><Key>none</Key></Object></Delete>", right: admins, xml: true, bad: "&versionId=x", badCode: "InvalidArgument"},
	{name: "GetObjectAttributes", method: "GET", path: "/photos/k?attributes", header: []string{"X-Amz-Object-Attributes", "ETag"}, missing: "NoSuchKey", right: readers, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "GetObjectTagging", method: "GET", path: "/photos/k?tagging", missing: "NoSuchKey", right: readers, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "PutObjectTagging", method: "PUT", path: "/photos/k?tagging", body: "<Tagging><TagSet/></Tagging>", missing: "NoSuchKey", right: writers, xml: true, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "DeleteObjectTagging", method: "DELETE", path: "/photos/k?tagging", missing: "NoSuchKey", right: writers, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "GetObjectRetention", method: "GET", path: "/photos/k?retention", missing: "NoSuchKey", right: readers, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "PutObjectRetention", method: "PUT", path: "/photos/k?retention", body: "<Retention/>", missing: "NoSuchKey", right: admins, xml: true, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "GetObjectLegalHold", method: "GET", path: "/photos/k?legal-hold", missing: "NoSuchKey", right: readers, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "PutObjectLegalHold", method: "PUT", path: "/photos/k?legal-hold", body: "<LegalHold><Status>OFF</Status></LegalHold>", missing: "NoSuchKey", right: admins, xml: true, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "GetObjectAcl", method: "GET", path: "/photos/k?acl", missing: "NoSuchKey", right: readers, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "PutObjectAcl", method: "PUT", path: "/photos/k?acl", header: []string{"X-Amz-Acl", "private"}, missing: "NoSuchKey", right: admins, bad: "&versionId=", badCode: "InvalidArgument"},
	{name: "ListObjects", method: "GET", path: "/photos?marker=a", right: readers, bad: "&max-keys=x", badCode: "InvalidArgument"},
	{name: "ListObjectsV2", method: "GET", path: "/photos?list-type=2", right: readers, bad: "&encoding-type=x", badCode: "InvalidArgument"},
	{name: "ListObjectVersions", method: "GET", path: "/photos?versions", right: readers, bad: "&max-keys=-1", badCode: "InvalidArgument"},
}

// call is the operation as it should be asked for.
func (o *objectOp) call() call {
	c := call{method: o.method, path: o.path, body: o.body, header: header(o.header...)}
	if o.xml {
		c.header.Set("Content-Md5", md5Of(o.body))
	}
	return c
}

// with is the operation with another body.
func (o *objectOp) with(body string) call {
	c := o.call()
	c.body = body
	c.header.Set("Content-Md5", md5Of(body))
	return c
}

// TestObjectOps holds every operation on objects against everything that can be
// wrong with where it is asked, who asks, and what is sent along.
func TestObjectOps(t *testing.T) {
	s := newStack(t)
	s.lockable("photos")
	s.ok("PUT", "/photos/k", "x", header("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", "2099-01-01T00:00:00Z"))
	_, err := s.ledger.CreateTenant(s.ctx(), root, "rivals")
	s.must(err)
	rival := s.key("rivals", "ann", registry.RoleAdmin)
	for _, o := range objectOps {
		t.Run(o.name, func(t *testing.T) {
			t.Run("as it should be", func(t *testing.T) {
				c := o.call()
				if o.name == "PutObjectRetention" {
					c.header.Set("X-Amz-Bypass-Governance-Retention", "true")
					c.body = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>"
					c.header.Set("Content-Md5", md5Of(c.body))
				}
				if r := s.do(c); r.status >= 300 {
					t.Errorf("%d %s", r.status, r.body)
				}
			})
			t.Run("missing bucket", func(t *testing.T) {
				c := o.call()
				c.path = strings.Replace(c.path, "/photos", "/nothing", 1)
				if e := s.do(c).want(t, 404, "NoSuchBucket"); e.BucketName != "nothing" || e.Message != "The specified bucket does not exist" {
					t.Errorf("%+v", e)
				}
			})
			t.Run("foreign tenant", func(t *testing.T) {
				there, nowhere := o.call(), o.call()
				nowhere.path = strings.Replace(nowhere.path, "/photos", "/nobody", 1)
				there.credentials, nowhere.credentials = rival, rival
				alike(t, s.do(there), s.do(nowhere))
				s.do(there).want(t, 404, "NoSuchBucket")
			})
			t.Run("missing key", func(t *testing.T) {
				if o.missing == "" {
					return
				}
				c := o.call()
				c.path = strings.Replace(c.path, "/photos/k", "/photos/gone", 1)
				if e := s.do(c).want(t, 404, o.missing); e.Key != "gone" || e.Message != "The specified key does not exist." {
					t.Errorf("%+v", e)
				}
			})
			t.Run("wrong role", func(t *testing.T) {
				for _, role := range registry.Roles {
					c := o.call()
					c.credentials = s.key(registry.DefaultTenant, registry.PrincipalName("p-"+role), role)
					c.path = strings.Replace(c.path, "/photos/new", "/photos/new-"+string(role), 1)
					may := slices.Contains(strings.Fields(o.right), string(role))
					r := s.do(c)
					if refused := r.status == 403 && r.error(t).Code == "AccessDenied"; refused == may && o.name != "PutObjectRetention" {
						t.Errorf("%s: %d %s", role, r.status, r.body)
					}
				}
			})
			t.Run("bad parameter", func(t *testing.T) {
				c := o.call()
				c.path += o.bad
				s.do(c).want(t, 400, o.badCode)
			})
			if o.xml {
				o.documents(t, s)
			}
		})
	}
	if r := s.ok("GET", "/photos/k", "", nil); string(r.body) != "x" {
		t.Errorf("what was there: %q", r.body)
	}
}

// documents sends what is no document of the operation.
func (o *objectOp) documents(t *testing.T, s *stack) {
	for name, body := range map[string]string{
		"empty": "", "text": "no XML", "half": o.body[:len(o.body)-1], "another": "<Other/>", "two": o.body + o.body,
		"unknown element": strings.Replace(o.body, ">", "><Unknown/>", 1), "a bomb": `<!DOCTYPE x [<!ENTITY a "b">]>` + strings.Replace(o.body, ">", ">&a;", 1),
	} {
		if o.name == "PutObjectRetention" && name != "text" && name != "another" && name != "two" {
			continue // its document has no end tag to lose
		}
		t.Run("XML: "+name, func(t *testing.T) { s.do(o.with(body)).want(t, 400, "MalformedXML") })
	}
	t.Run("oversized XML", func(t *testing.T) {
		s.do(o.with(o.body+strings.Repeat(" ", 2<<20))).want(t, 400, "MaxMessageLengthExceeded")
	})
	t.Run("changed XML", func(t *testing.T) {
		c := o.call()
		c.header.Set("Content-Md5", md5Of("x"))
		s.do(c).want(t, 400, "BadDigest")
		c.header.Del("Content-Md5")
		c.header.Set("X-Amz-Checksum-Crc32", "AAAAAA==")
		s.do(c).want(t, 400, "BadDigest")
	})
}

package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/registry"
)

// config is one operation on a bucket.
type config struct {
	method, sub string
	good        string // a body that is taken; "" if the operation has none
	read        bool   // who may read or write may call it
}

// configs are the operations on buckets and their configurations.
var configs = []config{
	{method: "HEAD", read: true},
	{method: "GET", sub: "location", read: true},
	{method: "GET", sub: "versioning", read: true}, {method: "GET", sub: "object-lock", read: true},
	{method: "GET", sub: "tagging", read: true}, {method: "GET", sub: "cors", read: true},
	{method: "GET", sub: "lifecycle", read: true}, {method: "GET", sub: "acl", read: true},
	{method: "GET", sub: "ownershipControls", read: true}, {method: "GET", sub: "publicAccessBlock", read: true},
	{method: "GET", sub: "policy", read: true}, {method: "GET", sub: "policyStatus", read: true},
	{method: "GET", sub: "encryption", read: true}, {method: "GET", sub: "website", read: true},

	{method: "PUT", sub: "versioning", good: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"},
	{method: "PUT", sub: "object-lock", good: "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"},
	{method: "PUT", sub: "tagging", good: tagging("a", "b")},
	{method: "PUT", sub: "cors", good: corsConfiguration("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>")},
	{method: "PUT", sub: "lifecycle", good: lifecycle("<Filter/><Expiration><Days>1</Days></Expiration>")},
	{method: "PUT", sub: "ownershipControls", good: "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"},
	{method: "PUT", sub: "publicAccessBlock", good: "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>" +
		"<BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"},

	{method: "DELETE", sub: "tagging"}, {method: "DELETE", sub: "cors"}, {method: "DELETE", sub: "lifecycle"},
	{method: "DELETE", sub: "ownershipControls"}, {method: "DELETE", sub: "publicAccessBlock"},
	{method: "DELETE"},
}

func tagging(pairs ...string) string {
	s := "<Tagging><TagSet>"
	for i := 0; i+1 < len(pairs); i += 2 {
		s += "<Tag><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></Tag>"
	}
	return s + "</TagSet></Tagging>"
}

func corsConfiguration(rule string) string {
	return "<CORSConfiguration><CORSRule>" + rule + "</CORSRule></CORSConfiguration>"
}

func lifecycle(rule string) string {
	return "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>" + rule + "</Rule></LifecycleConfiguration>"
}

// at is the operation on a bucket.
func (c config) at(bucket string) call {
	path := "/" + bucket
	if c.sub != "" {
		path += "?" + c.sub
	}
	return call{method: c.method, path: path, body: c.good}
}

// TestConfigRefusals holds each operation against what can be wrong with any of
// them.
func TestConfigRefusals(t *testing.T) {
	s := newStack(t)
	_, err := s.ledger.CreateTenant(s.ctx(), root, "acme")
	s.must(err)
	s.bucket("photos")
	s.must(s.pipe.SetVersioning(s.ctx(), root, "photos", registry.VersioningEnabled))
	foreign := s.key("acme", "ann", registry.RoleAdmin)
	roles := map[registry.Role]aws.Credentials{}
	for _, role := range registry.Roles {
		roles[role] = s.key(registry.DefaultTenant, registry.PrincipalName("p-"+role), role)
	}
	refused := func(t *testing.T, what string, c call, status int, code string) {
		t.Helper()
		r := s.do(c)
		switch {
		case c.method == "HEAD" && (r.status != status || len(r.body) != 0):
			t.Errorf("%s: %d %q", what, r.status, r.body)
		case c.method != "HEAD":
			if e := r.error(t); r.status != status || e.Code != code {
				t.Errorf("%s: %d %s (%s), want %d %s", what, r.status, e.Code, e.Message, status, code)
			}
		}
	}
	for _, op := range configs {
		t.Run(op.method+" "+op.sub, func(t *testing.T) {
			refused(t, "missing bucket", op.at("nothing"), 404, "NoSuchBucket")
			c := op.at("photos")
			c.credentials = foreign
			refused(t, "foreign tenant", c, 404, "NoSuchBucket")
			for role, key := range roles {
				if role == registry.RoleAdmin || op.read && (role == registry.RoleReader || role == registry.RoleUploader) {
					continue
				}
				c.credentials = key
				refused(t, string(role), c, 403, "AccessDenied")
			}
			c = op.at("photos")
			c.header = header("X-Amz-Expected-Bucket-Owner", strings.Repeat("0", 64))
			refused(t, "another owner", c, 403, "AccessDenied")
			if op.good == "" {
				return
			}
			for what, body := range map[string]string{"no document": "", "half a document": op.good[:len(op.good)-3], "another document": "<Other/>",
				"two documents": op.good + op.good, "an unknown element": strings.Replace(op.good, ">", "><Unknown/>", 1), "text": strings.Replace(op.good, ">", ">text", 1)} {
				c := op.at("photos")
				c.body = body
				refused(t, what, c, 400, "MalformedXML")
			}
			c = op.at("photos")
			c.body += strings.Repeat(" ", 2<<20)
			refused(t, "oversized", c, 400, "MaxMessageLengthExceeded")
			c = op.at("photos")
			c.header = header("Content-Md5", md5Of("other"))
			refused(t, "digest of another", c, 400, "BadDigest")
			c.header = header("X-Amz-Checksum-Crc32", "AAAAAA==")
			refused(t, "checksum of another", c, 400, "BadDigest")
			c = op.at("photos")
			c.path += "&newThing=1"
			refused(t, "unknown argument", c, 501, "NotImplemented")
			c = op.at("photos")
			c.path += "&versionId=1"
			refused(t, "version", c, 400, "InvalidArgument")
		})
	}
	// After all of this the bucket is as it was.
	for _, sub := range []string{"tagging", "cors", "lifecycle", "object-lock"} {
		if r := s.do(call{method: "GET", path: "/photos?" + sub}); r.status != 404 {
			t.Errorf("%s was changed: %s", sub, r.body)
		}
	}
	// And each body is what it would have taken.
	for _, op := range configs {
		if op.good != "" {
			if r := s.do(op.at("photos")); r.status >= 300 {
				t.Errorf("%s %s: %d %s", op.method, op.sub, r.status, r.body)
			}
		}
	}
}

// TestConfigErrors are the mistakes in a document that S3 has an answer of its own
// for.
func TestConfigErrors(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	const (
		origin = "<AllowedOrigin>*</AllowedOrigin>"
		get    = "<AllowedMethod>GET</AllowedMethod>"
		all    = "<Filter/>"
		days   = "<Expiration><Days>1</Days></Expiration>"
		abort  = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
		tag    = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>"
		size   = "<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>"
	)
	lock := func(rule string) string {
		return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" + rule + "</DefaultRetention></Rule></ObjectLockConfiguration>"
	}
	rules := func(n int, rule string) string {
		b := strings.Builder{}
		for i := range n {
			fmt.Fprintf(&b, "<Rule><ID>%d</ID><Status>Enabled</Status>%s</Rule>", i, rule)
		}
		return "<LifecycleConfiguration>" + b.String() + "</LifecycleConfiguration>"
	}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprint("k", i), "v")
	}
	for _, test := range []struct {
		name, sub, body string
		status          int
		code            string
		message         string // a part of it
	}{
		{"no status", "versioning", "<VersioningConfiguration/>", 400, "IllegalVersioningConfigurationException", "must be specified"},
		{"odd status", "versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", 400, "MalformedXML", ""},
		{"two statuses", "versioning", "<VersioningConfiguration><Status>Enabled</Status><Status>Suspended</Status></VersioningConfiguration>", 400, "MalformedXML", ""},
		{"mfa", "versioning", "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>", 501, "NotImplemented", "MFA delete"},

		{"without versioning", "object-lock", lock("<Mode>GOVERNANCE</Mode><Days>1</Days>"), 409, "InvalidBucketState", "Versioning must be 'Enabled'"},
		{"disabled", "object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>", 400, "MalformedXML", ""},
		{"odd mode", "object-lock", lock("<Mode>governance</Mode><Days>1</Days>"), 400, "MalformedXML", ""},
		{"days and years", "object-lock", lock("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), 400, "MalformedXML", ""},
		{"no days", "object-lock", lock("<Mode>GOVERNANCE</Mode>"), 400, "MalformedXML", ""},
		{"zero days", "object-lock", lock("<Mode>GOVERNANCE</Mode><Days>0</Days>"), 400, "InvalidRetentionPeriod", "positive"},
		{"many years", "object-lock", lock("<Mode>GOVERNANCE</Mode><Years>101</Years>"), 400, "InvalidRetentionPeriod", "too large"},

		{"51 tags", "tagging", tagging(many...), 400, "BadRequest", "Bucket tag count cannot be greater than 50"},
		{"twice", "tagging", tagging("a", "b", "a", "c"), 400, "InvalidTag", "multiple Tags with the same key"},
		{"empty key", "tagging", tagging("", "b"), 400, "InvalidTag", "TagKey"},
		{"long value", "tagging", tagging("a", strings.Repeat("v", 257)), 400, "InvalidTag", "TagValue"},
		{"AWS's own", "tagging", tagging("aws:a", "b"), 400, "InvalidTag", "System tags"},
		{"no set", "tagging", "<Tagging/>", 400, "MalformedXML", ""},

		{"no rules", "cors", "<CORSConfiguration/>", 400, "MalformedXML", ""},
		{"101 rules", "cors", "<CORSConfiguration>" + strings.Repeat("<CORSRule>"+origin+get+"</CORSRule>", 101) + "</CORSConfiguration>", 400, "InvalidRequest", "100 rules"},
		{"no origin", "cors", corsConfiguration(get), 400, "MalformedXML", ""},
		{"no method", "cors", corsConfiguration(origin), 400, "MalformedXML", ""},
		{"empty origin", "cors", corsConfiguration("<AllowedOrigin/>" + get), 400, "MalformedXML", ""},
		{"odd method", "cors", corsConfiguration(origin + "<AllowedMethod>PATCH</AllowedMethod>"), 400, "InvalidRequest", "Unsupported method is PATCH"},
		{"wild origin", "cors", corsConfiguration("<AllowedOrigin>http://*.*</AllowedOrigin>" + get), 400, "InvalidRequest", "can not have more than one wildcard"},
		{"wild header", "cors", corsConfiguration(origin + get + "<AllowedHeader>*-*</AllowedHeader>"), 400, "InvalidRequest", "can not have more than one wildcard"},
		{"exposed wildcard", "cors", corsConfiguration(origin + get + "<ExposeHeader>x-amz-*</ExposeHeader>"), 400, "InvalidRequest", "contains wildcard"},
		{"exposed nonsense", "cors", corsConfiguration(origin + get + "<ExposeHeader>a b</ExposeHeader>"), 400, "InvalidRequest", "invalid character"},
		{"negative age", "cors", corsConfiguration(origin + get + "<MaxAgeSeconds>-1</MaxAgeSeconds>"), 400, "MalformedXML", ""},
		{"odd age", "cors", corsConfiguration(origin + get + "<MaxAgeSeconds>long</MaxAgeSeconds>"), 400, "MalformedXML", ""},
		{"65 KiB", "cors", corsConfiguration(origin + get + "<ID>" + strings.Repeat("x", 65<<10) + "</ID>"), 400, "MaxMessageLengthExceeded", ""},

		{"no rules", "lifecycle", "<LifecycleConfiguration/>", 400, "MalformedXML", ""},
		{"1001 rules", "lifecycle", rules(1001, all+days), 400, "InvalidRequest", "1000 rules"},
		{"no filter", "lifecycle", lifecycle(days), 400, "MalformedXML", ""},
		{"filter and prefix", "lifecycle", lifecycle(all + "<Prefix/>" + days), 400, "MalformedXML", ""},
		{"two prefixes", "lifecycle", lifecycle("<Prefix>a</Prefix><Prefix>b</Prefix>" + days), 400, "MalformedXML", ""},
		{"two conditions", "lifecycle", lifecycle("<Filter><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></Filter>" + days), 400, "MalformedXML", ""},
		{"empty And", "lifecycle", lifecycle("<Filter><And/></Filter>" + days), 400, "MalformedXML", ""},
		{"odd status", "lifecycle", strings.Replace(lifecycle(all+days), "Enabled", "enabled", 1), 400, "MalformedXML", ""},
		{"no action", "lifecycle", lifecycle(all), 400, "InvalidRequest", "At least one action"},
		{"zero days", "lifecycle", lifecycle(all + "<Expiration><Days>0</Days></Expiration>"), 400, "InvalidArgument", "'Days' for Expiration"},
		{"odd days", "lifecycle", lifecycle(all + "<Expiration><Days>1.5</Days></Expiration>"), 400, "MalformedXML", ""},
		{"days and date", "lifecycle", lifecycle(all + "<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>"), 400, "MalformedXML", ""},
		{"date at noon", "lifecycle", lifecycle(all + "<Expiration><Date>2030-01-01T12:00:00Z</Date></Expiration>"), 400, "InvalidArgument", "'Date' must be at midnight GMT"},
		{"odd date", "lifecycle", lifecycle(all + "<Expiration><Date>tomorrow</Date></Expiration>"), 400, "MalformedXML", ""},
		{"noncurrent without days", "lifecycle", lifecycle(all + "<NoncurrentVersionExpiration><NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), 400, "MalformedXML", ""},
		{"noncurrent of zero days", "lifecycle", lifecycle(all + "<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>"), 400, "InvalidArgument", "'NoncurrentDays'"},
		{"101 to keep", "lifecycle", lifecycle(all + "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), 400, "InvalidArgument", "'NewerNoncurrentVersions'"},
		{"abort at once", "lifecycle", lifecycle(all + strings.Replace(abort, "1", "0", 1)), 400, "InvalidArgument", "'DaysAfterInitiation'"},
		{"abort by tag", "lifecycle", lifecycle(tag + abort), 400, "InvalidRequest", "cannot be specified with Tags"},
		{"abort by size", "lifecycle", lifecycle(size + abort), 400, "InvalidRequest", "Object Size"},
		{"markers by tag", "lifecycle", lifecycle(tag + "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), 400, "InvalidRequest", "cannot be specified with Tags"},
		{"sizes that exclude each other", "lifecycle", lifecycle("<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>" + days), 400, "InvalidRequest", "should be less"},
		{"transition", "lifecycle", lifecycle(all + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"), 501, "NotImplemented", "Transitions are not offered"},
		{"noncurrent transition", "lifecycle", lifecycle(all + days + "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>"), 501, "NotImplemented", "Transitions"},
		{"one id twice", "lifecycle", strings.Replace(rules(2, all+days), "<ID>1<", "<ID>0<", 1), 400, "InvalidArgument", "Rule ID must be unique"},
		{"long id", "lifecycle", strings.Replace(lifecycle(all+days), "<ID>r<", "<ID>"+strings.Repeat("r", 256)+"<", 1), 400, "InvalidArgument", "255"},
		{"long prefix", "lifecycle", lifecycle("<Prefix>" + strings.Repeat("p", 1025) + "</Prefix>" + days), 400, "InvalidRequest", "1024"},

		{"no acl", "acl", "", 400, "MissingSecurityHeader", "required header"},
		{"another document", "acl", "<Other/>", 400, "MalformedACLError", ""},
		{"nobody's", "acl", "<AccessControlPolicy><AccessControlList/></AccessControlPolicy>", 400, "MalformedACLError", ""},
		{"another's", "acl", "<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList><Grant><Grantee><ID>x</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>",
			400, "AccessControlListNotSupported", ""},
		{"no rule", "ownershipControls", "<OwnershipControls/>", 400, "MalformedXML", ""},
		{"odd ownership", "ownershipControls", "<OwnershipControls><Rule><ObjectOwnership>Mine</ObjectOwnership></Rule></OwnershipControls>", 400, "MalformedXML", ""},
		{"weaker", "publicAccessBlock", "<PublicAccessBlockConfiguration/>", 403, "AccessDenied", "always blocked"},
	} {
		t.Run(test.sub+"/"+test.name, func(t *testing.T) {
			e := s.do(call{method: "PUT", path: "/photos?" + test.sub, body: test.body}).want(t, test.status, test.code)
			if !strings.Contains(e.Message, test.message) {
				t.Errorf("message %q", e.Message)
			}
		})
	}
}

// TestCreateBucketErrors are the mistakes of a CreateBucket.
func TestCreateBucketErrors(t *testing.T) {
	s := newStack(t)
	configuration := func(inner string) string {
		return "<CreateBucketConfiguration>" + inner + "</CreateBucketConfiguration>"
	}
	for _, test := range []struct {
		name   string
		call   call
		status int
		code   string
	}{
		{"elsewhere", call{body: configuration("<LocationConstraint>mars</LocationConstraint>")}, 400, "InvalidLocationConstraint"},
		{"two places", call{body: configuration("<LocationConstraint>mars</LocationConstraint><LocationConstraint>us-east-1</LocationConstraint>")}, 400, "MalformedXML"},
		{"directory bucket", call{body: configuration("<Location><Name>z</Name><Type>AvailabilityZone</Type></Location>")}, 501, "NotImplemented"},
		{"unknown element", call{body: configuration("<Colour>red</Colour>")}, 400, "MalformedXML"},
		{"odd tag", call{body: configuration("<Tags><Tag><Key></Key><Value>v</Value></Tag></Tags>")}, 400, "InvalidTag"},
		{"oversized", call{body: configuration(strings.Repeat(" ", 65<<10))}, 400, "MaxMessageLengthExceeded"},
		{"digest of another", call{header: header("Content-Md5", md5Of("x")), body: configuration("")}, 400, "BadDigest"},
		{"public", call{header: header("X-Amz-Acl", "public-read")}, 400, "InvalidBucketAclWithObjectOwnership"},
		{"granted", call{header: header("X-Amz-Grant-Read", "id=x")}, 400, "InvalidBucketAclWithObjectOwnership"},
		{"writer's objects", call{header: header("X-Amz-Object-Ownership", "ObjectWriter")}, 501, "NotImplemented"},
		{"odd ownership", call{header: header("X-Amz-Object-Ownership", "Mine")}, 400, "InvalidArgument"},
		{"odd lock", call{header: header("X-Amz-Bucket-Object-Lock-Enabled", "perhaps")}, 400, "InvalidArgument"},
		{"setting of objects", call{header: header("X-Amz-Object-Lock-Mode", "GOVERNANCE")}, 501, "NotImplemented"},
		{"unknown argument", call{path: "/more?newThing=1"}, 501, "NotImplemented"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := test.call
			c.method = "PUT"
			if c.path == "" {
				c.path = "/more"
			}
			s.do(c).want(t, test.status, test.code)
			if r := s.do(call{method: "HEAD", path: "/more"}); r.status != 404 {
				t.Errorf("it was made: %d", r.status)
			}
		})
	}
}

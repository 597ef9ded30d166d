package s3api_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"

	"sallyport/registry"
	"sallyport/sigv4"
)

// field is a field of a form.
type field struct{ name, value string }

// posted is a form in the making.
type posted struct {
	bucket      string // "": photos
	fields      []field
	policy      []any         // conditions besides those of the signature's fields and the bucket
	raw         string        // the policy's text; "": made of policy
	lifetime    time.Duration // of the policy, 0: 10 min
	at          time.Time     // zero: now
	credentials aws.Credentials
	unsigned    bool
	filename    string // "": photo.jpg
	file        string
	trailing    []field // behind the file
	change      func(fields []field) []field
}

// form signs a form and writes its body.
func (s *stack) form(p posted) (contentType string, body []byte) {
	s.Helper()
	if p.bucket == "" {
		p.bucket = "photos"
	}
	fields := p.fields
	if !p.unsigned {
		fields = append(s.signature(p), fields...)
	}
	if p.change != nil {
		fields = p.change(fields)
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		s.must(w.WriteField(f.name, f.value))
	}
	if p.filename == "" {
		p.filename = "photo.jpg"
	}
	if p.file != "none" {
		file, err := w.CreateFormFile("file", p.filename)
		s.must(err)
		_, err = io.WriteString(file, p.file)
		s.must(err)
	}
	for _, f := range p.trailing {
		s.must(w.WriteField(f.name, f.value))
	}
	s.must(w.Close())
	return w.FormDataContentType(), b.Bytes()
}

// signature are the fields that prove a form.
func (s *stack) signature(p posted) []field {
	s.Helper()
	if p.credentials == (aws.Credentials{}) {
		p.credentials = rootCredentials
	}
	if p.at.IsZero() {
		p.at = s.now()
	}
	if p.lifetime == 0 {
		p.lifetime = 10 * time.Minute
	}
	at := p.at.UTC()
	day := at.Format("20060102")
	fields := []field{
		{"x-amz-algorithm", "AWS4-HMAC-SHA256"},
		{"x-amz-credential", p.credentials.AccessKeyID + "/" + day + "/" + region + "/s3/aws4_request"},
		{"x-amz-date", at.Format("20060102T150405Z")},
	}
	if p.raw == "" {
		conditions := append([]any{map[string]string{"bucket": p.bucket}}, p.policy...)
		for _, f := range fields {
			conditions = append(conditions, map[string]string{f.name: f.value})
		}
		b, err := json.Marshal(map[string]any{"expiration": at.Add(p.lifetime).Format("2006-01-02T15:04:05.000Z"), "conditions": conditions})
		s.must(err)
		p.raw = string(b)
	}
	policy := base64.StdEncoding.EncodeToString([]byte(p.raw))
	key := sigv4.DeriveKey(p.credentials.AccessKeyID, []byte(p.credentials.SecretAccessKey), day, region, "s3")
	return append(fields, field{"policy", policy}, field{"x-amz-signature", string(sigv4.SignPolicy(nil, policy, key))})
}

func (s *stack) post(p posted) reply {
	s.Helper()
	kind, body := s.form(p)
	if p.bucket == "" {
		p.bucket = "photos"
	}
	return s.postBody(p.bucket, kind, body)
}

func (s *stack) postBody(bucket, contentType string, body []byte) reply {
	s.Helper()
	req, err := http.NewRequest("POST", s.url+"/"+bucket, bytes.NewReader(body))
	s.must(err)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Origin", "https://console.test")
	return s.send(req)
}

// anyKey is a policy and a key under it.
func anyKey(key string, fields ...field) posted {
	p := posted{fields: append([]field{{"key", key}}, fields...), policy: []any{[]string{"starts-with", "$key", ""}}, file: "hello"}
	for _, f := range fields {
		p.policy = append(p.policy, []string{"eq", "$" + f.name, f.value})
	}
	return p
}

// TestPost uploads with a form and reads what came of it.
func TestPost(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.URL = "http://s3.test" })
	s.bucket("photos")
	p := anyKey("a b/${filename}",
		field{"Content-Type", "text/x-odd"}, field{"Cache-Control", "max-age=5"}, field{"x-amz-meta-Camera", "of ${filename}"},
		field{"Content-Disposition", `inline; filename="x"`}, field{"acl", "private"}, field{"x-amz-storage-class", "STANDARD_IA"},
		field{"tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"},
		field{"x-amz-checksum-crc32", "NhCmhg=="})
	for i, c := range p.policy {
		if e, ok := c.([]string); ok && e[1] == "$x-amz-meta-Camera" {
			p.policy[i] = []string{"starts-with", "$x-amz-meta-camera", "of "}
		}
	}
	p.filename = `C:\Temp\ü 1.jpg`
	p.fields = append(p.fields, field{"x-ignore-me", "anything"})
	p.trailing = []field{{"submit", "Upload"}, {"key", "elsewhere"}}
	r := s.post(p)
	if r.status != 204 || len(r.body) != 0 || r.header.Get("ETag") != `"5d41402abc4b2a76b9719d911017c592"` || r.header.Get("x-amz-checksum-crc32") != "NhCmhg==" {
		t.Fatalf("post: %d %v %s", r.status, r.header, r.body)
	}
	if l := r.header.Get("Location"); l != "http://s3.test/photos/a%20b/%C3%BC%201.jpg" {
		t.Errorf("location %q", l)
	}
	if r.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("no page may read the answer: %v", r.header)
	}
	get := s.do(call{method: "GET", path: "/photos/a%20b/%C3%BC%201.jpg"})
	if string(get.body) != "hello" {
		t.Fatalf("get: %d %s", get.status, get.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/x-odd", "Cache-Control": "max-age=5", "X-Amz-Meta-Camera": "of ü 1.jpg", "X-Amz-Tagging-Count": "1",
		"Content-Disposition": `inline; filename="x"`, "X-Amz-Storage-Class": "STANDARD_IA",
	} {
		if got := get.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	s.do(call{method: "GET", path: "/photos/elsewhere"}).want(t, 404, "NoSuchKey")
}

// TestPostSuccess asks for each kind of answer.
func TestPostSuccess(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	for _, test := range []struct {
		name     string
		fields   []field
		status   int
		location string
	}{
		{"nothing", nil, 204, "/photos/k%20%26"},
		{"200", []field{{"success_action_status", "200"}}, 200, "/photos/k%20%26"},
		{"201", []field{{"success_action_status", "201"}}, 201, "/photos/k%20%26"},
		{"another", []field{{"success_action_status", "418"}}, 204, "/photos/k%20%26"},
		{"redirect", []field{{"success_action_redirect", "https://app.test/done?a=b#top"}, {"success_action_status", "201"}}, 303,
			"https://app.test/done?a=b&bucket=photos&key=k+%26&etag=%225d41402abc4b2a76b9719d911017c592%22#top"},
		{"older redirect", []field{{"redirect", "http://app.test/"}}, 303,
			"http://app.test/?bucket=photos&key=k+%26&etag=%225d41402abc4b2a76b9719d911017c592%22"},
		{"no such place", []field{{"success_action_redirect", "javascript:alert(1)"}}, 204, "/photos/k%20%26"},
		{"injection", []field{{"success_action_redirect", "https://app.test/\r\nSet-Cookie: x"}}, 204, "/photos/k%20%26"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.post(anyKey("k &", test.fields...))
			if r.status != test.status || r.header.Get("Location") != test.location {
				t.Fatalf("%d %q %s", r.status, r.header.Get("Location"), r.body)
			}
			if test.status != 201 {
				if len(r.body) != 0 {
					t.Errorf("body %q", r.body)
				}
				return
			}
			var doc struct {
				XMLName                     xml.Name `xml:"PostResponse"`
				Location, Bucket, Key, ETag string
			}
			if err := xml.Unmarshal(r.body, &doc); err != nil || doc.Bucket != "photos" || doc.Key != "k &" || doc.ETag != r.header.Get("ETag") || doc.Location != test.location {
				t.Errorf("%+v %v", doc, err)
			}
		})
	}
}

// TestPostClients posts forms that SDKs signed.
func TestPostClients(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	send := func(t *testing.T, fields map[string]string, file string) reply {
		t.Helper()
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for name, value := range fields {
			s.must(w.WriteField(name, value))
		}
		f, err := w.CreateFormFile("file", "x")
		s.must(err)
		_, err = io.WriteString(f, file)
		s.must(err)
		s.must(w.Close())
		return s.postBody("photos", w.FormDataContentType(), b.Bytes())
	}
	t.Run("aws-sdk-go-v2", func(t *testing.T) {
		p := s3.NewPresignClient(s.sdk(rootCredentials))
		post, err := p.PresignPostObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("photos"), Key: aws.String("sdk")}, func(o *s3.PresignPostOptions) {
			o.Expires = 5 * time.Minute
			o.Conditions = []any{[]any{"content-length-range", 1, 10}}
		})
		if err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(post.URL); err != nil || u.Path != "/photos" {
			t.Errorf("URL %q: %v", post.URL, err)
		}
		send(t, post.Values, "more than ten").want(t, 400, "EntityTooLarge")
		if r := send(t, post.Values, "hello"); r.status != 204 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("minio-go", func(t *testing.T) {
		p := minio.NewPostPolicy()
		s.must(p.SetBucket("photos"))
		s.must(p.SetKeyStartsWith("mi"))
		s.must(p.SetExpires(s.now().UTC().Add(5 * time.Minute)))
		s.must(p.SetContentType("text/plain"))
		s.must(p.SetUserMetadata("who", "me"))
		s.must(p.SetContentLengthRange(1, 10))
		_, fields, err := s.minio().PresignedPostPolicy(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		fields["key"] = "minio"
		if r := send(t, fields, "hello"); r.status != 204 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	for _, key := range []string{"sdk", "minio"} {
		if r := s.do(call{method: "GET", path: "/photos/" + key}); string(r.body) != "hello" {
			t.Errorf("%s: %d %s", key, r.status, r.body)
		}
	}
}

// TestPostRefusals goes through what a form is refused for.
func TestPostRefusals(t *testing.T) {
	s := newStack(t, func(c *setup) { c.auth.PresignMax = time.Hour })
	s.bucket("photos")
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "small", Intake: registry.IntakeDirect, MaxSize: 4}))
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "brief", Intake: registry.IntakeDirect, PresignMaxTTL: time.Minute}))
	_, err := s.ledger.CreateTenant(s.ctx(), root, "other")
	s.must(err)
	reader := s.key(registry.DefaultTenant, "ray", registry.RoleReader)
	uploader := s.key(registry.DefaultTenant, "ulla", registry.RoleUploader)
	foreign := s.key("other", "fay", registry.RoleAdmin)
	revoked := s.key(registry.DefaultTenant, "rex", registry.RoleAdmin)
	s.must(s.pipe.RevokeKey(s.ctx(), root, registry.AccessKeyID(revoked.AccessKeyID)))
	_, err = s.ledger.CreateTenant(s.ctx(), root, "gone")
	s.must(err)
	suspended := s.key("gone", "sue", registry.RoleAdmin)
	s.must(s.ledger.SuspendTenant(s.ctx(), root, "gone"))
	urlKey, err := s.ledger.SigningURLKey(s.ctx(), registry.DefaultTenant)
	s.must(err)
	urlSecret, err := urlKey.Secret()
	s.must(err)
	if r := s.post(posted{credentials: uploader, fields: []field{{"key", "by-ulla"}}, policy: []any{map[string]string{"key": "by-ulla"}}}); r.status != 204 {
		t.Fatalf("an uploader posts: %d %s", r.status, r.body)
	}
	with := func(change func(*posted)) posted {
		p := anyKey("k")
		change(&p)
		return p
	}
	set := func(name, value string) func([]field) []field {
		return func(fields []field) []field {
			out := []field{}
			for _, f := range fields {
				if !strings.EqualFold(f.name, name) {
					out = append(out, f)
				}
			}
			if value != "" {
				out = append(out, field{name, value})
			}
			return out
		}
	}
	for _, test := range []struct {
		name   string
		form   posted
		status int
		code   string
		says   string
	}{
		// who
		{"anonymous", with(func(p *posted) { p.unsigned = true }), 403, "AccessDenied", "Access Denied"},
		{"unknown key", with(func(p *posted) { p.credentials = aws.Credentials{AccessKeyID: "SPNOBODY", SecretAccessKey: "x"} }), 403, "InvalidAccessKeyId", ""},
		{"revoked key", with(func(p *posted) { p.credentials = revoked }), 403, "InvalidAccessKeyId", ""},
		{"tenant suspended", with(func(p *posted) { p.credentials = suspended }), 403, "InvalidAccessKeyId", ""},
		{"key of URLs", with(func(p *posted) {
			p.credentials = aws.Credentials{AccessKeyID: urlKey.ID, SecretAccessKey: string(urlSecret)}
		}), 403, "InvalidAccessKeyId", ""},
		{"wrong secret", with(func(p *posted) { p.credentials = aws.Credentials{AccessKeyID: rootKey, SecretAccessKey: "x"} }), 403, "SignatureDoesNotMatch", ""},
		{"wrong role", with(func(p *posted) { p.credentials = reader }), 403, "AccessDenied", ""},
		{"another tenant's bucket", with(func(p *posted) { p.credentials = foreign }), 404, "NoSuchBucket", ""},
		{"no bucket", with(func(p *posted) { p.bucket = "nothing" }), 404, "NoSuchBucket", ""},
		{"no algorithm", with(func(p *posted) { p.change = set("x-amz-algorithm", "") }), 400, "InvalidArgument", "named 'x-amz-algorithm'"},
		{"no credential", with(func(p *posted) { p.change = set("x-amz-credential", "") }), 400, "InvalidArgument", "named 'x-amz-credential'"},
		{"no date", with(func(p *posted) { p.change = set("x-amz-date", "") }), 400, "InvalidArgument", "named 'x-amz-date'"},
		{"no signature", with(func(p *posted) { p.change = set("x-amz-signature", "") }), 400, "InvalidArgument", "named 'x-amz-signature'"},
		{"no policy", with(func(p *posted) { p.change = set("policy", "") }), 400, "InvalidArgument", "named 'policy'"},
		{"version 2", with(func(p *posted) {
			p.change = func([]field) []field {
				return []field{{"key", "k"}, {"AWSAccessKeyId", rootKey}, {"policy", "e30="}, {"signature", "x"}}
			}
		}), 400, "InvalidRequest", "Please use AWS4-HMAC-SHA256"},
		{"ecdsa", with(func(p *posted) { p.change = set("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256") }), 501, "NotImplemented", ""},
		{"half a credential", with(func(p *posted) { p.change = set("x-amz-credential", "AK/20200101/s3") }), 400, "InvalidRequest", "The Credential is mal-formed"},
		{"another region", with(func(p *posted) {
			p.change = set("x-amz-credential", rootKey+"/"+s.now().UTC().Format("20060102")+"/eu-west-1/s3/aws4_request")
		}), 400, "AuthorizationHeaderMalformed", "eu-west-1"},
		{"bad date", with(func(p *posted) { p.change = set("x-amz-date", "yesterday") }), 400, "InvalidRequest", "X-Amz-Date must be"},
		{"another policy", with(func(p *posted) { p.change = set("policy", "e30=") }), 403, "SignatureDoesNotMatch", ""},
		{"temporary credentials", anyKey("k", field{"x-amz-security-token", "t"}), 400, "InvalidToken", ""},

		// when
		{"expired", with(func(p *posted) { p.at = s.now().Add(-time.Hour) }), 403, "AccessDenied", "Invalid according to Policy: Policy expired."},
		{"of the future", with(func(p *posted) { p.at = s.now().Add(20 * time.Minute) }), 403, "AccessDenied", "not valid yet"},
		{"for too long", with(func(p *posted) { p.lifetime = time.Hour + time.Second }), 403, "AccessDenied", "expires later"},
		{"for longer than the bucket allows", with(func(p *posted) { p.bucket = "brief" }), 403, "AccessDenied", "expires later"},

		// the policy
		{"not base64", with(func(p *posted) { p.raw = "{" }), 400, "InvalidPolicyDocument", "Invalid JSON"},
		{"no expiration", with(func(p *posted) { p.raw = `{"conditions":[{"bucket":"photos"}]}` }), 400, "InvalidPolicyDocument", "expiration"},
		{"another expiration", with(func(p *posted) { p.raw = `{"EXPIRATION":"2030-01-01T00:00:00Z","conditions":[{"bucket":"photos"}]}` }), 400, "InvalidPolicyDocument", "expiration"},
		{"bad expiration", with(func(p *posted) { p.raw = `{"expiration":"soon","conditions":[{"bucket":"photos"}]}` }), 400, "InvalidPolicyDocument", "expiration"},
		{"no conditions", with(func(p *posted) { p.raw = `{"expiration":"2030-01-01T00:00:00Z"}` }), 400, "InvalidPolicyDocument", "conditions"},
		{"empty conditions", with(func(p *posted) { p.raw = `{"expiration":"2030-01-01T00:00:00Z","conditions":[]}` }), 400, "InvalidPolicyDocument", "conditions"},
		{"empty condition", with(func(p *posted) { p.policy = append(p.policy, map[string]string{}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"number for a value", with(func(p *posted) { p.policy = append(p.policy, map[string]int{"key": 1}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"unknown operator", with(func(p *posted) { p.policy = append(p.policy, []string{"ends-with", "$key", "k"}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"no dollar", with(func(p *posted) { p.policy = append(p.policy, []string{"eq", "key", "k"}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"two elements", with(func(p *posted) { p.policy = append(p.policy, []string{"eq", "$key"}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"half a range", with(func(p *posted) { p.policy = append(p.policy, []any{"content-length-range", 0}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"negative range", with(func(p *posted) { p.policy = append(p.policy, []any{"content-length-range", -1, 0}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"range upside down", with(func(p *posted) { p.policy = append(p.policy, []any{"content-length-range", 2, 1}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},
		{"words for a range", with(func(p *posted) { p.policy = append(p.policy, []any{"content-length-range", "some", "more"}) }), 400, "InvalidPolicyDocument", "Simple-Condition"},

		// what it does not allow
		{"wrong key", posted{fields: []field{{"key", "k"}}, policy: []any{map[string]string{"key": "l"}}}, 403, "AccessDenied", `Invalid according to Policy: Policy Condition failed: ["eq", "$key", "l"]`},
		{"wrong prefix", posted{fields: []field{{"key", "kk"}}, policy: []any{[]string{"starts-with", "$key", "user/"}}}, 403, "AccessDenied", `Invalid according to Policy: Policy Condition failed: ["starts-with", "$key", "user/"]`},
		{"out of the prefix by the file's name", with(func(p *posted) {
			p.fields[0].value, p.filename = "${filename}", "elsewhere"
			p.policy = []any{[]string{"starts-with", "$key", "user/"}}
		}), 403, "AccessDenied", `["starts-with", "$key", "user/"]`},
		{"another bucket", with(func(p *posted) {
			p.policy = append(p.policy, map[string]string{"bucket": "small"})
		}), 403, "AccessDenied", `["eq", "$bucket", "small"]`},
		{"no bucket in the policy", with(func(p *posted) {
			day := s.now().UTC().Format("20060102")
			p.raw = `{"expiration":"` + s.now().UTC().Add(time.Minute).Format(time.RFC3339) + `","conditions":[["starts-with","$key",""],["starts-with","$x-amz-date","` + day + `"],["starts-with","$x-amz-credential",""],["starts-with","$x-amz-algorithm",""]]}`
		}), 403, "AccessDenied", "Invalid according to Policy: Extra input fields: bucket"},
		{"uncovered field", with(func(p *posted) { p.fields = append(p.fields, field{"Content-Type", "text/html"}) }), 403, "AccessDenied", "Invalid according to Policy: Extra input fields: content-type"},
		{"uncovered redirect", with(func(p *posted) { p.fields = append(p.fields, field{"success_action_redirect", "https://x.test"}) }), 403, "AccessDenied", "Extra input fields: success_action_redirect"},
		{"uncovered checksum", with(func(p *posted) { p.fields = append(p.fields, field{"x-amz-checksum-crc32", "AAAAAA=="}) }), 403, "AccessDenied", "Extra input fields"},
		{"missing field", with(func(p *posted) { p.policy = append(p.policy, map[string]string{"x-amz-meta-a": "b"}) }), 403, "AccessDenied", `["eq", "$x-amz-meta-a", "b"]`},
		{"one type of several", with(func(p *posted) {
			p.fields = append(p.fields, field{"Content-Type", "image/png, text/html"})
			p.policy = append(p.policy, []string{"starts-with", "$Content-Type", "image/"})
		}), 403, "AccessDenied", `["starts-with", "$content-type", "image/"]`},

		// the file
		{"too large", with(func(p *posted) { p.policy = append(p.policy, []any{"content-length-range", 1, 4}) }), 400, "EntityTooLarge", ""},
		{"too small", with(func(p *posted) { p.policy = append(p.policy, []any{"content-length-range", "6", "10"}) }), 400, "EntityTooSmall", ""},
		{"the narrower of two ranges", with(func(p *posted) {
			p.policy = append(p.policy, []any{"content-length-range", 0, 4}, []any{"content-length-range", 0, 10})
		}), 400, "EntityTooLarge", ""},
		{"larger than the bucket takes", with(func(p *posted) { p.bucket = "small" }), 400, "EntityTooLarge", ""},
		{"no file", with(func(p *posted) { p.file = "none" }), 400, "InvalidArgument", "POST requires exactly one file upload per request."},
		{"fields behind the file", posted{unsigned: true, file: "x", trailing: []field{{"key", "k"}}}, 400, "InvalidArgument", "named 'key'"},
		{"bad digest", anyKey("k", field{"x-amz-checksum-crc32", "AAAAAA=="}), 400, "BadDigest", ""},
		{"bad MD5", anyKey("k", field{"Content-MD5", "?"}), 400, "InvalidDigest", ""},
		{"two checksums", anyKey("k", field{"x-amz-checksum-crc32", "AAAAAA=="}, field{"x-amz-checksum-crc32c", "AAAAAA=="}), 400, "InvalidRequest", ""},

		// the fields
		{"no key", with(func(p *posted) { p.fields = nil }), 400, "InvalidArgument", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."},
		{"empty key", anyKey(""), 400, "InvalidArgument", "greater than 0"},
		{"long key", anyKey(strings.Repeat("k", 1025)), 400, "KeyTooLongError", ""},
		{"long type", anyKey("k", field{"Content-Type", "text/" + strings.Repeat("x", 3000)}), 400, "InvalidArgument", ""},
		{"key twice", with(func(p *posted) { p.fields = append(p.fields, field{"KEY", "l"}) }), 400, "InvalidArgument", "twice"},
		{"too many fields", anyKey("k", field{"x-amz-meta-a", strings.Repeat("x", 21<<10)}), 400, "MaxPostPreDataLengthExceededError", ""},
		{"endless field", anyKey("k", field{"x-amz-meta-a", strings.Repeat("x", 1<<20)}), 400, "MaxPostPreDataLengthExceededError", ""},
		{"names without end", with(func(p *posted) {
			p.fields = append(p.fields, field{"x-ignore-me", strings.Repeat("${filename}", 1000)}, field{"x-amz-meta-a", strings.Repeat("${filename}", 800)})
			p.policy = append(p.policy, []string{"starts-with", "$x-amz-meta-a", ""})
			p.filename = strings.Repeat("n", 1000)
		}), 400, "MaxPostPreDataLengthExceededError", ""},
		{"much metadata", anyKey("k", field{"x-amz-meta-a", strings.Repeat("x", 2048)}), 400, "MetadataTooLarge", ""},
		{"public", anyKey("k", field{"acl", "public-read"}), 400, "AccessControlListNotSupported", ""},
		{"storage class", anyKey("k", field{"x-amz-storage-class", "COLD"}), 400, "InvalidStorageClass", ""},
		{"encryption", anyKey("k", field{"x-amz-server-side-encryption", "AES256"}), 501, "NotImplemented", ""},
		{"website", anyKey("k", field{"x-amz-website-redirect-location", "/"}), 501, "NotImplemented", ""},
		{"bad tags", anyKey("k", field{"tagging", "<Tagging"}), 400, "MalformedXML", ""},
		{"lock in a bucket without", anyKey("k", field{"x-amz-object-lock-legal-hold", "ON"}), 400, "InvalidRequest", ""},
		{"control character", anyKey("k", field{"Content-Disposition", "inline\r\nSet-Cookie: x"}), 400, "InvalidArgument", "control character"},
		{"another owner", anyKey("k", field{"x-amz-expected-bucket-owner", "another"}), 403, "AccessDenied", "Access Denied"},
		{"file's name in another encoding", with(func(p *posted) { p.fields[0].value, p.filename = "${filename}", "caf\xe9" }), 400, "InvalidArgument", "UTF-8"},
		{"control character in metadata", anyKey("k", field{"x-amz-meta-a", "b\r\nc"}), 400, "InvalidArgument", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := s.post(test.form).want(t, test.status, test.code)
			if !strings.Contains(e.Message, test.says) {
				t.Errorf("says %q, want %q", e.Message, test.says)
			}
		})
	}
	if r := s.do(call{method: "GET", path: "/photos/k"}); r.status != 404 {
		t.Errorf("something was stored: %d %s", r.status, r.body)
	}
}

// TestPostFraming sends bodies that are no forms.
func TestPostFraming(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	kind, body := s.form(anyKey("k"))
	edge := strings.TrimPrefix(kind, "multipart/form-data; boundary=")
	long := "POST /photos HTTP/1.1\r\nHost: h\r\nContent-Type: " + kind + "\r\n"
	for _, test := range []struct {
		name, kind string
		body       string
		status     int
		code       string
	}{
		{"no boundary", "multipart/form-data", string(body), 400, "MalformedPOSTRequest"},
		{"long boundary", "multipart/form-data; boundary=" + strings.Repeat("b", 71), string(body), 400, "MalformedPOSTRequest"},
		{"another boundary", "multipart/form-data; boundary=xyz", string(body), 400, "MalformedPOSTRequest"},
		{"another kind", "multipart/form-dataset; boundary=" + edge, string(body), 400, "MalformedPOSTRequest"},
		{"words", kind, "hello", 400, "MalformedPOSTRequest"},
		{"no end", kind, strings.TrimSuffix(string(body), "--"+edge+"--\r\n"), 400, "MalformedPOSTRequest"},
		{"field without a name", kind, "--" + edge + "\r\n\r\nx\r\n--" + edge + "--\r\n", 400, "MalformedPOSTRequest"},
		{"long header", kind, "--" + edge + "\r\nX-A: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 400, "MaxPostPreDataLengthExceededError"},
		{"long line in front", kind, strings.Repeat("x", 1<<20), 400, "MalformedPOSTRequest"},
		{"much in front", kind, strings.Repeat("x\r\n", 1<<18), 400, "MaxPostPreDataLengthExceededError"},
		{"empty", kind, "--" + edge + "--\r\n", 400, "InvalidArgument"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.postBody("photos", test.kind, []byte(test.body)).want(t, test.status, test.code)
		})
	}
	t.Run("chunked", func(t *testing.T) {
		s.raw(long+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").want(t, 411, "MissingContentLength")
	})
	t.Run("no length", func(t *testing.T) { s.raw(long+"\r\n").want(t, 411, "MissingContentLength") })
	t.Run("more than an object", func(t *testing.T) {
		s.raw(long+"Content-Length: 6000000000\r\n\r\n").want(t, 400, "EntityTooLarge")
	})
	t.Run("cut off", func(t *testing.T) {
		nc, err := net.DialTimeout("tcp", s.addr, patience)
		s.must(err)
		defer nc.Close()
		s.must(nc.SetDeadline(time.Now().Add(patience)))
		_, err = fmt.Fprintf(nc, "%sContent-Length: %d\r\n\r\n%s", long, len(body), body[:len(body)-80])
		s.must(err)
		s.must(nc.(*net.TCPConn).CloseWrite())
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		s.must(err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		s.must(err)
		reply{resp.StatusCode, resp.Header, b}.want(t, 400, "IncompleteBody")
	})
	t.Run("signed in its header", func(t *testing.T) {
		s.do(call{method: "POST", path: "/photos", body: string(body), header: header("Content-Type", kind)}).want(t, 405, "MethodNotAllowed")
	})
	t.Run("content type of an object", func(t *testing.T) {
		m := s.multipart("/photos/k", header("Content-Type", kind))
		m.do(m.call("POST", "", listed(1, m.put(1, []byte("x"))))).completed(t)
		if r := s.do(call{method: "GET", path: "/photos/k"}); r.header.Get("Content-Type") != kind {
			t.Errorf("%d %v", r.status, r.header)
		}
	})
	t.Run("to an object", func(t *testing.T) { s.postBody("photos/k", kind, body).want(t, 405, "MethodNotAllowed") })
	t.Run("with a sub-resource", func(t *testing.T) { s.postBody("photos?policy", kind, body).want(t, 501, "NotImplemented") })
	t.Run("connection is good for more", func(t *testing.T) {
		text := long + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + string(body)
		if r := s.raw(text + text); r.status != 204 || r.header.Get("Connection") == "close" {
			t.Errorf("%d %v", r.status, r.header)
		}
	})
}

// TestPostCurl posts a form with curl, which waits for "100 Continue" before a file of
// this size.
func TestPostCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal("no curl: install the package curl")
		}
		t.Skip("no curl: install the package curl")
	}
	s := newStack(t)
	s.bucket("photos")
	content := filled(3<<20, 5)
	path := filepath.Join(t.TempDir(), "my photo.jpg")
	s.must(os.WriteFile(path, content, 0o600))
	p := posted{fields: []field{{"key", "from/${filename}"}}, policy: []any{[]string{"starts-with", "$key", "from/"}}}
	args := []string{"-sS", "-o", "/dev/null", "-w", "%{http_code}"}
	for _, f := range append(s.signature(posted{bucket: "photos", policy: p.policy}), p.fields...) {
		args = append(args, "--form-string", f.name+"="+f.value)
	}
	out, err := exec.CommandContext(t.Context(), curl, append(args, "-F", "file=@"+path, s.url+"/photos")...).CombinedOutput()
	if err != nil || string(out) != "204" {
		t.Fatalf("curl: %v %s", err, out)
	}
	if r := s.do(call{method: "GET", path: "/photos/from/my%20photo.jpg"}); !bytes.Equal(r.body, content) {
		t.Errorf("get: %d, %d bytes", r.status, len(r.body))
	}
}

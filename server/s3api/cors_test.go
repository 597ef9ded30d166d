package s3api_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sallyport/registry"
)

// TestBucketCORS gives a bucket rules, as AWS's client does, and asks as browsers do.
func TestBucketCORS(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.ConsoleOrigins = []string{"https://ui.test"} })
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "photos", Intake: registry.IntakeDirect, CORSOrigins: []string{"https://profile.test"}}))
	s.do(call{method: "PUT", path: "/photos/k", body: "x"})
	c, ctx, b := s.sdk(rootCredentials), t.Context(), aws.String("photos")
	if _, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: b}); code(err) != "NoSuchCORSConfiguration" {
		t.Errorf("no rules: %v", err)
	}
	rules := []types.CORSRule{
		{ID: aws.String("readers"), AllowedOrigins: []string{"https://*.test"}, AllowedMethods: []string{"GET"}, ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: aws.Int32(60)},
		{AllowedOrigins: []string{"https://app.test"}, AllowedMethods: []string{"PUT", "GET"}, AllowedHeaders: []string{"x-amz-*", "content-type"}},
	}
	_, err := c.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: b, CORSConfiguration: &types.CORSConfiguration{CORSRules: rules}})
	s.must(err)
	got, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: b})
	s.must(err)
	if len(got.CORSRules) != 2 || *got.CORSRules[0].ID != "readers" || *got.CORSRules[0].MaxAgeSeconds != 60 ||
		strings.Join(got.CORSRules[1].AllowedHeaders, " ") != "x-amz-* content-type" || got.CORSRules[1].ID != nil {
		t.Errorf("rules %+v", got.CORSRules)
	}
	for _, test := range []struct {
		name, origin, method, headers string
		allowed                       string // methods; "" is refused
		age                           string
	}{
		{"first rule", "https://other.test", "GET", "", "GET", "60"},
		{"second rule by method", "https://app.test", "PUT", "X-Amz-Date, Content-Type", "PUT, GET", ""},
		{"second rule by header", "https://app.test", "GET", "content-type", "PUT, GET", ""},
		{"header of no rule", "https://app.test", "PUT", "authorization", "", ""},
		{"method of no rule", "https://app.test", "DELETE", "", "", ""},
		{"origin of no rule", "https://app.evil", "GET", "", "", ""},
		{"the profile's origin, which the rules replace", "http://profile.test", "GET", "", "", ""},
		{"the server's origin, likewise", "https://console.test", "PUT", "", "", ""},
		{"the console", "https://ui.test", "DELETE", "authorization", "GET, HEAD, PUT, POST, DELETE", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := header("Origin", test.origin, "Access-Control-Request-Method", test.method)
			if test.headers != "" {
				h.Set("Access-Control-Request-Headers", test.headers)
			}
			r := s.do(call{method: "OPTIONS", path: "/photos/k", anonymous: true, header: h})
			if test.allowed == "" {
				r.want(t, 403, "AccessForbidden")
			}
			for name, want := range map[string]string{"Access-Control-Allow-Methods": test.allowed, "Access-Control-Max-Age": test.age, "Access-Control-Allow-Credentials": ""} {
				if got := r.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if vary := strings.Join(r.header.Values("Vary"), ","); !strings.Contains(vary, "Origin") {
				t.Errorf("Vary %q", vary)
			}
		})
	}
	answer := func(method, origin string, status int) http.Header {
		t.Helper()
		r := s.do(call{method: method, path: "/photos/k", header: header("Origin", origin)})
		if r.status != status {
			t.Errorf("%s from %s: %d", method, origin, r.status)
		}
		return r.header
	}
	if h := answer("GET", "https://other.test", 200); h.Get("Access-Control-Allow-Origin") != "https://other.test" || h.Get("Access-Control-Expose-Headers") != "ETag" {
		t.Errorf("by the first rule: %v", h)
	}
	if h := answer("PUT", "https://app.test", 200); h.Get("Access-Control-Allow-Origin") != "https://app.test" || h.Get("Access-Control-Expose-Headers") != "" {
		t.Errorf("by the second rule nothing is exposed: %v", h)
	}
	if h := answer("GET", "https://app.evil", 200); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") == "" {
		t.Errorf("by no rule: %v", h)
	}
	for range 2 {
		_, err = c.DeleteBucketCors(ctx, &s3.DeleteBucketCorsInput{Bucket: b})
		s.must(err)
	}
	if h := answer("GET", "https://profile.test", 200); !strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("without rules the profile's origins count again: %v", h)
	}
}

// TestURLCORS: a bucket's rules govern its URLs, with nothing but the URL to tell
// whose they are.
func TestURLCORS(t *testing.T) {
	s := newStack(t)
	_, err := s.ledger.CreateTenant(s.ctx(), root, "acme")
	s.must(err)
	key := s.key("acme", "ann", registry.RoleAdmin)
	ann := registry.Actor{Tenant: "acme", Principal: "ann", Roles: []registry.Role{registry.RoleAdmin}, Credential: key.AccessKeyID}
	s.must(s.pipe.CreateBucket(s.ctx(), ann, "web"))
	for _, b := range []registry.BucketName{"web", "default"} {
		s.must(s.pipe.SetCORS(s.ctx(), ann, b, []registry.CORSRule{{AllowedOrigins: []string{"https://acme.test"}, AllowedMethods: []string{"PUT"}, AllowedHeaders: []string{"*"}}}))
	}
	begun := s.begin(ann, 12, "")
	upload := s.sign(link{tenant: "acme", method: "PUT", path: "/_/uploads/" + string(begun.Upload.ID), grant: string(begun.Grant.ID), headers: plainText})
	presigned := s.presign(key, "PUT", "/web/k", time.Minute)
	for what, url := range map[string]string{"upload URL": upload, "presigned URL": presigned} {
		for origin, allowed := range map[string]bool{"https://acme.test": true, "https://console.test": false} {
			r := s.get("OPTIONS", url, "Origin", origin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type")
			if (r.status == 204) != allowed || (r.header.Get("Access-Control-Allow-Origin") != "") != allowed {
				t.Errorf("%s from %s: %d %v", what, origin, r.status, r.header)
			}
		}
	}
}

// presign is a URL that an SDK signs with a user's key.
func (s *stack) presign(c aws.Credentials, method, path string, expires time.Duration) string {
	s.Helper()
	req, err := http.NewRequest(method, s.url+path, nil)
	s.must(err)
	q := req.URL.Query()
	q.Set("X-Amz-Expires", strconv.FormatInt(int64(expires/time.Second), 10))
	req.URL.RawQuery = q.Encode()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	u, _, err := signer.PresignHTTP(s.ctx(), c, req, "UNSIGNED-PAYLOAD", "s3", region, s.now())
	s.must(err)
	return u
}

// TestPresignLimits: a URL never lives longer than the strictest of server, tenant
// and bucket says, and the refusal names which.
func TestPresignLimits(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "strict", Intake: registry.IntakeDirect, PresignMaxTTL: time.Minute}))
	for _, b := range []string{"photos", "strict"} {
		s.do(call{method: "PUT", path: "/" + b + "/k", body: "x"})
	}
	for _, test := range []struct {
		name    string
		tenant  time.Duration
		path    string
		expires time.Duration
		setting string // named by the refusal; "" works
	}{
		{"server's", 0, "/photos/k", time.Hour, ""},
		{"above the server's", 0, "/photos/k", time.Hour + time.Second, "PRESIGN_MAX_TTL"},
		{"bucket's", 0, "/strict/k", time.Minute, ""},
		{"above the bucket's", 0, "/strict/k", 61 * time.Second, "presign_max_ttl of the bucket"},
		{"tenant's", 10 * time.Minute, "/photos/k", 10 * time.Minute, ""},
		{"above the tenant's", 10 * time.Minute, "/photos/k", 601 * time.Second, "presign_max_ttl of the tenant"},
		{"without a bucket", 10 * time.Minute, "/", 601 * time.Second, "presign_max_ttl of the tenant"},
		{"of no bucket", 10 * time.Minute, "/nothing/k", 601 * time.Second, "presign_max_ttl of the tenant"},
		{"tenant's above the bucket's", 10 * time.Minute, "/strict/k", 61 * time.Second, "presign_max_ttl of the bucket"},
		{"tenant's below the bucket's", 30 * time.Second, "/strict/k", 31 * time.Second, "presign_max_ttl of the tenant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.pipe.SetPresignMax(s.ctx(), root, registry.DefaultTenant, test.tenant)
			s.must(err)
			r := s.get("GET", s.presign(rootCredentials, "GET", test.path, test.expires))
			if test.setting == "" {
				if r.status != 200 {
					t.Fatalf("%d %s", r.status, r.body)
				}
				return
			}
			if e := r.want(t, 400, "AuthorizationQueryParametersError"); !strings.Contains(e.Message, test.setting) {
				t.Errorf("message %q", e.Message)
			}
		})
	}
}

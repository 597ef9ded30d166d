package auth_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/kv/boltkv"
	"sallyport/server/auth"
	"sallyport/sigv4"
)

const (
	region = "us-east-1"
	host   = "s3.example.test"
	empty  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var rootKey = aws.Credentials{AccessKeyID: "SPROOTROOTROOTROOT01", SecretAccessKey: "root-secret"}

var root = registry.Actor{
	Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal, Credential: rootKey.AccessKeyID,
	Roles: []registry.Role{registry.RoleOperator, registry.RoleAdmin, registry.RoleAnalyst},
}

// house is an Authenticator over a real ledger.
type house struct {
	testing.TB
	ledger *registry.Ledger
	*auth.Authenticator
	offset atomic.Int64 // of the clock
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.offset.Load())) }

func (h *house) ctx() context.Context { return context.WithoutCancel(h.Context()) }

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func newHouse(t testing.TB, change ...func(*auth.Config)) *house {
	t.Helper()
	h := &house{TB: t}
	store, err := boltkv.Open(filepath.Join(t.TempDir(), "ledger.db"), boltkv.Options{
		Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: true})
	h.must(err)
	h.ledger, err = registry.Open(h.ctx(), registry.Config{Store: store, Now: h.now,
		Elapsed: func() time.Duration { return time.Duration(h.now().UnixNano()) }})
	h.must(err)
	t.Cleanup(func() { _ = h.ledger.Close(h.ctx()) }) // closed already where a test did
	h.must(h.ledger.Bootstrap(h.ctx(), registry.RootCredentials{AccessKey: registry.AccessKeyID(rootKey.AccessKeyID), SecretKey: registry.Secret(rootKey.SecretAccessKey)}))
	cfg := auth.Config{Ledger: h.ledger, Region: region, Now: h.now, PresignMax: time.Hour}
	for _, c := range change {
		c(&cfg)
	}
	h.Authenticator = auth.New(cfg)
	return h
}

func (h *house) key(tenant registry.TenantName, principal registry.PrincipalName) aws.Credentials {
	h.Helper()
	k, secret, err := h.ledger.CreateKey(h.ctx(), root, registry.NewKey{Tenant: tenant, Principal: principal, Roles: []registry.Role{registry.RoleReader}})
	h.must(err)
	return aws.Credentials{AccessKeyID: string(k.ID), SecretAccessKey: string(secret)}
}

// signed is a GET of /b/k, signed in its header.
func (h *house) signed(c aws.Credentials, change ...func(*http.Request)) *fasthttp.RequestCtx {
	h.Helper()
	req, err := http.NewRequest("GET", "http://"+host+"/b/k", nil)
	h.must(err)
	req.Header.Set("X-Amz-Content-Sha256", empty)
	h.must(v4.NewSigner().SignHTTP(h.ctx(), c, req, empty, "s3", region, h.now()))
	for _, f := range change {
		f(req)
	}
	return received(h, text(req))
}

// presigned is a GET of /b/k, signed in its query.
func (h *house) presigned(c aws.Credentials, expires string) *fasthttp.RequestCtx {
	h.Helper()
	req, err := http.NewRequest("GET", "http://"+host+"/b/k?X-Amz-Expires="+expires, nil)
	h.must(err)
	u, _, err := v4.NewSigner().PresignHTTP(h.ctx(), c, req, "UNSIGNED-PAYLOAD", "s3", region, h.now())
	h.must(err)
	return received(h, "GET "+strings.TrimPrefix(u, "http://"+host)+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
}

func text(req *http.Request) string {
	s := req.Method + " " + req.URL.RequestURI() + " HTTP/1.1\r\nHost: " + req.Host + "\r\n"
	for name, values := range req.Header {
		for _, v := range values {
			s += name + ": " + v + "\r\n"
		}
	}
	return s + "\r\n"
}

// url is a request for a URL of the tenant's.
func (h *house) url(tenant registry.TenantName, method, sentAs string, at time.Time) *fasthttp.RequestCtx {
	h.Helper()
	row, err := h.ledger.SigningURLKey(h.ctx(), tenant)
	h.must(err)
	key, err := h.Key(row, at)
	h.must(err)
	u, err := sigv4.PresignURL(nil, &sigv4.Presign{Method: method, URL: "https://" + host, Path: "/_/objects/obj_x", Time: at, Expires: time.Minute}, key)
	h.must(err)
	return received(h, sentAs+" "+strings.TrimPrefix(string(u), "https://"+host)+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
}

func TestS3(t *testing.T) {
	h := newHouse(t)
	for _, name := range []registry.TenantName{"acme", "gone"} {
		_, err := h.ledger.CreateTenant(h.ctx(), root, name)
		h.must(err)
	}
	ann := h.key("acme", "ann")
	revoked, revokedPrincipal, suspended := h.key("acme", "rex"), h.key("acme", "pit"), h.key("gone", "sue")
	proved := h.key("acme", "rex")
	var p auth.Proof
	h.must(h.S3(h.signed(revoked), &p)) // its signing key is cached from now on
	h.must(h.ledger.RevokeKey(h.ctx(), root, "acme", registry.AccessKeyID(revoked.AccessKeyID)))
	h.must(h.ledger.RevokePrincipal(h.ctx(), root, "acme", "pit"))
	h.must(h.ledger.SuspendTenant(h.ctx(), root, "gone"))
	urlKey, err := h.ledger.SigningURLKey(h.ctx(), "acme")
	h.must(err)
	urlSecret, err := urlKey.Secret()
	h.must(err)

	for _, test := range []struct {
		name string
		ctx  *fasthttp.RequestCtx
		want error // nil: proved
	}{
		{"header", h.signed(ann), nil},
		{"query", h.presigned(ann, "3600"), nil},
		{"another key of who lost one", h.signed(proved), nil},
		{"anonymous", received(t, "GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"), sigv4.MissingAuth},
		{"bearer", h.signed(ann, func(r *http.Request) { r.Header.Set("Authorization", "Bearer spt_x") }), sigv4.UnsupportedAuth},
		{"unknown", h.signed(aws.Credentials{AccessKeyID: "SPNOBODY", SecretAccessKey: "x"}), auth.ErrUnknownKey},
		{"wrong secret", h.signed(aws.Credentials{AccessKeyID: ann.AccessKeyID, SecretAccessKey: "x"}), sigv4.SignatureMismatch},
		{"revoked", h.signed(revoked), auth.ErrUnknownKey},
		{"principal revoked", h.signed(revokedPrincipal), auth.ErrUnknownKey},
		{"tenant suspended", h.signed(suspended), auth.ErrUnknownKey},
		{"url key", h.signed(aws.Credentials{AccessKeyID: urlKey.ID, SecretAccessKey: string(urlSecret)}), auth.ErrUnknownKey},
		{"url key in the query", h.presigned(aws.Credentials{AccessKeyID: urlKey.ID, SecretAccessKey: string(urlSecret)}, "60"), auth.ErrUnknownKey},
		{"longer than allowed", h.presigned(ann, "3601"), sigv4.ExpiresTooLong},
		{"changed", h.signed(ann, func(r *http.Request) { r.URL.Path = "/b/other" }), sigv4.SignatureMismatch},
		{"another host", h.signed(ann, func(r *http.Request) { r.Host = "evil.test" }), sigv4.SignatureMismatch},
		{"unsigned header", h.signed(ann, func(r *http.Request) { r.Header.Set("X-Amz-Acl", "private") }), sigv4.HeadersNotSigned},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p auth.Proof
			err := h.S3(test.ctx, &p)
			if !errors.Is(err, test.want) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if test.want != nil {
				if p.Tenant != "" || p.Actor.Tenant != "" {
					t.Errorf("an unproved request says whose it is: %+v", p.Actor)
				}
				return
			}
			if a := p.Actor; a.Tenant != "acme" || p.Tenant != "acme" || a.Credential == "" || len(a.Roles) != 1 || string(p.Claim.Host) != host {
				t.Errorf("%+v, host %s", a, p.Claim.Host)
			}
		})
	}
}

// TestWhen moves the clock between signing and proving.
func TestWhen(t *testing.T) {
	h := newHouse(t)
	for _, test := range []struct {
		name  string
		make  func() *fasthttp.RequestCtx
		after time.Duration
		want  error
	}{
		{"header late", func() *fasthttp.RequestCtx { return h.signed(rootKey) }, 16 * time.Minute, sigv4.RequestTimeTooSkewed},
		{"header early", func() *fasthttp.RequestCtx { return h.signed(rootKey) }, -16 * time.Minute, sigv4.RequestTimeTooSkewed},
		{"header in time", func() *fasthttp.RequestCtx { return h.signed(rootKey) }, 14 * time.Minute, nil},
		{"query late", func() *fasthttp.RequestCtx { return h.presigned(rootKey, "60") }, 2 * time.Minute, sigv4.Expired},
		{"query early", func() *fasthttp.RequestCtx { return h.presigned(rootKey, "3600") }, -16 * time.Minute, sigv4.NotYetValid},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := test.make()
			h.offset.Add(int64(test.after))
			defer h.offset.Add(-int64(test.after))
			var p auth.Proof
			if err := h.S3(ctx, &p); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestURL(t *testing.T) {
	h := newHouse(t)
	_, err := h.ledger.CreateTenant(h.ctx(), root, "acme")
	h.must(err)
	var p auth.Proof
	for _, test := range []struct {
		name string
		ctx  *fasthttp.RequestCtx
		want error
	}{
		{"get", h.url("acme", "GET", "GET", h.now()), nil},
		{"head of a get", h.url("acme", "GET", "HEAD", h.now()), nil},
		{"get of a head", h.url("acme", "HEAD", "GET", h.now()), sigv4.SignatureMismatch},
		{"put of a get", h.url("acme", "GET", "PUT", h.now()), sigv4.SignatureMismatch},
		{"user key", h.presigned(rootKey, "60"), auth.ErrUnknownKey},
		{"header", h.signed(rootKey), sigv4.MissingAuth},
		{"anonymous", received(t, "GET /_/objects/obj_x HTTP/1.1\r\nHost: h\r\n\r\n"), sigv4.MissingAuth},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p auth.Proof
			err := h.URL(test.ctx, &p)
			if !errors.Is(err, test.want) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if (p.Tenant == "acme") != (test.want == nil) || p.Actor.Tenant != "" {
				t.Errorf("tenant %q, actor %+v", p.Tenant, p.Actor)
			}
		})
	}
	// The time comes second, and is told apart.
	for at, want := range map[time.Duration]error{0: nil, -2 * time.Minute: sigv4.Expired, 20 * time.Minute: sigv4.NotYetValid} {
		ctx := h.url("acme", "GET", "GET", h.now().Add(at))
		h.must(h.URL(ctx, &p))
		if err := h.CheckURLTime(ctx, &p); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", at, err, want)
		}
	}
	// A rotated key goes on for as long as it was told.
	old := h.url("acme", "GET", "GET", h.now())
	h.must(h.ledger.RotateURLKey(h.ctx(), root, "acme", time.Minute))
	h.must(h.URL(old, &p))
	h.must(h.URL(h.url("acme", "GET", "GET", h.now()), &p))
	h.offset.Add(int64(2 * time.Minute))
	if err := h.URL(old, &p); !errors.Is(err, auth.ErrUnknownKey) {
		t.Errorf("a key after its overlap: %v", err)
	}
}

// TestProxy changes the host on the way.
func TestProxy(t *testing.T) {
	via := atomic.Bool{}
	h := newHouse(t, func(c *auth.Config) {
		c.Hosts = []string{"other.example.test", host}
		c.FromProxy = func(*fasthttp.RequestCtx) bool { return via.Load() }
	})
	for _, trusted := range []bool{true, false} {
		via.Store(trusted)
		var p, q auth.Proof
		err := h.S3(h.signed(rootKey, func(r *http.Request) { r.Host = "10.0.0.1:9000" }), &p)
		if trusted && (err != nil || string(p.Claim.Host) != host) || !trusted && !errors.Is(err, sigv4.SignatureMismatch) {
			t.Errorf("trusted %v: %v, host %s", trusted, err, p.Claim.Host)
		}
		ctx := h.url(registry.DefaultTenant, "GET", "GET", h.now())
		moved := received(t, strings.Replace(string(ctx.Request.Header.Header()), "Host: "+host, "Host: 10.0.0.1:9000", 1))
		if err := h.URL(moved, &q); (err == nil) != trusted {
			t.Errorf("url, trusted %v: %v", trusted, err)
		}
		if err := h.S3(h.signed(rootKey), &p); err != nil {
			t.Errorf("with its own host, trusted %v: %v", trusted, err)
		}
	}
}

// TestHeader is the control port's way.
func TestHeader(t *testing.T) {
	h := newHouse(t)
	var p auth.Proof
	h.must(h.Header(h.signed(rootKey), &p))
	if p.Actor.Principal != registry.RootPrincipal {
		t.Errorf("actor %+v", p.Actor)
	}
	if err := h.Header(h.presigned(rootKey, "60"), &p); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a presigned URL: %v", err)
	}
	if err := h.Header(received(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), &p); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("nobody: %v", err)
	}
	// A signature over the hash of a body, as clients make it that do not send
	// the hash.
	const body = `{"x":1}`
	sum := sha256.Sum256([]byte(body))
	req, err := http.NewRequest("POST", "http://"+host+"/uploads", nil)
	h.must(err)
	h.must(v4.NewSigner().SignHTTP(h.ctx(), rootKey, req, hex.EncodeToString(sum[:]), "s3", region, h.now()))
	ctx := received(t, text(req))
	if err := h.Header(ctx, &p); !errors.Is(err, auth.ErrBodyFirst) {
		t.Fatalf("without a hash: %v", err)
	}
	if err := h.Body(ctx, &p, []byte("other")); !errors.Is(err, sigv4.SignatureMismatch) {
		t.Errorf("another body: %v", err)
	}
	h.must(h.Body(ctx, &p, []byte(body)))
}

func TestToken(t *testing.T) {
	h := newHouse(t)
	row, secret, err := h.ledger.CreateToken(h.ctx(), root, registry.NewToken{Name: "t", Roles: []registry.Role{registry.RoleReader}, TTL: time.Hour})
	h.must(err)
	ctx := received(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	a, err := h.Token(ctx, string(secret))
	if err != nil || a.Credential != string(row.ID) || a.Principal != registry.RootPrincipal || len(a.Roles) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, bad := range []string{"", "spt_", "spt_nonsense", string(secret) + "x", strings.ToUpper(string(secret)), string(row.ID)} {
		if a, err := h.Token(ctx, bad); !errors.Is(err, auth.ErrUnauthenticated) || a.Tenant != "" {
			t.Errorf("%q: %+v, %v", bad, a, err)
		}
	}
	h.offset.Add(int64(61 * time.Minute))
	if _, err := h.Token(ctx, string(secret)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("expired: %v", err)
	}
	for line, want := range map[string]string{"Bearer x": "x", "bearer x": "x", "BEARER  x ": "x", "Bearer": "", "Bearer ": "", "Basic x": "", "AWS4-HMAC-SHA256 x": "", "x": ""} {
		if got := auth.Bearer(received(t, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: "+line+"\r\n\r\n")); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// TestLedgerDown tells a ledger that fails from a key that is unknown.
func TestLedgerDown(t *testing.T) {
	h := newHouse(t)
	signed, url := h.signed(rootKey), h.url(registry.DefaultTenant, "GET", "GET", h.now())
	h.must(h.ledger.Close(h.ctx()))
	var p auth.Proof
	for what, err := range map[string]error{"S3": h.S3(signed, &p), "URL": h.URL(url, &p)} {
		var refusal *sigv4.Error
		if err == nil || errors.Is(err, auth.ErrUnknownKey) || errors.As(err, &refusal) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := h.Token(signed, "spt_x"); err == nil || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("token: %v", err)
	}
}

// BenchmarkS3 proves a request with a cached key: what remains is the ledger.
func BenchmarkS3(b *testing.B) {
	h := newHouse(b)
	ctx := h.signed(rootKey)
	var p auth.Proof
	b.ReportAllocs()
	for b.Loop() {
		if err := h.S3(ctx, &p); err != nil {
			b.Fatal(err)
		}
	}
}

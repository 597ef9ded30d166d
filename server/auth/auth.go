package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/sigv4"
)

// Errors of this package, besides sigv4's *Error.
var (
	// ErrUnknownKey: no access key of that id, or one that was revoked, or one
	// whose tenant is suspended: from outside they are the same.
	ErrUnknownKey = errors.New("access key is not known")
	// ErrUnauthenticated: no credential, or a bearer token that is not one.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrBodyFirst: the signature covers the hash of a body and no header gives
	// it. The body has to be read before anything is proved.
	ErrBodyFirst = errors.New("signature covers a body whose hash was not sent")
)

// Config is what an Authenticator needs.
type Config struct {
	Ledger *registry.Ledger
	Region string
	Now    func() time.Time
	// Hosts are the host[:port] of the configured external URLs: a signature
	// made for one of them holds although a proxy put another Host into the
	// request. Empty when none is configured: then only the Host that came
	// counts.
	Hosts []string
	// FromProxy says which requests Hosts are tried for; nil means all.
	FromProxy func(*fasthttp.RequestCtx) bool
	// PresignMax bounds the lifetime of presigned URLs, whoever made them.
	PresignMax time.Duration
}

// Authenticator proves requests. It is safe for concurrent use.
type Authenticator struct {
	cfg     Config
	direct  sigv4.Verifier // for requests that come with the Host they were signed for
	proxied sigv4.Verifier
	urls    sigv4.Verifier // the same without PresignMax: grants have their own expiry
	urlsVia sigv4.Verifier
	keys    sigv4.KeyCache
	urlKeys sigv4.KeyCache
}

// New returns an Authenticator.
func New(cfg Config) *Authenticator {
	a := &Authenticator{cfg: cfg}
	set := func(v *sigv4.Verifier, hosts []string, max time.Duration) {
		v.Region, v.Now, v.Hosts, v.MaxExpires = cfg.Region, cfg.Now, hosts, max
	}
	set(&a.direct, nil, cfg.PresignMax)
	set(&a.proxied, cfg.Hosts, cfg.PresignMax)
	set(&a.urls, nil, 0)
	set(&a.urlsVia, cfg.Hosts, 0)
	return a
}

// Proof is a request whose signature was checked. It points into the request
// and lives as long as that.
type Proof struct {
	Request sigv4.Request
	Claim   sigv4.Claim
	Key     *sigv4.SigningKey
	// Actor is who signed with a user key; zero for URL keys. The request's id is
	// the caller's to add, here and in the actor of a token.
	Actor registry.Actor
	// Tenant is the key's; also set for URL keys.
	Tenant registry.TenantName

	fields [24]sigv4.Field // Request.Header starts here
}

func (p *Proof) read(ctx *fasthttp.RequestCtx) error {
	p.Request.Header = p.fields[:0]
	if err := Wire(ctx, &p.Request); err != nil {
		return err
	}
	return sigv4.Parse(&p.Request, &p.Claim)
}

// S3 proves a request of the S3 port by header or query signature of a user
// key. The error is a *sigv4.Error, ErrUnknownKey, ErrMalformedHeader or the
// ledger's.
func (a *Authenticator) S3(ctx *fasthttp.RequestCtx, p *Proof) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	if p.Claim.Kind == sigv4.Anonymous {
		return &sigv4.Error{Code: sigv4.MissingAuth}
	}
	return a.userKey(ctx, p)
}

// claimant looks up whose claim p is and checks what of it needs no key.
func (a *Authenticator) claimant(ctx *fasthttp.RequestCtx, p *Proof) (registry.Credential, *sigv4.Verifier, error) {
	v := &a.direct
	if a.viaProxy(ctx) {
		v = &a.proxied
	}
	cred, err := a.credential(p)
	if err != nil {
		return cred, v, err
	}
	if err := v.CheckScope(&p.Claim); err != nil {
		return cred, v, err
	}
	return cred, v, v.CheckTime(&p.Claim)
}

// credential looks up the access key that p's claim names.
func (a *Authenticator) credential(p *Proof) (registry.Credential, error) {
	cred, err := a.cfg.Ledger.Credential(context.Background(), registry.AccessKeyID(p.Claim.AccessKey))
	if err != nil {
		return cred, unknownKey(err)
	}
	return cred, nil
}

// userKey proves p's claim with the access key it names.
func (a *Authenticator) userKey(ctx *fasthttp.RequestCtx, p *Proof) error {
	c := &p.Claim
	// Before a key is derived: that costs more than all of this together.
	cred, v, err := a.claimant(ctx, p)
	if err != nil {
		return err
	}
	p.Key, err = a.keys.Get(c.AccessKey, c.Date, c.Region, cred.Generation, secretOf(cred.Secret))
	if err != nil {
		return err
	}
	if err := v.CheckSignature(&p.Request, c, p.Key); err != nil {
		return err
	}
	p.Tenant = cred.Tenant
	p.Actor = cred.Actor("")
	return nil
}

// URL proves a request under /_/: a query signature by a URL key. Every way in
// which that can fail is a *sigv4.Error or ErrUnknownKey, and the caller
// answers them alike. The time is not judged here but by CheckURLTime, since
// what the grant says comes first.
func (a *Authenticator) URL(ctx *fasthttp.RequestCtx, p *Proof) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	c := &p.Claim
	if c.Kind != sigv4.QueryAuth {
		return &sigv4.Error{Code: sigv4.MissingAuth}
	}
	if ctx.IsHead() {
		// Who may get may ask what there is to get. S3's own URLs hold for the one
		// method; ours are signed for GET and hold for both.
		p.Request.Method = getMethod
	}
	key, err := a.cfg.Ledger.URLKey(context.Background(), string(c.AccessKey))
	if err != nil {
		return unknownKey(err)
	}
	v := a.urlVerifier(ctx)
	if err := v.CheckScope(c); err != nil {
		return err
	}
	p.Key, err = a.urlKeys.Get(c.AccessKey, c.Date, c.Region, key.Generation, secretOf(key.Secret))
	if err != nil {
		return err
	}
	if err := v.CheckSignature(&p.Request, c, p.Key); err != nil {
		return err
	}
	p.Tenant = key.Tenant
	return nil
}

// getMethod is only read.
var getMethod = []byte("GET")

// CheckURLTime judges whether the URL that p proved has expired or comes from
// the future.
func (a *Authenticator) CheckURLTime(ctx *fasthttp.RequestCtx, p *Proof) error {
	return a.urlVerifier(ctx).CheckTime(&p.Claim)
}

func (a *Authenticator) urlVerifier(ctx *fasthttp.RequestCtx) *sigv4.Verifier {
	if a.viaProxy(ctx) {
		return &a.urlsVia
	}
	return &a.urls
}

func (a *Authenticator) viaProxy(ctx *fasthttp.RequestCtx) bool {
	return len(a.cfg.Hosts) > 0 && (a.cfg.FromProxy == nil || a.cfg.FromProxy(ctx))
}

// Key returns the derived key of a URL signing key, for making URLs.
func (a *Authenticator) Key(key registry.URLKey, at time.Time) (*sigv4.SigningKey, error) {
	return a.urlKeys.Get([]byte(key.ID), at.UTC().AppendFormat(nil, "20060102"), []byte(a.cfg.Region), key.Generation, secretOf(key.Secret))
}

// bearerScheme is compared without case (RFC 9110, section 11.1).
const bearerScheme = "bearer "

// Bearer returns the request's bearer token, "" if it carries none.
func Bearer(ctx *fasthttp.RequestCtx) string {
	v := ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)
	if len(v) <= len(bearerScheme) || !strings.EqualFold(string(v[:len(bearerScheme)]), bearerScheme) {
		return ""
	}
	return string(bytes.TrimSpace(v[len(bearerScheme):]))
}

// Token proves a bearer token. The error is ErrUnauthenticated for every token
// that does not count, or the ledger's.
func (a *Authenticator) Token(ctx *fasthttp.RequestCtx, secret string) (registry.Actor, error) {
	t, err := a.cfg.Ledger.Token(context.Background(), registry.Secret(secret))
	if err != nil {
		if errors.Is(unknownKey(err), ErrUnknownKey) {
			return registry.Actor{}, ErrUnauthenticated
		}
		return registry.Actor{}, fmt.Errorf("look up a token: %w", err)
	}
	return t.Actor(""), nil
}

// Header proves a request of the control port by header signature of a user
// key. The signature covers the hash of the body; the caller compares the two
// when it has read it (Claim.SHA256). A request without x-amz-content-sha256,
// as curl before version 8 makes them, is ErrBodyFirst: Body goes on from here.
func (a *Authenticator) Header(ctx *fasthttp.RequestCtx, p *Proof) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	switch {
	case p.Claim.Kind != sigv4.HeaderAuth:
		return ErrUnauthenticated
	case p.Claim.Payload == sigv4.PayloadAbsent:
		// No body is worth waiting for that nobody's key can have signed.
		if _, _, err := a.claimant(ctx, p); err != nil {
			return err
		}
		return ErrBodyFirst
	}
	return a.userKey(ctx, p)
}

// Body proves a request for which Header returned ErrBodyFirst, by its body. It
// may be tried with more than one.
func (a *Authenticator) Body(ctx *fasthttp.RequestCtx, p *Proof, body []byte) error {
	sum := sha256.Sum256(body)
	p.Claim.ContentSHA256 = hex.AppendEncode(nil, sum[:])
	return a.userKey(ctx, p)
}

// unknownKey makes one error of all reasons for which a credential does not
// count; a failure of the ledger stays what it is.
func unknownKey(err error) error {
	for _, class := range []error{registry.ErrNotFound, registry.ErrRevoked, registry.ErrTenantSuspended, registry.ErrInvalid} {
		if errors.Is(err, class) {
			return ErrUnknownKey
		}
	}
	return fmt.Errorf("look up a credential: %w", err)
}

func secretOf(open func() (registry.Secret, error)) func() ([]byte, error) {
	return func() ([]byte, error) {
		s, err := open()
		return []byte(s), err
	}
}

package auth

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/sigv4"
)

// Form proves a browser's POST by the policy in its form and the user key that
// signed it. p's request is read as it came; p's claim is the form's and lives as
// long as f. Neither the policy's expiry is judged, which is CheckPolicyTime's
// once the caller has read it, nor the other fields, which are the caller's.
func (a *Authenticator) Form(ctx *fasthttp.RequestCtx, p *Proof, f *sigv4.Form) error {
	p.Request.Header = p.fields[:0]
	if err := Wire(ctx, &p.Request); err != nil {
		return err
	}
	c := &p.Claim
	if err := sigv4.ParseForm(f, c); err != nil {
		return err
	}
	if c.Kind == sigv4.Anonymous {
		return &sigv4.Error{Code: sigv4.MissingAuth}
	}
	cred, err := a.cfg.Ledger.Credential(context.Background(), registry.AccessKeyID(c.AccessKey))
	if err != nil {
		return unknownKey(err)
	}
	if err := a.direct.CheckScope(c); err != nil {
		return err
	}
	p.Key, err = a.keys.Get(c.AccessKey, c.Date, c.Region, cred.Generation, secretOf(cred.Secret))
	if err != nil {
		return err
	}
	if err := a.direct.CheckForm(f, c, p.Key); err != nil {
		return err
	}
	p.Tenant = cred.Tenant
	p.Actor = cred.Actor("")
	return nil
}

// CheckPolicyTime judges a form that Form proved, and whose policy says that it
// expires then, as a presigned URL is judged.
func (a *Authenticator) CheckPolicyTime(p *Proof, expiration time.Time) error {
	return a.direct.CheckPolicyTime(&p.Claim, expiration)
}

package control

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/server"
	"sallyport/server/auth"
	"sallyport/sigv4"
)

// authenticate finds out who calls. A token that came over plain HTTP from
// afar is refused whether it is a good one or not: it has been seen.
func (k *call) authenticate() error {
	if len(k.ctx.Request.Header.PeekAll(fasthttp.HeaderAuthorization)) > 1 {
		return fmt.Errorf("%w: there is more than one Authorization header", errUnauthorized)
	}
	token := auth.Bearer(k.ctx)
	if token == "" {
		return k.authenticateSigned()
	}
	if !k.secure() {
		return errPlain
	}
	actor, err := k.cfg.Auth.Token(k.ctx, token)
	if err != nil {
		return err
	}
	k.is(actor)
	return nil
}

func (k *call) authenticateSigned() error {
	k.proof = new(auth.Proof)
	err := k.cfg.Auth.Header(k.ctx, k.proof)
	switch {
	case errors.Is(err, auth.ErrBodyFirst):
		return k.authenticateByBody()
	case err != nil:
		return authFailure(err)
	case k.proof.Claim.Payload.Streaming():
		return fmt.Errorf("%w: aws-chunked bodies belong to the S3 port", errInvalid)
	case k.proof.Claim.Payload == sigv4.PayloadUnsigned && !k.secure():
		return errPlain
	}
	k.is(k.proof.Actor)
	return nil
}

// authenticateByBody is for clients that sign the hash of a body without
// sending it, as curl did until version 8: without a body it is known, a small
// body will be read, and a file (curl -T) was signed as if it were empty.
func (k *call) authenticateByBody() error {
	length := server.ContentLength(k.ctx)
	empty := length == 0 || length == server.NoLength
	file := k.route != nil && k.route.body == contentBody
	if !empty && !file {
		if k.route == nil || k.route.body == noBody {
			return fmt.Errorf("%w: x-amz-content-sha256 is needed here", errUnauthorized)
		}
		k.unproved = true
		return nil
	}
	err := k.prove(nil)
	switch {
	case empty || err != nil && !errors.Is(err, errUnauthorized):
		return err
	case err != nil:
		k.unproved = true
		return nil
	case !k.secure(): // nothing vouches for the file's bytes
		return errPlain
	}
	return nil
}

// prove finishes what authenticateByBody began.
func (k *call) prove(body []byte) error {
	if err := k.cfg.Auth.Body(k.ctx, k.proof, body); err != nil {
		return authFailure(err)
	}
	k.is(k.proof.Actor)
	return nil
}

// is sets who calls.
func (k *call) is(actor registry.Actor) {
	x := server.ExchangeOf(k.ctx)
	k.actor = actor
	k.actor.RequestID = x.RequestID
	x.Tenant, x.Principal, x.AccessKey = string(actor.Tenant), string(actor.Principal), actor.Credential
}

// secure tells whether what is said on this connection stays between the two
// ends: TLS, a trusted proxy's word for it, or loopback.
func (k *call) secure() bool {
	if k.cfg.AllowPlain || k.cfg.Proxies.Secure(k.ctx) {
		return true
	}
	peer, err := netip.ParseAddrPort(k.ctx.RemoteAddr().String())
	return err == nil && peer.Addr().Unmap().IsLoopback() && k.cfg.Proxies.ClientIP(k.ctx).IsLoopback()
}

// bodyIsSigned compares a small body with what the signature covers.
func (k *call) bodyIsSigned() error {
	if k.proof == nil {
		return nil
	}
	if want, ok := k.proof.Claim.SHA256(); ok && sha256.Sum256(k.body) != want {
		return fmt.Errorf("%w: the body is not the one that was signed", errUnauthorized)
	}
	return nil
}

// authFailure makes one refusal of everything that is wrong with a signature,
// with a hint where it gives nothing away.
func authFailure(err error) error {
	var e *sigv4.Error
	switch {
	case errors.Is(err, auth.ErrUnknownKey), errors.Is(err, auth.ErrMalformedHeader), errors.Is(err, sigv4.SignatureMismatch):
		return fmt.Errorf("%w: the access key is unknown or the signature does not match", errUnauthorized)
	case errors.As(err, &e) && e.Code == sigv4.KeyUnavailable:
		return err
	case errors.As(err, &e) && e.Code == sigv4.WrongRegion:
		return fmt.Errorf("%w: the signature must name the region %s", errUnauthorized, e.Want)
	case errors.As(err, &e):
		return fmt.Errorf("%w: %w", errUnauthorized, e.Code)
	}
	return err
}

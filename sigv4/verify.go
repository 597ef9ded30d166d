package sigv4

import (
	"crypto/subtle"
	"sync"
	"time"
)

// Verifier checks what requests claim. Its fields are set before its first use
// and not changed after; it is safe for concurrent use and must not be copied.
type Verifier struct {
	Region  string // a credential must name this one
	Service string // "" is "s3"

	Now func() time.Time // the server's clock

	// MaxSkew is how far a header-signed request may be from Now, and how far
	// ahead of it a presigned one; 0 is 15 minutes, as S3.
	MaxSkew time.Duration
	// MaxExpires bounds the lifetime of presigned requests, whoever signed
	// them; 0 is 7 days, as S3.
	MaxExpires time.Duration

	// Hosts are external hosts ("s3.example.com", "127.0.0.1:9000": with the
	// port where the client would send one) that a signature may have been made
	// for when a proxy put another Host into the request. Each is tried in the
	// place of the Host that came. A Verifier with Hosts therefore accepts any
	// Host at all: use it for requests from a proxy that is trusted and known
	// to rewrite Host, and one without Hosts for all others; and route by
	// [Claim.Host], never by the header.
	Hosts []string

	pool sync.Pool // of *scratch
}

// Verify proves a parsed request: [Verifier.CheckScope], [Verifier.CheckTime]
// and [Verifier.CheckSignature], in the order of S3. k is the key of the
// claim's access key, date and region. It allocates nothing on success.
func (v *Verifier) Verify(r *Request, c *Claim, k *SigningKey) error {
	if err := v.CheckScope(c); err != nil {
		return err
	}
	if err := v.CheckTime(c); err != nil {
		return err
	}
	return v.CheckSignature(r, c, k)
}

// CheckScope checks that the credential is for this region and service. A
// caller that derives keys on demand does this first: it costs nothing.
func (v *Verifier) CheckScope(c *Claim) error {
	if c.Kind == Anonymous {
		return refuse(MissingAuth, "")
	}
	if string(c.Region) != v.Region {
		return &Error{Code: WrongRegion, Want: v.Region, Got: string(c.Region)}
	}
	service := v.Service
	if service == "" {
		service = "s3"
	}
	if string(c.Service) != service {
		return &Error{Code: WrongService, Want: service, Got: string(c.Service)}
	}
	return nil
}

// CheckTime checks the age of the request: for a header signature the skew in
// both directions; for a presigned one that it is not of the future, not
// longer-lived than allowed, and not expired. It is judged once, when a request
// starts.
func (v *Verifier) CheckTime(c *Claim) error {
	switch c.Kind {
	case HeaderAuth:
		now := v.Now().UTC()
		skew, ahead := v.skew(), c.Time.Sub(now)
		if ahead > skew || -ahead > skew {
			return &Error{Code: RequestTimeTooSkewed, RequestTime: c.Time, ServerTime: now, Max: skew}
		}
		return nil
	case QueryAuth:
		return v.checkLife(c)
	default:
		return refuse(MissingAuth, "") // of a form: CheckPolicyTime
	}
}

// checkLife judges what carries its own end: not of the future, not longer-lived
// than allowed, not expired.
func (v *Verifier) checkLife(c *Claim) error {
	now := v.Now().UTC()
	skew, ahead := v.skew(), c.Time.Sub(now)
	longest := v.MaxExpires
	if longest == 0 {
		longest = week
	}
	switch {
	case c.Expires > longest:
		return &Error{Code: ExpiresTooLong, Max: longest}
	case ahead > skew:
		return &Error{Code: NotYetValid, RequestTime: c.Time, ServerTime: now, Max: skew}
	case -ahead > c.Expires:
		return &Error{Code: Expired, RequestTime: c.Time, Expires: c.Time.Add(c.Expires), ServerTime: now}
	}
	return nil
}

func (v *Verifier) skew() time.Duration {
	if v.MaxSkew == 0 {
		return 15 * time.Minute
	}
	return v.MaxSkew
}

// CheckSignature checks that the request is the one that was signed with k:
// every signed header is there, every x-amz-* header is signed, and the
// signature, compared in constant time, is right. On success it sets
// [Claim.Host].
//
// The path is verified as it came. It is never normalised or decoded; what the
// package comment says under "Paths" is the whole of the leeway.
func (v *Verifier) CheckSignature(r *Request, c *Claim, k *SigningKey) error {
	switch {
	case c.Kind == Anonymous:
		return refuse(MissingAuth, "")
	case len(c.ContentSHA256) == 0:
		return refuse(MissingContentSHA256, "")
	}
	s, _ := v.pool.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer v.pool.Put(s)
	if err := s.setQuery(r.Query, c.Kind); err != nil {
		return err
	}
	if err := s.setHeaders(r, c.SignedHeaders); err != nil {
		return err
	}
	if !v.matches(s, r, c, k) {
		e := c.envelope()
		s.setCanonical(r, &e, pathEncoded, nil)
		s.setToSign(&e)
		return &Error{Code: SignatureMismatch, CanonicalRequest: string(s.canonical), StringToSign: string(s.toSign)}
	}
	k.proved(v.Now)
	return nil
}

// matches tries the readings of the request, the likely one first.
func (v *Verifier) matches(s *scratch, r *Request, c *Claim, k *SigningKey) bool {
	forms := [...]pathForm{pathEncoded, pathVerbatim}
	readings := forms[:]
	if isNormal(r.Path) {
		readings = forms[:1] // the two are the same
	}
	for _, form := range readings {
		if s.matches(r, c, k, form, nil) {
			c.Host = s.host()
			return true
		}
	}
	for i := range v.Hosts {
		for _, form := range readings {
			host := []byte(v.Hosts[i])
			if s.matches(r, c, k, form, host) {
				c.Host = host
				return true
			}
		}
	}
	return false
}

func (s *scratch) matches(r *Request, c *Claim, k *SigningKey, form pathForm, host []byte) bool {
	e := c.envelope()
	if !s.setCanonical(r, &e, form, host) {
		return false
	}
	s.setToSign(&e)
	want := k.sign(s.toSign)
	return subtle.ConstantTimeCompare(want[:], c.Signature) == 1
}

// host returns the Host that came.
func (s *scratch) host() []byte {
	for i := range s.signed {
		if string(s.signed[i].name) == "host" {
			return trim(s.signed[i].value)
		}
	}
	return nil
}

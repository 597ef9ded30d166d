package sigv4

import (
	"crypto/subtle"
	"time"
)

// Form is what a browser's POST says of its authentication: fields of the form,
// as they came. The policy, still in base64, is all that is signed: whether the
// other fields are what it asks for is the caller's to check.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
type Form struct {
	Policy     []byte // policy
	Algorithm  []byte // x-amz-algorithm
	Credential []byte // x-amz-credential
	Date       []byte // x-amz-date
	Signature  []byte // x-amz-signature
}

// ParseForm is [Parse] for a form: it reads f into c, needs no secret and proves
// nothing. A form without any of the fields is Anonymous and no error. c points
// into f.
//
// A form is proved when [Verifier.CheckScope], [Verifier.CheckForm] and, once the
// caller has read the policy, [Verifier.CheckPolicyTime] have all returned nil.
func ParseForm(f *Form, c *Claim) error {
	c.reset()
	if len(f.Policy)+len(f.Algorithm)+len(f.Credential)+len(f.Date)+len(f.Signature) == 0 {
		return nil
	}
	switch string(f.Algorithm) {
	case algorithm:
	case algorithmECDSA:
		return refuse(AsymmetricNotImplemented, "")
	case "":
		return refuse(MalformedAuth, "the form lacks x-amz-algorithm")
	default:
		return refuse(UnsupportedAuth, "x-amz-algorithm is not "+algorithm)
	}
	if len(f.Policy) == 0 || len(f.Credential) == 0 || len(f.Date) == 0 || len(f.Signature) == 0 {
		return refuse(MalformedAuth, "the form lacks policy, x-amz-credential, -date or -signature")
	}
	if len(f.Signature) > maxSignature {
		return refuse(MalformedAuth, "the signature is too long")
	}
	c.Kind, c.Signature, c.Payload = FormAuth, f.Signature, PayloadUnsigned
	if err := c.parseCredential(f.Credential); err != nil {
		return err
	}
	return c.setTime(f.Date, nil)
}

// CheckForm checks that f's policy is the one that was signed with k, in constant
// time. The error never holds the policy, which names the client's keys.
func (v *Verifier) CheckForm(f *Form, c *Claim, k *SigningKey) error {
	if c.Kind != FormAuth {
		return refuse(MissingAuth, "")
	}
	want := k.sign(f.Policy)
	if subtle.ConstantTimeCompare(want[:], c.Signature) != 1 {
		return refuse(SignatureMismatch, "of a policy")
	}
	k.proved(v.Now)
	return nil
}

// CheckPolicyTime is [Verifier.CheckTime] for a form whose policy says that it
// expires then: a policy is not of the future, lives no longer than a presigned
// URL may, and has not expired. It sets [Claim.Expires].
func (v *Verifier) CheckPolicyTime(c *Claim, expiration time.Time) error {
	if c.Kind != FormAuth {
		return refuse(MissingAuth, "")
	}
	c.Expires = expiration.Sub(c.Time)
	return v.checkLife(c)
}

// SignPolicy appends to dst the signature of a policy in base64: the value of
// x-amz-signature.
func SignPolicy(dst []byte, policy string, k *SigningKey) []byte {
	sig := k.sign([]byte(policy))
	return append(dst, sig[:]...)
}

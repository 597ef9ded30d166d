package sigv4

import (
	"log/slog"
	"time"
)

// Kind says how a request authenticates itself.
type Kind int

const (
	Anonymous  Kind = iota // it does not
	HeaderAuth             // an Authorization header
	QueryAuth              // a presigned URL
	FormAuth               // a browser's POST with a signed policy
)

func (k Kind) String() string {
	switch k {
	case HeaderAuth:
		return "header"
	case QueryAuth:
		return "query"
	case FormAuth:
		return "form"
	default:
		return "anonymous"
	}
}

// Claim is what a request says of itself before anything is proved. [Parse]
// fills it; nothing in it may be trusted before [Verifier.CheckSignature] has
// returned nil.
//
// The slices point into the request, or into the Claim itself: they live as
// long as both, and a Claim must not be copied. It may be used again for
// another request; then Parse clears it.
type Claim struct {
	Kind Kind

	AccessKey []byte // may hold "/"
	Date      []byte // the day of the credential, YYYYMMDD
	Region    []byte
	Service   []byte

	Time    time.Time     // when it was signed, UTC, whole seconds
	Expires time.Duration // how long it lives from Time; not of HeaderAuth

	SignedHeaders []byte // "host;x-amz-date": lower case, sorted, no doubles
	Signature     []byte // as sent

	Payload PayloadKind
	// ContentSHA256 is the last line of the canonical request: the value of
	// x-amz-content-sha256, or UNSIGNED-PAYLOAD for a presigned request without
	// one. A server that reads small bodies itself and takes requests of
	// clients without that header (PayloadAbsent) may set it to the hex SHA-256
	// of the body before CheckSignature.
	ContentSHA256 []byte

	// Host is set by CheckSignature: the host the signature was made for. Where
	// the bucket is in the host name, this is the one to take it from.
	Host []byte

	stamp []byte // Time as YYYYMMDDTHHMMSSZ, for the string to sign

	noCopy noCopy
	store  [384]byte // what had to be decoded or formatted
	used   int
}

// noCopy makes go vet complain of a copied Claim.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// String names the kind and access key only: a Claim that lands in a log must
// not bring its signature there.
func (c *Claim) String() string {
	if c.Kind == Anonymous {
		return "anonymous"
	}
	return c.Kind.String() + " " + string(c.AccessKey)
}

// LogValue is [Claim.String] for slog.
func (c *Claim) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Value returns the value of an x-amz-* setting of the request: the header of
// that lower-case name or, in a presigned request, the query parameter into
// which SDKs move ("hoist") such headers. The header wins. Both are covered by
// the signature once it is checked: x-amz-* headers must be signed, and the
// whole query is. For other names it is [Request.HeaderValue].
func (c *Claim) Value(r *Request, name string) (value []byte, ok bool) {
	if v, ok := r.HeaderValue(name); ok {
		return v, true
	}
	if c.Kind != QueryAuth || len(name) < len(amzPrefix) || name[:len(amzPrefix)] != amzPrefix {
		return nil, false
	}
	q := queryCursor{rest: r.Query}
	for q.next() {
		var buf [96]byte
		if equalFold(decodeParam(buf[:0], q.name), name) {
			return decodeParam(nil, q.value), true
		}
	}
	return nil, false
}

// decode is decodeParam into the Claim's own room.
func (c *Claim) decode(raw []byte) []byte {
	room := c.store[c.used:c.used:len(c.store)]
	out := decodeParam(room, raw)
	c.used = min(c.used+len(raw), len(c.store))
	return out
}

func (c *Claim) reset() {
	c.Kind, c.Payload = Anonymous, PayloadAbsent
	c.AccessKey, c.Date, c.Region, c.Service = nil, nil, nil, nil
	c.Time, c.Expires = time.Time{}, 0
	c.SignedHeaders, c.Signature, c.ContentSHA256, c.Host, c.stamp = nil, nil, nil, nil, nil
	c.used = 0
}

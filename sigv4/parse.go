package sigv4

import (
	"bytes"
	"time"
)

const (
	algorithm       = "AWS4-HMAC-SHA256"
	algorithmECDSA  = "AWS4-ECDSA-P256-SHA256"
	terminator      = "aws4_request"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	amzPrefix       = "x-amz-"

	maxAccessKey = 128           // bytes, as IAM
	maxExpires   = 7 * 24 * 3600 // seconds, as S3
	maxSignature = 2 * 64        // bytes; 64 are right, some more is a mismatch
	maxSigned    = 512           // headers; each is looked for among all that came
	week         = 7 * 24 * time.Hour
)

// marks are the parts of a request that Parse collects in one walk.
type marks struct {
	authorization       []byte
	authorizations      int
	date, amzDate, hash []byte

	alg, credential, qDate, expires, signed, signature []byte // raw query values
	qHash                                              []byte
	version2                                           bool
	double                                             bool
}

// Parse reads what the request says of its authentication into c. It needs no
// secret and proves nothing. A request without SigV4 marks is Anonymous and no
// error.
//
// The header has to be an Authorization of AWS4-HMAC-SHA256, or the query that
// of a presigned URL. With a presigned URL an Authorization header of another
// kind (an application's "Bearer …" that a browser sends along) is ignored: the
// URL is the credential. Two SigV4 mechanisms at once are MultipleAuth.
// Without a presigned URL any other Authorization is UnsupportedAuth.
func Parse(r *Request, c *Claim) error {
	c.reset()
	var m marks
	m.scanHeader(r.Header)
	m.scanQuery(r.Query)

	presigned := m.alg != nil || m.credential != nil || m.signature != nil
	switch {
	case presigned && bytes.HasPrefix(m.authorization, []byte("AWS")):
		return refuse(MultipleAuth, "an Authorization header and a presigned query")
	case presigned:
		return c.parseQuery(&m)
	case m.authorizations > 1:
		return refuse(MultipleAuth, "several Authorization headers")
	case m.authorizations == 1:
		return c.parseHeader(&m)
	case m.version2:
		return refuse(UnsupportedAuth, "signature version 2 in the query")
	default:
		return nil
	}
}

func (m *marks) scanHeader(header []Field) {
	for i := range header {
		f := &header[i]
		switch len(f.Name) {
		case len("date"):
			if m.date == nil && equalFold(f.Name, "date") {
				m.date = trim(f.Value)
			}
		case len("x-amz-date"):
			if m.amzDate == nil && equalFold(f.Name, "x-amz-date") {
				m.amzDate = present(trim(f.Value))
			}
		case len("authorization"):
			if equalFold(f.Name, "authorization") {
				// An AWS one is remembered before any other, so that it cannot
				// hide behind a Bearer in front of a presigned query.
				if v := trim(f.Value); m.authorizations == 0 || bytes.HasPrefix(v, []byte("AWS")) {
					m.authorization = v
				}
				m.authorizations++
			}
		case len("x-amz-content-sha256"):
			if m.hash == nil && equalFold(f.Name, "x-amz-content-sha256") {
				m.hash = present(trim(f.Value))
			}
		}
	}
}

// present makes an empty value differ from none.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (m *marks) scanQuery(query []byte) {
	q := queryCursor{rest: query}
	for q.next() {
		name := q.name
		var buf [64]byte
		if bytes.IndexByte(name, '%') >= 0 {
			name = decodeParam(buf[:0], name)
		}
		switch {
		case len(name) > 6 && (name[0] == 'X' || name[0] == 'x') && name[1] == '-':
			m.scanParam(name, q.value)
		case string(name) == "AWSAccessKeyId":
			m.version2 = true
		}
	}
}

func (m *marks) scanParam(name, value []byte) {
	var at *[]byte
	switch string(name) {
	case "X-Amz-Algorithm":
		at = &m.alg
	case "X-Amz-Credential":
		at = &m.credential
	case "X-Amz-Date":
		at = &m.qDate
	case "X-Amz-Expires":
		at = &m.expires
	case "X-Amz-SignedHeaders":
		at = &m.signed
	case "X-Amz-Signature":
		at = &m.signature
	default:
		if !equalFold(name, "x-amz-content-sha256") {
			return
		}
		at = &m.qHash
	}
	if *at != nil {
		m.double = true
	}
	*at = present(value)
}

// parseHeader reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…,
// Signature=…". The order of the parts is free, as is white space around the
// commas (minio-go writes one, s3cmd none).
func (c *Claim) parseHeader(m *marks) error {
	rest, ok := bytes.CutPrefix(m.authorization, []byte(algorithm))
	if !ok || len(rest) == 0 || !isSpace(rest[0]) {
		if bytes.HasPrefix(m.authorization, []byte(algorithmECDSA)) {
			return refuse(AsymmetricNotImplemented, "")
		}
		return refuse(UnsupportedAuth, "the Authorization header is not "+algorithm)
	}
	c.Kind = HeaderAuth
	var credential []byte
	for more := true; more; {
		var part []byte
		part, rest, more = cut(rest, ',')
		name, value, ok := cut(trim(part), '=')
		if !ok {
			return refuse(MalformedAuth, "a part of the Authorization header is not name=value")
		}
		var at *[]byte
		switch string(name) {
		case "Credential":
			at = &credential
		case "SignedHeaders":
			at = &c.SignedHeaders
		case "Signature":
			at = &c.Signature
		default:
			return refuse(MalformedAuth, "the Authorization header has an unknown part")
		}
		if *at != nil {
			return refuse(DuplicateAuthParam, "in the Authorization header")
		}
		*at = value
	}
	if len(credential) == 0 || len(c.SignedHeaders) == 0 || len(c.Signature) == 0 {
		return refuse(MalformedAuth, "the Authorization header lacks Credential, SignedHeaders or Signature")
	}
	if err := c.parseCommon(credential); err != nil {
		return err
	}
	if err := c.setTime(m.amzDate, m.date); err != nil {
		return err
	}
	return c.setPayload(m.hash)
}

// parseQuery reads the X-Amz- parameters of a presigned URL.
func (c *Claim) parseQuery(m *marks) error {
	if m.double {
		return refuse(DuplicateAuthParam, "in the query")
	}
	switch string(m.alg) {
	case algorithm:
	case algorithmECDSA:
		return refuse(AsymmetricNotImplemented, "")
	default:
		return refuse(UnsupportedAuth, "X-Amz-Algorithm is not "+algorithm)
	}
	if len(m.credential) == 0 || len(m.signature) == 0 || len(m.signed) == 0 || m.qDate == nil || m.expires == nil {
		return refuse(MalformedAuth, "the query lacks X-Amz-Credential, -Date, -Expires, -SignedHeaders or -Signature")
	}
	c.Kind = QueryAuth
	c.SignedHeaders = c.decode(m.signed)
	c.Signature = c.decode(m.signature)
	if err := c.parseCommon(c.decode(m.credential)); err != nil {
		return err
	}
	seconds, ok := parseSeconds(m.expires)
	if !ok {
		return refuse(InvalidExpires, "")
	}
	c.Expires = time.Duration(seconds) * time.Second
	if err := c.setTime(c.decode(m.qDate), nil); err != nil {
		return err
	}
	switch {
	case m.qHash != nil:
		hash := c.decode(m.qHash)
		if m.hash != nil && !bytes.Equal(m.hash, hash) {
			// The canonical request ends with the query's; the header's would
			// speak for the body unproved.
			return &Error{Code: HeadersNotSigned, Headers: []string{"x-amz-content-sha256"}}
		}
		return c.setPayload(hash)
	case m.hash != nil:
		return c.setPayload(m.hash)
	default:
		c.Payload = PayloadUnsigned
		c.ContentSHA256 = append(c.store[c.used:c.used:len(c.store)], unsignedPayload...)
		c.used = min(c.used+len(unsignedPayload), len(c.store))
		return nil
	}
}

// cut is bytes.Cut at one byte, at half its price.
func cut(b []byte, sep byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

func (c *Claim) parseCommon(credential []byte) error {
	if len(c.Signature) > maxSignature {
		return refuse(MalformedAuth, "the signature is too long")
	}
	if err := c.parseCredential(credential); err != nil {
		return err
	}
	return checkSignedHeaders(c.SignedHeaders)
}

// parseCredential reads key/date/region/service/aws4_request from the right,
// for the key may hold slashes.
func (c *Claim) parseCredential(b []byte) error {
	var part [4][]byte
	for i := 3; i >= 0; i-- {
		at := bytes.LastIndexByte(b, '/')
		if at < 0 {
			return refuse(MalformedCredential, "it has fewer than five parts")
		}
		part[i], b = b[at+1:], b[:at]
	}
	switch {
	case string(part[3]) != terminator:
		return refuse(MalformedCredential, "it does not end with "+terminator)
	case len(b) == 0 || len(b) > maxAccessKey:
		return refuse(MalformedCredential, "the access key is empty or too long")
	case len(part[1]) == 0 || len(part[2]) == 0:
		return refuse(MalformedCredential, "the region or service is empty")
	case len(part[0]) != len(dayLayout):
		return refuse(MalformedCredential, "the date is not YYYYMMDD")
	}
	c.AccessKey, c.Date, c.Region, c.Service = b, part[0], part[1], part[2]
	return nil
}

// checkSignedHeaders insists on what every signer writes: lower-case names,
// strictly ascending, separated by ";".
func checkSignedHeaders(list []byte) error {
	if bytes.Count(list, []byte{';'}) >= maxSigned {
		return refuse(MalformedAuth, "there are too many signed headers")
	}
	var last []byte
	start := 0
	for i := 0; i <= len(list); i++ {
		if i < len(list) && list[i] != ';' {
			if class[list[i]]&classHeaderName == 0 {
				return refuse(MalformedAuth, "a signed header is not a lower-case name")
			}
			continue
		}
		name := list[start:i]
		if bytes.Compare(last, name) >= 0 {
			return refuse(MalformedAuth, "the signed headers are not in ascending order")
		}
		last, start = name, i+1
	}
	return nil
}

// parseSeconds reads X-Amz-Expires.
func parseSeconds(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > 7 {
		return 0, false
	}
	for _, ch := range b {
		if ch < '0' || ch > '9' {
			return 0, false
		}
		n = n*10 + int(ch-'0')
	}
	return n, n >= 1 && n <= maxExpires
}

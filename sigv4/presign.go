package sigv4

import (
	"strconv"
	"strings"
	"time"
)

// Param is a name and a value, both plain: not encoded.
type Param struct{ Name, Value string }

// Presign describes a URL to be signed. The access key, day, region and service
// are those of the key it is signed with.
type Presign struct {
	Method string
	// URL is scheme and host: "https://s3.example.com". No path, no slash at
	// the end; no default port, for clients leave it out of Host.
	URL string
	// Path is raw, as it is to stand in the URL: "/_/uploads/upl_01…", or the
	// [AppendPath] of a decoded one.
	Path string
	// Query are the parameters besides those of the signature, in any order.
	Query []Param
	// Headers are the headers, besides Host, that the client must send with
	// these values. Names in any case.
	Headers []Param
	Time    time.Time     // when it is signed; its day must be the key's
	Expires time.Duration // from Time; 1 s to 7 days, whole seconds
}

// PresignURL appends the signed URL to dst. Its query is in canonical order,
// with X-Amz-Signature at the end; the payload is UNSIGNED-PAYLOAD.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
func PresignURL(dst []byte, p *Presign, k *SigningKey) ([]byte, error) {
	host, err := p.check()
	if err != nil {
		return dst, err
	}
	s := k.scratch()
	defer k.pool.Put(s)
	s.stamp = p.Time.UTC().AppendFormat(s.stamp[:0], stampLayout)
	if string(s.stamp[:len(dayLayout)]) != k.date {
		return dst, invalid("the key is of another day")
	}
	s.header = append(s.header[:0], Field{Name: []byte("host"), Value: []byte(host)})
	for _, h := range p.Headers {
		s.header = append(s.header, Field{Name: []byte(h.Name), Value: []byte(h.Value)})
	}
	s.sortHeaders(s.header)
	if err := checkSignedHeaders(s.list); err != nil {
		return dst, invalid("a header name is not a name")
	}
	if err := s.presignQuery(p, k); err != nil {
		return dst, err
	}
	r := Request{Method: []byte(p.Method), Path: []byte(p.Path)}
	e := k.envelope(s.stamp, s.list, []byte(unsignedPayload))
	s.setCanonical(&r, &e, pathVerbatim, nil)
	s.setToSign(&e)
	sig := k.sign(s.toSign)
	k.provedAt(p.Time)

	dst = append(append(append(dst, p.URL...), p.Path...), '?')
	dst = append(append(dst, s.query...), "&X-Amz-Signature="...)
	return append(dst, sig[:]...), nil
}

// check looks at what needs no key and returns the host.
func (p *Presign) check() (host string, err error) {
	_, host, ok := strings.Cut(p.URL, "://")
	if !ok || host == "" || strings.ContainsAny(host, "/?#@ \t\r\n") {
		return "", invalid("the URL is not scheme and host")
	}
	if p.Path == "" || p.Path[0] != '/' || !isNormal([]byte(p.Path)) {
		return "", invalid("the path is not an encoded path")
	}
	if s := p.Expires / time.Second; p.Expires%time.Second != 0 || s < 1 || s > maxExpires {
		return "", invalid("expires is not from 1 to 604800 whole seconds")
	}
	return host, nil
}

// presignQuery builds the canonical query, which is also that of the URL.
func (s *scratch) presignQuery(p *Presign, k *SigningKey) error {
	s.arena, s.params = s.arena[:0], s.params[:0]
	for _, q := range p.Query {
		switch q.Name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature":
			return invalid("a parameter has the name of one of the signature's")
		}
		s.addParam(q.Name, q.Value)
	}
	s.addParam("X-Amz-Algorithm", algorithm)
	s.addParam("X-Amz-Credential", k.accessKey+"/"+k.scope())
	s.addParam("X-Amz-Date", string(s.stamp))
	s.addParam("X-Amz-Expires", strconv.FormatInt(int64(p.Expires/time.Second), 10))
	s.addParam("X-Amz-SignedHeaders", string(s.list))
	s.joinQuery()
	return nil
}

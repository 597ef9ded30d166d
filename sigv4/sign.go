package sigv4

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// ErrInvalid is what [PresignURL] and [SignHeader] give, wrapped around words,
// for a request that cannot be signed: the caller's mistake, not a client's.
var ErrInvalid = errors.New("sigv4: request cannot be signed")

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }

// SignHeader appends to dst the value of the Authorization header for r, signed
// with k. It signs every line of r.Header: give it those that reach the server
// unchanged. Host, X-Amz-Date (of the key's day) and X-Amz-Content-Sha256 must
// be among them, once each; the path must be encoded as [AppendPath] does.
func SignHeader(dst []byte, r *Request, k *SigningKey) ([]byte, error) {
	if !isNormal(r.Path) {
		return dst, invalid("the path is not an encoded path")
	}
	stamp, okDate := r.HeaderValue("x-amz-date")
	payload, okPayload := r.HeaderValue("x-amz-content-sha256")
	if _, okHost := r.HeaderValue("host"); !okHost || !okDate || !okPayload {
		return dst, invalid("host, x-amz-date or x-amz-content-sha256 is missing")
	}
	t, ok := parseStamp(stamp)
	if !ok || string(stamp[:len(dayLayout)]) != k.date {
		return dst, invalid("x-amz-date is not of the key's day")
	}
	s := k.scratch()
	defer k.pool.Put(s)
	s.sortHeaders(r.Header)
	if err := checkSignedHeaders(s.list); err != nil {
		return dst, invalid("a header name is not a name")
	}
	if err := s.setQuery(r.Query, HeaderAuth); err != nil {
		return dst, invalid("the query has a malformed escape")
	}
	e := k.envelope(stamp, s.list, payload)
	s.setCanonical(r, &e, pathVerbatim, nil)
	s.setToSign(&e)
	sig := k.sign(s.toSign)
	k.provedAt(t)

	dst = append(append(dst, algorithm+" Credential="...), k.accessKey...)
	dst = k.appendScope(append(dst, '/'))
	dst = append(append(dst, ", SignedHeaders="...), s.list...)
	return append(append(dst, ", Signature="...), sig[:]...), nil
}

// sortHeaders takes every line as signed: names in lower case, in order, and
// lines of one name in the order they came.
func (s *scratch) sortHeaders(header []Field) {
	total := 0
	for i := range header {
		total += len(header[i].Name)
	}
	s.names = slices.Grow(s.names[:0], total) // so that slices of it stay good
	s.signed = s.signed[:0]
	for i := range header {
		start := len(s.names)
		for _, c := range header[i].Name {
			s.names = append(s.names, toLower(c))
		}
		s.signed = append(s.signed, field{name: s.names[start:], value: header[i].Value})
	}
	slices.SortStableFunc(s.signed, func(a, b field) int { return bytes.Compare(a.name, b.name) })
	s.list = s.list[:0]
	for i := range s.signed {
		f := &s.signed[i]
		if f.first = i == 0 || !bytes.Equal(f.name, s.signed[i-1].name); !f.first {
			continue
		}
		if i > 0 {
			s.list = append(s.list, ';')
		}
		s.list = append(s.list, f.name...)
	}
}

package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// scratch is what canonicalising one request needs; pooled by its Verifier.
type scratch struct {
	canonical []byte
	toSign    []byte
	arena     []byte  // "name=value&" for each parameter, normalised, as it came
	params    []param // into arena
	joined    []byte  // them again in their order, where they came in another
	query     []byte  // the canonical query: arena or joined
	covered   []bool  // by header line: it is signed
	signed    []field // the signed headers in their order
	names     []byte  // when signing: the lower-case names of signed
	list      []byte  // when signing: them again, joined by ";"
	stamp     []byte  // when presigning
	header    []Field // when presigning
}

// param is a query parameter in the arena: its name from start to equals, its
// value from after that to end.
type param struct{ start, equals, end int }

// field is one signed header line; many lines of one name follow each other.
type field struct {
	name, value []byte
	first       bool // of its name
}

// pathForm says how the wire's path is read into the canonical request.
type pathForm int

const (
	// pathEncoded is AWS's: bytes that AWS's encoding escapes and the client
	// sent plain are escaped, escapes of unreserved bytes are undone.
	pathEncoded pathForm = iota
	// pathVerbatim is the path as sent: curl signs so.
	pathVerbatim
)

// appendNormal appends the canonical form of raw path or query text.
//
//   - unreserved bytes stay, and so do escapes of all others;
//   - an escape of an unreserved byte becomes that byte;
//   - any other byte is escaped ("/" stays where keep says so; "+" is what
//     space becomes, in a query);
//   - an escape with lower-case hex is left as it is. No SDK sends one, and
//     to read "%2f" as "%2F" would let a changed request pass for the signed.
//
// Two texts of the same form decode to the same bytes. It reports whether every
// "%" began an escape; others are left as they are.
func appendNormal(dst, raw []byte, form textForm) (out []byte, ok bool) {
	ok = true
	for i := 0; i < len(raw); i++ {
		run := i
		for i < len(raw) && class[raw[i]]&classUnreserved != 0 {
			i++
		}
		if dst = append(dst, raw[run:i]...); i == len(raw) {
			break
		}
		switch c := raw[i]; {
		case c == '/' && form == pathText:
			dst = append(dst, c)
		case c == '%':
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				dst, ok = append(dst, c), false
				continue
			}
			hi, lo := raw[i+1], raw[i+2]
			i += 2
			upper := class[hi]&class[lo]&classUpperHex != 0
			if d := unhex(hi)<<4 | unhex(lo); upper && unreserved(d) {
				dst = append(dst, d)
			} else {
				dst = append(dst, '%', hi, lo)
			}
		case c == '+' && form == queryText:
			dst = append(dst, '%', '2', '0')
		default:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst, ok
}

type textForm int

const (
	pathText textForm = iota
	queryText
)

// isNormal reports whether appendNormal would leave the path alone, and whole.
func isNormal(path []byte) bool {
	for i, c := range path {
		switch {
		case unreserved(c) || c == '/':
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			hi, lo := path[i+1], path[i+2]
			if class[hi]&class[lo]&classUpperHex != 0 && unreserved(unhex(hi)<<4|unhex(lo)) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// setQuery builds the canonical query: every parameter but the signature,
// normalised, sorted by name and then value. A name without "=" gets one.
func (s *scratch) setQuery(raw []byte, kind Kind) error {
	s.arena, s.params = s.arena[:0], s.params[:0]
	q := queryCursor{rest: raw}
	for q.next() {
		var okName, okValue bool
		p := param{start: len(s.arena)}
		s.arena, okName = appendNormal(s.arena, q.name, queryText)
		if kind == QueryAuth && string(s.arena[p.start:]) == "X-Amz-Signature" {
			s.arena = s.arena[:p.start]
			continue
		}
		p.equals = len(s.arena)
		s.arena, okValue = appendNormal(append(s.arena, '='), q.value, queryText)
		if !okName || !okValue {
			return refuse(MalformedQuery, "")
		}
		s.endParam(p)
	}
	s.joinQuery()
	return nil
}

// addParam adds a plain parameter to the arena.
func (s *scratch) addParam(name, value string) {
	p := param{start: len(s.arena)}
	s.arena = AppendComponent(s.arena, name)
	p.equals = len(s.arena)
	s.arena = AppendComponent(append(s.arena, '='), value)
	s.endParam(p)
}

func (s *scratch) endParam(p param) {
	p.end = len(s.arena)
	s.arena = append(s.arena, '&')
	s.params = append(s.params, p)
}

// joinQuery sorts the parameters and makes the canonical query. SDKs send them
// sorted: then the arena is it.
func (s *scratch) joinQuery() {
	if slices.IsSortedFunc(s.params, s.compare) {
		s.query = s.arena[:max(0, len(s.arena)-1)]
		return
	}
	slices.SortFunc(s.params, s.compare)
	b := s.joined[:0]
	for _, p := range s.params {
		b = append(b, s.arena[p.start:p.end+1]...)
	}
	s.joined, s.query = b, b[:len(b)-1]
}

func (s *scratch) compare(a, b param) int {
	if c := bytes.Compare(s.arena[a.start:a.equals], s.arena[b.start:b.equals]); c != 0 {
		return c
	}
	return bytes.Compare(s.arena[a.equals+1:a.end], s.arena[b.equals+1:b.end])
}

// setHeaders finds the lines of each signed header. It refuses a request that
// lacks a signed header (an absent one must not pass for an empty one), whose
// host is not signed or not single, or that has an x-amz-* header outside the
// signature.
func (s *scratch) setHeaders(r *Request, signedHeaders []byte) error {
	header := r.Header
	s.signed = s.signed[:0]
	s.covered = append(s.covered[:0], make([]bool, len(header))...)
	hosts := 0
	list := signedHeaders
	for more := true; more; {
		var name []byte
		name, list, more = cut(list, ';')
		first := true
		for i := range header {
			if !sameName(header[i].Name, name) {
				continue
			}
			s.covered[i] = true
			s.signed = append(s.signed, field{name: name, value: header[i].Value, first: first})
			first = false
			if string(name) == "host" {
				hosts++
			}
		}
		if first {
			return refuse(SignatureMismatch, "a signed header is absent")
		}
	}
	if hosts != 1 {
		return &Error{Code: HeadersNotSigned, Detail: "exactly one host must be signed", Headers: []string{"host"}}
	}
	for i := range r.Header {
		name := r.Header[i].Name
		if !s.covered[i] && isAmz(name) && !equalFold(name, "x-amz-content-sha256") {
			return s.notSigned(r)
		}
	}
	return nil
}

func (s *scratch) notSigned(r *Request) error {
	e := &Error{Code: HeadersNotSigned}
	for i := range r.Header {
		name := r.Header[i].Name
		if !s.covered[i] && isAmz(name) && !equalFold(name, "x-amz-content-sha256") {
			e.Headers = append(e.Headers, string(bytes.ToLower(name)))
		}
	}
	slices.Sort(e.Headers)
	e.Headers = slices.Compact(e.Headers)
	return e
}

// sameName compares a header's name with a lower-case one. Most names differ in
// their length or first letter, so that this much is inlined.
func sameName(name, lower []byte) bool {
	return len(name) == len(lower) && name[0]|0x20 == lower[0]|0x20 && sameLetters(name, lower)
}

func sameLetters(name, lower []byte) bool {
	for i, c := range lower {
		if name[i] != c && toLower(name[i]) != c {
			return false
		}
	}
	return true
}

// isAmz reports whether a header's name begins with x-amz-.
func isAmz(name []byte) bool {
	return len(name) > len(amzPrefix) && name[0]|0x20 == 'x' && equalFold(name[:len(amzPrefix)], amzPrefix)
}

// setCanonical builds the canonical request from the parts that setQuery and
// setHeaders left, with host in the place of the Host that came unless it is
// nil. It reports whether the path has that form: one with a broken escape has
// no encoded form, for undoing what follows could make the escape whole.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func (s *scratch) setCanonical(r *Request, e *envelope, form pathForm, host []byte) (ok bool) {
	ok = true
	b := append(append(s.canonical[:0], r.Method...), '\n')
	switch {
	case len(r.Path) == 0:
		b = append(b, '/')
	case form == pathVerbatim:
		b = append(b, r.Path...)
	default:
		b, ok = appendNormal(b, r.Path, pathText)
	}
	b = append(append(append(b, '\n'), s.query...), '\n')
	for i, f := range s.signed {
		switch {
		case !f.first:
			b = append(b, ',')
		case i > 0:
			b = append(b, '\n')
		}
		if f.first {
			b = append(append(b, f.name...), ':')
		}
		if host != nil && string(f.name) == "host" {
			b = append(b, host...)
		} else {
			b = appendValue(b, f.value)
		}
	}
	b = append(append(append(b, '\n', '\n'), e.signedHeaders...), '\n')
	s.canonical = append(b, e.payload...)
	return ok
}

// appendValue appends a header value trimmed, each run of spaces as one. Line
// ends (a folded value) count as spaces: a newline inside would read as another
// header.
func appendValue(dst, value []byte) []byte {
	value = trim(value)
	run := 0 // almost every value is one run without a gap
	for run < len(value) && (value[run] > ' ' || (value[run] == ' ' && value[run+1] > ' ')) {
		run++
	}
	dst = append(dst, value[:run]...)
	gap := false
	for _, c := range value[run:] {
		if c == ' ' || c == '\r' || c == '\n' {
			gap = true
			continue
		}
		if gap {
			dst, gap = append(dst, ' '), false
		}
		dst = append(dst, c)
	}
	return dst
}

// setToSign builds the string to sign of the canonical request.
func (s *scratch) setToSign(e *envelope) {
	b := append(append(s.toSign[:0], algorithm+"\n"...), e.stamp...)
	b = append(append(append(b, '\n'), e.date...), '/')
	b = append(append(b, e.region...), '/')
	b = append(append(b, e.service...), "/"+terminator+"\n"...)
	sum := sha256.Sum256(s.canonical)
	s.toSign = hex.AppendEncode(b, sum[:])
}

// envelope is what is signed besides the request: a verifier has it from a
// Claim, a signer from its key.
type envelope struct {
	signedHeaders, payload []byte
	stamp                  []byte // YYYYMMDDTHHMMSSZ
	date, region, service  []byte
}

func (c *Claim) envelope() envelope {
	return envelope{c.SignedHeaders, c.ContentSHA256, c.stamp, c.Date, c.Region, c.Service}
}

func (k *SigningKey) envelope(stamp, signedHeaders, payload []byte) envelope {
	return envelope{signedHeaders, payload, stamp, []byte(k.date), []byte(k.region), []byte(k.service)}
}

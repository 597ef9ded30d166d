package sigv4

import (
	"io"
	"time"
)

// Code classifies a refusal. It is itself an error, so that
//
//	errors.Is(err, sigv4.Expired)
//
// asks for a class, and errors.As(err, &e) with e of type *[Error] reads the
// particulars. The set is closed: a server maps every code to an answer of its
// protocol in one table. The S3 code that AWS gives is named at each constant.
type Code int

const (
	// MissingAuth: a proof was asked of an anonymous request. AccessDenied.
	MissingAuth Code = iota + 1
	// UnsupportedAuth: the Authorization header or the query uses a scheme
	// other than AWS4-HMAC-SHA256, signature version 2 included.
	// InvalidRequest (header), AuthorizationQueryParametersError (query).
	UnsupportedAuth
	// AsymmetricNotImplemented: SigV4A (ECDSA) signatures or payloads.
	// NotImplemented.
	AsymmetricNotImplemented
	// MultipleAuth: two SigV4 mechanisms, or several Authorization headers, in
	// one request. InvalidArgument.
	MultipleAuth
	// MalformedAuth: the Authorization header, or the authentication part of
	// the query, lacks a part or breaks the syntax.
	// AuthorizationHeaderMalformed, AuthorizationQueryParametersError.
	MalformedAuth
	// DuplicateAuthParam: a part of the Authorization header or an X-Amz-
	// authentication parameter occurs twice. As MalformedAuth.
	DuplicateAuthParam
	// MalformedCredential: the credential is not
	// key/date/region/service/aws4_request. As MalformedAuth.
	MalformedCredential
	// MalformedQuery: a broken percent escape in the query of a signed
	// request. InvalidURI.
	MalformedQuery
	// WrongRegion: Want and Got name the regions.
	// AuthorizationHeaderMalformed with <Region>.
	WrongRegion
	// WrongService: Want and Got name the services. As MalformedAuth.
	WrongService
	// InvalidDate: no date, a date that does not parse, or a credential of
	// another day. AccessDenied (none at all), else as MalformedAuth.
	InvalidDate
	// RequestTimeTooSkewed: RequestTime, ServerTime and Max are set.
	// RequestTimeTooSkewed.
	RequestTimeTooSkewed
	// NotYetValid: a presigned request from beyond the skew. RequestTime,
	// ServerTime and Max are set. AccessDenied, "Request is not valid yet".
	NotYetValid
	// Expired: Expires and ServerTime are set. AccessDenied, "Request has
	// expired".
	Expired
	// InvalidExpires: X-Amz-Expires is not a number from 1 to 604800.
	// AuthorizationQueryParametersError.
	InvalidExpires
	// ExpiresTooLong: X-Amz-Expires is more than the verifier allows; Max is
	// set. AuthorizationQueryParametersError.
	ExpiresTooLong
	// SignatureMismatch: CanonicalRequest and StringToSign are what the server
	// computed. SignatureDoesNotMatch.
	SignatureMismatch
	// HeadersNotSigned: Headers names the headers that must be signed and are
	// not. AccessDenied with <HeadersNotSigned>.
	HeadersNotSigned
	// MissingContentSHA256: a header-signed request without
	// x-amz-content-sha256. InvalidRequest.
	MissingContentSHA256
	// InvalidContentSHA256: x-amz-content-sha256 has none of the known values.
	// InvalidArgument.
	InvalidContentSHA256
	// MissingDecodedLength: an aws-chunked body without
	// x-amz-decoded-content-length. MissingContentLength.
	MissingDecodedLength
	// InvalidDecodedLength: that header is not a number. InvalidArgument.
	InvalidDecodedLength
	// DecodedLengthMismatch: the chunks hold more or fewer bytes than
	// declared. IncompleteBody.
	DecodedLengthMismatch
	// ChunkMalformed: the framing of an aws-chunked body is broken, or bytes
	// follow its end. IncompleteBody.
	ChunkMalformed
	// ChunkTooBig: a chunk of more than [MaxChunkSize] bytes. InvalidRequest.
	ChunkTooBig
	// ChunkSignatureMismatch: StringToSign is what the server computed.
	// SignatureDoesNotMatch.
	ChunkSignatureMismatch
	// IncompleteBody: the body ends inside the framing; wraps
	// [io.ErrUnexpectedEOF]. IncompleteBody.
	IncompleteBody
	// TrailerMalformed: the trailer breaks the syntax or a limit, or its names
	// are not those that x-amz-trailer announced. MalformedTrailerError.
	TrailerMalformed
	// TrailerSignatureMismatch: the signature of the trailer is wrong or
	// missing; StringToSign is what the server computed.
	// SignatureDoesNotMatch.
	TrailerSignatureMismatch
	// KeyUnavailable: the secret could not be had; wraps the cause. Internal.
	KeyUnavailable
)

// codeText holds what each code says for itself; lower case, no full stop.
var codeText = [...]string{
	MissingAuth:              "request is not signed",
	UnsupportedAuth:          "authorization mechanism is not supported",
	AsymmetricNotImplemented: "asymmetric signatures are not implemented",
	MultipleAuth:             "more than one authorization mechanism",
	MalformedAuth:            "authorization is malformed",
	DuplicateAuthParam:       "authorization has a duplicate part",
	MalformedCredential:      "credential is malformed",
	MalformedQuery:           "query has a malformed escape",
	WrongRegion:              "credential is for another region",
	WrongService:             "credential is for another service",
	InvalidDate:              "date is missing or invalid",
	RequestTimeTooSkewed:     "request time is too far from server time",
	NotYetValid:              "request is not valid yet",
	Expired:                  "request has expired",
	InvalidExpires:           "expires is not from 1 to 604800 seconds",
	ExpiresTooLong:           "expires is longer than allowed",
	SignatureMismatch:        "signature does not match",
	HeadersNotSigned:         "headers present in the request are not signed",
	MissingContentSHA256:     "x-amz-content-sha256 is missing",
	InvalidContentSHA256:     "x-amz-content-sha256 is invalid",
	MissingDecodedLength:     "x-amz-decoded-content-length is missing",
	InvalidDecodedLength:     "x-amz-decoded-content-length is invalid",
	DecodedLengthMismatch:    "payload does not match x-amz-decoded-content-length",
	ChunkMalformed:           "chunk is malformed",
	ChunkTooBig:              "chunk is too big",
	ChunkSignatureMismatch:   "chunk signature does not match",
	IncompleteBody:           "body ends before its last chunk",
	TrailerMalformed:         "trailer is malformed",
	TrailerSignatureMismatch: "trailer signature does not match",
	KeyUnavailable:           "signing key is not available",
}

// Error says the code in words.
func (c Code) Error() string {
	if c < MissingAuth || int(c) >= len(codeText) {
		return "sigv4: unknown refusal"
	}
	return "sigv4: " + codeText[c]
}

// Error is a refusal. Its text never holds a signature, a secret, or any value
// a client sent; the fields may, and say so.
type Error struct {
	Code   Code
	Detail string // fixed words about this case, or empty

	Headers []string // HeadersNotSigned: lower-case names, sorted

	Want, Got string // WrongRegion, WrongService: configured and claimed

	RequestTime time.Time     // the time the request claims
	ServerTime  time.Time     // the time it was judged at
	Expires     time.Time     // Expired: the end of its life
	Max         time.Duration // the skew or lifetime allowed

	// CanonicalRequest and StringToSign are what the server computed for a
	// request that does not match. They hold header and query values of the
	// client (never its signature): for debug logs, and for an answer only when
	// a deployment asks for it.
	CanonicalRequest string
	StringToSign     string

	Err error // cause, or nil
}

// Error says the code, the detail and the cause.
func (e *Error) Error() string {
	s := e.Code.Error()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is makes errors.Is(err, code) true for the code of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Unwrap gives the cause: io.ErrUnexpectedEOF for IncompleteBody, what the
// secret's source said for KeyUnavailable.
func (e *Error) Unwrap() error { return e.Err }

func refuse(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

func incomplete(detail string) *Error {
	return &Error{Code: IncompleteBody, Detail: detail, Err: io.ErrUnexpectedEOF}
}

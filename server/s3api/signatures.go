package s3api

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sallyport/server/auth"
	"sallyport/sigv4"
)

// iso is how S3 writes times in error answers.
const iso = "2006-01-02T15:04:05Z"

// explainSignature is the part of the error table for sigv4, whose answers carry
// particulars; nil for other errors.
func (a *API) explainSignature(r *request, err error) *refused {
	var e *sigv4.Error
	if !errors.As(err, &e) {
		return nil
	}
	out := a.signatureAnswer(r, e)
	out.cause = err
	return out
}

func (a *API) signatureAnswer(r *request, e *sigv4.Error) *refused {
	switch e.Code {
	case sigv4.MissingAuth:
		return refuse(codeAccessDenied)
	case sigv4.UnsupportedAuth:
		if r.presigned() {
			return say(codeQueryParameters, `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`)
		}
		return say(codeInvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	case sigv4.AsymmetricNotImplemented:
		return refuse(codeNotImplemented)
	case sigv4.MultipleAuth:
		return say(codeInvalidArgument, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case sigv4.MalformedAuth, sigv4.DuplicateAuthParam, sigv4.MalformedCredential:
		return refuse(r.malformedAuth())
	case sigv4.InvalidDate:
		if r.presigned() {
			return say(codeQueryParameters, `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
		}
		return say(codeAccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
	case sigv4.WrongRegion:
		return say(r.malformedAuth(), r.malformedPrefix()+fmt.Sprintf("the region '%s' is wrong; expecting '%s'", e.Got, e.Want),
			element{"Region", e.Want})
	case sigv4.WrongService:
		return say(r.malformedAuth(), r.malformedPrefix()+fmt.Sprintf("incorrect service %q. This endpoint belongs to %q.", e.Got, e.Want))
	case sigv4.RequestTimeTooSkewed:
		return refuse(codeRequestTimeTooSkewed,
			element{"RequestTime", e.RequestTime.UTC().Format("20060102T150405Z")},
			element{"ServerTime", e.ServerTime.UTC().Format(iso)},
			element{"MaxAllowedSkewMilliseconds", itoa(e.Max.Milliseconds())})
	case sigv4.NotYetValid:
		return say(codeAccessDenied, "Request is not valid yet", element{"ServerTime", e.ServerTime.UTC().Format(iso)})
	case sigv4.Expired:
		return say(codeAccessDenied, "Request has expired",
			element{"Expires", e.Expires.UTC().Format(iso)}, element{"ServerTime", e.ServerTime.UTC().Format(iso)})
	case sigv4.InvalidExpires:
		return say(codeQueryParameters, "X-Amz-Expires must be a number from 1 to 604800 (seconds)")
	case sigv4.ExpiresTooLong:
		return say(codeQueryParameters, fmt.Sprintf("X-Amz-Expires must be at most %d seconds on this server (setting PRESIGN_MAX_TTL)", int64(e.Max/time.Second)))
	case sigv4.HeadersNotSigned:
		return say(codeAccessDenied, "There were headers present in the request which were not signed",
			element{"HeadersNotSigned", strings.Join(e.Headers, ", ")})
	case sigv4.SignatureMismatch, sigv4.ChunkSignatureMismatch, sigv4.TrailerSignatureMismatch:
		return a.mismatch(r, e)
	}
	return payloadAnswer(e.Code)
}

// payloadAnswer is signatureAnswer for what is wrong with query or body.
func payloadAnswer(c sigv4.Code) *refused {
	switch c {
	case sigv4.MalformedQuery:
		return refuse(codeInvalidURI)
	case sigv4.MissingContentSHA256:
		return say(codeInvalidRequest, "Missing required header for this request: x-amz-content-sha256")
	case sigv4.InvalidContentSHA256:
		return say(codeInvalidArgument, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
	case sigv4.MissingDecodedLength:
		return refuse(codeMissingContentLength)
	case sigv4.InvalidDecodedLength:
		return say(codeInvalidArgument, "x-amz-decoded-content-length is not a number")
	case sigv4.DecodedLengthMismatch, sigv4.ChunkMalformed, sigv4.IncompleteBody:
		return refuse(codeIncompleteBody)
	case sigv4.ChunkTooBig:
		return say(codeInvalidRequest, "A chunk of the body is larger than 16 MiB")
	case sigv4.TrailerMalformed:
		return refuse(codeMalformedTrailer)
	}
	return refuse(codeInternalError) // KeyUnavailable
}

// presigned tells whether the request means to authenticate by its query.
func (r *request) presigned() bool {
	for _, name := range [...]string{"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Algorithm"} {
		if _, ok := r.proof.Request.Param(name); ok {
			return true
		}
	}
	return false
}

func (r *request) malformedAuth() code {
	if r.presigned() {
		return codeQueryParameters
	}
	return codeHeaderMalformed
}

func (r *request) malformedPrefix() string {
	if r.presigned() {
		return "Error parsing the X-Amz-Credential parameter; "
	}
	return "The authorization header is malformed; "
}

// mismatch answers a signature that does not match. What was signed repeats the
// request, so it is shown only where a deployment asks for it.
func (a *API) mismatch(r *request, e *sigv4.Error) *refused {
	a.log.Debug("signature does not match", "request_id", r.exchange.RequestID, "of", e.Code.Error(),
		slog.Any("signed", signed{e}))
	out := refuse(codeSignatureDoesNotMatch)
	if a.cfg.DebugSignatures {
		for _, d := range []element{{"StringToSign", e.StringToSign}, {"CanonicalRequest", e.CanonicalRequest}} {
			if d.value != "" {
				out.details = append(out.details, d)
			}
		}
	}
	return out
}

// signed is the explanation of a mismatch that may go into a log: the shape of
// the canonical request without the client's key, values or credential. What a
// client's own debug output says of these lines is enough to see which differs.
type signed struct{ e *sigv4.Error }

// LogValue is computed only if the line is written.
func (s signed) LogValue() slog.Value {
	toSign := strings.Split(s.e.StringToSign, "\n")
	attrs := []slog.Attr{slog.String("hash", toSign[len(toSign)-1])}
	lines := strings.Split(s.e.CanonicalRequest, "\n")
	if len(lines) < 3 {
		return slog.GroupValue(attrs...)
	}
	attrs = append(attrs, slog.String("method", lines[0]), slog.Int("path_bytes", len(lines[1])), slog.Int("query_bytes", len(lines[2])))
	var names []string
	for _, line := range lines[3:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			break
		}
		names = append(names, fmt.Sprintf("%s (%d)", name, len(value)))
	}
	return slog.GroupValue(append(attrs, slog.String("headers", strings.Join(names, ", ")))...)
}

// alteredURL makes one answer of all that can be wrong with a signed URL before
// it is known whose it is.
func alteredURL(err error) error {
	var e *sigv4.Error
	if errors.As(err, &e) && e.Code == sigv4.KeyUnavailable {
		return err
	}
	if e != nil && e.Code == sigv4.SignatureMismatch {
		return err // has its particulars for the debug log
	}
	if e != nil || errors.Is(err, auth.ErrUnknownKey) || errors.Is(err, auth.ErrMalformedHeader) {
		return &refused{code: codeSignatureDoesNotMatch, cause: err}
	}
	return err
}

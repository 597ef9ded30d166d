package s3api

import (
	"errors"
	"io"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/server"
	"sallyport/server/auth"
)

// code is an S3 error code. The set is closed: it labels refusals in metrics.
type code string

// The codes, in the order of the table below.
const (
	codeAccessControlListNotSupported code = "AccessControlListNotSupported"
	codeAccessDenied                  code = "AccessDenied"
	codeAccessForbidden               code = "AccessForbidden"
	codeHeaderMalformed               code = "AuthorizationHeaderMalformed"
	codeQueryParameters               code = "AuthorizationQueryParametersError"
	codeBadDigest                     code = "BadDigest"
	codeBadRequest                    code = "BadRequest"
	codeBucketAlreadyOwnedByYou       code = "BucketAlreadyOwnedByYou"
	codeBucketNotEmpty                code = "BucketNotEmpty"
	codeConditionalConflict           code = "ConditionalRequestConflict"
	codeEntityTooLarge                code = "EntityTooLarge"
	codeEntityTooSmall                code = "EntityTooSmall"
	codeExpectationFailed             code = "ExpectationFailed"
	codeHeaderTooLarge                code = "RequestHeaderSectionTooLarge"
	codeIncompleteBody                code = "IncompleteBody"
	codeInternalError                 code = "InternalError"
	codeInvalidAccessKeyID            code = "InvalidAccessKeyId"
	codeInvalidArgument               code = "InvalidArgument"
	codeInvalidBucketName             code = "InvalidBucketName"
	codeInvalidBucketState            code = "InvalidBucketState"
	codeInvalidDigest                 code = "InvalidDigest"
	codeInvalidLocation               code = "InvalidLocationConstraint"
	codeInvalidRange                  code = "InvalidRange"
	codeInvalidRequest                code = "InvalidRequest"
	codeInvalidStorageClass           code = "InvalidStorageClass"
	codeInvalidToken                  code = "InvalidToken"
	codeInvalidURI                    code = "InvalidURI"
	codeKeyTooLong                    code = "KeyTooLongError"
	codeMalformedTrailer              code = "MalformedTrailerError"
	codeMalformedXML                  code = "MalformedXML"
	codeMessageTooLong                code = "MaxMessageLengthExceeded"
	codeMetadataTooLarge              code = "MetadataTooLarge"
	codeMethodNotAllowed              code = "MethodNotAllowed"
	codeMissingContentLength          code = "MissingContentLength"
	codeNoSuchBucket                  code = "NoSuchBucket"
	codeNoSuchKey                     code = "NoSuchKey"
	codeNotConfigured                 code = "NotConfigured" // goes out under the name in refused
	codeNotImplemented                code = "NotImplemented"
	codeOperationAborted              code = "OperationAborted"
	codePreconditionFailed            code = "PreconditionFailed"
	codeRequestTimeTooSkewed          code = "RequestTimeTooSkewed"
	codeRequestTimeout                code = "RequestTimeout"
	codeServiceUnavailable            code = "ServiceUnavailable"
	codeSignatureDoesNotMatch         code = "SignatureDoesNotMatch"
	codeSlowDown                      code = "SlowDown"
	codeUploadURLAlreadyUsed          code = "UploadURLAlreadyUsed"
	codePayloadMismatch               code = "XAmzContentSHA256Mismatch"
)

// answer is what a code means on the wire.
type answer struct {
	status  int
	message string // AWS's own text, where AWS has the code
}

// answers is what each code means on the wire; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
var answers = map[code]answer{
	codeAccessControlListNotSupported: {400, "The bucket does not allow ACLs"},
	codeAccessDenied:                  {403, "Access Denied"},
	codeAccessForbidden:               {403, "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."},
	codeHeaderMalformed:               {400, "The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature."},
	codeQueryParameters:               {400, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."},
	codeBadDigest:                     {400, "The Content-MD5 you specified did not match what we received."},
	codeBadRequest:                    {400, "An error occurred when parsing the HTTP request."},
	codeBucketAlreadyOwnedByYou:       {409, "Your previous request to create the named bucket succeeded and you already own it."},
	codeBucketNotEmpty:                {409, "The bucket you tried to delete is not empty"},
	codeConditionalConflict:           {409, "The conditional request cannot succeed due to a conflicting operation against this resource."},
	codeEntityTooLarge:                {400, "Your proposed upload exceeds the maximum allowed object size"},
	codeEntityTooSmall:                {400, "Your proposed upload is smaller than the minimum allowed object size."},
	codeExpectationFailed:             {417, "The Expect header names an expectation that is not supported."},
	codeHeaderTooLarge:                {400, "Your request header section exceeds the maximum allowed request header section size."},
	codeIncompleteBody:                {400, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
	codeInternalError:                 {500, "We encountered an internal error. Please try again."},
	codeInvalidAccessKeyID:            {403, "The AWS Access Key Id you provided does not exist in our records."},
	codeInvalidArgument:               {400, "Invalid Argument"},
	codeInvalidBucketName:             {400, "The specified bucket is not valid."},
	codeInvalidBucketState:            {409, "The request is not valid with the current state of the bucket."},
	codeInvalidDigest:                 {400, "The Content-MD5 you specified was invalid."},
	codeInvalidLocation:               {400, "The specified location-constraint is not valid"},
	codeInvalidRange:                  {416, "The requested range is not satisfiable"},
	codeInvalidRequest:                {400, "Invalid Request"},
	codeInvalidStorageClass:           {400, "The storage class you specified is not valid"},
	codeInvalidToken:                  {400, "The provided token is malformed or otherwise invalid."},
	codeInvalidURI:                    {400, "Couldn't parse the specified URI."},
	codeKeyTooLong:                    {400, "Your key is too long"},
	codeMalformedTrailer:              {400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	codeMalformedXML:                  {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	codeMessageTooLong:                {400, "Your request was too big."},
	codeMetadataTooLarge:              {400, "Your metadata headers exceed the maximum allowed metadata size"},
	codeMethodNotAllowed:              {405, "The specified method is not allowed against this resource."},
	codeMissingContentLength:          {411, "You must provide the Content-Length HTTP header."},
	codeNoSuchBucket:                  {404, "The specified bucket does not exist"},
	codeNoSuchKey:                     {404, "The specified key does not exist."},
	codeNotConfigured:                 {404, "The configuration does not exist"},
	codeNotImplemented:                {501, "A header or query you provided implies functionality that is not implemented."},
	codeOperationAborted:              {409, "A conflicting conditional operation is currently in progress against this resource. Please try again."},
	codePreconditionFailed:            {412, "At least one of the pre-conditions you specified did not hold"},
	codeRequestTimeTooSkewed:          {403, "The difference between the request time and the current time is too large."},
	codeRequestTimeout:                {400, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."},
	codeServiceUnavailable:            {503, "Service is unable to handle request."},
	codeSignatureDoesNotMatch:         {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	codeSlowDown:                      {503, "Please reduce your request rate."},
	codeUploadURLAlreadyUsed:          {409, "The upload URL has already been used."},
	codePayloadMismatch:               {400, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}

// classes is the one table from errors to codes. The first that matches counts;
// an error that no row matches is InternalError. What one class means depends on
// the operation in a few places: those wrap it in a refused themselves.
var classes = []struct {
	class   error
	code    code
	message string // "" is that of the code
}{
	{policy.ErrForbidden, codeAccessDenied, ""},
	{policy.ErrTypeNotAllowed, codeInvalidRequest, "The content type is not allowed in this bucket."},
	{policy.ErrSizeNotAllowed, codeEntityTooLarge, ""},
	{policy.ErrInvalid, codeInvalidArgument, "The content type is not valid."},

	{pipeline.ErrMissingLength, codeMissingContentLength, ""},
	{pipeline.ErrTooLong, codeEntityTooLarge, ""},
	{pipeline.ErrTooShort, codeEntityTooSmall, ""},
	{pipeline.ErrContentType, codeSignatureDoesNotMatch, ""}, // signed as well, where the URL's signer did it right
	{pipeline.ErrInvalidDigest, codeInvalidRequest, "Value for x-amz-checksum header is invalid."},
	{pipeline.ErrBadDigest, codeBadDigest, ""},
	{registry.ErrChecksumMismatch, codeBadDigest, ""},
	{pipeline.ErrPayloadMismatch, codePayloadMismatch, ""},
	{pipeline.ErrCut, codeAccessDenied, ""},

	{registry.ErrUploadAlreadyReceived, codeUploadURLAlreadyUsed, ""},
	{registry.ErrUploadFinalized, codeUploadURLAlreadyUsed, ""},
	{registry.ErrUploadInProgress, codeOperationAborted, ""},
	{registry.ErrFenced, codeOperationAborted, ""},
	{registry.ErrGrantExpired, codeAccessDenied, ""},
	{registry.ErrGrantRevoked, codeAccessDenied, ""},
	{registry.ErrGrantSuperseded, codeAccessDenied, ""},
	{registry.ErrUploadExpired, codeAccessDenied, ""},
	{registry.ErrUploadAborted, codeAccessDenied, ""},
	{registry.ErrRevoked, codeAccessDenied, ""},
	{registry.ErrTenantSuspended, codeAccessDenied, ""},

	{registry.ErrBucketNotEmpty, codeBucketNotEmpty, ""},
	{registry.ErrExists, codeBucketAlreadyOwnedByYou, ""},
	{registry.ErrPrecondition, codePreconditionFailed, ""},
	{registry.ErrNotPublished, codeNoSuchKey, ""},

	{pipeline.ErrNoSpace, codeServiceUnavailable, "There is not enough space left to store the object."},
	{registry.ErrStorageFull, codeServiceUnavailable, "There is not enough space left to store the object."},
	{pipeline.ErrUnavailable, codeServiceUnavailable, ""},

	{auth.ErrUnknownKey, codeInvalidAccessKeyID, ""},
	{auth.ErrMalformedHeader, codeBadRequest, ""},

	{server.ErrBodyStalled, codeRequestTimeout, ""},
	{server.ErrBodyTooSlow, codeRequestTimeout, ""},
	{server.ErrBodyInterrupted, codeServiceUnavailable, ""},
	{server.ErrBodyTooLarge, codeMessageTooLong, ""},
	{pipeline.ErrIncompleteBody, codeIncompleteBody, ""},
	{io.ErrUnexpectedEOF, codeIncompleteBody, ""},
}

// faults is what the listener found by itself, as codes.
var faults = map[string]code{
	server.ReasonBadRequest:         codeBadRequest,
	server.ReasonAmbiguousLength:    codeBadRequest,
	server.ReasonHeaderTooLarge:     codeHeaderTooLarge,
	server.ReasonTimeout:            codeRequestTimeout,
	server.ReasonIncompleteBody:     codeIncompleteBody,
	server.ReasonExpectation:        codeExpectationFailed,
	server.ReasonMethodNotAllowed:   codeMethodNotAllowed,
	server.ReasonTooManyConnections: codeSlowDown,
	server.ReasonNotFound:           codeInvalidURI,
	server.ReasonRejected:           codeBadRequest,
}

// refused is an error that knows its answer.
type refused struct {
	code    code
	name    string         // of the code in the answer, where it is not the code's own
	message string         // "" is that of the code
	details []element      // further elements of the answer
	header  []server.Field // further headers
	cause   error          // nil if there is none worth logging
}

func (e *refused) Error() string {
	if e.cause != nil {
		return string(e.code) + ": " + e.cause.Error()
	}
	return string(e.code)
}

func (e *refused) Unwrap() error { return e.cause }

func refuse(c code, details ...element) *refused { return &refused{code: c, details: details} }

// say is refuse with another text than the code's.
func say(c code, message string, details ...element) *refused {
	return &refused{code: c, message: message, details: details}
}

// explain finds the answer to an error; codeInternalError if there is none.
func (a *API) explain(r *request, err error) *refused {
	var known *refused
	if errors.As(err, &known) {
		return known
	}
	if e := a.explainSignature(r, err); e != nil {
		return e
	}
	for _, c := range classes {
		if errors.Is(err, c.class) {
			return &refused{code: c.code, message: c.message, cause: err}
		}
	}
	return &refused{code: codeInternalError, cause: err}
}

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
	codeContentRefused                code = "ContentRefused"
	codeEntityTooLarge                code = "EntityTooLarge"
	codeEntityTooSmall                code = "EntityTooSmall"
	codeExpectationFailed             code = "ExpectationFailed"
	codeHeaderTooLarge                code = "RequestHeaderSectionTooLarge"
	codeIllegalVersioning             code = "IllegalVersioningConfigurationException"
	codeIncompleteBody                code = "IncompleteBody"
	codeInternalError                 code = "InternalError"
	codeInvalidAccessKeyID            code = "InvalidAccessKeyId"
	codeInvalidArgument               code = "InvalidArgument"
	codeInvalidBucketACL              code = "InvalidBucketAclWithObjectOwnership"
	codeInvalidBucketName             code = "InvalidBucketName"
	codeInvalidBucketState            code = "InvalidBucketState"
	codeInvalidDigest                 code = "InvalidDigest"
	codeInvalidEncryption             code = "InvalidEncryptionAlgorithmError"
	codeInvalidLocation               code = "InvalidLocationConstraint"
	codeInvalidPart                   code = "InvalidPart"
	codeInvalidPartNumber             code = "InvalidPartNumber"
	codeInvalidPartOrder              code = "InvalidPartOrder"
	codeInvalidPolicyDocument         code = "InvalidPolicyDocument"
	codeInvalidRange                  code = "InvalidRange"
	codeInvalidRequest                code = "InvalidRequest"
	codeInvalidRetentionPeriod        code = "InvalidRetentionPeriod"
	codeInvalidStorageClass           code = "InvalidStorageClass"
	codeInvalidTag                    code = "InvalidTag"
	codeInvalidToken                  code = "InvalidToken"
	codeInvalidURI                    code = "InvalidURI"
	codeKeyTooLong                    code = "KeyTooLongError"
	codeMalformedPOST                 code = "MalformedPOSTRequest"
	codeMalformedACL                  code = "MalformedACLError"
	codeMalformedTrailer              code = "MalformedTrailerError"
	codeMalformedXML                  code = "MalformedXML"
	codeMessageTooLong                code = "MaxMessageLengthExceeded"
	codeFieldsTooLong                 code = "MaxPostPreDataLengthExceededError"
	codeMalwareDetected               code = "MalwareDetected"
	codeMetadataTooLarge              code = "MetadataTooLarge"
	codeMethodNotAllowed              code = "MethodNotAllowed"
	codeMissingContentLength          code = "MissingContentLength"
	codeMissingSecurityHeader         code = "MissingSecurityHeader"
	codeNoSuchBucket                  code = "NoSuchBucket"
	codeNoSuchKey                     code = "NoSuchKey"
	codeNoSuchLock                    code = "NoSuchObjectLockConfiguration"
	codeNoSuchUpload                  code = "NoSuchUpload"
	codeNoSuchVersion                 code = "NoSuchVersion"
	codeNotConfigured                 code = "NotConfigured" // goes out under the name in refused
	codeNotImplemented                code = "NotImplemented"
	codeOperationAborted              code = "OperationAborted"
	codePreconditionFailed            code = "PreconditionFailed"
	codeRequestTimeTooSkewed          code = "RequestTimeTooSkewed"
	codeRequestTimeout                code = "RequestTimeout"
	codeScanIncomplete                code = "ScanIncomplete"
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
	codeContentRefused:                {400, "The content of the object is not allowed in this bucket. Nothing was stored."},
	codeEntityTooLarge:                {400, "Your proposed upload exceeds the maximum allowed object size"},
	codeEntityTooSmall:                {400, "Your proposed upload is smaller than the minimum allowed object size."},
	codeExpectationFailed:             {417, "The Expect header names an expectation that is not supported."},
	codeHeaderTooLarge:                {400, "Your request header section exceeds the maximum allowed request header section size."},
	codeIllegalVersioning:             {400, "The versioning configuration specified in the request is invalid."},
	codeIncompleteBody:                {400, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
	codeInternalError:                 {500, "We encountered an internal error. Please try again."},
	codeInvalidAccessKeyID:            {403, "The AWS Access Key Id you provided does not exist in our records."},
	codeInvalidArgument:               {400, "Invalid Argument"},
	codeInvalidBucketACL:              {400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"},
	codeInvalidBucketName:             {400, "The specified bucket is not valid."},
	codeInvalidBucketState:            {409, "The request is not valid with the current state of the bucket."},
	codeInvalidDigest:                 {400, "The Content-MD5 you specified was invalid."},
	codeInvalidEncryption:             {400, "The encryption request that you specified is not valid. The valid value is AES256."},
	codeInvalidLocation:               {400, "The specified location-constraint is not valid"},
	codeInvalidPart:                   {400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	codeInvalidPartNumber:             {416, "The requested partnumber is not satisfiable"},
	codeInvalidPartOrder:              {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	codeInvalidPolicyDocument:         {400, "The content of the form does not meet the conditions specified in the policy document."},
	codeInvalidRange:                  {416, "The requested range is not satisfiable"},
	codeInvalidRequest:                {400, "Invalid Request"},
	codeInvalidRetentionPeriod:        {400, "Default retention period must be a positive integer value."},
	codeInvalidStorageClass:           {400, "The storage class you specified is not valid"},
	codeInvalidTag:                    {400, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."},
	codeInvalidToken:                  {400, "The provided token is malformed or otherwise invalid."},
	codeInvalidURI:                    {400, "Couldn't parse the specified URI."},
	codeKeyTooLong:                    {400, "Your key is too long"},
	codeMalformedPOST:                 {400, "The body of your POST request is not well-formed multipart/form-data."},
	codeMalformedACL:                  {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	codeMalformedTrailer:              {400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	codeMalformedXML:                  {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	codeMessageTooLong:                {400, "Your request was too big."},
	codeFieldsTooLong:                 {400, "Your POST request fields preceding the upload file were too large."},
	codeMalwareDetected:               {400, "Malware was found in the object. Nothing was stored."},
	codeMetadataTooLarge:              {400, "Your metadata headers exceed the maximum allowed metadata size"},
	codeMethodNotAllowed:              {405, "The specified method is not allowed against this resource."},
	codeMissingContentLength:          {411, "You must provide the Content-Length HTTP header."},
	codeMissingSecurityHeader:         {400, "Your request was missing a required header"},
	codeNoSuchBucket:                  {404, "The specified bucket does not exist"},
	codeNoSuchKey:                     {404, "The specified key does not exist."},
	codeNoSuchLock:                    {404, "The specified object does not have a ObjectLock configuration"},
	codeNoSuchUpload:                  {404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	codeNoSuchVersion:                 {404, "The specified version does not exist."},
	codeNotConfigured:                 {404, "The configuration does not exist"},
	codeNotImplemented:                {501, "A header or query you provided implies functionality that is not implemented."},
	codeOperationAborted:              {409, "A conflicting conditional operation is currently in progress against this resource. Please try again."},
	codePreconditionFailed:            {412, "At least one of the pre-conditions you specified did not hold"},
	codeRequestTimeTooSkewed:          {403, "The difference between the request time and the current time is too large."},
	codeRequestTimeout:                {400, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."},
	codeScanIncomplete:                {400, "The object could not be scanned whole. Nothing was stored."},
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
	{pipeline.ErrInfected, codeMalwareDetected, ""},
	{pipeline.ErrRefused, codeContentRefused, ""},
	{pipeline.ErrScanIncomplete, codeScanIncomplete, ""},
	{pipeline.ErrScanDown, codeSlowDown, "The object cannot be scanned at present. Please try again later."},

	{registry.ErrUploadAlreadyReceived, codeUploadURLAlreadyUsed, ""},
	{registry.ErrUploadFinalized, codeUploadURLAlreadyUsed, ""},
	{registry.ErrURLUsed, codeUploadURLAlreadyUsed, ""},
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
	{registry.ErrNoUpload, codeNoSuchUpload, ""},
	{registry.ErrPart, codeInvalidPart, ""},
	{registry.ErrPartOrder, codeInvalidPartOrder, ""},
	{registry.ErrPartTooSmall, codeEntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"},
	{pipeline.ErrPartNumber, codeInvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"},
	{pipeline.ErrChecksumAlgorithm, codeInvalidRequest, "The checksum is of another algorithm than the upload was created for."},
	{registry.ErrInvalid, codeInvalidArgument, ""},
	{registry.ErrExists, codeBucketAlreadyOwnedByYou, ""},
	{registry.ErrPrecondition, codePreconditionFailed, ""},
	{registry.ErrLocked, codeAccessDenied, "Access Denied because object protected by object lock."},
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
	subject *target        // what it is about; nil is what the request is
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
	if checksum, ok := errors.AsType[*pipeline.ChecksumError](err); ok {
		return &refused{code: codeBadDigest, message: wrongChecksum(checksum.Algorithm), cause: err}
	}
	for _, c := range classes {
		if errors.Is(err, c.class) {
			return &refused{code: c.code, message: c.message, cause: err}
		}
	}
	return &refused{code: codeInternalError, cause: err}
}

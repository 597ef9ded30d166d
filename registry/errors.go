package registry

import "errors"

// Error classes. Every verb wraps one of these where the refusal is the
// caller's business; compare with errors.Is. Anything else is an internal
// failure: the store, the random source, a defect.
//
// A row of another tenant is ErrNotFound, exactly as an unknown one.
var (
	ErrNotFound       = errors.New("not found")
	ErrExists         = errors.New("already exists") // bucket, tenant
	ErrBucketNotEmpty = errors.New("bucket is not empty")
	ErrInvalid        = errors.New("invalid argument")
	ErrConflict       = errors.New("not possible in its present state")

	ErrUploadNotReceived     = errors.New("upload has not been received")
	ErrUploadAlreadyReceived = errors.New("upload was already received")
	ErrUploadInProgress      = errors.New("another attempt of the upload is running")
	ErrUploadFinalized       = errors.New("upload is finalized")
	ErrUploadExpired         = errors.New("upload has expired")
	ErrUploadAborted         = errors.New("upload was aborted")

	ErrChecksumMismatch = errors.New("checksum does not match") // at finalize the object is rejected
	ErrNotPublished     = errors.New("object is not published")
	ErrHeld             = errors.New("object is held for review")

	// ErrLocked: retention or a legal hold forbids it.
	ErrLocked = errors.New("object is locked")
	// ErrMarker: what was asked for is a delete marker; see MarkerError.
	ErrMarker = errors.New("the version is a delete marker")
	// ErrNoUpload: there is no such multipart upload (any more).
	ErrNoUpload = errors.New("no such multipart upload")
	// ErrPart: a part is missing or not the one that was stored; ErrPartOrder,
	// ErrPartTooSmall: what is wrong with the list of a completion.
	ErrPart         = errors.New("part is missing or another one")
	ErrPartOrder    = errors.New("parts are not in order")
	ErrPartTooSmall = errors.New("a part but the last is too small")
	// ErrPartConflict: the part was registered as another one.
	ErrPartConflict = errors.New("part is registered differently")
	// ErrURLUsed: the presigned URL worked once, and its bucket allows no more.
	ErrURLUsed = errors.New("presigned url was used")
	// ErrNotConfigured: the bucket has no such configuration.
	ErrNotConfigured = errors.New("not configured")

	ErrGrantRevoked    = errors.New("url was revoked") // also: was never issued
	ErrGrantSuperseded = errors.New("url was replaced by a later one")
	ErrGrantExpired    = errors.New("url has expired")

	// ErrFenced: the attempt or claim is no longer the current one; whatever
	// it did does not count.
	ErrFenced              = errors.New("attempt is no longer current")
	ErrPrecondition        = errors.New("precondition failed") // If-Match, If-None-Match
	ErrIdempotencyConflict = errors.New("idempotency key was used for another request")

	ErrRevoked         = errors.New("credential is revoked") // key, token or principal
	ErrTenantSuspended = errors.New("tenant is suspended")
	ErrRootMismatch    = errors.New("root credentials differ from those of the first start")
	ErrStorageFull     = errors.New("storage is full")

	// ErrScanDown: an engine, or what it needs, does not work at present. That says
	// nothing of any object.
	ErrScanDown = errors.New("an engine is down")

	// ErrSchema: the store was written by a newer version of this program.
	ErrSchema = errors.New("ledger schema is not supported")
	// ErrClockJumped: the wall clock leapt ahead and no operator has accepted
	// it yet; expiry and sweeps wait.
	ErrClockJumped = errors.New("clock jumped ahead and was not accepted")
)

package registry

import (
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Names that must not mix are types of their own. All but TenantName,
// BucketName and PrincipalName are made by the ledger, never by a client.
type (
	// TenantName is the isolation boundary: [a-z0-9-]{3,63}.
	TenantName string
	// PrincipalName is a user or a service of one tenant.
	PrincipalName string
	// BucketName names a bucket, and so a profile, inside one tenant.
	BucketName string
	// UploadID is upl_<ULID>.
	UploadID string
	// ObjectID is obj_<ULID>.
	ObjectID string
	// GrantID is g_<ULID>: what a signed URL stands for.
	GrantID string
	// AccessKeyID is SP and 18 of A-Z0-9.
	AccessKeyID string
	// TokenID names a bearer token without being it.
	TokenID string
	// MultipartID is mpu_<ULID>: an S3 multipart upload. The ULID is that of the
	// object it becomes.
	MultipartID string
)

// BlobKey is the name of bytes in the store behind Sallyport. It is internal:
// it prints as "…" so that no log or error can carry it.
type BlobKey string

// String hides the key. Convert with string(k) where the store needs it.
func (BlobKey) String() string { return "…" }

// GoString hides the key from %#v as well.
func (BlobKey) GoString() string { return "…" }

// LogValue hides the key from structured logs.
func (BlobKey) LogValue() slog.Value { return slog.StringValue("…") }

// MarshalText hides the key from JSON and its like.
func (BlobKey) MarshalText() ([]byte, error) { return []byte("…"), nil }

// Role is a right bundle carried by a key or token.
type Role string

// The roles. An admin is uploader, reader and auditor of its whole tenant; an
// operator is global and sees no objects.
const (
	RoleUploader Role = "uploader"
	RoleReader   Role = "reader"
	RoleAuditor  Role = "auditor"
	RoleAdmin    Role = "admin"
	RoleAnalyst  Role = "analyst"
	RoleOperator Role = "operator"
)

// Roles lists every role there is, in the order they are documented.
var Roles = []Role{RoleUploader, RoleReader, RoleAuditor, RoleAdmin, RoleAnalyst, RoleOperator}

// Actor is who acts, proved by a verified credential and never by anything
// else a client says. RequestID ties audit events to access records.
type Actor struct {
	Tenant    TenantName
	Principal PrincipalName
	Roles     []Role
	// Credential is the access key id or token id that proved the actor.
	Credential string
	RequestID  string
}

// Has tells whether the actor carries the role itself; what a role includes
// is policy's to say.
func (a Actor) Has(r Role) bool { return slices.Contains(a.Roles, r) }

// System is the actor of what Sallyport does by itself: expiry, scans,
// promotion, recovery.
func System(tenant TenantName) Actor {
	return Actor{Tenant: tenant, Principal: "system"}
}

// Tenant is the isolation boundary's row.
type Tenant struct {
	Name      TenantName `json:"name"`
	OwnerID   string     `json:"owner_id"`  // 64 hex: the S3 owner id
	PathHash  string     `json:"path_hash"` // keyed hash that stands for the tenant in blob keys
	Suspended bool       `json:"suspended,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	// PresignMaxTTL is the longest lifetime of URLs that SDKs sign with its
	// keys; 0 is the server's.
	PresignMaxTTL time.Duration `json:"presign_max_ttl,omitempty"`
}

// AccessKey is a SigV4 credential without its secret.
type AccessKey struct {
	ID         AccessKeyID   `json:"id"`
	Tenant     TenantName    `json:"tenant"`
	Principal  PrincipalName `json:"principal"`
	Roles      []Role        `json:"roles"`
	Generation uint64        `json:"generation"` // changes whenever the secret does: part of every key-cache key
	CreatedAt  time.Time     `json:"created_at"`
	Revoked    bool          `json:"revoked,omitempty"`
}

// Token is an opaque bearer credential; the ledger holds only its hash.
type Token struct {
	ID        TokenID       `json:"id"`
	Name      string        `json:"name"`
	Tenant    TenantName    `json:"tenant"`
	Principal PrincipalName `json:"principal"`
	Roles     []Role        `json:"roles"`
	CreatedAt time.Time     `json:"created_at"`
	ExpiresAt time.Time     `json:"expires_at"`
	Revoked   bool          `json:"revoked,omitempty"`
}

// Intake says when a bucket shows what was written to it.
type Intake string

const (
	// IntakeQuarantine publishes only after finalize and inspection.
	IntakeQuarantine Intake = "quarantine"
	// IntakeDirect publishes with the write's own commit.
	IntakeDirect Intake = "direct"
)

// Bucket is a bucket and the profile of the same name: the policy under which
// uploads are created. A zero limit means the server's default.
type Bucket struct {
	Name         BucketName    `json:"name"`
	Intake       Intake        `json:"intake"`
	AllowedTypes []string      `json:"allowed_types,omitempty"` // media types or "image/*"; empty allows any
	MaxSize      int64         `json:"max_size,omitempty"`      // bytes
	SessionTTL   time.Duration `json:"session_ttl,omitempty"`
	PutURLTTL    time.Duration `json:"put_url_ttl,omitempty"`
	GetURLMinTTL time.Duration `json:"get_url_min_ttl,omitempty"`
	GetURLMaxTTL time.Duration `json:"get_url_max_ttl,omitempty"`
	AllowInline  bool          `json:"allow_inline,omitempty"` // SDK-presigned GETs may display instead of attach
	CORSOrigins  []string      `json:"cors_origins,omitempty"`
	CreatedAt    time.Time     `json:"created_at"`
	Listed       bool          `json:"listed"` // the profile "default" is listed once it holds an object

	Versioning Versioning `json:"versioning,omitempty"`
	// Lock says that its objects can be locked, which cannot be taken back and
	// needs versioning, and how new ones are by default.
	Lock *BucketLock `json:"lock,omitempty"`
	// SingleUse makes every presigned PUT work once, whoever signed it.
	SingleUse bool `json:"single_use,omitempty"`
	// PresignMaxTTL is the longest lifetime of URLs that SDKs sign for it; 0 is
	// the tenant's. The shorter of the two counts.
	PresignMaxTTL time.Duration `json:"presign_max_ttl,omitempty"`
	// Scan is how its objects are inspected.
	Scan ScanRules
}

// Versioning is what a bucket does with what a write or a delete replaces; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html.
type Versioning string

// Once versioning was enabled it can only be suspended.
const (
	VersioningOff       Versioning = ""
	VersioningEnabled   Versioning = "Enabled"
	VersioningSuspended Versioning = "Suspended"
)

// LockMode is how strict a retention is; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html.
type LockMode string

const (
	LockGovernance LockMode = "GOVERNANCE" // an administrator can bypass it by saying so
	LockCompliance LockMode = "COMPLIANCE" // nobody can, nor shorten it
)

// BucketLock is a bucket's object-lock configuration. Without a Mode new objects
// are not locked by default; else for Days or Years, one of which is 0.
type BucketLock struct {
	Mode  LockMode `json:"mode,omitempty"`
	Days  int      `json:"days,omitempty"`
	Years int      `json:"years,omitempty"`
}

// Retention keeps one version from being deleted until a moment.
type Retention struct {
	Mode  LockMode
	Until time.Time
}

// UploadState is a session's place in its life; see states.go for the table.
type UploadState string

const (
	UploadCreated   UploadState = "created"
	UploadUploading UploadState = "uploading"
	UploadUploaded  UploadState = "uploaded"
	UploadFinalized UploadState = "finalized"
	UploadAborted   UploadState = "aborted"
	UploadExpired   UploadState = "expired"
)

// ObjectState is an object's place in its life; see states.go for the table.
type ObjectState string

const (
	ObjectPending     ObjectState = "pending"
	ObjectQuarantined ObjectState = "quarantined"
	ObjectScanning    ObjectState = "scanning"
	ObjectPublished   ObjectState = "published"
	ObjectRejected    ObjectState = "rejected"
	ObjectDeleted     ObjectState = "deleted"
)

// Upload is a session: the workflow window. Its lifetime is not its URL's.
type Upload struct {
	ID          UploadID
	Tenant      TenantName
	Principal   PrincipalName
	Bucket      BucketName
	Object      ObjectID
	State       UploadState
	Filename    string
	ContentType string
	Size        int64   // declared, exact
	SHA256      string  // declared, hex; "" when none was
	Grant       GrantID // the one PUT grant in force; earlier ones are superseded
	CreatedAt   time.Time
	ExpiresAt   time.Time

	// The turn. A commit counts only if the row still carries its attempt
	// and epoch.
	Attempt    uint64
	Epoch      uint64
	LeaseUntil time.Time
	Staging    BlobKey // of the running or the successful attempt

	Stored *Stored // set by CompletePut

	// PartSize is the size of each part but the last, in bytes, and 0 for a
	// session of one PUT. Each part has a turn of its own (see Part); Epoch and
	// LeaseUntil are those of the part whose lease ends last.
	PartSize int64
	// Received counts the bytes of a session in parts that are stored. Their
	// number is what the session still accepts, not proof of a whole: Finalize
	// looks at the parts.
	Received int64
}

// PartCount is how many parts the session has; 0 if it is one of a single PUT. No
// bytes at all are one empty part.
func (u *Upload) PartCount() int {
	if u.PartSize == 0 {
		return 0
	}
	return int(max(1, (u.Size+u.PartSize-1)/u.PartSize))
}

// Stored is what was counted and hashed while bytes were received.
type Stored struct {
	Size      int64
	SHA256    string            // hex
	MD5       string            // hex: the ETag of a single PUT
	Checksums map[string]string // "crc32c" → base64, as S3 names them
}

// Extent is a run of bytes inside one immutable blob.
type Extent struct {
	Blob   BlobKey
	Offset int64
	Length int64
}

// Verdict is what inspection concluded about one exact list of extents.
type Verdict struct {
	Result   VerdictResult `json:"result"`
	Reason   string        `json:"reason,omitempty"` // closed set, e.g. "type_mismatch"
	Engines  []EngineNote  `json:"engines"`
	At       time.Time     `json:"at"`
	Attempts int           `json:"attempts,omitempty"`
}

// EngineNote says which engine judged and with what.
type EngineNote struct {
	Name      string `json:"name"`
	Version   string `json:"version,omitempty"`
	Result    string `json:"result"`
	Signature string `json:"signature,omitempty"` // an engine's name for what it found
}

// VerdictResult is the closed set of outcomes.
type VerdictResult string

const (
	VerdictClean      VerdictResult = "clean"
	VerdictInfected   VerdictResult = "infected"
	VerdictRefused    VerdictResult = "refused"
	VerdictIncomplete VerdictResult = "incomplete"
	VerdictError      VerdictResult = "error"
)

// Object is a registry row pointing at an ordered list of extents.
type Object struct {
	ID           ObjectID
	Tenant       TenantName
	Upload       UploadID      // "" when written through the S3 port
	Principal    PrincipalName // who created it
	Bucket       BucketName
	Key          string // client-visible S3 key; "<object_id>" for sessions
	Seq          uint64 // its place in the key's history: the order of the 200s
	State        ObjectState
	Held         bool
	Overtaken    bool // rejected, and its key was written or deleted since
	Filename     string
	ContentType  string // declared
	DetectedType string
	Size         int64
	SHA256       string // hex; "" until known
	ETag         string // without quotes
	Checksums    map[string]string
	Metadata     map[string]string // x-amz-meta-*, names lower case without prefix
	Headers      map[string]string // Cache-Control, Content-Disposition, Content-Encoding, Content-Language, Expires
	Extents      []Extent
	Verdict      *Verdict
	Targets      []BlobKey // promotion under way: where each extent's blob moves; equal = stays
	CreatedAt    time.Time
	ModifiedAt   time.Time // S3 Last-Modified
	PublishedAt  time.Time
	Scan         *ScanTurn // its place in the scan queue, while it has one

	// Versioned objects have a version id of their own; the others are the null
	// version of their key.
	Versioned bool
	// Noncurrent: published, and a later version (or delete marker) of its key
	// is, too. Only buckets with versioning have such.
	Noncurrent bool
	// Marker: a delete marker. It has no bytes and no metadata.
	Marker       bool
	Tags         map[string]string
	Retention    *Retention
	LegalHold    bool
	ChecksumType ChecksumType // of Checksums
	// PartCount is how many parts it was uploaded in; 0 for a single PUT. What
	// they were is a row of its own, see ObjectParts.
	PartCount int
	// StorageClass is what the client asked for and is told again; "" is
	// STANDARD. It has no effect.
	StorageClass string
	// Born is the Seq of the event that the row began with, plus one. It is the
	// first of the object's timeline, which has rows for the later ones only: most
	// objects have none. 0 if the timeline has it too, as of rows written before.
	Born uint64
	// Renditions is how many clean copies were made of it; what they are is a row of
	// its own, see Ledger.Renditions.
	Renditions int
	// RejectedAt is when it was rejected; zero in every other state.
	RejectedAt time.Time
	// Destroyed: rejected, and its bytes were given up after the time that they were
	// kept for review.
	Destroyed bool
	// Proposal is a release that waits for a second analyst.
	Proposal *Ruling
	// Ruling is the last decision of analysts that was carried out.
	Ruling *Ruling
	// Rescan is its place in the queue of what is published and inspected again.
	Rescan *Rescan
	// Doubt is what its last rescan said, if that could not judge it.
	Doubt *Verdict
}

// VersionID is what S3 calls this version of its key: "null", or the id that the
// object has in Sallyport, without its prefix.
func (o *Object) VersionID() string {
	if !o.Versioned {
		return NullVersion
	}
	return strings.TrimPrefix(string(o.ID), prefixObject)
}

// NullVersion is the version id of what was written while versioning was off or
// suspended.
const NullVersion = "null"

// ChecksumType says what the checksum of an object in parts is of; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.
type ChecksumType string

const (
	FullObject ChecksumType = "FULL_OBJECT" // of the bytes; what "" means, too
	Composite  ChecksumType = "COMPOSITE"   // of the parts' checksums; ends in "-N"
)

// ScanTurn is an object's place in the scan queue. A settlement counts only
// if the row still carries the claim's number and epoch.
type ScanTurn struct {
	Due    time.Time // waiting: not before; claimed: the end of the lease
	Tries  int       // attempts that ended in an engine's error
	Number uint64    // claims so far
	Epoch  uint64    // of the last claim
	Worker string    // of the last claim
}

// GrantOp is what a signed URL may do.
type GrantOp string

const (
	GrantPut GrantOp = "put"
	GrantGet GrantOp = "get"
)

// Disposition of a download by grant.
type Disposition string

const (
	Attachment Disposition = "attachment"
	// Inline lets a browser show what it gets. Only renditions can be shown: objects
	// are the bytes of strangers.
	Inline Disposition = "inline"
)

// Grant is what a signed URL stands for.
type Grant struct {
	ID          GrantID
	Tenant      TenantName
	Op          GrantOp
	Upload      UploadID
	Object      ObjectID
	Credential  string // access key or token that asked for it
	Principal   PrincipalName
	Disposition Disposition
	IssuedAt    time.Time
	ExpiresAt   time.Time
	Revoked     bool
	Part        int // of a session in parts, from 1; 0 if it is for the whole
	// Rendition is the name of the one that a GET is for; "" is the object itself.
	Rendition string
}

// Page asks for one page of a list, newest first unless the verb says
// otherwise.
type Page struct {
	Limit  int    // 1 … 1000
	Cursor string // opaque, from the previous page; "" starts
}

package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EventType says what happened. The set is closed: see EventTypes.
type EventType string

// The events. Each state change has exactly one, in its own transaction.
const (
	EventServerStarted EventType = "server.started"
	EventServerStopped EventType = "server.stopped"
	EventClockAccepted EventType = "clock.accepted" // an operator accepted that the clock leapt ahead

	EventUploadCreated   EventType = "upload.created"
	EventUploadURLIssued EventType = "upload.url_issued"
	EventUploadReceiving EventType = "upload.receiving"
	EventUploadReceived  EventType = "upload.received"
	EventUploadPutFailed EventType = "upload.put_failed"
	EventUploadFinalized EventType = "upload.finalized"
	EventUploadAborted   EventType = "upload.aborted"
	EventUploadExpired   EventType = "upload.expired"

	EventObjectPut         EventType = "object.put" // a write through the S3 port
	EventObjectQuarantined EventType = "object.quarantined"
	EventObjectScanning    EventType = "object.scanning"
	EventObjectScanRetried EventType = "object.scan_retried"
	EventObjectVerdict     EventType = "object.verdict" // step 1 of promotion: judged, not yet visible
	EventObjectPublished   EventType = "object.published"
	EventObjectRejected    EventType = "object.rejected"
	EventObjectHeld        EventType = "object.held"
	EventObjectReviewed    EventType = "object.reviewed"
	EventObjectDeleted     EventType = "object.deleted"
	EventObjectRescan      EventType = "object.rescan"    // a published object is in the queue again; it stays published
	EventObjectWithdrawn   EventType = "object.withdrawn" // published before, rejected now: by a rescan, or for bytes it shares
	EventObjectProposed    EventType = "object.proposed"  // an analyst proposed its release, which needs a second one
	EventObjectDestroyed   EventType = "object.destroyed" // the bytes of a rejected object were given up
	EventObjectExamined    EventType = "object.examined"  // an analyst was given the bytes of what is not published; Reason says in what form

	EventWebhookPut     EventType = "webhook.put" // made or changed
	EventWebhookDeleted EventType = "webhook.deleted"
	EventWebhookDead    EventType = "webhook.dead" // a message was given up after its last try; Subject is the webhook
	EventWebhookReplay  EventType = "webhook.replay"

	EventObjectMarked         EventType = "object.marked" // a delete marker was put on its key
	EventObjectCopied         EventType = "object.copied" // a write made of another object's bytes
	EventObjectTagged         EventType = "object.tagged" // its tags changed
	EventObjectLocked         EventType = "object.locked" // its retention or legal hold changed
	EventMultipartCreated     EventType = "multipart.created"
	EventMultipartAborted     EventType = "multipart.aborted"
	EventUploadPartReceived   EventType = "upload.part_received"
	EventUploadPartRegistered EventType = "upload.part_registered"

	EventURLIssued  EventType = "url.issued" // a GET URL
	EventURLRevoked EventType = "url.revoked"

	EventKeyCreated       EventType = "key.created"
	EventKeyRevoked       EventType = "key.revoked"
	EventTokenCreated     EventType = "token.created"
	EventTokenRevoked     EventType = "token.revoked"
	EventPrincipalRevoked EventType = "principal.revoked"
	EventTenantCreated    EventType = "tenant.created"
	EventTenantSuspended  EventType = "tenant.suspended"
	EventTenantResumed    EventType = "tenant.resumed"
	EventURLKeyRotated    EventType = "urlkey.rotated"

	EventBucketCreated    EventType = "bucket.created"
	EventBucketDeleted    EventType = "bucket.deleted"
	EventBucketConfigured EventType = "bucket.configured" // versioning, lock, CORS, lifecycle or tags; Subject says which
	EventTenantChanged    EventType = "tenant.changed"
	EventProfileChanged   EventType = "profile.changed"

	EventAccessBlock EventType = "access.block" // commits to one stored block of access records
	EventAccessGap   EventType = "access.gap"   // access records were or may have been lost
)

// EventTypes lists every event there is, in the order they are documented.
var EventTypes = []EventType{
	EventServerStarted, EventServerStopped, EventClockAccepted,
	EventUploadCreated, EventUploadURLIssued, EventUploadReceiving, EventUploadReceived, EventUploadPutFailed,
	EventUploadFinalized, EventUploadAborted, EventUploadExpired,
	EventObjectPut, EventObjectQuarantined, EventObjectScanning, EventObjectScanRetried, EventObjectVerdict,
	EventObjectPublished, EventObjectRejected, EventObjectHeld, EventObjectReviewed, EventObjectDeleted,
	EventObjectRescan, EventObjectWithdrawn, EventObjectProposed, EventObjectDestroyed, EventObjectExamined,
	EventWebhookPut, EventWebhookDeleted, EventWebhookDead, EventWebhookReplay,
	EventObjectMarked, EventObjectCopied, EventObjectTagged, EventObjectLocked,
	EventMultipartCreated, EventMultipartAborted, EventUploadPartReceived, EventUploadPartRegistered,
	EventURLIssued, EventURLRevoked,
	EventKeyCreated, EventKeyRevoked, EventTokenCreated, EventTokenRevoked, EventPrincipalRevoked,
	EventTenantCreated, EventTenantSuspended, EventTenantResumed, EventURLKeyRotated,
	EventBucketCreated, EventBucketDeleted, EventBucketConfigured, EventProfileChanged, EventTenantChanged,
	EventAccessBlock, EventAccessGap,
}

// Event is one leaf of the audit log. Its JSON, in this field order, is what
// is hashed, stored, exported and signed for: fields may be added at the end
// of their group, never renamed, reordered or reused.
//
// There is no field for a URL, a signature, a secret, a blob key or a client's
// S3 key, and appending refuses words that could be one (see check).
type Event struct {
	Seq  uint64    `json:"seq"` // the leaf's index, from 0; set by append
	Time time.Time `json:"time"`
	Type EventType `json:"type"`

	// Tenant is whose event it is: that tenant's auditors see it. "" is for
	// operators only.
	Tenant TenantName `json:"tenant,omitempty"`
	// ActorTenant is set where an operator of another tenant acted.
	ActorTenant TenantName    `json:"actor_tenant,omitempty"`
	Principal   PrincipalName `json:"principal,omitempty"`
	Credential  string        `json:"credential,omitempty"` // access key id or token id
	RequestID   string        `json:"request_id,omitempty"`

	Bucket BucketName `json:"bucket,omitempty"`
	Upload UploadID   `json:"upload,omitempty"`
	Object ObjectID   `json:"object,omitempty"`
	Grant  GrantID    `json:"grant,omitempty"`
	// Subject is the key, token, principal, URL key … that was made, changed
	// or revoked: its id.
	Subject string `json:"subject,omitempty"`

	From string `json:"from,omitempty"` // state before
	To   string `json:"to,omitempty"`   // state after

	Attempt      uint64        `json:"attempt,omitempty"`
	Size         *int64        `json:"size,omitempty"` // bytes
	SHA256       string        `json:"sha256,omitempty"`
	DetectedType string        `json:"detected_type,omitempty"`
	Result       VerdictResult `json:"result,omitempty"`
	Engines      []EngineNote  `json:"engines,omitempty"`
	Reason       string        `json:"reason,omitempty"` // a code, never a sentence
	Roles        []Role        `json:"roles,omitempty"`
	ExpiresAt    time.Time     `json:"expires_at,omitzero"`
	Part         int           `json:"part,omitempty"` // of a session in parts, from 1

	Block *BlockNote `json:"block,omitempty"` // access.block only
	Gap   *GapNote   `json:"gap,omitempty"`   // access.gap only
}

// BlockNote is what a leaf says of one block of access records.
type BlockNote struct {
	SHA256 string    `json:"sha256"` // hex, of the block as it is stored (zstd)
	Bytes  int       `json:"bytes"`  // of the block as it is stored
	Count  int       `json:"count"`  // lines in it
	First  time.Time `json:"first"`  // earliest and latest time of its records
	Last   time.Time `json:"last"`
}

// GapNote is what a leaf says of access records that are not in the log.
type GapNote struct {
	From time.Time `json:"from"` // nothing is missing before
	To   time.Time `json:"to"`
	// Lost counts the records known to be lost. 0 means that the process
	// ended without saying: how many is not known.
	Lost uint64 `json:"lost,omitempty"`
}

// newEvent starts an event of what the actor did to something of its own
// tenant. Where it acted on another tenant, set Tenant afterwards with
// event.in.
func newEvent(t EventType, by Actor, at time.Time) *Event {
	return &Event{
		Type: t, Time: at, Tenant: by.Tenant, Principal: by.Principal,
		Credential: by.Credential, RequestID: by.RequestID,
	}
}

// in says whose event it is, and keeps the actor's tenant where it differs.
func (e *Event) in(t TenantName) *Event {
	if t != e.Tenant {
		e.ActorTenant, e.Tenant = e.Tenant, t
	}
	return e
}

// Limits of what an event may carry. They bound a leaf to a few KiB whatever
// an engine says.
const (
	maxWord        = 128 // bytes of one word
	maxEngines     = 16
	maxEngineText  = 200 // bytes of one text of an engine
	maxDetectedLen = 255 // bytes of a media type
)

// errBadEvent is a mistake of the ledger's own code: no request can cause it.
var errBadEvent = errors.New("event is not fit for the audit log")

// check refuses an event that is incomplete, of an unknown type, or that
// holds in a field for words something that is not one. URLs, signatures,
// blob keys and most client keys need characters that no word has.
func (e *Event) check() error {
	if !slices.Contains(EventTypes, e.Type) {
		return fmt.Errorf("%w: type %q", errBadEvent, e.Type)
	}
	if e.Time.IsZero() {
		return fmt.Errorf("%w: %s has no time", errBadEvent, e.Type)
	}
	for _, w := range [...]struct{ field, text string }{
		{"tenant", string(e.Tenant)}, {"actor_tenant", string(e.ActorTenant)},
		{"credential", e.Credential}, {"request_id", e.RequestID}, {"bucket", string(e.Bucket)},
		{"upload", string(e.Upload)}, {"object", string(e.Object)}, {"grant", string(e.Grant)},
		{"subject", e.Subject}, {"from", e.From}, {"to", e.To}, {"sha256", e.SHA256}, {"reason", e.Reason},
	} {
		if !isWord(w.text) {
			return fmt.Errorf("%w: %s has no word in %s", errBadEvent, e.Type, w.field)
		}
	}
	return nil
}

// isWord tells whether s is empty or an id, state, code or digest.
func isWord(s string) bool {
	if len(s) > maxWord {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-_.:@", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// leaf returns the event's canonical bytes: one line of JSON without the end
// of line. Times are UTC; texts that come from engines are cut to size.
func (e *Event) leaf() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	c := *e
	c.Time = c.Time.Round(0).UTC()
	if !c.ExpiresAt.IsZero() {
		c.ExpiresAt = c.ExpiresAt.Round(0).UTC()
	}
	c.DetectedType = cut(c.DetectedType, maxDetectedLen)
	c.Engines = slices.Clone(c.Engines[:min(len(c.Engines), maxEngines)])
	for i, n := range c.Engines {
		c.Engines[i] = EngineNote{
			Name: cut(n.Name, maxEngineText), Version: cut(n.Version, maxEngineText),
			Result: cut(n.Result, maxEngineText), Signature: cut(n.Signature, maxEngineText),
		}
	}
	b, err := json.Marshal(&c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadEvent, err)
	}
	return b, nil
}

// cut shortens s to at most n bytes of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

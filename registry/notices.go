package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sallyport/registry/kv"
)

// NoticeType says what the outside is told of. The set is closed: see NoticeTypes.
type NoticeType string

// The notices. What leads to one may be any of several events: an object is
// published by its scan, by a write to a direct bucket or by an analyst.
const (
	NoticeUploadCreated   NoticeType = "upload.created"
	NoticeUploadReceived  NoticeType = "upload.received"
	NoticeUploadFinalized NoticeType = "upload.finalized"
	NoticeUploadAborted   NoticeType = "upload.aborted"
	NoticeUploadExpired   NoticeType = "upload.expired"

	NoticeObjectQuarantined NoticeType = "object.quarantined" // waits for its inspection
	NoticeObjectPublished   NoticeType = "object.published"
	NoticeObjectRejected    NoticeType = "object.rejected"
	NoticeObjectHeld        NoticeType = "object.held"      // waits for an analyst
	NoticeObjectWithdrawn   NoticeType = "object.withdrawn" // was published, is rejected
	NoticeObjectDeleted     NoticeType = "object.deleted"
	NoticeObjectDestroyed   NoticeType = "object.destroyed" // the bytes of a rejected one are gone
)

// NoticeTypes lists every notice there is, in the order they are documented.
var NoticeTypes = []NoticeType{
	NoticeUploadCreated, NoticeUploadReceived, NoticeUploadFinalized, NoticeUploadAborted, NoticeUploadExpired,
	NoticeObjectQuarantined, NoticeObjectPublished, NoticeObjectRejected, NoticeObjectHeld, NoticeObjectWithdrawn,
	NoticeObjectDeleted, NoticeObjectDestroyed,
}

// Notice is what the outside is told of one event: webhooks and streams carry it.
// It holds only what the tenant's own clients may see of the object anyway, and
// always says the same of the same event.
type Notice struct {
	Seq    uint64 // of the event in the audit log
	Type   NoticeType
	Time   time.Time
	Tenant TenantName
	Bucket BucketName
	Upload UploadID
	Object ObjectID
	State  string // the upload's or object's, since then

	Size         *int64 // bytes
	SHA256       string // hex
	DetectedType string
	Result       VerdictResult
	Reason       string // a code
	Signature    string // an engine's name for what it found
}

// noticeForm is a notice's JSON, in the form that the Standard Webhooks specification
// recommends (https://www.standardwebhooks.com). Fields are only ever added.
type noticeForm struct {
	Type      NoticeType `json:"type"`
	Timestamp time.Time  `json:"timestamp"`
	Data      noticeData `json:"data"`
}

type noticeData struct {
	Tenant       TenantName    `json:"tenant"`
	UploadID     UploadID      `json:"upload_id,omitempty"`
	ObjectID     ObjectID      `json:"object_id,omitempty"`
	Profile      BucketName    `json:"profile,omitempty"`
	State        string        `json:"state,omitempty"`
	Size         *int64        `json:"size,omitempty"`
	SHA256       string        `json:"sha256,omitempty"`
	DetectedType string        `json:"detected_type,omitempty"`
	Result       VerdictResult `json:"result,omitempty"`
	Reason       string        `json:"reason,omitempty"`
	Signature    string        `json:"signature,omitempty"`
}

// Body is the notice as JSON on one line, without the end of line.
func (n Notice) Body() ([]byte, error) {
	b, err := json.Marshal(noticeForm{n.Type, n.Time.UTC(), noticeData{
		n.Tenant, n.Upload, n.Object, n.Bucket, n.State, n.Size, n.SHA256, n.DetectedType, n.Result, n.Reason, n.Signature,
	}})
	if err != nil {
		return nil, fmt.Errorf("notice %d: %w", n.Seq, err)
	}
	return b, nil
}

// Notice returns what the outside is told of the event, and false if that is
// nothing.
func (e *Event) Notice() (Notice, bool) {
	what := e.noticeType()
	if what == "" {
		return Notice{}, false
	}
	n := Notice{
		Seq: e.Seq, Type: what, Time: e.Time, Tenant: e.Tenant, Bucket: e.Bucket, Upload: e.Upload, Object: e.Object,
		State: e.To, Size: e.Size, SHA256: e.SHA256, DetectedType: e.DetectedType, Result: e.Result, Reason: e.Reason,
	}
	for _, engine := range e.Engines {
		if engine.Signature != "" {
			n.Signature = engine.Signature
			break
		}
	}
	return n, true
}

func (e *Event) noticeType() NoticeType {
	switch e.Type {
	case EventUploadCreated:
		return NoticeUploadCreated
	case EventUploadReceived:
		return NoticeUploadReceived
	case EventUploadFinalized:
		return NoticeUploadFinalized
	case EventUploadAborted:
		return NoticeUploadAborted
	case EventUploadExpired:
		return NoticeUploadExpired
	case EventObjectHeld:
		return NoticeObjectHeld
	case EventObjectDestroyed:
		return NoticeObjectDestroyed
	case EventObjectMarked:
		return "" // a delete marker is "published" without there being anything
	}
	if !strings.HasPrefix(string(e.Type), "object.") || e.From == e.To {
		return ""
	}
	return noticeOfStep(ObjectState(e.From), ObjectState(e.To))
}

// noticeOfStep goes by the states alone, so that whatever leads from one to the other
// is told.
func noticeOfStep(from, to ObjectState) NoticeType {
	switch {
	case to == ObjectQuarantined && from != ObjectScanning:
		return NoticeObjectQuarantined
	case to == ObjectPublished:
		return NoticeObjectPublished
	case to == ObjectRejected && from == ObjectPublished:
		return NoticeObjectWithdrawn
	case to == ObjectRejected:
		return NoticeObjectRejected
	case to == ObjectDeleted && from != ObjectPending: // of those its session's end tells
		return NoticeObjectDeleted
	}
	return ""
}

// mayBeNotice looks into the line of JSON of an event, which is much cheaper than
// decoding it, for one that some notice may come of.
func mayBeNotice(leaf []byte) bool {
	return bytes.Contains(leaf, []byte(`"type":"object.`)) || bytes.Contains(leaf, []byte(`"type":"upload.`))
}

// Notices returns a tenant's first notices from a leaf of the audit log on, at most
// limit, and the leaf to go on from. It may return none although there are some
// further on: then next is before AuditSize.
func (l *Ledger) Notices(ctx context.Context, tenant TenantName, from uint64, limit int) (found []Notice, next uint64, err error) {
	err = l.view(ctx, func(t *txn) error {
		found, next = nil, from
		end, err := auditSize(t.Tx)
		for err == nil && len(found) < limit && next < end {
			var n *Notice
			n, next, err = t.nextNotice(tenant, func(NoticeType) bool { return true }, next, end)
			if n == nil {
				break
			}
			found, next = append(found, *n), next+1
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("notices: %w", err)
	}
	return found, next, nil
}

// AuditSize returns how many leaves the audit log has.
func (l *Ledger) AuditSize(ctx context.Context) (n uint64, err error) {
	err = l.view(ctx, func(t *txn) (err error) {
		n, err = auditSize(t.Tx)
		return err
	})
	return n, err
}

// nextNotice returns the first notice from a leaf on of a tenant that is wanted, and where
// to look from next, which is before end if there was too much to look at.
func (t *txn) nextNotice(tenant TenantName, wanted func(NoticeType) bool, from, end uint64) (n *Notice, at uint64, err error) {
	field := tenantField(tenant)
	tiles := 0
	at = max(from, end)
	span := kv.Range{From: tenantKey(tenant, from/tileWidth), To: under(tenant).To}
	err = t.Scan(tableAuditTenants, span, func(key, _ []byte) error {
		tile := binary.BigEndian.Uint64(key[len(tenant)+1:])
		if tile*tileWidth >= end {
			return kv.Stop
		}
		if tiles++; tiles > tilesPerView {
			at = max(from, tile*tileWidth)
			return kv.Stop
		}
		err := scanLeaves(t.Tx, max(from, tile*tileWidth), min(end, (tile+1)*tileWidth), func(seq uint64, _ Hash, leaf []byte) error {
			if !bytes.Contains(leaf, field) || !mayBeNotice(leaf) {
				return nil
			}
			ev, err := Leaf{Seq: seq, Bytes: leaf}.Event()
			if err != nil {
				return err
			}
			if found, ok := ev.Notice(); ok && wanted(found.Type) {
				n, at = &found, seq
				return kv.Stop
			}
			return nil
		})
		if err == nil && n != nil {
			err = kv.Stop
		}
		return err
	})
	return n, at, err
}

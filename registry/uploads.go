package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// NewUpload asks for a session. Policy has decided; nothing here is a default.
type NewUpload struct {
	Bucket      BucketName
	Filename    string
	ContentType string
	Size        int64  // bytes, exact
	SHA256      string // hex, or ""
	SessionTTL  time.Duration
	URLTTL      time.Duration // of the PUT URL; never beyond the session's
	PartSize    int64         // bytes of each part but the last; 0 for one PUT
	Idempotency Idempotency
}

// Begun is a session as it was created.
type Begun struct {
	Upload   Upload
	Object   Object
	Grant    Grant
	Replayed bool // the Idempotency-Key was seen: nothing new was created
}

// CreateUpload begins a session: upload, pending object and PUT grant, in one
// transaction. A session in parts has no grant: IssuePartURL gives one for each
// part. ErrNotFound for an unknown bucket, ErrIdempotencyConflict,
// ErrRevoked, ErrTenantSuspended, ErrInvalid.
func (l *Ledger) CreateUpload(ctx context.Context, by Actor, n NewUpload) (Begun, error) {
	if err := n.check(); err != nil {
		return Begun{}, fmt.Errorf("create upload: %w", err)
	}
	ids, err := l.sessionIDs()
	if err != nil {
		return Begun{}, fmt.Errorf("create upload: %w", err)
	}
	var begun Begun
	err = l.change(ctx, by, func(t *txn) (err error) {
		if n.Idempotency.Key != "" {
			begun, err = t.replay(by, n.Idempotency)
			if begun.Replayed || err != nil {
				return err
			}
		}
		begun, err = t.createUpload(by, n, ids)
		return err
	})
	if err != nil {
		return Begun{}, fmt.Errorf("create upload: %w", err)
	}
	return begun, nil
}

type sessionIDs struct {
	upload UploadID
	object ObjectID
	grant  GrantID
}

// sessionIDs are made outside the transaction, which may run twice.
func (l *Ledger) sessionIDs() (sessionIDs, error) {
	now := l.Now()
	u, err := l.ids.next(prefixUpload, now)
	if err != nil {
		return sessionIDs{}, err
	}
	o, err := l.ids.next(prefixObject, now)
	if err != nil {
		return sessionIDs{}, err
	}
	g, err := l.ids.next(prefixGrant, now)
	return sessionIDs{UploadID(u), ObjectID(o), GrantID(g)}, err
}

func (n *NewUpload) check() error {
	switch {
	case n.Size < 0:
		return fmt.Errorf("%w: size", ErrInvalid)
	case n.SessionTTL <= 0 || n.URLTTL <= 0:
		return fmt.Errorf("%w: lifetime", ErrInvalid)
	case n.PartSize < 0 || n.PartSize > 0 && n.Size > MaxParts*n.PartSize:
		return fmt.Errorf("%w: part size", ErrInvalid)
	case len(n.Idempotency.Key) > 255:
		return fmt.Errorf("%w: idempotency key", ErrInvalid)
	case len(n.Filename) > maxText || len(n.ContentType) > maxText:
		return fmt.Errorf("%w: file name or content type is too long", ErrInvalid)
	}
	if n.SHA256 != "" {
		sum, err := ParseSHA256(n.SHA256)
		if err != nil || sum != n.SHA256 {
			return fmt.Errorf("%w: sha256", ErrInvalid)
		}
	}
	return nil
}

// maxText bounds the texts of a row, in bytes.
const maxText = 1024

// ParseSHA256 reads a SHA-256 from 64 hexadecimal digits of either case and
// returns it as the ledger keeps it, in lower case. Everything else is
// ErrInvalid.
func ParseSHA256(s string) (string, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("%w: sha256", ErrInvalid)
	}
	return hex.EncodeToString(b), nil
}

func (t *txn) createUpload(by Actor, n NewUpload, ids sessionIDs) (Begun, error) {
	if known, err := t.has(tBuckets, keyOf(by.Tenant, string(n.Bucket))); err != nil || !known {
		return Begun{}, errors.Join(err, absent(known))
	}
	u := Upload{
		ID: ids.upload, Tenant: by.Tenant, Principal: by.Principal, Bucket: n.Bucket, Object: ids.object,
		Filename: n.Filename, ContentType: n.ContentType, Size: n.Size, SHA256: n.SHA256, PartSize: n.PartSize,
		CreatedAt: t.now, ExpiresAt: t.now.Add(n.SessionTTL.Truncate(time.Millisecond)),
	}
	o := Object{
		ID: ids.object, Tenant: by.Tenant, Upload: ids.upload, Principal: by.Principal, Bucket: n.Bucket,
		Key: string(ids.object), Filename: n.Filename, ContentType: n.ContentType, Size: n.Size, CreatedAt: t.now,
	}
	var g Grant
	if n.PartSize == 0 {
		u.Grant = ids.grant
		g = t.newPutGrant(by, turn{u: &u}, ids.grant, n.URLTTL)
		if err := t.put(tGrants, keyOf(g.Tenant, string(g.ID)), &g); err != nil {
			return Begun{}, err
		}
	}
	// Session and object are born together: one event tells of both.
	ev := t.event(EventUploadCreated, by)
	ev.Grant, ev.Size, ev.SHA256, ev.ExpiresAt = g.ID, &n.Size, n.SHA256, u.ExpiresAt
	if err := t.apply(uploadCreate, &u, ev, nil); err != nil {
		return Begun{}, err
	}
	if err := t.bear(objectCreate, &o, ev); err != nil {
		return Begun{}, err
	}
	if n.Idempotency.Key != "" {
		ids.grant = g.ID
		if err := t.remember(by, n.Idempotency, ids); err != nil {
			return Begun{}, err
		}
	}
	return Begun{Upload: u, Object: o, Grant: g}, nil
}

func (t *txn) newPutGrant(by Actor, x turn, id GrantID, ttl time.Duration) Grant {
	u := x.u
	expires := t.now.Add(ttl.Truncate(time.Millisecond))
	if expires.After(u.ExpiresAt) {
		expires = u.ExpiresAt
	}
	return Grant{
		ID: id, Tenant: u.Tenant, Op: GrantPut, Upload: u.ID, Object: u.Object,
		Credential: by.Credential, Principal: by.Principal, IssuedAt: t.now, ExpiresAt: expires, Part: x.number(),
	}
}

// Upload returns one session, or ErrNotFound.
func (l *Ledger) Upload(ctx context.Context, tenant TenantName, id UploadID) (Upload, error) {
	var row Upload
	err := l.view(ctx, func(t *txn) (err error) {
		row, err = t.upload(tenant, id)
		return err
	})
	if err != nil {
		return Upload{}, fmt.Errorf("upload: %w", err)
	}
	return row, nil
}

func (t *txn) upload(tenant TenantName, id UploadID) (row Upload, err error) {
	if len(id) > maxWord {
		return row, ErrNotFound
	}
	return row, t.load(tUploads, keyOf(tenant, string(id)), &row)
}

// Uploads lists the sessions of a tenant, or of one principal of it, newest
// first.
func (l *Ledger) Uploads(ctx context.Context, tenant TenantName, principal PrincipalName, page Page) ([]Upload, string, error) {
	walk := newest(tUploads, under(tenant), page)
	if principal != "" {
		walk = newest(tUploadsBy, under(tenant, string(principal)), page)
	}
	var found []Upload
	var more string
	err := l.view(ctx, func(t *txn) (err error) {
		found, more, err = collect(t, walk, func(t *txn, key, value []byte) (row Upload, keep bool, err error) {
			if principal == "" {
				return row, true, decode(tUploads, value, &row)
			}
			row, err = t.upload(tenant, UploadID(lastPart(key)))
			return row, true, err
		})
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list uploads: %w", err)
	}
	return found, more, nil
}

// AbortUpload ends a session before it is finalized; its object is deleted and
// its bytes become garbage. Aborting again changes nothing. A session that is
// finalized or expired is ErrUploadFinalized or ErrUploadExpired.
func (l *Ledger) AbortUpload(ctx context.Context, by Actor, tenant TenantName, id UploadID) error {
	err := l.change(ctx, by, func(t *txn) error {
		u, err := t.upload(tenant, id)
		if err != nil || u.State == UploadAborted {
			return err
		}
		return t.endUpload(uploadAbort, &u, t.event(EventUploadAborted, by))
	})
	if err != nil {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}

// endUpload aborts or expires a session: a stored attempt's bytes, or those of its
// parts, become garbage, and the object is deleted. A running attempt keeps its intent until
// it notices, through ErrFenced, that it lost.
func (t *txn) endUpload(s step, u *Upload, ev *Event) error {
	by := Actor{Tenant: ev.Tenant, Principal: ev.Principal, Credential: ev.Credential, RequestID: ev.RequestID}
	staging := u.Staging
	err := t.apply(s, u, ev, func() { u.Staging = "" })
	if err != nil {
		return err
	}
	if staging != "" {
		if err := t.discard(staging); err != nil {
			return err
		}
	}
	if err := t.dropSessionParts(u); err != nil {
		return err
	}
	o, err := t.object(u.Tenant, u.Object)
	if err != nil {
		return err
	}
	if o.State == ObjectDeleted {
		return nil
	}
	return t.deleteObject(&o, t.event(EventObjectDeleted, by))
}

// ExpireDue expires up to limit sessions whose time is over and returns how many.
// A session whose turn is held waits until the attempt ends or its lease lapses.
// While the clock is not believed it is ErrClockJumped.
func (l *Ledger) ExpireDue(ctx context.Context, limit int) (int, error) {
	if err := l.clockSound(); err != nil {
		return 0, fmt.Errorf("expire uploads: %w", err)
	}
	due, err := l.expiryDue(ctx, limit)
	if err != nil {
		return 0, fmt.Errorf("expire uploads: %w", err)
	}
	n := 0
	for len(due) > 0 {
		some := batchOf(due)
		due = due[len(some):]
		expired, err := l.expireAll(ctx, some)
		n += expired
		if err != nil {
			return n, fmt.Errorf("expire uploads: %w", err)
		}
	}
	return n, nil
}

func (l *Ledger) expireAll(ctx context.Context, due []dueUpload) (n int, err error) {
	err = l.update(ctx, func(t *txn) error {
		n = 0
		for _, d := range due {
			expired, err := t.expire(d.tenant, d.id)
			if err != nil {
				return err
			}
			if expired {
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// maxExpiryParts bounds how many parts one transaction of ExpireDue drops, unless a
// single session has more.
const maxExpiryParts = 10_000

// batchOf returns as many sessions as one transaction may expire.
func batchOf(due []dueUpload) []dueUpload {
	parts := 0
	for i, d := range due {
		if parts += d.parts; parts > maxExpiryParts && i > 0 {
			return due[:i]
		}
	}
	return due
}

type dueUpload struct {
	tenant TenantName
	id     UploadID
	parts  int // at most
}

// expiryDue finds sessions to expire.
func (l *Ledger) expiryDue(ctx context.Context, limit int) (due []dueUpload, err error) {
	err = l.view(ctx, func(t *txn) error {
		due = nil
		return t.Scan(tUploadExpiry, until(t.now), func(key, _ []byte) error {
			_, tenant, id := untimed(key)
			u, err := t.upload(tenant, UploadID(id))
			if err != nil {
				return err
			}
			if !t.busy(&u) {
				due = append(due, dueUpload{tenant, UploadID(id), u.PartCount()})
			}
			if len(due) >= limit {
				return kv.Stop
			}
			return nil
		})
	})
	return due, err
}

// expire looks again: the session may have moved on since it was found.
func (t *txn) expire(tenant TenantName, id UploadID) (bool, error) {
	u, err := t.upload(tenant, id)
	if err != nil {
		return false, err
	}
	if t.now.Before(u.ExpiresAt) || t.busy(&u) {
		return false, nil
	}
	err = t.endUpload(uploadExpire, &u, t.event(EventUploadExpired, System(tenant)))
	if errors.Is(err, ErrUploadFinalized) || errors.Is(err, ErrUploadAborted) || errors.Is(err, ErrUploadExpired) {
		return false, nil
	}
	return err == nil, err
}

package registry

import (
	"context"
	"time"
)

// IssuePartURL issues a PUT grant for one part of a session of the actor's tenant; an
// earlier one of that part stops working. ErrUploadAlreadyReceived once the part
// is registered, ErrInvalid for a number out of range or a session of one PUT, and what
// IssuePutURL returns.
func (l *Ledger) IssuePartURL(ctx context.Context, by Actor, id UploadID, number int, ttl time.Duration) (Grant, Part, error) {
	return Grant{}, Part{}, errNotBuilt
}

// Registration is what a client says of a part it has stored.
type Registration struct {
	ETag   string // without quotes
	Size   int64  // bytes
	SHA256 string // hex; "" if not told
}

// RegisterPart fixes a stored part: no URL can replace it any more. The same again
// returns it as it is; another is ErrPartConflict. ErrUploadNotReceived if nothing
// is stored, ErrNotFound, ErrUploadExpired, ErrUploadAborted, ErrUploadFinalized, ErrInvalid.
func (l *Ledger) RegisterPart(ctx context.Context, by Actor, tenant TenantName, id UploadID, number int, r Registration) (Part, error) {
	return Part{}, errNotBuilt
}

// SessionParts returns the parts of a session that something is known of, in their
// order. ErrNotFound.
func (l *Ledger) SessionParts(ctx context.Context, tenant TenantName, id UploadID) ([]Part, error) {
	return nil, errNotBuilt
}

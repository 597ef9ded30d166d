package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/registry/kv"
)

// turn is what an attempt takes: the session's, or that of one of its parts.
type turn struct {
	u    *Upload
	part *Part // nil for a session of one PUT
}

// number is that of the part, 0 for a session of one PUT.
func (x turn) number() int {
	if x.part == nil {
		return 0
	}
	return x.part.Number
}

// size is how many bytes belong here.
func (x turn) size() int64 {
	if x.part == nil {
		return x.u.Size
	}
	return x.part.Size
}

// grant is the one in force.
func (x turn) grant() GrantID {
	if x.part == nil {
		return x.u.Grant
	}
	return x.part.Grant
}

// held tells whether a living attempt has the turn.
func (t *txn) held(x turn) bool {
	if x.part == nil {
		return t.busy(x.u)
	}
	return x.part.Staging != "" && x.part.Epoch == t.l.epoch && t.now.Before(x.part.LeaseUntil)
}

// turnOf returns a session's turn (number 0), or that of one of its parts.
// ErrInvalid if it has no such turn.
func (t *txn) turnOf(u *Upload, number int) (turn, error) {
	if number == 0 && u.PartSize == 0 {
		return turn{u: u}, nil
	}
	p, err := t.sessionPart(u, number)
	return turn{u: u, part: &p}, err
}

// sessionPart loads a part; one that nothing is known of yet is as it begins.
func (t *txn) sessionPart(u *Upload, number int) (Part, error) {
	switch {
	case u.PartSize == 0:
		return Part{}, fmt.Errorf("%w: the session takes its bytes in one PUT", ErrInvalid)
	case number < 1 || number > u.PartCount():
		return Part{}, fmt.Errorf("%w: the session's parts are 1 to %d", ErrInvalid, u.PartCount())
	}
	var p Part
	err := t.load(tParts, partKey(u.Tenant, string(u.ID), number), &p)
	if errors.Is(err, ErrNotFound) {
		return Part{Number: number, Size: u.PartLength(number)}, nil
	}
	return p, err
}

// PartLength is how many bytes a part of a session in parts has.
func (u *Upload) PartLength(number int) int64 {
	return min(u.PartSize, u.Size-int64(number-1)*u.PartSize)
}

func (t *txn) putSessionPart(x turn) error {
	return t.put(tParts, partKey(x.u.Tenant, string(x.u.ID), x.part.Number), x.part)
}

// eachSessionPart walks the parts of a session that something is known of, in
// their order, from a number on.
func (t *txn) eachSessionPart(u *Upload, from int, visit func(Part) error) error {
	r := under(u.Tenant, string(u.ID))
	r.From = partKey(u.Tenant, string(u.ID), from)
	return t.Scan(tParts, r, func(_, value []byte) error {
		var p Part
		if err := decode(tParts, value, &p); err != nil {
			return err
		}
		return visit(p)
	})
}

// IssuePartURL issues a PUT grant for one part of a session of the actor's tenant; an
// earlier one of that part stops working, and what is stored of it stays until the
// new one has stored another. ErrUploadAlreadyReceived once the part
// is registered, ErrInvalid for a number out of range or a session of one PUT, and what
// IssuePutURL returns. The Part is as it was before.
func (l *Ledger) IssuePartURL(ctx context.Context, by Actor, id UploadID, number int, ttl time.Duration) (Grant, Part, error) {
	next, err := l.ids.next(prefixGrant, l.Now())
	if err != nil {
		return Grant{}, Part{}, err
	}
	if ttl <= 0 {
		return Grant{}, Part{}, fmt.Errorf("issue part url: %w: lifetime", ErrInvalid)
	}
	var g Grant
	var before Part
	err = l.update(ctx, func(t *txn) error {
		u, err := t.upload(by.Tenant, id)
		if err != nil {
			return err
		}
		p, err := t.sessionPart(&u, number)
		if err != nil {
			return err
		}
		x := turn{u: &u, part: &p}
		before = p
		if err := t.mayServe(x, by); err != nil {
			return err
		}
		if !t.now.Before(u.ExpiresAt) { // a running attempt may go on; nothing new begins
			return ErrUploadExpired
		}
		g = t.newPutGrant(by, x, GrantID(next), ttl)
		if err := t.put(tGrants, keyOf(g.Tenant, next), &g); err != nil {
			return err
		}
		ev := t.event(EventUploadURLIssued, by)
		ev.Grant, ev.Part, ev.ExpiresAt = g.ID, number, g.ExpiresAt
		p.Grant, p.Used = g.ID, false
		return t.partChanged(x, ev)
	})
	if err != nil {
		return Grant{}, Part{}, fmt.Errorf("issue part url: %w", err)
	}
	return g, before, nil
}

// partChanged writes a part with the event of its change.
func (t *txn) partChanged(x turn, ev *Event) error {
	x.u.describe(ev)
	if _, err := t.recordFor(ev, x.u); err != nil {
		return err
	}
	return t.putSessionPart(x)
}

// Registration is what a client says of a part it has stored.
type Registration struct {
	ETag   string // without quotes
	Size   int64  // bytes
	SHA256 string // hex; "" if not told
}

// RegisterPart fixes a stored part: no URL can replace it any more, and an attempt
// that is about to is fenced. The same again returns it as it is; what differs from
// what is stored is ErrPartConflict. ErrUploadNotReceived if nothing
// is stored, ErrNotFound, ErrUploadExpired, ErrUploadAborted, ErrUploadFinalized, ErrInvalid.
func (l *Ledger) RegisterPart(ctx context.Context, by Actor, tenant TenantName, id UploadID, number int, r Registration) (Part, error) {
	var p Part
	err := l.change(ctx, by, func(t *txn) error {
		u, err := t.upload(tenant, id)
		if err != nil {
			return err
		}
		if p, err = t.sessionPart(&u, number); err != nil {
			return err
		}
		switch {
		case u.State == UploadFinalized:
			return ErrUploadFinalized
		case u.State == UploadAborted:
			return ErrUploadAborted
		case !u.open() || !t.now.Before(u.ExpiresAt):
			return ErrUploadExpired
		case p.Extents == nil:
			return ErrUploadNotReceived
		case r.ETag != p.ETag || r.Size != p.Size || r.SHA256 != "" && r.SHA256 != p.SHA256:
			return ErrPartConflict
		case p.Registered:
			return nil
		}
		p.Registered, p.Staging, p.LeaseUntil, p.Epoch = true, "", time.Time{}, 0
		ev := t.event(EventUploadPartRegistered, by)
		ev.Part, ev.Size, ev.SHA256 = number, &p.Size, p.SHA256
		return t.partChanged(turn{u: &u, part: &p}, ev)
	})
	if err != nil {
		return Part{}, fmt.Errorf("register part: %w", err)
	}
	return p, nil
}

// SessionParts returns up to limit (at most 1,000) stored parts of a session behind
// number after, in their order, and whether there are more. A session that is over
// has none. ErrNotFound; ErrInvalid for a session of one PUT.
func (l *Ledger) SessionParts(ctx context.Context, tenant TenantName, id UploadID, after, limit int) ([]Part, bool, error) {
	limit = min(max(limit, 1), maxPage)
	var found []Part
	more := false
	err := l.view(ctx, func(t *txn) error {
		found, more = nil, false
		u, err := t.upload(tenant, id)
		if err != nil {
			return err
		}
		if u.PartSize == 0 {
			return fmt.Errorf("%w: the session takes its bytes in one PUT", ErrInvalid)
		}
		return t.eachSessionPart(&u, max(after, 0)+1, func(p Part) error {
			if p.Extents == nil {
				return nil
			}
			if more = len(found) == limit; more {
				return kv.Stop
			}
			found = append(found, p)
			return nil
		})
	})
	if err != nil {
		return nil, false, fmt.Errorf("session parts: %w", err)
	}
	return found, more, nil
}

// storesPart tells whether a staging key holds a stored part of an open session.
func (t *txn) storesPart(u *Upload, blob BlobKey) (bool, error) {
	name := string(blob)[strings.LastIndexByte(string(blob), '/')+1:]
	number, _ := splitAttempt(name)
	if u.PartSize == 0 || number < 1 || number > u.PartCount() {
		return false, nil
	}
	p, err := t.sessionPart(u, number)
	return err == nil && len(p.Extents) == 1 && p.Extents[0].Blob == blob, err
}

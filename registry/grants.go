package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Ticket is what a URL's use rests on.
type Ticket struct {
	Grant  Grant
	Upload Upload // PUT only
	Part   Part   // PUT of a part only
	Object Object
	// Rendition is that of the grant; its name is "" if it is for the object itself.
	Rendition Rendition
}

// Grant returns one grant, or ErrNotFound.
func (l *Ledger) Grant(ctx context.Context, tenant TenantName, id GrantID) (Grant, error) {
	var g Grant
	err := l.view(ctx, func(t *txn) (err error) {
		g, err = t.grant(tenant, id)
		return err
	})
	if err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	return g, nil
}

func (t *txn) grant(tenant TenantName, id GrantID) (g Grant, err error) {
	if len(id) > maxWord {
		return g, ErrNotFound
	}
	return g, t.load(tGrants, keyOf(tenant, string(id)), &g)
}

// usable loads a grant and tells the first thing that is wrong with it by
// itself: unknown (ErrGrantRevoked too: a URL nobody issued), revoked, over.
func (t *txn) usable(tenant TenantName, id GrantID, op GrantOp) (Grant, error) {
	g, err := t.grant(tenant, id)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && (g.Op != op || g.Revoked):
		return g, ErrGrantRevoked
	case err != nil:
		return g, err
	}
	return g, nil
}

// putGrant checks a PUT grant for its upload and returns the turn that it is for.
func (t *txn) putGrant(tenant TenantName, id GrantID, u *Upload) (Grant, turn, error) {
	g, err := t.usable(tenant, id, GrantPut)
	switch {
	case err != nil:
		return g, turn{}, err
	case g.Upload != u.ID:
		return g, turn{}, ErrGrantRevoked
	}
	x, err := t.turnOf(u, g.Part)
	switch {
	case err != nil:
		return g, x, err
	case x.grant() != g.ID && (u.PartSize == 0 || u.open()):
		return g, x, ErrGrantSuperseded
	case !t.now.Before(g.ExpiresAt):
		return g, x, ErrGrantExpired
	}
	return g, x, nil
}

// PutTicket reads what the use of a PUT URL rests on and returns the first
// refusal, if any: grant unknown, revoked or superseded, grant expired, session
// expired or aborted, credential, principal or tenant revoked, already stored
// or finalized, in progress. It takes nothing: BeginPut checks again. A
// refusal comes with the grant, if there is one.
func (l *Ledger) PutTicket(ctx context.Context, tenant TenantName, id GrantID) (Ticket, error) {
	var k Ticket
	err := l.view(ctx, func(t *txn) error {
		g, err := t.usable(tenant, id, GrantPut)
		k = Ticket{Grant: g}
		if err != nil {
			return err
		}
		u, err := t.upload(tenant, g.Upload)
		if err != nil {
			return err
		}
		o, err := t.object(tenant, g.Object)
		if err != nil {
			return err
		}
		k = Ticket{Grant: g, Upload: u, Object: o}
		_, x, err := t.putGrant(tenant, id, &u)
		if x.part != nil {
			k.Part = *x.part
		}
		if err != nil {
			return err
		}
		return t.mayPut(x, Actor{Principal: g.Principal, Credential: g.Credential})
	})
	if err != nil {
		return k, fmt.Errorf("put ticket: %w", err)
	}
	return k, nil
}

// IssuePutURL issues a new PUT grant for a session of the actor's tenant;
// earlier ones stop working. ErrUploadAlreadyReceived once the bytes are there,
// and what else stands between an upload and its bytes, a running attempt
// excepted. A session in parts is ErrInvalid: see IssuePartURL.
func (l *Ledger) IssuePutURL(ctx context.Context, by Actor, id UploadID, ttl time.Duration) (Grant, error) {
	next, err := l.ids.next(prefixGrant, l.Now())
	if err != nil {
		return Grant{}, err
	}
	if ttl <= 0 {
		return Grant{}, fmt.Errorf("issue put url: %w: lifetime", ErrInvalid)
	}
	var g Grant
	err = l.update(ctx, func(t *txn) error {
		u, err := t.upload(by.Tenant, id)
		if err != nil {
			return err
		}
		x, err := t.turnOf(&u, 0)
		if err != nil {
			return err
		}
		if err := t.mayPut(x, by); err != nil && !errors.Is(err, ErrUploadInProgress) {
			return err
		}
		g = t.newPutGrant(by, x, GrantID(next), ttl)
		if err := t.put(tGrants, keyOf(g.Tenant, next), &g); err != nil {
			return err
		}
		ev := t.event(EventUploadURLIssued, by)
		u.describe(ev)
		ev.Grant, ev.ExpiresAt = g.ID, g.ExpiresAt
		if _, err := t.recordFor(ev, &u); err != nil {
			return err
		}
		return t.rewrite(&u, func() { u.Grant = g.ID })
	})
	if err != nil {
		return Grant{}, fmt.Errorf("issue put url: %w", err)
	}
	return g, nil
}

// IssueGetURL issues a GET grant for a published object of the actor's tenant, as an
// attachment. ErrNotFound, ErrNotPublished, ErrRevoked, ErrTenantSuspended.
func (l *Ledger) IssueGetURL(ctx context.Context, by Actor, id ObjectID, d Disposition, ttl time.Duration) (Grant, error) {
	if d != Attachment {
		return Grant{}, fmt.Errorf("issue get url: %w: disposition", ErrInvalid)
	}
	return l.issueGet(ctx, by, Grant{Object: id, Disposition: d}, ttl)
}

// IssueRenditionURL is IssueGetURL for one of the object's renditions, which can be
// inline, too. ErrNotFound if there is none of that name.
func (l *Ledger) IssueRenditionURL(ctx context.Context, by Actor, id ObjectID, rendition string, d Disposition, ttl time.Duration) (Grant, error) {
	if rendition == "" || d != Attachment && d != Inline {
		return Grant{}, fmt.Errorf("issue get url: %w: rendition or disposition", ErrInvalid)
	}
	return l.issueGet(ctx, by, Grant{Object: id, Rendition: rendition, Disposition: d}, ttl)
}

// issueGet issues what want says: object, rendition and disposition.
func (l *Ledger) issueGet(ctx context.Context, by Actor, want Grant, ttl time.Duration) (Grant, error) {
	next, err := l.ids.next(prefixGrant, l.Now())
	if err != nil {
		return Grant{}, err
	}
	if ttl <= 0 {
		return Grant{}, fmt.Errorf("issue get url: %w: lifetime", ErrInvalid)
	}
	var g Grant
	err = l.update(ctx, func(t *txn) error {
		o, err := t.object(by.Tenant, want.Object)
		if err != nil {
			return err
		}
		if o.State != ObjectPublished {
			return ErrNotPublished
		}
		if want.Rendition != "" {
			if _, err := t.rendition(&o, want.Rendition); err != nil {
				return err
			}
		}
		if err := t.alive(by.Tenant, by.Principal, by.Credential); err != nil {
			return err
		}
		g = want
		g.ID, g.Tenant, g.Op, g.Credential, g.Principal = GrantID(next), o.Tenant, GrantGet, by.Credential, by.Principal
		g.IssuedAt, g.ExpiresAt = t.now, t.now.Add(ttl.Truncate(time.Millisecond))
		if err := t.put(tGrants, keyOf(g.Tenant, next), &g); err != nil {
			return err
		}
		ev := t.event(EventURLIssued, by)
		o.describe(ev)
		ev.Grant, ev.Subject, ev.ExpiresAt = g.ID, g.Rendition, g.ExpiresAt
		_, err = t.recordFor(ev, &o)
		return err
	})
	if err != nil {
		return Grant{}, fmt.Errorf("issue get url: %w", err)
	}
	return g, nil
}

// GetTicket reads what the use of a GET URL rests on and returns the first
// refusal: grant unknown or revoked, expired, credential, principal or tenant
// revoked, object not published, rendition gone. A refusal comes with the grant, if
// there is one.
func (l *Ledger) GetTicket(ctx context.Context, tenant TenantName, id GrantID) (Ticket, error) {
	var k Ticket
	err := l.view(ctx, func(t *txn) error {
		g, err := t.usable(tenant, id, GrantGet)
		k = Ticket{Grant: g}
		if err != nil {
			return err
		}
		o, err := t.object(tenant, g.Object)
		if err != nil {
			return err
		}
		k = Ticket{Grant: g, Object: o}
		if !t.now.Before(g.ExpiresAt) {
			return ErrGrantExpired
		}
		if err := t.alive(tenant, g.Principal, g.Credential); err != nil {
			return err
		}
		if o.State != ObjectPublished {
			return ErrNotPublished
		}
		if g.Rendition != "" {
			k.Rendition, err = t.rendition(&o, g.Rendition)
		}
		return err
	})
	if err != nil {
		return k, fmt.Errorf("get ticket: %w", err)
	}
	return k, nil
}

// RevokeGrant stops one URL for good. Doing so again changes nothing.
func (l *Ledger) RevokeGrant(ctx context.Context, by Actor, tenant TenantName, id GrantID) error {
	err := l.change(ctx, by, func(t *txn) error {
		g, err := t.grant(tenant, id)
		if err != nil || g.Revoked {
			return err
		}
		g.Revoked = true
		if err := t.put(tGrants, keyOf(tenant, string(id)), &g); err != nil {
			return err
		}
		o, err := t.object(tenant, g.Object)
		if err != nil {
			return err
		}
		ev := t.event(EventURLRevoked, by)
		o.describe(ev)
		ev.Grant = id
		_, err = t.recordFor(ev, &o)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke url: %w", err)
	}
	return nil
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Attempt is one try to receive an upload's bytes, or those of one of its parts. It
// holds the turn until it completes, fails, or its lease lapses and another takes
// it over.
type Attempt struct {
	Upload     Upload
	Part       int     // from 1; 0 for all of the bytes
	Size       int64   // bytes it is to bring
	Grant      GrantID // "" if it needs none
	Number     uint64
	Epoch      uint64
	Blob       BlobKey // where the bytes go; registered before this was returned
	LeaseUntil time.Time
	Actor      Actor // for the audit events of how it ends
}

// BeginPut takes the turn, if the checks of PutTicket still hold, and registers
// the attempt's key. Exactly one of any number of callers wins; the others get
// ErrUploadInProgress. grant is "" where the bytes come from an authenticated
// principal rather than by a URL, which parts do not. A part has a turn of its own:
// its grant says which. A dead attempt (its lease lapsed, or its process ended) is
// taken over.
func (l *Ledger) BeginPut(ctx context.Context, by Actor, tenant TenantName, id UploadID, grant GrantID) (Attempt, error) {
	var a Attempt
	err := l.update(ctx, func(t *txn) error {
		u, err := t.upload(tenant, id)
		if err != nil {
			return err
		}
		who := by
		var x turn
		if grant == "" {
			x, err = t.turnOf(&u, 0)
		} else {
			var g Grant
			g, x, err = t.putGrant(tenant, grant, &u)
			who = Actor{Tenant: tenant, Principal: g.Principal, Credential: g.Credential, RequestID: by.RequestID}
		}
		if err != nil {
			return err
		}
		if err := t.mayPut(x, who); err != nil {
			return err
		}
		a, err = t.begin(x, who, grant)
		return err
	})
	if err != nil {
		return Attempt{}, fmt.Errorf("begin put: %w", err)
	}
	return a, nil
}

func (t *txn) begin(x turn, who Actor, grant GrantID) (Attempt, error) {
	row, err := t.tenant(x.u.Tenant)
	if err != nil {
		return Attempt{}, err
	}
	a := Attempt{Part: x.number(), Size: x.size(), Grant: grant, Epoch: t.l.epoch, LeaseUntil: t.now.Add(t.l.lease), Actor: who}
	if x.part != nil {
		err = t.beginPart(x, row.PathHash, &a)
	} else {
		err = t.beginWhole(x.u, row.PathHash, &a)
	}
	if err != nil {
		return Attempt{}, err
	}
	a.Upload = *x.u
	return a, nil
}

func (t *txn) beginWhole(u *Upload, pathHash string, a *Attempt) error {
	s := uploadBegin
	if u.State == UploadUploading {
		// The dead attempt's bytes go. Its intent stays while its epoch lives:
		// it may still be writing, and dies by ErrFenced, which discards again.
		s = uploadTakeOver
		if err := t.discard(u.Staging); err != nil {
			return err
		}
	}
	a.Number = u.Attempt + 1
	a.Blob = stagingKey(pathHash, t.now, u.ID, a.Number)
	if err := t.register(a.Epoch, a.Blob); err != nil {
		return err
	}
	return t.apply(s, u, t.receiving(a), func() {
		u.Attempt, u.Epoch, u.LeaseUntil, u.Staging = a.Number, a.Epoch, a.LeaseUntil, a.Blob
	})
}

func (t *txn) receiving(a *Attempt) *Event {
	ev := t.event(EventUploadReceiving, a.Actor)
	ev.Grant, ev.Attempt, ev.Part = a.Grant, a.Number, a.Part
	return ev
}

// mayPut is what stands between a turn and its bytes once the grant is in order,
// in the order in which refusals are told.
func (t *txn) mayPut(x turn, who Actor) error {
	if err := t.mayServe(x, who); err != nil {
		return err
	}
	switch {
	case x.u.State == UploadUploaded, x.part != nil && x.part.Used:
		return ErrUploadAlreadyReceived
	case t.held(x):
		return ErrUploadInProgress
	}
	return nil
}

// mayServe is the beginning of mayPut: whether there can be a use for a URL at all.
func (t *txn) mayServe(x turn, who Actor) error {
	u := x.u
	switch {
	case u.State == UploadExpired, u.open() && !t.now.Before(u.ExpiresAt) && !t.held(x):
		return ErrUploadExpired
	case u.State == UploadAborted:
		return ErrUploadAborted
	}
	if err := t.alive(u.Tenant, who.Principal, who.Credential); err != nil {
		return err
	}
	switch {
	case u.State == UploadFinalized:
		return ErrUploadFinalized
	case x.part != nil && x.part.Registered:
		return ErrUploadAlreadyReceived
	}
	return nil
}

// open tells whether the session is not over.
func (u *Upload) open() bool {
	return u.State == UploadCreated || u.State == UploadUploading || u.State == UploadUploaded
}

// busy tells whether a living attempt has the turn, or one of the parts' turns.
func (t *txn) busy(u *Upload) bool { return t.l.busy(u, t.now) }

func (l *Ledger) busy(u *Upload, now time.Time) bool {
	return u.State == UploadUploading && u.Epoch == l.epoch && now.Before(u.LeaseUntil)
}

// StateNow is the session's state at this moment. Nobody holds the turn of an
// attempt whose process ended or whose lease lapsed: the session waits for its
// bytes. (One in parts is uploading from its first part on.) One whose time is up
// is expired before the sweep gets to it, unless an attempt still holds the turn.
func (l *Ledger) StateNow(u *Upload) UploadState {
	now := l.Now()
	if u.open() && !now.Before(u.ExpiresAt) && !l.busy(u, now) {
		return UploadExpired
	}
	if u.State == UploadUploading && u.PartSize == 0 && !l.busy(u, now) {
		return UploadCreated
	}
	return u.State
}

// current loads the attempt's turn, or ErrFenced if it is another's.
func (t *txn) current(a Attempt) (turn, error) {
	u, err := t.upload(a.Upload.Tenant, a.Upload.ID)
	if err != nil {
		return turn{}, err
	}
	if u.State != UploadUploading {
		return turn{}, ErrFenced
	}
	x, err := t.turnOf(&u, a.Part)
	if err != nil {
		return turn{}, err
	}
	number, epoch := u.Attempt, u.Epoch
	if p := x.part; p != nil {
		number, epoch = p.Attempt, p.Epoch
	}
	if number != a.Number || epoch != a.Epoch {
		return turn{}, ErrFenced
	}
	return x, nil
}

// RenewLease keeps the turn for another lease. ErrFenced: stop.
func (l *Ledger) RenewLease(ctx context.Context, a Attempt) error {
	err := l.update(ctx, func(t *txn) error {
		x, err := t.current(a)
		if err != nil {
			return err
		}
		until := t.now.Add(t.l.lease)
		if x.part != nil {
			return t.renewPart(x, until)
		}
		return t.rewrite(x.u, func() { x.u.LeaseUntil = until })
	})
	if err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	return nil
}

// FailPut gives the turn back; the attempt's bytes become garbage. reason is a
// code, such as "bad_digest". An attempt that lost its turn still has to come
// here: its bytes go, and the answer is nil. An attempt that did complete, though
// its caller was told otherwise, keeps its bytes.
func (l *Ledger) FailPut(ctx context.Context, a Attempt, reason string) error {
	err := l.update(ctx, func(t *txn) error {
		if err := t.condemn(a.Epoch, a.Blob); err != nil {
			return err
		}
		x, err := t.current(a)
		if errors.Is(err, ErrFenced) {
			return nil
		}
		if err != nil {
			return err
		}
		ev := t.event(EventUploadPutFailed, a.Actor)
		ev.Attempt, ev.Part, ev.Reason = a.Number, a.Part, reason
		if x.part != nil {
			return t.failPart(x, ev)
		}
		u := x.u
		return t.apply(uploadFail, u, ev, func() {
			u.Staging, u.LeaseUntil, u.Epoch = "", time.Time{}, 0
		})
	})
	if err != nil {
		return fmt.Errorf("fail put: %w", err)
	}
	return nil
}

// CompletePut records that the attempt's bytes are durable. ErrFenced if the
// turn was lost; ErrInvalid or ErrChecksumMismatch if what was stored is not
// what was declared: then FailPut is owed.
func (l *Ledger) CompletePut(ctx context.Context, a Attempt, s Stored) (Upload, error) {
	var u Upload
	err := l.update(ctx, func(t *txn) error {
		x, err := t.current(a)
		if err != nil {
			return err
		}
		if s.Size != a.Size {
			return fmt.Errorf("%w: stored size is not the declared one", ErrInvalid)
		}
		if err := t.settle(a.Epoch, a.Blob); err != nil {
			return err
		}
		if x.part != nil {
			err = t.completePart(x, a, s)
		} else {
			err = t.completeWhole(x.u, a, s)
		}
		u = *x.u
		return err
	})
	if err != nil {
		return Upload{}, fmt.Errorf("complete put: %w", err)
	}
	return u, nil
}

func (t *txn) completeWhole(u *Upload, a Attempt, s Stored) error {
	if u.SHA256 != "" && u.SHA256 != s.SHA256 {
		return ErrChecksumMismatch
	}
	ev := t.event(EventUploadReceived, a.Actor)
	ev.Attempt, ev.Size, ev.SHA256 = a.Number, &s.Size, s.SHA256
	return t.apply(uploadComplete, u, ev, func() {
		u.Stored, u.LeaseUntil = &s, time.Time{}
	})
}

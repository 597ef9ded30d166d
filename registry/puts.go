package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Attempt is one try to receive an upload's bytes. It holds the turn until it
// completes, fails, or its lease lapses and another takes it over.
type Attempt struct {
	Upload     Upload
	Number     uint64
	Epoch      uint64
	Blob       BlobKey // where the bytes go; registered before this was returned
	LeaseUntil time.Time
	Actor      Actor // for the audit events of how it ends
}

// BeginPut takes the turn, if the checks of PutTicket still hold, and registers
// the attempt's key. Exactly one of any number of callers wins; the others get
// ErrUploadInProgress. grant is "" where the bytes come from an authenticated
// principal rather than by a URL. A dead attempt (its lease lapsed, or its
// process ended) is taken over.
func (l *Ledger) BeginPut(ctx context.Context, by Actor, tenant TenantName, id UploadID, grant GrantID) (Attempt, error) {
	var a Attempt
	err := l.update(ctx, func(t *txn) error {
		u, err := t.upload(tenant, id)
		if err != nil {
			return err
		}
		who := by
		if grant != "" {
			g, err := t.putGrant(tenant, grant, &u)
			if err != nil {
				return err
			}
			who = Actor{Tenant: tenant, Principal: g.Principal, Credential: g.Credential, RequestID: by.RequestID}
		}
		if err := t.mayPut(&u, who); err != nil {
			return err
		}
		a, err = t.beginPut(&u, who, grant)
		return err
	})
	if err != nil {
		return Attempt{}, fmt.Errorf("begin put: %w", err)
	}
	return a, nil
}

func (t *txn) beginPut(u *Upload, who Actor, grant GrantID) (Attempt, error) {
	row, err := t.tenant(u.Tenant)
	if err != nil {
		return Attempt{}, err
	}
	s := uploadBegin
	if u.State == UploadUploading {
		// The dead attempt's bytes go. Its intent stays while its epoch lives:
		// it may still be writing, and dies by ErrFenced, which discards again.
		s = uploadTakeOver
		if err := t.discard(u.Staging); err != nil {
			return Attempt{}, err
		}
	}
	ev := t.event(EventUploadReceiving, who)
	ev.Grant, ev.Attempt = grant, u.Attempt+1
	blob := stagingKey(row.PathHash, t.now, u.ID, u.Attempt+1)
	if err := t.register(t.l.epoch, blob); err != nil {
		return Attempt{}, err
	}
	err = t.apply(s, u, ev, func() {
		u.Attempt++
		u.Epoch, u.LeaseUntil, u.Staging = t.l.epoch, t.now.Add(t.l.lease), blob
	})
	if err != nil {
		return Attempt{}, err
	}
	return Attempt{
		Upload: *u, Number: u.Attempt, Epoch: u.Epoch, Blob: blob, LeaseUntil: u.LeaseUntil, Actor: who,
	}, nil
}

// mayPut is what stands between an upload and its bytes once the grant is in
// order, in the order in which refusals are told.
func (t *txn) mayPut(u *Upload, who Actor) error {
	switch {
	case u.State == UploadExpired, u.State != UploadFinalized && u.State != UploadAborted && !t.now.Before(u.ExpiresAt) && !t.turnHeld(u):
		return ErrUploadExpired
	case u.State == UploadAborted:
		return ErrUploadAborted
	}
	if err := t.alive(u.Tenant, who.Principal, who.Credential); err != nil {
		return err
	}
	switch {
	case u.State == UploadUploaded:
		return ErrUploadAlreadyReceived
	case u.State == UploadFinalized:
		return ErrUploadFinalized
	case t.turnHeld(u):
		return ErrUploadInProgress
	}
	return nil
}

// turnHeld tells whether a living attempt has the turn.
func (t *txn) turnHeld(u *Upload) bool { return t.l.turnHeld(u, t.now) }

func (l *Ledger) turnHeld(u *Upload, now time.Time) bool {
	return u.State == UploadUploading && u.Epoch == l.epoch && now.Before(u.LeaseUntil)
}

// StateNow is the session's state at this moment. Nobody holds the turn of an
// attempt whose process ended or whose lease lapsed: the session waits for its
// bytes. One whose time is up is expired before the sweep gets to it, unless an
// attempt still holds the turn.
func (l *Ledger) StateNow(u *Upload) UploadState {
	now, state := l.Now(), u.State
	if state == UploadUploading && !l.turnHeld(u, now) {
		state = UploadCreated
	}
	if (state == UploadCreated || state == UploadUploaded) && !now.Before(u.ExpiresAt) {
		return UploadExpired
	}
	return state
}

// current loads the attempt's upload, or ErrFenced if it is another's turn.
func (t *txn) current(a Attempt) (Upload, error) {
	u, err := t.upload(a.Upload.Tenant, a.Upload.ID)
	if err != nil {
		return u, err
	}
	if u.State != UploadUploading || u.Attempt != a.Number || u.Epoch != a.Epoch {
		return u, ErrFenced
	}
	return u, nil
}

// RenewLease keeps the turn for another lease. ErrFenced: stop.
func (l *Ledger) RenewLease(ctx context.Context, a Attempt) error {
	err := l.update(ctx, func(t *txn) error {
		u, err := t.current(a)
		if err != nil {
			return err
		}
		return t.rewrite(&u, func() { u.LeaseUntil = t.now.Add(t.l.lease) })
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
		u, err := t.current(a)
		if errors.Is(err, ErrFenced) {
			return nil
		}
		if err != nil {
			return err
		}
		ev := t.event(EventUploadPutFailed, a.Actor)
		ev.Attempt, ev.Reason = a.Number, reason
		return t.apply(uploadFail, &u, ev, func() {
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
	err := l.update(ctx, func(t *txn) (err error) {
		u, err = t.current(a)
		if err != nil {
			return err
		}
		if s.Size != u.Size {
			return fmt.Errorf("%w: stored size is not the declared one", ErrInvalid)
		}
		if u.SHA256 != "" && u.SHA256 != s.SHA256 {
			return ErrChecksumMismatch
		}
		if err := t.settle(a.Epoch, a.Blob); err != nil {
			return err
		}
		ev := t.event(EventUploadReceived, a.Actor)
		ev.Attempt, ev.Size, ev.SHA256 = a.Number, &s.Size, s.SHA256
		return t.apply(uploadComplete, &u, ev, func() {
			stored := s
			u.Stored, u.LeaseUntil = &stored, time.Time{}
		})
	})
	if err != nil {
		return Upload{}, fmt.Errorf("complete put: %w", err)
	}
	return u, nil
}

// Finalize makes the received bytes the object's and queues its inspection.
// Doing so again returns the object as it is. sha256 may be "".
//
// ErrUploadNotReceived, ErrUploadExpired, ErrUploadAborted, ErrNotFound. If
// sha256 is not that of the stored bytes it is ErrChecksumMismatch and, the
// first time, the object is rejected: the returned Object says so.
func (l *Ledger) Finalize(ctx context.Context, by Actor, tenant TenantName, id UploadID, sha256 string) (Object, error) {
	var o Object
	var mismatch bool
	err := l.change(ctx, by, func(t *txn) error {
		u, err := t.upload(tenant, id)
		if err != nil {
			return err
		}
		if o, err = t.object(tenant, u.Object); err != nil {
			return err
		}
		mismatch = sha256 != "" && u.Stored != nil && sha256 != u.Stored.SHA256
		switch {
		case u.State == UploadFinalized:
			return nil
		case u.State == UploadUploaded && !t.now.Before(u.ExpiresAt):
			return ErrUploadExpired
		}
		return t.finalize(by, &u, &o, mismatch)
	})
	if err == nil && mismatch {
		err = ErrChecksumMismatch
	}
	if err != nil {
		return o, fmt.Errorf("finalize: %w", err)
	}
	return o, nil
}

func (t *txn) finalize(by Actor, u *Upload, o *Object, mismatch bool) error {
	seq, err := t.nextSeq()
	if err != nil {
		return err
	}
	staging := u.Staging
	if err := t.apply(uploadFinalize, u, t.event(EventUploadFinalized, by), func() { u.Staging = "" }); err != nil {
		return err
	}
	s, what := objectAccept, EventObjectQuarantined
	if mismatch {
		s, what = objectRefuse, EventObjectRejected
	}
	ev := t.event(what, by)
	ev.Size, ev.SHA256 = &u.Stored.Size, u.Stored.SHA256
	if mismatch {
		ev.Result, ev.Reason = VerdictRefused, ReasonChecksum
	}
	return t.apply(s, o, ev, func() {
		o.Seq = seq
		o.Extents = []Extent{{Blob: staging, Length: u.Stored.Size}}
		o.Size, o.SHA256, o.ETag, o.Checksums = u.Stored.Size, u.Stored.SHA256, u.Stored.MD5, u.Stored.Checksums
		o.ModifiedAt = t.now
		if mismatch {
			o.Verdict = &Verdict{Result: VerdictRefused, Reason: ReasonChecksum, At: t.now}
			return
		}
		o.Scan = &ScanTurn{Due: t.now}
	})
}

// ReasonChecksum is the verdict's reason where the digest told at finalize is
// not that of the bytes.
const ReasonChecksum = "checksum_mismatch"

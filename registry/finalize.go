package registry

import (
	"context"
	"fmt"
)

// Finalize makes the received bytes the object's and queues its inspection.
// Doing so again returns the object as it is. sha256 may be "". Of a session in
// parts all of them must be stored; those that the client has not registered are
// taken as they are.
//
// ErrUploadNotReceived, ErrUploadExpired, ErrUploadAborted, ErrNotFound. If
// sha256 is not that of the stored bytes it is ErrChecksumMismatch and, the
// first time, the object is rejected: the returned Object says so. The digest of
// what came in parts is known when inspection has read it, which then compares;
// here it is ErrChecksumMismatch only if the session was declared with another.
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
		mismatch = contradicts(sha256, &u, &o)
		switch {
		case u.State == UploadFinalized:
			return nil
		case u.open() && u.complete() && !t.now.Before(u.ExpiresAt):
			return ErrUploadExpired
		}
		got, err := t.gather(by, &u, sha256)
		if err != nil {
			return err
		}
		return t.finalize(by, &u, &o, got, mismatch)
	})
	if err == nil && mismatch {
		err = ErrChecksumMismatch
	}
	if err != nil {
		return o, fmt.Errorf("finalize: %w", err)
	}
	return o, nil
}

// contradicts tells whether a digest cannot be that of the bytes: another is known,
// or was declared.
func contradicts(sha256 string, u *Upload, o *Object) bool {
	known := u.SHA256
	switch {
	case u.Stored != nil && u.Stored.SHA256 != "":
		known = u.Stored.SHA256
	case o.SHA256 != "":
		known = o.SHA256
	}
	return sha256 != "" && known != "" && sha256 != known
}

// complete tells whether every declared byte is there, as far as the row says.
func (u *Upload) complete() bool {
	return u.State == UploadUploaded || u.PartSize > 0 && u.Received == u.Size
}

// gathered is what a session has received, in order.
type gathered struct {
	extents []Extent
	parts   []Part // none for one PUT
}

// gather takes the bytes from the session, which is uploaded then.
func (t *txn) gather(by Actor, u *Upload, sha256 string) (gathered, error) {
	if u.PartSize > 0 {
		return t.join(by, u, sha256)
	}
	if u.State != UploadUploaded {
		_, err := next(uploadFinalize, u.place())
		return gathered{}, err
	}
	return gathered{extents: []Extent{{Blob: u.Staging, Length: u.Stored.Size}}}, nil
}

func (t *txn) finalize(by Actor, u *Upload, o *Object, got gathered, mismatch bool) error {
	b, err := t.bucket(o.Tenant, o.Bucket)
	if err != nil {
		return err
	}
	if err := t.enter(&b, o); err != nil {
		return err
	}
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
		o.Extents, o.PartCount = got.extents, len(got.parts)
		o.Size, o.SHA256, o.ETag, o.Checksums = u.Stored.Size, u.Stored.SHA256, u.Stored.MD5, u.Stored.Checksums
		o.ModifiedAt = t.now
		if mismatch {
			o.Verdict = &Verdict{Result: VerdictRefused, Reason: ReasonChecksum, At: t.now}
			return
		}
		o.Scan = &ScanTurn{Due: t.now}
	})
}

// The reasons of a verdict about digests.
const (
	// ReasonChecksum: the digest that the client told is not that of the bytes.
	ReasonChecksum = "checksum_mismatch"
	// ReasonUnread: the client told a digest, and no engine has read all of the
	// bytes to compare it with.
	ReasonUnread = "checksum_unverified"
)

// digested puts the digest that inspection found into the row of an object whose
// bytes came in parts, and holds it against what its client told: nothing is
// published of which that is open.
func (t *txn) digested(o *Object, v Verdict, sha256 string) (Verdict, error) {
	if o.SHA256 != "" {
		return v, nil
	}
	o.SHA256 = sha256
	if o.Upload == "" || v.Result != VerdictClean && v.Result != VerdictIncomplete {
		return v, nil
	}
	u, err := t.upload(o.Tenant, o.Upload)
	if err != nil || u.SHA256 == "" || u.SHA256 == sha256 {
		return v, err
	}
	v.Result, v.Reason = VerdictRefused, ReasonChecksum
	if sha256 == "" {
		v.Result, v.Reason = VerdictIncomplete, ReasonUnread
	}
	return v, nil
}

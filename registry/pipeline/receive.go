package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/policy"
)

// PutRequest is a PUT on a signed URL whose signature has been verified.
type PutRequest struct {
	Tenant    registry.TenantName
	Upload    registry.UploadID
	Part      int // that the URL names; 0 if none
	Grant     registry.GrantID
	RequestID string
	Declared  Declared
}

// PutTicket admits one body for a session. It is made from headers alone and has
// changed nothing: the turn is Receive's to take.
type PutTicket struct {
	Upload registry.Upload
	Part   int // 0 if it is for all of the session's bytes
	// Grant is the URL's; its ID is "" for the service-proxied way.
	Grant registry.Grant

	actor registry.Actor
	want  expected
	size  int64 // bytes
}

// AdmitPut decides from the headers whether a PUT on a signed URL can succeed. It
// only reads, so that a refusal leaves no trace. The refusals come in this order:
// the grant, its expiry, the session and credential, already stored, running,
// length, content type, digests, space. Once it is known whose the URL is, the
// error is a *URLError.
func (p *Pipeline) AdmitPut(ctx context.Context, req PutRequest) (*PutTicket, error) {
	t, err := p.admitPut(ctx, req)
	if err != nil {
		return nil, p.refuse("put", fmt.Errorf("admit put: %w", err))
	}
	return t, nil
}

func (p *Pipeline) admitPut(ctx context.Context, req PutRequest) (*PutTicket, error) {
	ticket, err := p.ledger.PutTicket(ctx, req.Tenant, req.Grant)
	if err == nil && (ticket.Upload.ID != req.Upload || ticket.Part.Number != req.Part) {
		err = registry.ErrGrantRevoked
	}
	if err != nil {
		return nil, ofURL(ticket.Grant, err)
	}
	actor := registry.Actor{
		Tenant: req.Tenant, Principal: ticket.Grant.Principal,
		Credential: ticket.Grant.Credential, RequestID: req.RequestID,
	}
	t := &PutTicket{Upload: ticket.Upload, Grant: ticket.Grant, actor: actor, size: ticket.Upload.Size}
	if ticket.Part.Number > 0 {
		t.Part, t.size = ticket.Part.Number, ticket.Part.Size
	}
	return t, ofURL(ticket.Grant, p.admitBody(t, req.Declared))
}

// AdmitContent is AdmitPut for bytes that come through the control port, under
// the actor's own credential.
func (p *Pipeline) AdmitContent(ctx context.Context, actor registry.Actor, id registry.UploadID, d Declared) (*PutTicket, error) {
	t, err := p.admitContent(ctx, actor, id, d)
	if err != nil {
		return nil, p.refuse("put", fmt.Errorf("admit content: %w", err))
	}
	return t, nil
}

func (p *Pipeline) admitContent(ctx context.Context, actor registry.Actor, id registry.UploadID, d Declared) (*PutTicket, error) {
	up, err := p.upload(ctx, actor, policy.PutContent, id)
	if err != nil {
		return nil, err
	}
	if up.PartSize > 0 {
		return nil, fmt.Errorf("%w: the session takes its bytes in parts", registry.ErrInvalid)
	}
	if err := putRefusal(p.ledger.StateNow(&up)); err != nil {
		return nil, err
	}
	t := &PutTicket{Upload: up, actor: actor, size: up.Size}
	return t, p.admitBody(t, d)
}

// putRefusal says early what BeginPut would say: whether the session can still
// take bytes.
func putRefusal(now registry.UploadState) error {
	switch now {
	case registry.UploadAborted:
		return registry.ErrUploadAborted
	case registry.UploadExpired:
		return registry.ErrUploadExpired
	case registry.UploadFinalized:
		return registry.ErrUploadFinalized
	case registry.UploadUploaded:
		return registry.ErrUploadAlreadyReceived
	case registry.UploadUploading:
		return registry.ErrUploadInProgress
	}
	return nil
}

// admitBody holds the headers against the session, or the part of it.
func (p *Pipeline) admitBody(t *PutTicket, d Declared) (err error) {
	switch {
	case d.Malformed != nil:
		return d.Malformed
	case d.Length < 0:
		return ErrMissingLength
	case d.Length > t.size:
		return fmt.Errorf("%w: %d bytes belong here", ErrTooLong, t.size)
	case d.Length < t.size:
		return fmt.Errorf("%w: %d bytes belong here", ErrTooShort, t.size)
	case d.ContentType != "" && d.ContentType != t.Upload.ContentType:
		return ErrContentType
	}
	if t.want, err = d.parse(); err != nil {
		return err
	}
	if t.Upload.SHA256 != "" && t.Part == 0 {
		if t.want.sha256, err = hex.DecodeString(t.Upload.SHA256); err != nil {
			return fmt.Errorf("recorded sha256: %w", err)
		}
		if t.want.conflicts() {
			return fmt.Errorf("%w: sha256 of the session", ErrBadDigest)
		}
	}
	return p.space(t.size)
}

// Receive takes the session's turn, or the part's, and stores the body: exactly as long as
// declared, with the declared digests, under a key the ledger knows, durable
// before the ledger says so. On any failure the turn is given back; only a crash
// leaves it to the next start. Receive reads body no more once it returned.
//
// ctx ends the transfer; a commit under way is not interrupted by it.
func (p *Pipeline) Receive(ctx context.Context, t *PutTicket, body Body) (registry.Stored, error) {
	stored, err := p.receive(ctx, t, body)
	p.ended("put", stored.Size, err)
	if err != nil {
		return registry.Stored{}, p.refuse("put", fmt.Errorf("receive: %w", err))
	}
	return stored, nil
}

func (p *Pipeline) receive(ctx context.Context, t *PutTicket, body Body) (stored registry.Stored, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// In the table before the turn is taken: whoever revokes commits first and
	// looks here second, so that either BeginPut or the table knows.
	x := p.transfers.join(subject{
		tenant: t.Upload.Tenant, principal: t.actor.Principal, credential: t.actor.Credential,
		grant: t.Grant.ID, upload: t.Upload.ID, object: t.Upload.Object, part: t.Part,
	}, func() { cancel(ErrCut) })
	defer p.transfers.leave(x)

	a, err := p.ledger.BeginPut(ctx, t.actor, t.Upload.Tenant, t.Upload.ID, t.Grant.ID)
	if err != nil {
		return registry.Stored{}, err
	}
	done := false
	defer func() {
		// Also when a panic passes through.
		if !done {
			p.giveBack(ctx, a, err)
		}
	}()
	stop := p.keepTurn(ctx, cancel, a)
	defer stop()

	in := newIntake(body, t.want, t.size, &p.lanes)
	defer in.close()
	if _, err = p.cfg.Blobs.Put(ctx, blob.Key(a.Blob), in, t.size); err != nil {
		p.failed("put", err)
		p.unsure(a.Blob, err)
		return registry.Stored{Size: in.n.Load()}, explainPut(ctx, err)
	}
	if !p.transfers.commit(x) {
		return registry.Stored{Size: in.n.Load()}, ErrCut
	}
	// If we die here the bytes are durable and nobody vouches for them: the
	// next start finds the attempt's epoch dead, and the client the URL usable.
	stored = in.stored()
	if _, err = p.ledger.CompletePut(context.WithoutCancel(ctx), a, stored); err != nil {
		return registry.Stored{Size: stored.Size}, err
	}
	// If we die here the client gets no answer; the session says "uploaded", or
	// lists the part.
	done = true
	if t.Part > 0 {
		p.sweepSoon() // the bytes that it may have replaced
	}
	return stored, nil
}

// giveBack returns a turn whose attempt failed, with cause nil if by a panic. It is
// called after the last write of the store: whatever Sweep deleted of the attempt
// before, if the session ended under it, stands on the garbage list once more.
func (p *Pipeline) giveBack(ctx context.Context, a registry.Attempt, cause error) {
	ctx, cancel := fresh(ctx)
	defer cancel()
	why := "panic"
	if cause != nil {
		why = reason(cause)
	}
	err := p.ledger.FailPut(ctx, a, why)
	if err != nil && !errors.Is(err, registry.ErrFenced) && !errors.Is(err, registry.ErrNotFound) {
		// The lease runs out by itself then.
		p.log.ErrorContext(ctx, "turn not given back", "upload", a.Upload.ID, "err", err)
	}
	p.sweepSoon()
}

// keepTurn renews the attempt's lease until stop is called. If the turn went to
// somebody else, ctx ends.
func (p *Pipeline) keepTurn(ctx context.Context, cancel context.CancelCauseFunc, a registry.Attempt) (stop func()) {
	k := &turnKeeper{p: p, ctx: ctx, cancel: cancel, attempt: a}
	k.mu.Lock()
	defer k.mu.Unlock()
	// A timer and not a goroutine: most attempts end before it fires.
	k.timer = time.AfterFunc(p.cfg.Lease/3, k.renew)
	return k.stop
}

type turnKeeper struct {
	p       *Pipeline
	ctx     context.Context
	cancel  context.CancelCauseFunc
	attempt registry.Attempt

	mu      sync.Mutex // held while renewing; protects the fields below
	timer   *time.Timer
	stopped bool
}

func (k *turnKeeper) renew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped || k.ctx.Err() != nil {
		return
	}
	err := k.p.ledger.RenewLease(k.ctx, k.attempt)
	switch {
	case errors.Is(err, registry.ErrFenced), errors.Is(err, registry.ErrNotFound):
		k.cancel(err)
		return
	case err != nil && k.ctx.Err() == nil:
		k.p.log.WarnContext(k.ctx, "lease not renewed", "upload", k.attempt.Upload.ID, "err", err)
	}
	k.timer.Reset(k.p.cfg.Lease / 3)
}

// stop ends the renewals and waits for one under way.
func (k *turnKeeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.timer.Stop()
}

// ended counts a transfer.
func (p *Pipeline) ended(kind string, n int64, err error) {
	outcome := "ok"
	if err != nil {
		outcome = reason(err)
	}
	p.m.transfers.WithLabelValues(kind, outcome).Inc()
	p.m.bytes.WithLabelValues("in").Add(float64(n))
}

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"sallyport/registry/kv"
)

// AccessRecord says that a request was answered. Records are kept in blocks,
// not as rows: they may name what events may not, the client's bucket and key.
// Its strings must be the caller's own: the record outlives the request.
type AccessRecord struct {
	Time time.Time `json:"time"` // when the request came
	// Until and Count are set where the record stands for many refusals of
	// the same kind; Time is then that of the first.
	Until time.Time `json:"until,omitzero"`
	Count uint64    `json:"count,omitempty"`

	RequestID  string        `json:"request_id,omitempty"`
	Tenant     TenantName    `json:"tenant,omitempty"`
	Principal  PrincipalName `json:"principal,omitempty"` // "" where nobody proved who they are
	Credential string        `json:"credential,omitempty"`

	Op     string     `json:"op,omitempty"` // "GetObject", "finalize" … closed set of the listeners
	Upload UploadID   `json:"upload,omitempty"`
	Object ObjectID   `json:"object,omitempty"`
	Grant  GrantID    `json:"grant,omitempty"`
	Bucket BucketName `json:"bucket,omitempty"`
	Key    string     `json:"key,omitempty"`

	Status   int           `json:"status"`           // HTTP status
	Reason   string        `json:"reason,omitempty"` // the error code of a refusal
	BytesIn  int64         `json:"bytes_in,omitempty"`
	BytesOut int64         `json:"bytes_out,omitempty"`
	Duration time.Duration `json:"duration_ns"`
	Remote   netip.Addr    `json:"remote_ip,omitzero"`

	// Countable: the record may be summed up with others of its kind although it
	// is known whose it is, as the refused uses of a URL are.
	Countable bool `json:"-"`
}

// Limits of the access log where its configuration leaves them to us.
const (
	defaultAccessBuffer = 16 << 10
	defaultAccessEvery  = time.Second
	maxAccessText       = 1024 // bytes of a text that a client chose
)

// accessLog gathers access records and writes each second's as one block with
// one leaf. It is safe for concurrent use.
type accessLog struct {
	audit   *auditLog
	log     *slog.Logger
	limit   int
	every   time.Duration
	encoder *zstd.Encoder
	count   accessMetrics

	wake chan struct{} // asks for a write before the time has come
	stop context.CancelFunc
	done chan struct{} // closed when the writer has ended

	writing sync.Mutex   // held while a batch is written
	lines   bytes.Buffer // of that batch, for reuse; a full one is a few MiB

	mu       sync.Mutex // protects the fields below
	pending  []AccessRecord
	spare    []AccessRecord // the last batch's, to be filled again
	inFlight int            // records of the batch that is being written
	refused  refusals
	lost     GapNote
	room     chan struct{} // closed and made anew when records were written
	closed   bool
	err      error // set once nothing can be recorded any more
}

// openAccess starts the writer. If the last process did not end cleanly,
// records of its last second may be missing: access.gap says so.
func openAccess(ctx context.Context, audit *auditLog, cfg auditConfig) (*accessLog, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	l := &accessLog{
		audit: audit, log: cfg.Log, limit: cfg.AccessBuffer, every: cfg.AccessEvery, encoder: encoder,
		count: newAccessMetrics(),
		wake:  make(chan struct{}, 1), done: make(chan struct{}), room: make(chan struct{}),
		refused: make(refusals),
	}
	if l.limit <= 0 {
		l.limit = defaultAccessBuffer
	}
	if l.every <= 0 {
		l.every = defaultAccessEvery
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.markOpen(ctx); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go l.run(run)
	return l, nil
}

// markOpen writes the row that only close deletes. If it is there already, the
// last process died with records in memory.
func (l *accessLog) markOpen(ctx context.Context) error {
	now := l.audit.now().UTC()
	return l.audit.store.Update(ctx, func(tx kv.Tx) error {
		mark, err := tx.Get(tableAuditState, rowAccessOpen)
		switch {
		case errors.Is(err, kv.ErrNotFound):
		case err != nil:
			return err
		default:
			gap := GapNote{To: now}
			// A mark that cannot be read leaves the gap open at its beginning.
			_ = gap.From.UnmarshalText(mark)
			last, err := lastAccess(tx)
			if err != nil {
				return err
			}
			if last.After(gap.From) {
				gap.From = last
			}
			if _, err := l.audit.append(tx, &Event{Type: EventAccessGap, Time: now, Gap: &gap}); err != nil {
				return err
			}
		}
		mark, err = now.MarshalText()
		if err != nil {
			return err
		}
		return tx.Put(tableAuditState, rowAccessOpen, mark)
	})
}

// Access records one answered request. It returns at once while there is room;
// a full buffer makes it wait until a block is written or ctx ends. Requests
// of nobody in particular, and those that are Countable, never wait and never fill
// it: they are counted by source, grant and code, and recorded once a minute.
//
// On an error the record is lost; the next block is preceded by an access.gap
// that counts it.
func (a *auditLog) Access(ctx context.Context, rec AccessRecord) error {
	return a.access.record(ctx, rec)
}

// FlushAccess writes every access record taken before, and signs the head. It
// fails with ErrTampered if the tree is not what the last head says; the
// records are written even then.
func (a *auditLog) FlushAccess(ctx context.Context) error {
	return a.access.write(ctx, forever, afterwardsOpen)
}

func (l *accessLog) record(ctx context.Context, rec AccessRecord) error {
	rec.Time = rec.Time.Round(0).UTC()
	rec.Key = cut(rec.Key, maxAccessText)
	rec.Reason = cut(rec.Reason, maxWord)
	for waited := false; ; waited = true {
		room, err := l.offer(rec)
		if room == nil || err != nil {
			return err
		}
		if !waited {
			l.count.waits.Inc()
		}
		l.hurry()
		select {
		case <-room:
		case <-ctx.Done():
			l.drop(rec)
			return fmt.Errorf("access record: %w", ctx.Err())
		}
	}
}

// offer takes the record, or returns the channel that is closed when it is
// worth trying again.
func (l *accessLog) offer(rec AccessRecord) (room <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		l.dropLocked(rec)
		return nil, fmt.Errorf("access record: %w", l.err)
	case rec.Principal == "" || rec.Countable:
		l.refused.add(rec)
	case len(l.pending)+l.inFlight >= l.limit:
		return l.room, nil
	default:
		l.pending = append(l.pending, rec)
		if len(l.pending) == (l.limit+1)/2 {
			l.hurry()
		}
	}
	return nil, nil
}

// hurry asks the writer to write now.
func (l *accessLog) hurry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *accessLog) drop(rec AccessRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLocked(rec)
}

func (l *accessLog) dropLocked(rec AccessRecord) {
	l.count.lost.Inc()
	l.lost = mergeGaps(l.lost, GapNote{From: rec.Time, To: rec.Time, Lost: 1})
}

// mergeGaps returns the gap that covers both. A gap of no records is none.
func mergeGaps(a, b GapNote) GapNote {
	switch {
	case a.Lost == 0:
		return b
	case b.Lost == 0:
		return a
	}
	if b.From.Before(a.From) {
		a.From = b.From
	}
	if b.To.After(a.To) {
		a.To = b.To
	}
	a.Lost += b.Lost
	return a
}

// run writes a batch each time it is due, until ctx ends or the store is gone.
func (l *accessLog) run(ctx context.Context) {
	defer close(l.done)
	t := time.NewTicker(l.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-l.wake:
		}
		err := l.write(ctx, l.audit.now().Add(-refusalWindow), afterwardsOpen)
		if err != nil && ctx.Err() == nil {
			l.log.ErrorContext(ctx, "audit log is behind", "err", err)
		}
		if errors.Is(err, kv.ErrBroken) || errors.Is(err, kv.ErrClosed) {
			return // settle has refused all further records
		}
	}
}

// close stops taking records, writes those there are and marks the clean end.
// If it fails, the next start will record a gap.
func (l *accessLog) close(ctx context.Context) error {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.failLocked(kv.ErrClosed)
	l.mu.Unlock()
	if again {
		return nil
	}
	l.stop()
	<-l.done
	return l.write(ctx, forever, afterwardsClosed)
}

// failLocked refuses all records from now on, for the first reason given.
func (l *accessLog) failLocked(err error) {
	if l.err == nil {
		l.err = err
	}
	l.makeRoomLocked()
}

func (l *accessLog) makeRoomLocked() {
	close(l.room)
	l.room = make(chan struct{})
}

// take empties the buffer into a batch, with the refusals that were first seen
// by dueBy.
func (l *accessLog) take(dueBy time.Time) batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := batch{records: l.pending, refused: l.refused.take(dueBy), lost: l.lost}
	l.pending, l.spare, l.lost = l.spare, nil, GapNote{}
	l.inFlight = len(b.records)
	return b
}

// settle ends the writing of b. What was not written is taken back.
func (l *accessLog) settle(b batch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight = 0
	if err == nil {
		clear(b.records)
		l.spare = b.records[:0]
		l.makeRoomLocked()
		return
	}
	l.pending = slices.Concat(b.records, l.pending)
	for _, sum := range b.refused {
		l.refused.add(sum)
	}
	l.lost = mergeGaps(b.lost, l.lost)
	if errors.Is(err, kv.ErrBroken) || errors.Is(err, kv.ErrClosed) {
		l.failLocked(err)
	}
}

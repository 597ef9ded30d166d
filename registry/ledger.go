package registry

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"sallyport/registry/kv"
)

// Tables are all tables of a ledger; AppendTables those of them whose keys
// mostly grow, QuietTables those that few commits write. A kv.Store is opened
// with them.
var (
	Tables       = slices.Concat(ledgerTables, auditTables)
	AppendTables = slices.Concat(ledgerAppendTables, auditAppendTables)
	QuietTables  = slices.Concat(ledgerQuietTables, auditQuietTables)
)

// Config is what a Ledger is made of.
type Config struct {
	// Store holds the rows; it has been opened with Tables. The ledger closes
	// it.
	Store kv.Store
	// RootKey seals secrets at rest and keys the hashes that stand for names.
	RootKey [32]byte
	// Now is the wall clock. A monotonic reading in it, as time.Now gives, is
	// what a leap of the wall clock is measured against.
	Now func() time.Time
	// Elapsed is a monotonic clock; nil takes the reading that Now carries.
	Elapsed func() time.Duration
	// Rand is the source of ids, secrets and nonces; nil is crypto/rand.
	Rand io.Reader
	// Log may be nil.
	Log *slog.Logger
	// IntentBlock is how many keys of direct puts are registered in one
	// commit, at most; 0 is 256.
	IntentBlock int
	// UploadLease is how long an attempt keeps the turn without renewing it;
	// 0 is one minute.
	UploadLease time.Duration
	// AccessBuffer is how many access records may wait in memory; 0 means
	// 16,384. AccessEvery is how often they are written; 0 means a second.
	AccessBuffer int
	AccessEvery  time.Duration
	// WebhookLetters is how many undelivered messages of one webhook wait for
	// another try, and how many that were given up are kept; 0 means 1,000.
	WebhookLetters int
}

// Ledger remembers: tenants, credentials, buckets, uploads, objects, grants,
// the scan queue, intents, garbage and the audit log. Its methods are verbs,
// each one transaction, and safe for concurrent use.
type Ledger struct {
	*auditLog

	store   kv.Store
	log     *slog.Logger
	random  io.Reader
	clock   *clock
	ids     *idSource
	seals   *sealer
	lease   time.Duration
	epoch   uint64
	intents *intentPool
	keys    keyring
	buckets bucketring
	pruning pruning
	metrics *metrics
	bell    bell
	letters int // see maxLetters
}

// Open brings the store to the present schema, takes a new epoch and returns
// the ledger. What earlier epochs left half done is found by CondemnDeadIntents,
// ClaimScan and Promoting; Open itself does not look for it.
//
// The errors are ErrSchema for a store that a newer version wrote, ErrTampered
// for an audit log that is not what its last signed head says, and the
// store's.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.Store == nil || cfg.Now == nil {
		return nil, fmt.Errorf("open ledger: %w: Store and Now are needed", ErrInvalid)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	seals, err := newSealer(cfg.RootKey, cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger{
		store: cfg.Store, log: cfg.Log, random: cfg.Rand, seals: seals,
		clock: newClock(cfg.Now, cfg.Elapsed), ids: newIDSource(cfg.Rand),
		lease: cfg.UploadLease, metrics: newMetrics(),
	}
	if l.letters = cfg.WebhookLetters; l.letters <= 0 {
		l.letters = maxLetters
	}
	if l.lease <= 0 {
		l.lease = time.Minute
	}
	l.intents = newIntentPool(l, cfg.IntentBlock)
	if err := l.start(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// start runs migrations, opens the audit log and takes an epoch.
func (l *Ledger) start(ctx context.Context, cfg Config) error {
	if err := migrate(ctx, l.store, migrations); err != nil {
		return err
	}
	if err := l.recallClock(ctx); err != nil {
		return err
	}
	audit, err := openAudit(ctx, auditConfig{
		Store: l.store, Now: l.Now, Rand: l.random, Log: l.log,
		AccessBuffer: cfg.AccessBuffer, AccessEvery: cfg.AccessEvery,
		Seal:   func(plain []byte) ([]byte, error) { return l.seals.seal(plain, "audit key") },
		Unseal: func(sealed []byte) ([]byte, error) { return l.seals.open(sealed, "audit key") },
	})
	if err != nil {
		return err
	}
	l.auditLog = audit
	if err := l.takeEpoch(ctx); err != nil {
		return errors.Join(err, audit.close(ctx))
	}
	return nil
}

// takeEpoch makes everything that earlier processes left recognisable as such.
func (l *Ledger) takeEpoch(ctx context.Context) error {
	return l.update(ctx, func(t *txn) error {
		last, err := t.number(metaEpoch)
		if err != nil {
			return err
		}
		l.epoch = last + 1
		if err := t.setNumber(metaEpoch, l.epoch); err != nil {
			return err
		}
		_, err = t.record(t.event(EventServerStarted, Actor{Principal: systemPrincipal}))
		return err
	})
}

// recallClock takes up the latest committed time, so that the ledger's time
// does not go back with a wall clock that was set back while we were away.
func (l *Ledger) recallClock(ctx context.Context) error {
	return l.store.View(ctx, func(tx kv.Tx) error {
		last, err := (&txn{Tx: tx}).number(metaClock)
		if err == nil && int64(last) > l.clock.last.Load() {
			l.clock.last.Store(int64(last))
		}
		return err
	})
}

// Close gives unused intents back, writes the access records that wait and the
// end into the audit log, and closes the store.
func (l *Ledger) Close(ctx context.Context) error {
	err := l.intents.close(ctx)
	err = errors.Join(err, l.update(ctx, func(t *txn) error {
		_, err := t.record(t.event(EventServerStopped, Actor{Principal: systemPrincipal}))
		return err
	}))
	return errors.Join(err, l.auditLog.close(ctx), l.store.Close())
}

// Epoch is this process's number: what carries an earlier one was left by a
// process that has ended.
func (l *Ledger) Epoch() uint64 { return l.epoch }

// update runs fn in one transaction, at one moment of the ledger's time, which
// is committed with it. fn may run more than once. A full medium is
// ErrStorageFull; reads go on.
func (l *Ledger) update(ctx context.Context, fn func(*txn) error) error {
	var steps []transition
	wroteKeys, wroteBuckets, told := false, false, false
	err := l.store.Update(ctx, func(tx kv.Tx) error {
		t := txn{Tx: tx, l: l, now: l.clock.tick()}
		if err := fn(&t); err != nil {
			return err
		}
		steps, wroteKeys, wroteBuckets, told = t.steps, t.wroteKeys, t.wroteBuckets, t.told
		return t.setNumber(metaClock, millis(t.now))
	})
	if wroteKeys { // also after an error, which need not mean that nothing was kept
		l.keys.writes.Add(1)
	}
	if wroteBuckets {
		l.buckets.writes.Add(1)
	}
	if told {
		l.bell.ring()
	}
	switch {
	case err == nil:
		l.metrics.count(steps)
	case errors.Is(err, kv.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrStorageFull, err)
	}
	return err
}

// change is update for what an actor asks for. A request is proved by its header,
// and its body may be long in coming: what was revoked meanwhile changes nothing
// any more.
func (l *Ledger) change(ctx context.Context, by Actor, fn func(*txn) error) error {
	return l.update(ctx, func(t *txn) error {
		if by.Principal != systemPrincipal {
			if err := t.alive(by.Tenant, by.Principal, by.Credential); err != nil {
				return err
			}
		}
		return fn(t)
	})
}

// view runs fn on a snapshot.
func (l *Ledger) view(ctx context.Context, fn func(*txn) error) error {
	return l.store.View(ctx, func(tx kv.Tx) error {
		return fn(&txn{Tx: tx, l: l, now: l.clock.now()})
	})
}

// number returns the number in a row of meta, 0 if there is none.
func (t *txn) number(key []byte) (uint64, error) {
	b, err := t.Get(tMeta, key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("meta row %q has %d bytes", key, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

func (t *txn) setNumber(key []byte, n uint64) error {
	return t.Put(tMeta, key, binary.BigEndian.AppendUint64(nil, n))
}

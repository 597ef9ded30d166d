package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport/registry/kv"
)

// A run has everything inspected again that was published before it began, the newest
// first. It does not queue all of that at once: it is a row for each tenant that says
// how far it has come, and FeedRescans takes from it as the queue runs dry.

// RescanReason says why everything is inspected again.
type RescanReason string

// The reasons.
const (
	RescanSignatures RescanReason = "signatures" // an engine has others
	RescanSchedule   RescanReason = "schedule"
)

// rescanRun is one tenant's run.
type rescanRun struct {
	Since  time.Time    `json:"since"` // verdicts from then on are new enough
	Reason RescanReason `json:"reason"`
	Before ObjectID     `json:"before,omitempty"` // what is newer, or this, has been seen to
	// Again begins another run when this one is through. Signatures that change faster
	// than a run is done would else keep it from ever coming to the oldest.
	Again time.Time `json:"again,omitzero"`
}

var rescanStarted = []byte("t")

func rescanRunKey(t TenantName) []byte { return keyOf("r", string(t)) }

// StartRescans begins a run over the objects of every tenant, or if one is under way,
// another after it.
func (l *Ledger) StartRescans(ctx context.Context, why RescanReason) error {
	err := l.update(ctx, func(t *txn) error { return t.startRescans(why) })
	if err != nil {
		return fmt.Errorf("start rescans: %w", err)
	}
	return nil
}

func (t *txn) startRescans(why RescanReason) error {
	var tenants []TenantName
	err := t.Scan(tTenants, kv.Range{}, func(key, _ []byte) error {
		tenants = append(tenants, TenantName(key))
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range tenants {
		var run rescanRun
		switch err := t.load(tRescanRuns, rescanRunKey(name), &run); {
		case errors.Is(err, ErrNotFound):
			run = rescanRun{Since: t.now, Reason: why}
		case err != nil:
			return err
		default:
			run.Again = t.now
		}
		if err := t.put(tRescanRuns, rescanRunKey(name), run); err != nil {
			return err
		}
	}
	mark, err := t.now.UTC().MarshalText()
	if err != nil {
		return err
	}
	if err := t.Put(tRescanRuns, rescanStarted, mark); err != nil {
		return err
	}
	ev := t.event(EventObjectRescan, Actor{Principal: systemPrincipal})
	ev.Reason = string(why)
	_, err = t.record(ev)
	return err
}

// ScheduleRescans begins a run if the last one, for whatever reason, began longer ago
// than every, and tells whether it did. The first time it only notes that time begins.
func (l *Ledger) ScheduleRescans(ctx context.Context, every time.Duration) (started bool, err error) {
	if every <= 0 {
		return false, fmt.Errorf("schedule rescans: %w", ErrInvalid)
	}
	err = l.update(ctx, func(t *txn) error {
		started = false
		mark, err := t.get(tRescanRuns, rescanStarted)
		if errors.Is(err, ErrNotFound) {
			if mark, err = t.now.UTC().MarshalText(); err == nil {
				err = t.Put(tRescanRuns, rescanStarted, mark)
			}
			return err
		}
		if err != nil {
			return err
		}
		var last time.Time
		if err := last.UnmarshalText(mark); err != nil {
			return fmt.Errorf("decode a row of %s: %w", tRescanRuns, errRow)
		}
		if t.now.Before(last.Add(every)) {
			return nil
		}
		started = true
		return t.startRescans(RescanSchedule)
	})
	if err != nil {
		return false, fmt.Errorf("schedule rescans: %w", err)
	}
	return started, nil
}

// NoteSignatures remembers the version of each engine's signatures, and begins a run
// and tells so if one is another than it was, or is new.
func (l *Ledger) NoteSignatures(ctx context.Context, versions map[string]string) (changed bool, err error) {
	same := func(t *txn) (bool, error) {
		for engine, version := range versions {
			had, err := t.get(tRescanRuns, keyOf("s", engine))
			if errors.Is(err, ErrNotFound) || err == nil && string(had) != version {
				return false, nil
			}
			if err != nil {
				return false, err
			}
		}
		return true, nil
	}
	known := false
	err = l.view(ctx, func(t *txn) (err error) {
		known, err = same(t)
		return err
	})
	if err == nil && !known {
		err = l.update(ctx, func(t *txn) error {
			for _, engine := range slices.Sorted(maps.Keys(versions)) {
				if err := t.Put(tRescanRuns, keyOf("s", engine), []byte(versions[engine])); err != nil {
					return err
				}
			}
			return t.startRescans(RescanSignatures)
		})
	}
	if err != nil {
		return false, fmt.Errorf("note signatures: %w", err)
	}
	return !known, nil
}

// maxRescans is how many may wait in the queue before runs go on: an engine that fails on
// each of them must not make it grow.
const maxRescans = 512

// FeedRescans puts up to limit objects of the runs under way into the queue, of each
// tenant the newest first. It returns how many, and whether a run is left. It looks at a
// bounded number of rows, and the queue has a limit: there may be none, and yet more to
// come.
func (l *Ledger) FeedRescans(ctx context.Context, limit int) (queued int, more bool, err error) {
	if limit <= 0 {
		return 0, false, fmt.Errorf("feed rescans: %w", ErrInvalid)
	}
	var tenants []TenantName
	waiting := 0
	err = l.view(ctx, func(t *txn) error {
		tenants, waiting = nil, 0
		err := t.Scan(tRescans, kv.Range{}, func(_, _ []byte) error {
			if waiting++; waiting == maxRescans {
				return kv.Stop
			}
			return nil
		})
		if err != nil {
			return err
		}
		return t.Scan(tRescanRuns, under("r"), func(key, _ []byte) error {
			tenants = append(tenants, TenantName(lastPart(key)))
			return nil
		})
	})
	if err == nil && waiting == maxRescans {
		return 0, len(tenants) > 0, nil
	}
	share := max(1, limit/max(1, len(tenants)))
	for _, name := range tenants {
		if err != nil || queued >= limit {
			break
		}
		n, left := 0, false
		err = l.update(ctx, func(t *txn) (err error) {
			n, left, err = t.feedRescans(name, min(share, limit-queued))
			return err
		})
		queued, more = queued+n, more || left
	}
	if err != nil {
		return queued, true, fmt.Errorf("feed rescans: %w", err)
	}
	return queued, more || queued >= limit && len(tenants) > 0, nil
}

// feedRescans takes a run of one tenant further.
func (t *txn) feedRescans(name TenantName, limit int) (queued int, left bool, err error) {
	var run rescanRun
	err = t.load(tRescanRuns, rescanRunKey(name), &run)
	if errors.Is(err, ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	due, last, err := t.rescanPage(name, &run, limit)
	if err != nil {
		return 0, false, err
	}
	for i := range due {
		if err := t.queueRescan(&due[i], due[i].CreatedAt); err != nil {
			return 0, false, err
		}
	}
	switch run.Before = last; {
	case last != "":
	case run.Again.IsZero():
		return len(due), false, t.Delete(tRescanRuns, rescanRunKey(name))
	default:
		run = rescanRun{Since: run.Again, Reason: run.Reason}
	}
	return len(due), true, t.put(tRescanRuns, rescanRunKey(name), run)
}

// rescanPage returns the next objects of a run, and the last that it looked at, "" if
// that was the oldest there is.
func (t *txn) rescanPage(name TenantName, run *rescanRun, limit int) (due []Object, last ObjectID, err error) {
	span := under(name)
	span.Reverse = true
	if run.Before != "" {
		span.To = keyOf(name, string(run.Before))
	}
	off := make(map[BucketName]bool)
	looked, more := 0, false
	err = t.Scan(tObjects, span, func(key, value []byte) error {
		if more = looked == pageWork || len(due) == limit; more {
			return kv.Stop
		}
		looked++
		last = ObjectID(lastPart(key))
		var o Object
		if err := decode(tObjects, value, &o); err != nil {
			return err
		}
		if o.State != ObjectPublished || o.Marker || o.Rescan != nil || o.Verdict != nil && !o.Verdict.At.Before(run.Since) {
			return nil
		}
		skip, known := off[o.Bucket]
		if !known {
			b, err := t.bucket(o.Tenant, o.Bucket)
			if err != nil {
				return err
			}
			skip = b.Scan.Mode == ScanOff
			off[o.Bucket] = skip
		}
		if !skip {
			due = append(due, o)
		}
		return nil
	})
	if !more {
		last = ""
	}
	return due, last, err
}

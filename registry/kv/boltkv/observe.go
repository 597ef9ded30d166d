package boltkv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
)

// observers is the set of functions that see every commit.
type observers struct {
	current atomic.Pointer[[]*func(kv.Commit)]

	mu sync.Mutex // serialises changes of current, whose slice is never modified
}

func (o *observers) list() []func(kv.Commit) {
	p := o.current.Load()
	if p == nil {
		return nil
	}
	fns := make([]func(kv.Commit), len(*p))
	for i, fn := range *p {
		fns[i] = *fn
	}
	return fns
}

// Observe has fn called with every later commit, in order, after it is durable
// and before its updates return: who has seen an Update return knows that the
// observers have seen its commit. The commit's keys and values are valid during
// the call only. fn runs on the committer: it must be quick and must not use
// the store. stop ends it; a call that has begun may still be running.
func (s *Store) Observe(fn func(kv.Commit)) (stop func()) {
	o := &s.observers
	o.replace(func(fns []*func(kv.Commit)) []*func(kv.Commit) { return append(fns, &fn) })
	return func() {
		o.replace(func(fns []*func(kv.Commit)) []*func(kv.Commit) {
			return slices.DeleteFunc(fns, func(p *func(kv.Commit)) bool { return p == &fn })
		})
	}
}

func (o *observers) replace(change func([]*func(kv.Commit)) []*func(kv.Commit)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var fns []*func(kv.Commit)
	if p := o.current.Load(); p != nil {
		fns = slices.Clone(*p)
	}
	fns = change(fns)
	o.current.Store(&fns)
}

// Stats are figures of the file for metrics.
type Stats struct {
	FileBytes    int64 // size of the file
	PageBytes    int   // size of a page
	FreePages    int   // pages that the next commit may use
	PendingPages int   // pages that become free when open views end
	OpenViews    int
	Views        int // begun since the store was opened
}

// Stats returns the file's figures. Free and pending pages are those of the
// last commit.
func (s *Store) Stats() (Stats, error) {
	if err := s.usable(context.Background()); err != nil {
		return Stats{}, err
	}
	fi, err := os.Stat(s.path)
	if err != nil {
		return Stats{}, fmt.Errorf("ledger stats: %w", err)
	}
	b, k := s.db.Stats(), &s.checkpoints
	closed, opened := k.closed.Load(), k.opened.Load() // never more closed than opened
	return Stats{
		FileBytes: fi.Size(), PageBytes: s.db.Info().PageSize,
		FreePages: b.FreePageN, PendingPages: b.PendingPageN,
		OpenViews: max(0, b.OpenTxN-int(opened-closed)), Views: max(0, b.TxN-int(opened)),
	}, nil
}

// maxFaults bounds how many faults Check reports.
const maxFaults = 20

// Check reads the whole file and reports pages that are lost, used twice or out
// of order. Updates wait until it is done. ctx is looked at before it starts.
func (s *Store) Check(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	// A write transaction keeps the list of free pages still.
	btx, err := s.db.Begin(true)
	if err != nil {
		return s.explain(err)
	}
	faults := collect(btx)
	if err := btx.Rollback(); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return fmt.Errorf("ledger %s is damaged: %w", s.path, errors.Join(faults...))
	}
	return nil
}

func collect(btx *bolt.Tx) (faults []error) {
	for err := range btx.Check() { // to its end: the checker must not outlive btx
		if len(faults) < maxFaults {
			faults = append(faults, err)
		}
	}
	return faults
}

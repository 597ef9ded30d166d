package blobtest

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"sallyport/registry/blob"
)

// Op is a method of blob.Store, as a Fault names it.
type Op string

// The methods of a store.
const (
	Put    Op = "put"
	Open   Op = "open"
	Stat   Op = "stat"
	Move   Op = "move"
	Delete Op = "delete"
	List   Op = "list"
	Check  Op = "check"
)

// When is the moment of a Fault.
type When string

const (
	// Before: the call fails without effect.
	Before When = "before"
	// Midway: Put fails with half of the bytes read and nothing visible, a
	// Reader of Open fails after half of its bytes, and Move fails with the
	// blob under both keys. Other methods know no middle and fail Before.
	Midway When = "midway"
	// After: the call takes effect and fails all the same. Open and List fail
	// Before, having no effect.
	After When = "after"
)

// Fault makes calls of a Faulty fail.
type Fault struct {
	Op   Op
	When When
	Nth  int   // which call of Op from the injection on, 1 = the next; 0 = all of them
	Err  error // nil = blob.ErrUnavailable
}

// Faulty is a store that fails, lags and stutters as told. What it is not told
// goes through to the store beneath. It may be used concurrently.
type Faulty struct {
	store blob.Store

	mu        sync.Mutex // protects the fields below
	faults    []Fault
	calls     map[Op]int
	delays    map[Op]time.Duration
	readLimit int
	free      *uint64
}

var (
	_ blob.Store  = (*Faulty)(nil)
	_ blob.Spacer = (*Faulty)(nil)
)

// NewFaulty returns a Faulty over store, without a fault yet.
func NewFaulty(store blob.Store) *Faulty {
	return &Faulty{store: store, calls: map[Op]int{}, delays: map[Op]time.Duration{}}
}

// Inject adds faults.
func (f *Faulty) Inject(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		if fault.Nth > 0 {
			fault.Nth += f.calls[fault.Op]
		}
		if fault.Err == nil {
			fault.Err = blob.ErrUnavailable
		}
		f.faults = append(f.faults, fault)
	}
}

// Delay makes every call of op wait for d, or for its context, before it starts.
func (f *Faulty) Delay(op Op, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delays[op] = d
}

// ShortReads makes readers give at most n bytes per Read, and Put take at most
// n bytes per Read of its source. Readers are no blob.FileRange then.
func (f *Faulty) ShortReads(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readLimit = n
}

// SetFree makes Free answer n.
func (f *Faulty) SetFree(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = &n
}

// Heal takes back every fault, delay and limit.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.delays, f.readLimit, f.free = nil, map[Op]time.Duration{}, 0, nil
}

// Calls returns how often op was called.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// enter counts a call, waits its delay out and returns the fault it meets; one
// without an Op is none.
func (f *Faulty) enter(ctx context.Context, op Op) (Fault, error) {
	f.mu.Lock()
	f.calls[op]++
	nth, delay := f.calls[op], f.delays[op]
	var met Fault
	for _, fault := range f.faults {
		if fault.Op == op && (fault.Nth == 0 || fault.Nth == nth) {
			met = fault
			break
		}
	}
	f.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return Fault{}, context.Cause(ctx)
		}
	}
	return met, nil
}

// run calls do as the fault of op, Before or After, wants.
func (f *Faulty) run(ctx context.Context, op Op, do func() error) error {
	fault, err := f.enter(ctx, op)
	switch {
	case err != nil:
		return err
	case fault.Op == "":
		return do()
	case fault.When == After:
		return errors.Join(fault.Err, do())
	}
	return fault.Err
}

func (f *Faulty) limit() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readLimit
}

// Put implements blob.Store.
func (f *Faulty) Put(ctx context.Context, key blob.Key, r io.Reader, size int64) (blob.Info, error) {
	fault, err := f.enter(ctx, Put)
	if err != nil {
		return blob.Info{}, err
	}
	if n := f.limit(); n > 0 {
		r = &stutter{Reader: r, n: n}
	}
	switch fault.When {
	case Before:
		return blob.Info{}, fault.Err
	case Midway:
		src := blob.NewSource(ctx, r, size)
		defer src.Release()
		if _, err := io.CopyN(io.Discard, src, size/2); err != nil {
			return blob.Info{}, err
		}
		return blob.Info{}, fault.Err
	case After:
		if _, err := f.store.Put(ctx, key, r, size); err != nil {
			return blob.Info{}, err
		}
		return blob.Info{}, fault.Err
	}
	return f.store.Put(ctx, key, r, size)
}

// Open implements blob.Store.
func (f *Faulty) Open(ctx context.Context, key blob.Key, off, n int64) (blob.Reader, error) {
	fault, err := f.enter(ctx, Open)
	if err != nil {
		return nil, err
	}
	if fault.Op != "" && fault.When != Midway {
		return nil, fault.Err
	}
	r, err := f.store.Open(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	if fault.When == Midway {
		r = &breaking{Reader: r, left: r.Len() / 2, err: fault.Err}
	}
	if n := f.limit(); n > 0 {
		r = &stutterReader{Reader: r, n: n}
	}
	return r, nil
}

// Stat implements blob.Store.
func (f *Faulty) Stat(ctx context.Context, key blob.Key) (info blob.Info, err error) {
	err = f.run(ctx, Stat, func() (err error) {
		info, err = f.store.Stat(ctx, key)
		return err
	})
	if err != nil {
		return blob.Info{}, err
	}
	return info, nil
}

// Move implements blob.Store.
func (f *Faulty) Move(ctx context.Context, from, to blob.Key) error {
	fault, err := f.enter(ctx, Move)
	switch {
	case err != nil:
		return err
	case fault.When == Before:
		return fault.Err
	case fault.When == Midway:
		return errors.Join(fault.Err, f.copy(ctx, from, to))
	}
	return errors.Join(fault.Err, f.store.Move(ctx, from, to))
}

// copy does the first half of a Move that copies and deletes.
func (f *Faulty) copy(ctx context.Context, from, to blob.Key) error {
	r, err := f.store.Open(ctx, from, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = f.store.Put(ctx, to, r, r.Len())
	return err
}

// Delete implements blob.Store.
func (f *Faulty) Delete(ctx context.Context, key blob.Key) error {
	return f.run(ctx, Delete, func() error { return f.store.Delete(ctx, key) })
}

// List implements blob.Store.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		fault, err := f.enter(ctx, List)
		if err = errors.Join(err, fault.Err); err != nil {
			yield(blob.Entry{}, err)
			return
		}
		f.store.List(ctx, prefix)(yield)
	}
}

// Check implements blob.Store.
func (f *Faulty) Check(ctx context.Context) error {
	return f.run(ctx, Check, func() error { return f.store.Check(ctx) })
}

// Free implements blob.Spacer: what SetFree said, else what the store beneath
// says, else errors.ErrUnsupported.
func (f *Faulty) Free() (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.free != nil {
		return *f.free, nil
	}
	if spacer, ok := f.store.(blob.Spacer); ok {
		return spacer.Free()
	}
	return 0, errors.ErrUnsupported
}

// stutter gives few bytes at a time.
type stutter struct {
	io.Reader
	n int
}

func (s *stutter) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), s.n)]) }

// Interrupt passes an interrupt on.
func (s *stutter) Interrupt() {
	if end, ok := s.Reader.(blob.Interrupter); ok {
		end.Interrupt()
	}
}

// stutterReader is stutter for a blob.Reader.
type stutterReader struct {
	blob.Reader
	n int
}

func (s *stutterReader) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), s.n)]) }

// breaking fails after a number of bytes.
type breaking struct {
	blob.Reader
	left int64
	err  error
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.err
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

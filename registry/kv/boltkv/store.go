// Package boltkv keeps a kv.Store in one bbolt file on a local disk, with a log in
// front of it.
//
// Updates are committed in groups. One goroutine, the committer, takes every
// update that waits, runs them one after another on an overlay (the pending
// writes of the group, seen by Get and Scan as if they were in the file), then
// makes the overlay durable and visible. So a group costs one flush, the next one
// gathers while it lasts, and no update waits for a timer. What an update wrote is
// taken back out of the overlay if it fails: nothing else ever sees it.
//
// # Log
//
// A group is durable by a record: its writes, appended to a log (files beside the
// bbolt file, path.log.N) with one write into space that was allocated before, and
// one flush. Only then is the group committed to bbolt, without any flush: its pages
// may reach the disk at any time, in any order. All reads are from bbolt.
//
// What is sure to be on the disk is the base: a state of the bbolt file that was
// flushed, whose pages a read transaction keeps from being written over. From time to
// time a checkpoint makes a newer state the base, beside the commits that go on:
//
//	begin    pin the present state; records go into the next segment
//	flush    the bbolt file
//	base     into the new segment: the state's meta page; flush
//	recycle  unpin the former base; rename the former segment to be the next one
//
// An open after a crash sets the file back to the base, whatever has become of the
// other pages, repeats the records that follow, in one transaction, and begins a new
// log. If it dies half way, the next one does the same. An orderly Close leaves a file
// that is whole by itself, and no log. The file knows, by a mark, the log it belongs
// to: neither is accepted without the other, nor one of another time.
//
// bbolt runs without a synced freelist: a commit writes only its own pages. An
// orderly Close writes the freelist; after any other end, the next open pays by
// reading every branch of the file once.
package boltkv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"sallyport/registry/kv"
)

// appendFill is how full the pages of an append-only table are left when they
// split: its keys grow, so that nothing is ever inserted behind the last page.
const appendFill = 0.95

// Options configures Open.
type Options struct {
	// Tables is the closed set of tables. Open creates those that the file
	// does not have. Their order is that of kv.Commit.Changes.
	Tables []kv.Table
	// AppendTables are the tables, out of Tables, whose new keys are always
	// greater than those they hold. It saves space and changes no behaviour.
	AppendTables []kv.Table
	// QuietTables are tables, out of Tables, that few updates write. They are
	// kept apart, so that the page which every commit writes, where the file
	// says where its tables are, is not made longer by theirs. A table that
	// became one, or is none any more, is moved when the file is opened.
	QuietTables []kv.Table
	// InitialMmapSize is how many bytes of address space to map at once. A
	// file that outgrows it is mapped anew, which waits for every running
	// View. 0 means 64 GiB (256 MiB on 32-bit machines), 32 MiB is the least;
	// no memory is used.
	InitialMmapSize int
	// LockTimeout is how long to wait for another process to let go of the
	// file before kv.ErrInUse. 0 means one second.
	LockTimeout time.Duration
	// NoSync leaves out the log and every flush: acknowledged updates do not
	// survive a power loss. For tests and for filling a store to measure it.
	NoSync bool
	// Logger gets the stack of an update that panicked. Nil discards it.
	Logger *slog.Logger
	// OnCommit, if set, is called after each commit with the time it took to
	// write and flush it, and with the number of updates in it. It runs on the
	// committer: it must be quick and must not use the store.
	OnCommit func(d time.Duration, updates int)
	// Now is the clock that OnCommit's time is taken from, needed with it.
	Now func() time.Time
}

// Store is a kv.Store in one file and its log.
type Store struct {
	db       *bolt.DB
	path     string
	file     *os.File // bbolt's
	unlogged bool
	flush    func(*os.File) error
	tables   []table
	index    map[kv.Table]int // position in tables
	log      *slog.Logger
	onCommit func(time.Duration, int)
	now      func() time.Time

	broken atomic.Pointer[error] // set once a commit's outcome is unknown
	closed atomic.Bool           // set under queue.mu

	queue     queue
	observers observers
	snapshots sync.Pool // *snapshot, for View

	committer   committer // used by the committer's goroutine only, as all below
	wal         *wal      // nil without log
	checkpoints checkpointer
	lsn         uint64 // number of the last commit, without log
	mapped      int64  // bytes of the file that are mapped, at least
	stopped     chan struct{}
}

type table struct {
	name        kv.Table
	fillPercent float64
	quiet       bool
}

var _ kv.Store = (*Store)(nil)

// Open opens the store at path, creating the file (mode 0600) and its tables
// if they are missing. The folder must exist. It returns kv.ErrInUse if another
// process, or another Store, holds the file.
func Open(path string, o Options) (*Store, error) {
	s, err := open(path, o, flush, minCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	s.committer = newCommitter(s)
	go s.run()
	return s, nil
}

// open leaves out the committer. flush flushes the log, and the file at a
// checkpoint; least is the number of bytes at which the first one is due.
func open(path string, o Options, flush func(*os.File) error, least int64) (*Store, error) {
	s := &Store{
		path: path, unlogged: o.NoSync, flush: flush,
		log: o.Logger, onCommit: o.OnCommit, now: o.Now,
		index:   make(map[kv.Table]int, len(o.Tables)),
		queue:   queue{wake: make(chan struct{}, 1)},
		stopped: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.onCommit != nil && s.now == nil {
		return nil, errors.New("OnCommit needs a clock")
	}
	if err := s.setTables(o); err != nil {
		return nil, err
	}
	s.checkpoints.least = least
	s.snapshots.New = func() any { return newSnapshot(s) }
	b := boltOptions(o)
	at := &opening{timeout: b.Timeout}
	var err error
	if s.db, err = openBolt(path, b, at); err != nil {
		return nil, err
	}
	s.file, s.mapped = at.file, mappingSize(max(at.size, int64(b.InitialMmapSize)))
	err = spaceError(s.prepare(at.history))
	switch {
	case errors.Is(err, errPanicked):
		return nil, errors.Join(err, abandon(s.file))
	case errors.Is(err, errForeign):
		return nil, errors.Join(err, s.letGo(), at.undo(path))
	case err != nil:
		return nil, errors.Join(err, s.letGo())
	}
	return s, nil
}

// errPanicked says that bbolt may still hold its own locks.
var errPanicked = errors.New("file is damaged")

// prepare is recoverLog, and turns bbolt's panics on a damaged file into errors.
func (s *Store) prepare(h *history) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	if err := s.recoverLog(h); err != nil {
		return err
	}
	// bbolt flushes the file but not the folder that names it.
	return syncFolder(filepath.Dir(s.path))
}

// letGo closes the files as they are.
func (s *Store) letGo() error {
	var errs []error
	k := &s.checkpoints
	if k.pin != nil {
		errs = append(errs, s.unpinBase())
	}
	if s.wal != nil {
		errs = append(errs, s.wal.close())
	}
	return errors.Join(append(errs, s.db.Close())...) // waits for running views
}

func (s *Store) setTables(o Options) error {
	for i, name := range o.Tables {
		if _, twice := s.index[name]; twice || name == "" || name == quietBucket || name == markKey {
			return fmt.Errorf("table %q is empty or named twice", name)
		}
		fill := bolt.DefaultFillPercent
		if slices.Contains(o.AppendTables, name) {
			fill = appendFill
		}
		s.index[name] = i
		s.tables = append(s.tables, table{name, fill, slices.Contains(o.QuietTables, name)})
	}
	for _, name := range slices.Concat(o.AppendTables, o.QuietTables) {
		if _, ok := s.index[name]; !ok {
			return fmt.Errorf("table %q is in no list but that of append or quiet tables: %w", name, kv.ErrNoTable)
		}
	}
	return nil
}

func boltOptions(o Options) *bolt.Options {
	b := &bolt.Options{
		Timeout:         o.LockTimeout,
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: o.InitialMmapSize,
	}
	if b.Timeout == 0 {
		b.Timeout = time.Second
	}
	if b.InitialMmapSize == 0 {
		b.InitialMmapSize = 256 << 20
		if bits.UintSize == 64 {
			b.InitialMmapSize <<= 8
		}
	}
	b.InitialMmapSize = max(b.InitialMmapSize, minMapping)
	return b
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) names() []string {
	names := make([]string, len(s.tables))
	for i := range s.tables {
		names[i] = string(s.tables[i].name)
	}
	return names
}

// View implements kv.Store. A panic of fn reaches the caller.
func (s *Store) View(ctx context.Context, fn func(kv.Tx) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	btx, err := s.db.Begin(false)
	if err != nil {
		return s.explain(err)
	}
	snap := s.snapshots.Get().(*snapshot)
	snap.begin(btx)
	t := &tx{store: s, snap: snap}
	defer func() {
		t.done = true
		snap.end()
		s.snapshots.Put(snap)
		// The only error a read transaction's end can have is that it ended
		// before, which nobody else does.
		_ = btx.Rollback()
	}()
	return fn(t)
}

// usable reports why no transaction may start.
func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return kv.ErrClosed
	}
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// explain names bbolt's errors in kv's words.
func (s *Store) explain(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return kv.ErrClosed
	}
	return err
}

// Close implements kv.Store.
func (s *Store) Close() error {
	if !s.queue.close(&s.closed) {
		return kv.ErrClosed
	}
	<-s.stopped
	return errors.Join(s.end(), s.letGo())
}

// end leaves a file that is whole by itself and soon opened. If that fails, the log
// is left, and the next open has more to do.
func (s *Store) end() (err error) {
	if s.wal == nil {
		s.db.NoFreelistSync = false // see lastCommit
		if s.broken.Load() == nil {
			err = s.db.Update(func(*bolt.Tx) error { return nil })
		}
	} else {
		err = s.endCheckpoint()
		if s.broken.Load() != nil {
			return nil // what a commit left of unknown outcome is not to be built on
		}
		if err == nil {
			err = s.endLog()
		}
	}
	if err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	return nil
}

// Package boltkv keeps a kv.Store in one bbolt file on a local disk.
//
// Updates are committed in groups. One goroutine, the committer, takes every
// update that waits, runs them one after another on an overlay (the pending
// writes of the group, seen by Get and Scan as if they were in the file), then
// writes the overlay in one bbolt transaction. So a group costs one flush, the
// next one gathers while it lasts, and no update waits for a timer. What an
// update wrote is taken back out of the overlay if it fails: the bbolt
// transaction never sees it.
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
	// View. 0 means 64 GiB (256 MiB on 32-bit machines); no memory is used.
	InitialMmapSize int
	// LockTimeout is how long to wait for another process to let go of the
	// file before kv.ErrInUse. 0 means one second.
	LockTimeout time.Duration
	// NoSync leaves out every flush: acknowledged updates do not survive a
	// power loss. For tests and for filling a store to measure it.
	NoSync bool
	// Logger gets the stack of an update that panicked. Nil discards it.
	Logger *slog.Logger
	// OnCommit, if set, is called after each commit with the time bbolt took
	// to lay out, write and flush it, and with the number of updates in it.
	// It runs on the committer: it must be quick and must not use the store.
	OnCommit func(d time.Duration, updates int)
}

// Store is a kv.Store in one file.
type Store struct {
	db       *bolt.DB
	path     string
	tables   []table
	index    map[kv.Table]int // position in tables
	log      *slog.Logger
	onCommit func(time.Duration, int)

	broken atomic.Pointer[error] // set once a commit's outcome is unknown
	closed atomic.Bool           // set under queue.mu

	queue     queue
	observers observers
	snapshots sync.Pool // *snapshot, for View

	committer committer // used by the committer's goroutine only
	stopped   chan struct{}
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
	s, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	if err := s.createTables(); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, errors.Join(err, s.db.Close()))
	}
	// bbolt flushes the file but not the folder that names it.
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, errors.Join(err, s.db.Close()))
	}
	s.committer = newCommitter(s)
	go s.run()
	return s, nil
}

func open(path string, o Options) (*Store, error) {
	s := &Store{
		path: path,
		log:  o.Logger, onCommit: o.OnCommit,
		index:   make(map[kv.Table]int, len(o.Tables)),
		queue:   queue{wake: make(chan struct{}, 1)},
		stopped: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.setTables(o); err != nil {
		return nil, err
	}
	s.snapshots.New = func() any { return newSnapshot(s) }
	var err error
	s.db, err = openBolt(path, boltOptions(o))
	return s, err
}

func (s *Store) setTables(o Options) error {
	for i, name := range o.Tables {
		if _, twice := s.index[name]; twice || name == "" || name == quietBucket {
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
		NoSync:          o.NoSync,
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
	return b
}

// openBolt turns bbolt's answers to a bad or busy file, which include panics,
// into errors.
func openBolt(path string, o *bolt.Options) (db *bolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("file is damaged: %v", p)
		}
	}()
	db, err = bolt.Open(path, 0o600, o)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, kv.ErrInUse
	}
	return db, err
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
	err := s.keepFreelist()
	return errors.Join(err, s.db.Close()) // waits for running views
}

// keepFreelist writes the list of free pages, which the next open would have to
// find by a walk through the file: a minute and a half for 12 GiB. The first commit
// after it makes it void again.
func (s *Store) keepFreelist() error {
	if s.broken.Load() != nil {
		return nil // what a commit left of unknown outcome is not to be built on
	}
	s.db.NoFreelistSync = false
	if err := s.db.Update(func(*bolt.Tx) error { return nil }); err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	return nil
}

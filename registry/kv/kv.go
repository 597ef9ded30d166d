// Package kv is the contract of what the ledger stands on: an ordered,
// transactional key-value store whose acknowledged updates are durable.
//
// It holds no implementation. kv/boltkv keeps the rows in one local file with a log;
// kv/kvtest is the conformance suite every implementation passes.
package kv

import (
	"context"
	"errors"
)

// What a store accepts, in bytes. The shortest key is one byte, the shortest
// value none.
const (
	MaxKeySize   = 4 << 10
	MaxValueSize = 64 << 20
)

// Errors of a Store and its Tx. They arrive wrapped; test with errors.Is.
var (
	// ErrNotFound is returned by Get when the table has no such key.
	ErrNotFound = errors.New("kv: not found")
	// ErrReadOnly is returned by Put and Delete inside View.
	ErrReadOnly = errors.New("kv: read-only")
	// ErrNoTable is returned for a table that was not named when the store
	// was opened.
	ErrNoTable = errors.New("kv: no such table")
	// ErrKey is returned for an empty key and for one over MaxKeySize.
	ErrKey = errors.New("kv: key is empty or too long")
	// ErrValue is returned for a value over MaxValueSize.
	ErrValue = errors.New("kv: value is too long")
	// ErrScanning is returned by Put and Delete on a table that a Scan of the
	// same transaction is walking.
	ErrScanning = errors.New("kv: table is being scanned")
	// ErrTxDone is returned by a Tx that outlived its function.
	ErrTxDone = errors.New("kv: transaction has ended")
	// ErrPanic is returned by Update when its function panicked.
	ErrPanic = errors.New("kv: update panicked")
	// ErrClosed is returned by every call on a closed store.
	ErrClosed = errors.New("kv: store is closed")
	// ErrInUse is returned by an open when another process holds the store.
	ErrInUse = errors.New("kv: ledger is in use by another process")
	// ErrNoSpace is returned by Update when the medium is full. Nothing of the
	// update was kept; the store reads on, and writes again once there is space.
	ErrNoSpace = errors.New("kv: no space left")
	// ErrBroken is returned by every call after a commit whose outcome could
	// not be learned. The store must be closed and opened again.
	ErrBroken = errors.New("kv: store must be reopened after a failed flush")
)

// Stop is returned by a Scan's function to end the scan early: Scan then
// returns nil.
//
//lint:ignore ST1012 a signal, not a failure
var Stop = errors.New("kv: stop scan")

// Table names one ordered keyspace. The set of tables is given when the store
// is opened. They are named, rather than prefixes of one keyspace, so that an
// SQL engine can map each to a table of its own.
type Table string

// Range is the keys k with From <= k < To in bytewise order. An empty From is
// the start of the table; a nil To is its end.
type Range struct {
	From, To []byte
	Reverse  bool // walk from the last key of the range to the first
}

// Reader is the reading half of a transaction.
type Reader interface {
	// Get returns the value of key, or ErrNotFound. An empty value is not
	// nil. The value is valid until the transaction ends and must not be
	// modified.
	Get(t Table, key []byte) ([]byte, error)
	// Scan calls fn for each key of the range, in order. Key and value are
	// valid until the transaction ends and must not be modified. An error of
	// fn ends the scan and is returned as it is; Stop ends it with nil. fn
	// must not write to t: Put and Delete on it give ErrScanning until the
	// scan ends. Other tables, and further reads and scans, are allowed.
	Scan(t Table, r Range, fn func(key, value []byte) error) error
}

// Tx is one transaction. It belongs to the function it was given to and to
// that function's goroutine. Reads see the transaction's own writes.
type Tx interface {
	Reader
	// Put sets key to value. Both are copied: the caller may reuse them. A
	// nil value is stored as an empty one.
	Put(t Table, key, value []byte) error
	// Delete removes key. An absent key is not an error.
	Delete(t Table, key []byte) error
}

// Store is safe for concurrent use. Transactions do not nest: a function given
// to View or Update must not call Update, nor may an Update's function call
// View. Neither may do byte or network I/O, nor wait for other transactions.
type Store interface {
	// View runs fn on a snapshot: everything whose Update had returned, and
	// nothing half done. Writes give ErrReadOnly. Keep it short (one page of
	// results): a store cannot reuse space that an open snapshot may read.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn and commits what it wrote; once Update returns nil the
	// writes survive a crash of process or machine. Updates are serializable
	// in the order in which they run.
	//
	// If fn returns an error, nothing of it is kept, Update returns that error
	// and no other update is affected; a panic becomes ErrPanic, again only
	// for this caller. Any other error means that fn's writes were not
	// committed, except ErrBroken, after which they may or may not be found
	// when the store is opened again.
	//
	// fn may run on another goroutine, and more than once: it must have no
	// side effects other than variables it sets anew on each run.
	//
	// A ctx that ends while the update waits for its turn withdraws it: fn is
	// not run and ctx's error is returned. Once fn runs, ctx is not looked at
	// and Update waits for the outcome.
	Update(ctx context.Context, fn func(Tx) error) error
	// Close lets waiting updates and running views finish, then releases the
	// store. Calls that come later give ErrClosed; so does a second Close.
	Close() error
}

// Change is one write of a Commit. A delete has Deleted set and a nil Value.
type Change struct {
	Table      Table
	Key, Value []byte
	Deleted    bool
}

// Commit is a group of updates that became durable together. IDs grow from
// commit to commit and across reopening, not necessarily by one. Changes stand
// in the order in which the updates ran, a key may occur more than once, and
// the last occurrence is its state.
type Commit struct {
	ID      uint64
	Changes []Change
}

package boltkv

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
)

// lockRetry is how long to wait before asking for the file's lock again.
const lockRetry = 50 * time.Millisecond

// opening is the file on its way to bbolt.
type opening struct {
	timeout time.Duration
	file    *os.File
	size    int64 // of the file
	history *history
	before  [2]rawMeta // the meta pages as they were found
	changed bool       // and are no more
}

// open is bbolt's OpenFile. It takes the lock that bbolt will ask for again, so
// that nobody else can touch file and log, and sets the file back to the log's base.
func (o *opening) open(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(path, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o.file = f
	return f, nil
}

func (o *opening) prepare(path string, f *os.File) error {
	if err := lock(f, o.timeout); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	o.size = info.Size()
	if o.history, err = readHistory(path); err != nil {
		return err
	}
	if o.history.base != nil {
		return o.restore(f)
	}
	return nil
}

// lock takes the file for this process, as bbolt does.
func lock(f *os.File, timeout time.Duration) error {
	for waited := time.Duration(0); ; waited += lockRetry {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if waited+lockRetry > timeout {
			return kv.ErrInUse
		}
		time.Sleep(lockRetry)
	}
}

// abandon closes a file that bbolt may still have mapped, which holds its lock, too.
func abandon(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// restore makes the base the file's present state. Pages that the base names are
// as they were; all others, and both metas, may be of any later moment.
//
// If we die here, the next open finds a meta that the log allows for and does the
// same again.
func (o *opening) restore(f *os.File) error {
	at, _ := o.history.base.meta.parse() // valid: parseBase looked
	if o.size < at.size {
		return fmt.Errorf("%w: the ledger is shorter than its log says", errForeign)
	}
	for slot := range o.before {
		if _, err := f.ReadAt(o.before[slot][:], int64(slot)*at.pageSize); err != nil {
			return err
		}
	}
	if err := o.history.allows(o.before, at); err != nil {
		return err
	}
	slot := at.txid % 2
	now := o.before
	now[slot] = o.history.base.meta
	if other, ok := now[1-slot].parse(); ok && other.txid > at.txid {
		clear(now[1-slot][metaChecksum:])
	}
	if now == o.before {
		return nil
	}
	o.changed = true
	return writeMetas(f, now, at.pageSize)
}

// undo gives a file that turned out not to be the log's its metas back.
func (o *opening) undo(path string) error {
	if !o.changed {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = lock(f, o.timeout); err == nil {
		at, _ := o.history.base.meta.parse()
		err = writeMetas(f, o.before, at.pageSize)
	}
	return errors.Join(err, f.Close())
}

func writeMetas(f *os.File, metas [2]rawMeta, pageSize int64) error {
	for slot := range metas {
		if _, err := f.WriteAt(metas[slot][:], int64(slot)*pageSize); err != nil {
			return err
		}
	}
	return flush(f)
}

// allows checks that the file's metas are ones that this log can have led to from
// its base: each record stands for one transaction.
func (h *history) allows(metas [2]rawMeta, base meta) error {
	last := base.txid + uint64(len(h.records))
	if h.pending != nil {
		last = max(last, base.txid+1) // of an open like this one that died
	}
	current := false
	for i := range metas {
		m, ok := metas[i].parse()
		if !ok {
			continue
		}
		switch {
		case m.txid > last, m.txid > base.txid && m.freelist && !h.closed,
			m.txid == base.txid && metas[i] != h.base.meta:
			return fmt.Errorf("%w: the ledger is newer than its log, whose end is damaged, or an older program has written to it", errForeign)
		case m.txid >= base.txid:
			current = true
		}
	}
	if !current {
		return fmt.Errorf("%w: the ledger is older than its log", errForeign)
	}
	return nil
}

// openBolt opens the file with bbolt. It turns bbolt's answers to a bad file,
// which include panics, into errors.
func openBolt(path string, b *bolt.Options, o *opening) (db *bolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("file is damaged: %v", p)
		}
		if err != nil && o.file != nil {
			_ = abandon(o.file) // bbolt may have done so
			err = errors.Join(err, o.undo(path))
		}
	}()
	b.OpenFile = o.open
	return bolt.Open(path, 0o600, b)
}

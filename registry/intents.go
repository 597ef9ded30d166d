package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/registry/kv"
)

// Prefixes of blob keys. A signed URL only ever writes under staging.
const (
	stagingPrefix  = "staging/"
	acceptedPrefix = "accepted/"
)

const dayLayout = "2006/01/02"

func stagingKey(pathHash string, at time.Time, id UploadID, attempt uint64) BlobKey {
	return BlobKey(stagingPrefix + pathHash + "/" + at.UTC().Format(dayLayout) + "/" + string(id) + "/" + strconv.FormatUint(attempt, 10))
}

func acceptedKey(pathHash string, at time.Time, id ObjectID) BlobKey {
	return BlobKey(acceptedPrefix + pathHash + "/" + at.UTC().Format(dayLayout) + "/" + string(id) + "/payload")
}

func intentKey(epoch uint64, blob BlobKey) []byte {
	k := make([]byte, 8, 8+len(blob))
	binary.BigEndian.PutUint64(k, epoch)
	return append(k, blob...)
}

// register makes a key known before a byte is written under it.
func (t *txn) register(epoch uint64, blob BlobKey) error {
	return t.Put(tIntents, intentKey(epoch, blob), nil)
}

// settle ends an intent: a row refers to the bytes now. ErrFenced if there is
// no such intent: it was released, used, or condemned with its epoch.
func (t *txn) settle(epoch uint64, blob BlobKey) error {
	key := intentKey(epoch, blob)
	if known, err := t.has(tIntents, key); err != nil {
		return err
	} else if !known {
		return ErrFenced
	}
	return t.Delete(tIntents, key)
}

// condemn ends an intent whose bytes nobody wants, if they are there at all.
// Without the intent it does nothing: a row refers to the bytes by now, or they
// are garbage already.
func (t *txn) condemn(epoch uint64, blob BlobKey) error {
	switch err := t.settle(epoch, blob); {
	case errors.Is(err, ErrFenced):
		return nil
	case err != nil:
		return err
	}
	return t.discard(blob)
}

// discard puts a blob on the garbage list. This is where the last reference to
// a blob ends; that it may stand on the list twice does no harm.
func (t *txn) discard(blob BlobKey) error {
	seq, err := t.nextSeq()
	if err != nil {
		return err
	}
	return t.Put(tGarbage, binary.BigEndian.AppendUint64(nil, seq), []byte(blob))
}

// Garbage is a blob that no row refers to.
type Garbage struct {
	Seq  uint64
	Blob BlobKey
}

// Garbage returns up to limit blobs to delete, oldest first and behind the one
// with Seq after (0 starts); GarbageGone takes them off the list when the store
// has confirmed. No clock has a say in it: nothing refers to them.
func (l *Ledger) Garbage(ctx context.Context, after uint64, limit int) ([]Garbage, error) {
	var found []Garbage
	err := l.view(ctx, func(t *txn) error {
		found = nil
		behind := kv.Range{From: kv.Successor(binary.BigEndian.AppendUint64(nil, after))}
		return t.Scan(tGarbage, behind, func(key, value []byte) error {
			if len(found) >= limit {
				return kv.Stop
			}
			found = append(found, Garbage{lastNumber(key), BlobKey(value)})
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("garbage: %w", err)
	}
	return found, nil
}

// GarbageGone takes deleted blobs off the list. If we die before it, they are
// deleted again, which is nothing.
func (l *Ledger) GarbageGone(ctx context.Context, seqs []uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	err := l.update(ctx, func(t *txn) error {
		for _, seq := range seqs {
			if err := t.Delete(tGarbage, binary.BigEndian.AppendUint64(nil, seq)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("garbage gone: %w", err)
	}
	return nil
}

// CondemnDeadIntents makes garbage of up to limit keys that earlier epochs
// registered and never settled, and returns how many. While the clock is not
// believed it is ErrClockJumped.
func (l *Ledger) CondemnDeadIntents(ctx context.Context, limit int) (int, error) {
	if err := l.clockSound(); err != nil {
		return 0, fmt.Errorf("condemn intents: %w", err)
	}
	dead := kv.Range{To: binary.BigEndian.AppendUint64(nil, l.epoch)}
	var keys [][]byte
	collectDead := func(t *txn) error {
		keys = nil
		return t.Scan(tIntents, dead, func(key, _ []byte) error {
			if len(keys) >= limit {
				return kv.Stop
			}
			keys = append(keys, key)
			return nil
		})
	}
	if err := l.view(ctx, collectDead); err != nil {
		return 0, fmt.Errorf("condemn intents: %w", err)
	}
	if len(keys) == 0 {
		return 0, nil
	}
	err := l.update(ctx, func(t *txn) error {
		if err := collectDead(t); err != nil {
			return err
		}
		for _, k := range keys {
			if err := t.condemn(binary.BigEndian.Uint64(k), BlobKey(k[8:])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("condemn intents: %w", err)
	}
	return len(keys), nil
}

// Standing is what a blob is to the ledger.
type Standing int

const (
	// BlobUnknown: the ledger does not account for it.
	BlobUnknown Standing = iota
	// BlobLeftover: bytes may be there and nobody misses them: an intent, as a
	// killed process leaves it, or on the garbage list. Sweeping deletes it.
	BlobLeftover
	// BlobReferred: a row refers to it.
	BlobReferred
)

// Standing tells what a blob is to the ledger. It is for comparing a store with
// the ledger, and walks intents and garbage.
func (l *Ledger) Standing(ctx context.Context, blob BlobKey) (Standing, error) {
	var s Standing
	err := l.view(ctx, func(t *txn) error {
		s = BlobUnknown
		referred, err := t.referred(blob)
		if referred {
			s = BlobReferred
		}
		if referred || err != nil {
			return err
		}
		listed, err := t.listed(blob)
		if listed {
			s = BlobLeftover
		}
		return err
	})
	if err != nil {
		return BlobUnknown, fmt.Errorf("standing of a blob: %w", err)
	}
	return s, nil
}

// referred tells whether a row refers to a blob: one of references, or else the
// row that its key was made for, which the key itself tells.
func (t *txn) referred(blob BlobKey) (bool, error) {
	if shared, err := t.shared(blob); shared || err != nil {
		return shared, err
	}
	part := strings.Split(string(blob), "/")
	if len(part) != 7 {
		return false, nil
	}
	name, err := t.get(tPathHashes, []byte(part[1]))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	tenant, object := TenantName(name), ObjectID(part[5])
	if part[0]+"/" == stagingPrefix {
		u, err := t.upload(tenant, UploadID(part[5]))
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil || u.Staging == blob && u.State == UploadUploaded {
			return err == nil, err
		}
		if stored, err := t.storesPart(&u, blob); stored || err != nil {
			return stored, err
		}
		object = u.Object
	}
	o, err := t.object(tenant, object)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for key := range o.blobs {
		if key == blob {
			return true, nil
		}
	}
	return false, nil
}

// BlobRefs yields every key that a row refers to, and so must have bytes (or,
// under a promotion, one of its two keys must), in no particular order and
// possibly more than once; an error ends it. The key of an attempt that has not
// completed is none of them, whether the attempt lives or its process died.
// It reads a page at a time: what is
// written meanwhile may be missed.
func (l *Ledger) BlobRefs(ctx context.Context) iter.Seq2[BlobKey, error] {
	return func(yield func(BlobKey, error) bool) {
		for _, table := range []kv.Table{tUploads, tParts, tObjects, tRenditions} {
			var from []byte
			for {
				refs, next, err := l.blobPage(ctx, table, from)
				if err != nil {
					yield("", fmt.Errorf("blob refs: %w", err))
					return
				}
				for _, key := range refs {
					if !yield(key, nil) {
						return
					}
				}
				if next == nil {
					break
				}
				from = next
			}
		}
	}
}

// blobPage returns the keys that a page of rows refers to, and where the next
// page begins, nil at the end.
func (l *Ledger) blobPage(ctx context.Context, table kv.Table, from []byte) (refs []BlobKey, next []byte, err error) {
	err = l.view(ctx, func(t *txn) error {
		refs, next = nil, nil
		rows := 0
		return t.Scan(table, kv.Range{From: from}, func(key, value []byte) error {
			if rows++; rows > maxPage {
				next = bytes.Clone(key)
				return kv.Stop
			}
			switch table {
			case tUploads:
				var u Upload
				err := decode(table, value, &u)
				if u.State == UploadUploaded && u.Staging != "" { // before, it is an intent; in parts, these have it
					refs = append(refs, u.Staging)
				}
				return err
			case tParts:
				var p Part
				err := decode(table, value, &p)
				for _, x := range p.Extents {
					refs = append(refs, x.Blob)
				}
				return err
			case tRenditions:
				var row renditionRow
				err := decode(table, value, &row)
				for _, r := range row.List {
					refs = append(refs, r.Blob)
				}
				return err
			}
			var o Object
			err := decode(table, value, &o)
			refs = slices.AppendSeq(refs, o.blobs)
			return err
		})
	})
	return refs, next, err
}

// blobs yields every key the object's row refers to.
func (o *Object) blobs(yield func(BlobKey) bool) {
	for _, x := range o.Extents {
		if !yield(x.Blob) {
			return
		}
	}
	for _, target := range o.Targets {
		if !yield(target) {
			return
		}
	}
}

// listed tells whether the blob is an intent or garbage.
func (t *txn) listed(blob BlobKey) (found bool, err error) {
	err = t.Scan(tIntents, kv.Range{}, func(key, _ []byte) error {
		if found = string(key[8:]) == string(blob); found {
			return kv.Stop
		}
		return nil
	})
	if found || err != nil {
		return found, err
	}
	err = t.Scan(tGarbage, kv.Range{}, func(_, value []byte) error {
		if found = string(value) == string(blob); found {
			return kv.Stop
		}
		return nil
	})
	return found, err
}

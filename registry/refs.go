package registry

import (
	"encoding/binary"
	"errors"
	"strings"

	"sallyport/registry/kv"
)

// References to blobs. A blob that only one object refers to, and whose key names
// that object (or its session), has no row: its key is its reference. As soon as
// it is shared, or where its key names nobody (the part of a multipart upload),
// it has a row for each object that refers to it, with a count. The parts of a
// multipart upload that is not completed refer in the name of the object that it
// will become.

func referenceKey(blob BlobKey, holder ObjectID) []byte { return keyOf(blob, string(holder)) }

// refer adds n references of holder to a blob. If the blob is not shared yet, the
// object that its key names becomes one of its holders first; that is the object
// it is copied from.
func (t *txn) refer(blob BlobKey, holder ObjectID, n uint64) error {
	shared, err := t.shared(blob)
	if err != nil {
		return err
	}
	if !shared {
		owner, err := t.ownerOf(blob)
		if err != nil {
			return err
		}
		if owner != "" {
			if err := t.addReferences(blob, owner, 1); err != nil {
				return err
			}
		}
	}
	return t.addReferences(blob, holder, n)
}

func (t *txn) addReferences(blob BlobKey, holder ObjectID, n uint64) error {
	have, err := t.references(blob, holder)
	if err != nil {
		return err
	}
	return t.Put(tReferences, referenceKey(blob, holder), binary.BigEndian.AppendUint64(nil, have+n))
}

func (t *txn) references(blob BlobKey, holder ObjectID) (uint64, error) {
	b, err := t.get(tReferences, referenceKey(blob, holder))
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// unrefer ends one reference of holder to a blob. With the last one the blob
// becomes garbage.
func (t *txn) unrefer(blob BlobKey, holder ObjectID) error {
	n, err := t.references(blob, holder)
	switch {
	case err != nil:
		return err
	case n > 1:
		return t.Put(tReferences, referenceKey(blob, holder), binary.BigEndian.AppendUint64(nil, n-1))
	case n == 1:
		if err := t.Delete(tReferences, referenceKey(blob, holder)); err != nil {
			return err
		}
	}
	if shared, err := t.shared(blob); shared || err != nil {
		return err
	}
	return t.discard(blob)
}

// shared tells whether a blob has rows.
func (t *txn) shared(blob BlobKey) (found bool, err error) {
	err = t.Scan(tReferences, under(blob), func(_, _ []byte) error {
		found = true
		return kv.Stop
	})
	return found, err
}

// holders returns the objects that refer to a shared blob.
func (t *txn) holders(blob BlobKey) (found []ObjectID, err error) {
	err = t.Scan(tReferences, under(blob), func(k, _ []byte) error {
		found = append(found, ObjectID(lastPart(k)))
		return nil
	})
	return found, err
}

// ownerOf returns the object that a blob's key names, "" if there is none: the
// object itself, or that of the session whose bytes they are.
func (t *txn) ownerOf(blob BlobKey) (ObjectID, error) {
	part := strings.Split(string(blob), "/")
	if len(part) != 7 {
		return "", nil
	}
	name, err := t.get(tPathHashes, []byte(part[1]))
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	tenant := TenantName(name)
	if part[0]+"/" == stagingPrefix {
		u, err := t.upload(tenant, UploadID(part[5]))
		if errors.Is(err, ErrNotFound) {
			return "", nil
		}
		return u.Object, err
	}
	switch known, err := t.has(tObjects, keyOf(tenant, part[5])); {
	case err != nil || !known:
		return "", err
	}
	return ObjectID(part[5]), nil
}

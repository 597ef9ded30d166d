package registry

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"sallyport/registry/kv"
)

// VerifierKey returns the public key of the log's checkpoints, in the form of
// golang.org/x/mod/sumdb/note. It is for people to keep outside: with a copy
// of the key and of one checkpoint, nobody can replace the log unseen.
func (a *auditLog) VerifierKey() string { return a.vkey }

// useKey takes a signing key as note.GenerateKey makes it.
func (a *auditLog) useKey(skey string) error {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	// The note package does not give the public half of a key. Its text is
	// PRIVATE+KEY+name+hash+base64 of one byte for the algorithm and the seed.
	parts := strings.SplitN(skey, "+", 5) // the base64 may have a + as well
	key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return errors.New("signing key: not an Ed25519 key")
	}
	public := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	a.origin = signer.Name()
	a.signer = signer
	if a.vkey, err = note.NewEd25519VerifierKey(a.origin, public); err != nil {
		return err
	}
	a.verifier, err = note.NewVerifier(a.vkey)
	return err
}

// Checkpoint returns the signed head of the tree as it is now, and keeps it as
// the last one: should the ledger ever be found with fewer leaves or others,
// the next start and VerifyAudit say so.
func (a *auditLog) Checkpoint(ctx context.Context) ([]byte, error) {
	var head []byte
	err := a.store.View(ctx, func(tx kv.Tx) error {
		size, err := auditSize(tx)
		if err != nil {
			return err
		}
		last, signed, err := a.lastHead(tx)
		if err == nil && last.Size == size {
			head = bytes.Clone(signed)
		}
		return err
	})
	if err != nil || head != nil {
		return head, err
	}
	err = a.store.Update(ctx, func(tx kv.Tx) error {
		size, err := auditSize(tx)
		if err != nil {
			return err
		}
		head, err = a.extend(tx, size)
		return err
	})
	return head, err
}

// extend signs the tree of size leaves if it is longer than the last head, and
// only if it still contains the tree that head stands for: a log never signs
// two histories.
func (a *auditLog) extend(tx kv.Tx, size uint64) ([]byte, error) {
	last, signed, err := a.lastHead(tx)
	if err != nil {
		return nil, err
	}
	if last.Size == size {
		return bytes.Clone(signed), nil
	}
	if err := checkTree(tx, last); err != nil {
		return nil, err
	}
	return a.sign(tx, size)
}

// sign writes and returns the head of the tree of size leaves.
func (a *auditLog) sign(tx kv.Tx, size uint64) ([]byte, error) {
	root, err := treeHash(tx, size)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", a.origin, size, root)
	head, err := note.Sign(&note.Note{Text: text}, a.signer)
	if err != nil {
		return nil, fmt.Errorf("sign the audit log's head: %w", err)
	}
	return head, tx.Put(tableAuditState, rowAuditHead, head)
}

// lastHead returns the last signed head. The bytes are valid until the
// transaction ends.
func (a *auditLog) lastHead(tx kv.Reader) (Checkpoint, []byte, error) {
	signed, err := tx.Get(tableAuditState, rowAuditHead)
	if errors.Is(err, kv.ErrNotFound) {
		return Checkpoint{}, nil, fmt.Errorf("%w: the last signed head is missing", ErrTampered)
	}
	if err != nil {
		return Checkpoint{}, nil, err
	}
	c, err := openCheckpoint(signed, a.verifier)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("the last signed head: %w", err)
	}
	return c, signed, nil
}

// checkHead compares the stored hashes with the last signed head.
func (a *auditLog) checkHead(tx kv.Reader) error {
	last, _, err := a.lastHead(tx)
	if err != nil {
		return err
	}
	return checkTree(tx, last)
}

// checkTree fails if the stored hashes are not those of a tree that has c's
// tree as its beginning. It reads O(log n) tiles and no leaf's bytes.
func checkTree(tx kv.Reader, c Checkpoint) error {
	size, err := auditSize(tx)
	if err != nil {
		return err
	}
	if size < c.Size {
		return fmt.Errorf("%w: there are %d leaves, but the last signed head is of %d (root %s)", ErrTampered, size, c.Size, c.Root)
	}
	root, err := treeHash(tx, c.Size)
	if err != nil {
		return fmt.Errorf("last signed head of %d leaves (root %s): %w", c.Size, c.Root, err)
	}
	if root != c.Root {
		return fmt.Errorf("%w: the first %d leaves have root %s, but the last signed head says %s", ErrTampered, c.Size, root, c.Root)
	}
	return nil
}

// Proof returns the hashes that prove that leaf seq is in the tree of size
// leaves (RFC 6962, 2.1.1), for VerifyInclusion.
func (a *auditLog) Proof(ctx context.Context, seq, size uint64) ([]Hash, error) {
	var proof []Hash
	err := a.prove(ctx, size, func(hashes storedHashes) (err error) {
		if seq >= size {
			return fmt.Errorf("%w: leaf %d is not in a tree of %d", ErrInvalid, seq, size)
		}
		proof, err = tlog.ProveRecord(int64(size), int64(seq), hashes)
		return err
	})
	return proof, err
}

// ConsistencyProof returns the hashes that prove that the tree of size leaves
// begins with the tree of old leaves (RFC 6962, 2.1.2), for VerifyExtension.
func (a *auditLog) ConsistencyProof(ctx context.Context, old, size uint64) ([]Hash, error) {
	var proof []Hash
	err := a.prove(ctx, size, func(hashes storedHashes) (err error) {
		if old == 0 || old > size {
			return fmt.Errorf("%w: a tree of %d leaves cannot begin with one of %d", ErrInvalid, size, old)
		}
		proof, err = tlog.ProveTree(int64(size), int64(old), hashes)
		return err
	})
	return proof, err
}

func (a *auditLog) prove(ctx context.Context, size uint64, fn func(storedHashes) error) error {
	return a.store.View(ctx, func(tx kv.Tx) error {
		n, err := auditSize(tx)
		if err != nil {
			return err
		}
		if size > n {
			return fmt.Errorf("%w: the tree has %d leaves, not %d", ErrInvalid, n, size)
		}
		return fn(storedHashes{tx})
	})
}

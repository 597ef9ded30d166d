package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// maxBlocks bounds how many blocks of access records one call reads.
const maxBlocks = 2000

// Downloads returns the access records of requests that were given bytes of an object,
// oldest first: those of the operations named, from the leaf from on, 0 being the
// object's beginning. At least limit of them, if there are so many, for a block is read
// whole. next is the leaf to go on from, 0 at the end. It looks at a bounded number of
// blocks: there may be none, and yet a next one. Records of the last second may still
// be in memory; FlushAccess writes them. ErrNotFound.
func (l *Ledger) Downloads(ctx context.Context, tenant TenantName, id ObjectID, ops []string, from uint64, limit int) (found []AccessRecord, next uint64, err error) {
	if limit <= 0 || limit > maxPage {
		return nil, 0, fmt.Errorf("downloads: %w: limit is 1 to %d", ErrInvalid, maxPage)
	}
	if from == 0 {
		if from, err = l.birth(ctx, tenant, id); err != nil {
			return nil, 0, fmt.Errorf("downloads: %w", err)
		}
	}
	field := fmt.Appendf(nil, `"object":%q`, string(id))
	for range maxBlocks {
		leaf, stored, err := l.nextBlock(ctx, from)
		if errors.Is(err, errNoBlock) {
			return found, 0, nil
		}
		var lines []byte
		if err == nil {
			lines, err = OpenBlock(leaf, stored)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("downloads: %w", err)
		}
		for line := range bytes.Lines(lines) {
			if !bytes.Contains(line, field) {
				continue
			}
			var rec AccessRecord
			if err := json.Unmarshal(line, &rec); err != nil {
				return nil, 0, fmt.Errorf("downloads: %w", &TamperError{Seq: leaf.Seq, What: "access record: " + err.Error()})
			}
			if rec.Tenant == tenant && rec.Object == id && rec.BytesOut > 0 && rec.Status < 300 && slices.Contains(ops, rec.Op) {
				found = append(found, rec)
			}
		}
		if from = leaf.Seq + 1; len(found) >= limit {
			break
		}
	}
	return found, from, nil
}

// birth returns the leaf that an object's row began with.
func (l *Ledger) birth(ctx context.Context, tenant TenantName, id ObjectID) (seq uint64, err error) {
	err = l.view(ctx, func(t *txn) error {
		o, err := t.object(tenant, id)
		if err == nil && o.Marker {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		seqs, err := t.leaves(&o, 0, 1)
		if err == nil && len(seqs) > 0 {
			seq = seqs[0]
		}
		return err
	})
	return seq, err
}

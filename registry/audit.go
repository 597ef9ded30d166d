package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sallyport/registry/kv"
)

// The audit log's tables.
//
//	audit_leaves   seq              → leaf hash (32 bytes), then the event's JSON
//	audit_tiles    level/8, index   → hash of a complete subtree of 256^(level/8) leaves
//	audit_tenants  tenant 0 seq/256 → "": the tenant has leaves among those 256
//	access_blocks  seq of its leaf  → zstd block of access records, one JSON line each
//	audit_state    "key" "head" "open"
//
// Numbers are big-endian, so that order of keys is order of numbers.
//
// Leaves and tiles together are the tiles (height 8) of golang.org/x/mod's
// tlog, kept hash by hash where they arise: a leaf's hash beside the leaf, the
// root of each complete tile in a row of its own. Hashes between these levels
// are computed when a proof needs them. So an append writes one row behind the
// last one, every 256th one more; the tree costs 32 bytes a leaf; and there is
// no edge in memory that a failed transaction could leave wrong.
const (
	tableAuditLeaves  kv.Table = "audit_leaves"
	tableAuditTiles   kv.Table = "audit_tiles"
	tableAuditTenants kv.Table = "audit_tenants"
	tableAccessBlocks kv.Table = "access_blocks"
	tableAuditState   kv.Table = "audit_state"
)

// auditTables are the tables this file draws; auditAppendTables those of them
// that only grow at their end, auditQuietTables those that are written by one
// commit in many.
var (
	auditTables       = []kv.Table{tableAuditLeaves, tableAuditTiles, tableAuditTenants, tableAccessBlocks, tableAuditState}
	auditAppendTables = []kv.Table{tableAuditLeaves, tableAccessBlocks}
	auditQuietTables  = []kv.Table{tableAuditTiles, tableAccessBlocks, tableAuditState}
)

// Rows of audit_state.
var (
	rowAuditKey   = []byte("key")  // the signing key, sealed
	rowAuditHead  = []byte("head") // the last signed head, a note
	rowAccessOpen = []byte("open") // there while access records may be in memory; holds the time of the start
)

// auditConfig is what the audit log needs of the ledger.
type auditConfig struct {
	Store kv.Store
	Now   func() time.Time // the ledger's time
	Rand  io.Reader
	Log   *slog.Logger // nil discards
	// Seal and Unseal keep the signing key under the ledger's root key.
	Seal   func(plain []byte) ([]byte, error)
	Unseal func(sealed []byte) ([]byte, error)
	// AccessBuffer is how many access records may wait in memory; 0 means
	// 16,384. AccessEvery is how often they are written; 0 means a second.
	AccessBuffer int
	AccessEvery  time.Duration
}

// auditLog is a transparency log: the leaves of a Merkle tree with the hashes
// of RFC 6962, whose heads are signed. It is safe for concurrent use, and
// keeps nothing of the tree in memory.
type auditLog struct {
	store    kv.Store
	now      func() time.Time
	origin   string // names this log in its checkpoints
	signer   note.Signer
	verifier note.Verifier
	vkey     string
	access   *accessLog
}

// openAudit makes the log's signing key on the first start. Later it unseals
// it and checks that the tree still is what the last signed head promised:
// ErrTampered, naming that head, if leaves are missing or were changed. It must
// be closed.
func openAudit(ctx context.Context, cfg auditConfig) (*auditLog, error) {
	a := &auditLog{store: cfg.Store, now: cfg.Now}
	err := a.store.View(ctx, func(tx kv.Tx) error {
		sealed, err := tx.Get(tableAuditState, rowAuditKey)
		if err != nil {
			return err
		}
		skey, err := cfg.Unseal(sealed)
		if err != nil {
			return fmt.Errorf("unseal the audit log's signing key: %w", err)
		}
		if err := a.useKey(string(skey)); err != nil {
			return err
		}
		return a.checkHead(tx)
	})
	if errors.Is(err, kv.ErrNotFound) {
		err = a.create(ctx, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	if a.access, err = openAccess(ctx, a, cfg); err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return a, nil
}

// close writes the access records there are, signs the head and marks a clean
// end. The store must still be open; nothing may be appended afterwards, or
// only the next start signs for it.
func (a *auditLog) close(ctx context.Context) error { return a.access.close(ctx) }

// create writes key and first head of an empty log.
func (a *auditLog) create(ctx context.Context, cfg auditConfig) error {
	var id [8]byte
	if _, err := io.ReadFull(cfg.Rand, id[:]); err != nil {
		return err
	}
	skey, _, err := note.GenerateKey(cfg.Rand, fmt.Sprintf("sallyport/audit/%x", id))
	if err != nil {
		return err
	}
	sealed, err := cfg.Seal([]byte(skey))
	if err != nil {
		return fmt.Errorf("seal the audit log's signing key: %w", err)
	}
	if err := a.useKey(skey); err != nil {
		return err
	}
	return a.store.Update(ctx, func(tx kv.Tx) error {
		n, err := auditSize(tx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: there are %d leaves but no signing key", ErrTampered, n)
		}
		if err := tx.Put(tableAuditState, rowAuditKey, sealed); err != nil {
			return err
		}
		_, err = a.sign(tx, 0)
		return err
	})
}

// append makes ev the next leaf, in the caller's transaction, and sets ev.Seq
// to its index: the tree's size before. An event that is not fit for the log
// is refused, and with it the state change.
func (a *auditLog) append(tx kv.Tx, ev *Event) (seq uint64, err error) {
	seq, err = auditSize(tx)
	if err != nil {
		return 0, err
	}
	ev.Seq = seq
	leaf, err := ev.leaf()
	if err != nil {
		return 0, err
	}
	if err := putLeaf(tx, seq, leaf); err != nil {
		return 0, err
	}
	if ev.Tenant == "" {
		return seq, nil
	}
	return seq, markTenant(tx, ev.Tenant, seq)
}

// auditSize returns the number of leaves. It is found in the leaves' own
// table: a counter would be a row more to write and one that can be wrong.
func auditSize(tx kv.Reader) (n uint64, err error) {
	err = tx.Scan(tableAuditLeaves, kv.Range{Reverse: true}, func(key, _ []byte) error {
		if len(key) != 8 {
			return fmt.Errorf("%w: a leaf's key is %x", ErrTampered, key)
		}
		n = binary.BigEndian.Uint64(key) + 1
		return kv.Stop
	})
	return n, err
}

// markTenant notes that the tenant has a leaf in seq's tile. It costs a tenant
// with many leaves one row in 256, one with few a row for each.
func markTenant(tx kv.Tx, t TenantName, seq uint64) error {
	key := tenantKey(t, seq/tileWidth)
	_, err := tx.Get(tableAuditTenants, key)
	if errors.Is(err, kv.ErrNotFound) {
		return tx.Put(tableAuditTenants, key, nil)
	}
	return err
}

func tenantKey(t TenantName, tile uint64) []byte { return numbered(keyOf(t), tile) }

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// Leaf is one leaf of the audit log: the exact bytes that were hashed, a line
// of JSON without its end of line. Their form is Event's.
type Leaf struct {
	Seq   uint64
	Bytes []byte
}

// Event decodes the leaf.
func (l Leaf) Event() (Event, error) {
	var e Event
	if err := json.Unmarshal(l.Bytes, &e); err != nil {
		return Event{}, fmt.Errorf("%w: leaf %d: %w", ErrTampered, l.Seq, err)
	}
	return e, nil
}

// maxLeaves is the longest page of leaves.
const maxLeaves = 1000

// Events returns the first limit leaves (at most 1,000) with seq >= from, in
// order: all of them for tenant "", else that tenant's own. The next page
// starts at the last seq plus one; an empty page is the end as of now. A page
// of a tenant reads at most 256 leaves for each that it returns.
func (a *auditLog) Events(ctx context.Context, tenant TenantName, from uint64, limit int) ([]Leaf, error) {
	limit = min(limit, maxLeaves)
	if limit <= 0 {
		return nil, fmt.Errorf("%w: a page of %d leaves", ErrInvalid, limit)
	}
	if tenant != "" {
		return a.tenantEvents(ctx, tenant, from, limit)
	}
	var page []Leaf
	err := a.store.View(ctx, func(tx kv.Tx) error {
		return scanLeaves(tx, from, ^uint64(0), func(seq uint64, _ Hash, leaf []byte) error {
			page = append(page, Leaf{Seq: seq, Bytes: bytes.Clone(leaf)})
			if len(page) == limit {
				return kv.Stop
			}
			return nil
		})
	})
	return page, err
}

// tilesPerView bounds how long a tenant's page holds one snapshot.
const tilesPerView = 32

func (a *auditLog) tenantEvents(ctx context.Context, tenant TenantName, from uint64, limit int) ([]Leaf, error) {
	var page []Leaf
	field := tenantField(tenant)
	for {
		tiles := 0
		err := a.store.View(ctx, func(tx kv.Tx) error {
			r := kv.Range{From: tenantKey(tenant, from/tileWidth), To: under(tenant).To}
			return tx.Scan(tableAuditTenants, r, func(key, _ []byte) error {
				tile := binary.BigEndian.Uint64(key[len(tenant)+1:])
				if tiles++; tiles > tilesPerView {
					from = tile * tileWidth
					return kv.Stop
				}
				err := scanLeaves(tx, max(from, tile*tileWidth), (tile+1)*tileWidth, func(seq uint64, _ Hash, leaf []byte) error {
					if len(page) < limit && bytes.Contains(leaf, field) {
						page = append(page, Leaf{Seq: seq, Bytes: bytes.Clone(leaf)})
					}
					return nil
				})
				if err == nil && len(page) == limit {
					err = kv.Stop
				}
				return err
			})
		})
		if err != nil || len(page) == limit || tiles <= tilesPerView {
			return page, err
		}
	}
}

// tenantField is what a line of JSON of the tenant has in it, and no other: in
// a text a quote would be escaped, and no field's name but "tenant" begins and
// ends so.
func tenantField(t TenantName) []byte { return []byte(`"tenant":"` + string(t) + `"`) }

// leavesAt returns the events with these seqs, those of other tenants left
// out. An object's timeline is the leaves that its row names.
func leavesAt(tx kv.Reader, tenant TenantName, seqs []uint64) ([]Event, error) {
	events := make([]Event, 0, len(seqs))
	for _, seq := range slices.Sorted(slices.Values(seqs)) {
		_, leaf, err := getLeaf(tx, seq)
		if err != nil {
			return nil, err
		}
		ev, err := Leaf{Seq: seq, Bytes: leaf}.Event()
		if err != nil {
			return nil, err
		}
		if ev.Tenant == tenant {
			events = append(events, ev)
		}
	}
	return events, nil
}

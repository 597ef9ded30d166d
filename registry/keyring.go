package registry

import (
	"sync"
	"sync/atomic"

	"sallyport/registry/kv"
)

// keyring keeps the keys that requests were proved with lately, and their tenants: to
// look a key up takes four rows, and every request begins with it. What it holds counts until
// the next write to the tables it comes from, which is counted before the update
// that made it returns: nothing that was revoked is found after the revocation.
// This process is the ledger's only writer; were there others, their commits
// would have to be counted here as well.
type keyring struct {
	writes  atomic.Uint64 // to the tables of keys
	access  remembered[AccessKeyID, Credential]
	signing remembered[string, urlKeyRow]
	tenants remembered[TenantName, Tenant]
}

// ofKeys tells whether a keyring depends on a table.
func ofKeys(table kv.Table) bool {
	return table == tTenants || table == tKeys || table == tURLKeys || table == tBlocked
}

// Put implements kv.Tx.
func (t *txn) Put(table kv.Table, key, value []byte) error {
	t.wroteKeys, t.wroteBuckets = t.wroteKeys || ofKeys(table), t.wroteBuckets || ofBuckets(table)
	return t.Tx.Put(table, key, value)
}

// Delete implements kv.Tx.
func (t *txn) Delete(table kv.Table, key []byte) error {
	t.wroteKeys, t.wroteBuckets = t.wroteKeys || ofKeys(table), t.wroteBuckets || ofBuckets(table)
	return t.Tx.Delete(table, key)
}

// maxRemembered bounds the rows of one kind.
const maxRemembered = 4096

// remembered is rows of one kind. They are shared: nobody changes them.
type remembered[K comparable, V any] struct {
	mu     sync.RWMutex // protects the fields below
	writes uint64       // what the rows are as of
	rows   map[K]V
}

func (r *remembered[K, V]) get(id K, writes uint64) (row V, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.writes == writes {
		row, ok = r.rows[id]
	}
	return row, ok
}

// put keeps a row that was read after writes was.
func (r *remembered[K, V]) put(id K, row V, writes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case writes < r.writes:
		return // read too long ago
	case writes > r.writes, r.rows == nil, len(r.rows) >= maxRemembered:
		r.writes, r.rows = writes, make(map[K]V)
	}
	r.rows[id] = row
}

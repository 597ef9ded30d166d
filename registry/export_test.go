package registry

import "sallyport/registry/kv"

// StoreOf opens the ledger's store to tests that break things.
func StoreOf(l *Ledger) kv.Store { return l.store }

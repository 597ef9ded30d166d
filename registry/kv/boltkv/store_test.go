package boltkv_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/kv/kvtest"
)

func options() boltkv.Options {
	return boltkv.Options{Tables: kvtest.Tables(), AppendTables: []kv.Table{kvtest.Log}, QuietTables: []kv.Table{kvtest.Index}}
}

// mustOpen opens the store in dir; the caller closes it.
func mustOpen(t testing.TB, dir string, o boltkv.Options) *boltkv.Store {
	t.Helper()
	s, err := boltkv.Open(filepath.Join(dir, "ledger.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkedStore checks the whole file before it is closed.
type checkedStore struct {
	*boltkv.Store
	t testing.TB
}

func (c checkedStore) Close() error {
	if err := c.Check(context.Background()); err != nil && !errors.Is(err, kv.ErrClosed) {
		c.t.Error(err)
	}
	return c.Store.Close()
}

func TestConformance(t *testing.T) {
	kvtest.Test(t, func(t testing.TB, dir string) kv.Store {
		return checkedStore{mustOpen(t, dir, options()), t}
	})
}

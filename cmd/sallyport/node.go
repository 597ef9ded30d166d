package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry"
	"sallyport/registry/kv/boltkv"
)

// node is a data directory in use: the ledger and the bytes it speaks of.
type node struct {
	lock   *os.File
	ledger *registry.Ledger
	blobs  blobStore
}

// openNode takes the data directory for this process and opens what is in it.
func openNode(ctx context.Context, cfg config.Config, log *slog.Logger, now func() time.Time, m *ledgerMetrics) (n *node, err error) {
	n = &node{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close(ctx))
		}
	}()
	if n.lock, err = lockDataDir(cfg.DataDir); err != nil {
		return n, err
	}
	key, err := rootKey(cfg)
	if err != nil {
		return n, err
	}
	if n.blobs, err = openBlobs(cfg); err != nil {
		return n, fmt.Errorf("backend %s: %w", cfg.BackendKind, err)
	}
	store, err := boltkv.Open(filepath.Join(cfg.DataDir, ledgerFile), boltkv.Options{
		Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, Logger: log, OnCommit: m.observe, Now: now,
	})
	if err != nil {
		return n, err
	}
	n.ledger, err = registry.Open(ctx, registry.Config{Store: store, RootKey: key, Now: now, Log: log})
	if err != nil {
		return n, errors.Join(err, store.Close())
	}
	return n, nil
}

// close gives everything back, in the reverse order. It is safe on a node that
// was opened in part.
func (n *node) close(ctx context.Context) error {
	var failures []error
	if n.ledger != nil {
		failures = append(failures, n.ledger.Close(ctx))
	}
	if n.blobs != nil {
		failures = append(failures, n.blobs.Close())
	}
	if n.lock != nil {
		failures = append(failures, n.lock.Close())
	}
	return errors.Join(failures...)
}

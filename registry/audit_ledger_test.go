package registry_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv/boltkv"
)

// TestAuditOfALedger walks the audit log as its readers see it: a tenant that
// keeps a checkpoint, an operator that exports, and both after a restart.
func TestAuditOfALedger(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "ledger.db")
	open := func() *registry.Ledger {
		t.Helper()
		s, err := boltkv.Open(path, boltkv.Options{Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		l, err := registry.Open(ctx, registry.Config{Store: s, Now: time.Now})
		if err != nil {
			t.Fatal(errors.Join(err, s.Close()))
		}
		return l
	}
	l := open()
	if err := l.Bootstrap(ctx, registry.RootCredentials{AccessKey: "SPROOTROOTROOTROOT01", SecretKey: "root-secret-root-secret-root-secret-0123"}); err != nil {
		t.Fatal(err)
	}
	operator := registry.Actor{Tenant: "default", Principal: "root", Roles: []registry.Role{registry.RoleOperator}}
	for _, name := range []registry.TenantName{"acme", "other"} {
		if _, err := l.CreateTenant(ctx, operator, name); err != nil {
			t.Fatal(err)
		}
	}
	older, err := l.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []registry.TenantName{"acme", "other"} {
		if err := l.Access(ctx, registry.AccessRecord{Time: time.Now(), Tenant: name, Principal: "alice", Key: string(name) + "/key", Status: 200}); err != nil {
			t.Fatal(err)
		}
	}
	key := l.VerifierKey()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}

	l = open()
	defer func() {
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if l.VerifierKey() != key {
		t.Errorf("verifier key is %s, was %s", l.VerifierKey(), key)
	}
	newer, err := l.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	from, err := registry.OpenCheckpoint(key, older)
	if err != nil {
		t.Fatal(err)
	}
	to, err := registry.OpenCheckpoint(key, newer)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := l.ConsistencyProof(ctx, from.Size, to.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.VerifyExtension(key, older, newer, proof); err != nil {
		t.Error(err)
	}

	var lines bytes.Buffer
	all, err := l.Events(ctx, "", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range all {
		lines.Write(append(leaf.Bytes, '\n'))
		if ev, err := leaf.Event(); err != nil || ev.Type == registry.EventAccessGap {
			t.Errorf("leaf %d: %+v, %v; want no gap after a clean end", leaf.Seq, ev, err)
		}
	}
	if c, err := registry.VerifyExport(key, newer, &lines); err != nil || c != to {
		t.Errorf("VerifyExport = %+v, %v, want %+v", c, err, to)
	}
	if _, err := l.VerifyAudit(ctx); err != nil {
		t.Error(err)
	}

	own, err := l.Events(ctx, "acme", 0, 1000)
	if err != nil || len(own) == 0 || len(own) == len(all) {
		t.Fatalf("acme sees %d of %d leaves, %v", len(own), len(all), err)
	}
	for _, leaf := range own {
		if ev, err := leaf.Event(); err != nil || ev.Tenant != "acme" {
			t.Errorf("acme sees leaf %s", leaf.Bytes)
		}
		proof, err := l.Proof(ctx, leaf.Seq, to.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := registry.VerifyInclusion(key, newer, leaf.Bytes, leaf.Seq, proof); err != nil {
			t.Error(err)
		}
	}
	for block, err := range l.AccessBlocks(ctx, "acme", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(block.Lines, []byte("acme/key")) || bytes.Contains(block.Lines, []byte("other/key")) {
			t.Errorf("acme sees access records\n%s", block.Lines)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry"
	"sallyport/registry/blob"
)

// TestFsckParts: the parts of what is not complete are missed as objects are.
func TestFsckParts(t *testing.T) {
	for name, store := range map[string]bool{"whole": true, "missing": false} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			serve(t, data, nil).stop()
			ids := leaveParts(t, data, store)
			r := sallyport(t, nil, "fsck", "--json", "--data", data)
			var report fsckReport
			if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
				t.Fatalf("%v: %+v", err, r)
			}
			if len(report.Ledger)+len(report.Orphans)+report.Leftovers.Blobs != 0 {
				t.Errorf("%+v", report)
			}
			if store {
				if r.code != 0 || len(report.Damaged) != 0 {
					t.Errorf("exit code %d, %+v", r.code, report)
				}
				return
			}
			found := map[string]string{}
			for _, d := range report.Damaged {
				found[d.ID] = d.Problem
			}
			for _, id := range ids {
				if found[id] != "part 1: its bytes are missing" {
					t.Errorf("of %s is said: %q", id, found[id])
				}
			}
			if r.code != 1 || len(found) != len(ids) {
				t.Errorf("exit code %d, %v", r.code, found)
			}
		})
	}
}

// leaveParts puts a session in parts and a multipart upload, of one part each, into
// a ledger, and their bytes into the store if those are to be there.
func leaveParts(t *testing.T, data string, store bool) []string {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"data.dir": data}})
	must(err)
	n, err := openNode(ctx, cfg, slog.New(slog.DiscardHandler), time.Now, newLedgerMetrics())
	must(err)
	put := func(key registry.BlobKey) registry.Stored {
		t.Helper()
		if store {
			_, err := n.blobs.Put(ctx, blob.Key(key), strings.NewReader("part"), 4)
			must(err)
		}
		return registry.Stored{Size: 4, MD5: "b2fcc08b0e3e3e4fbcc5e9d7dfbe2a2b"}
	}
	by := registry.Actor{Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal}
	begun, err := n.ledger.CreateUpload(ctx, by, registry.NewUpload{
		Bucket: registry.DefaultBucket, Filename: "a", ContentType: "text/plain", Size: 4, PartSize: 8 << 20, SessionTTL: time.Hour, URLTTL: time.Minute})
	must(err)
	g, _, err := n.ledger.IssuePartURL(ctx, by, begun.Upload.ID, 1, time.Minute)
	must(err)
	a, err := n.ledger.BeginPut(ctx, by, by.Tenant, begun.Upload.ID, g.ID)
	must(err)
	_, err = n.ledger.CompletePut(ctx, a, put(a.Blob))
	must(err)
	m, err := n.ledger.CreateMultipart(ctx, by, registry.NewMultipart{Bucket: registry.DefaultBucket, Key: "a"})
	must(err)
	i, err := n.ledger.ReserveBlob(ctx, by.Tenant)
	must(err)
	_, err = n.ledger.PutPart(ctx, by, registry.NewPart{Multipart: m.ID, Bucket: m.Bucket, Key: m.Key, Number: 1, Intent: &i, Stored: put(i.Key)})
	must(err)
	must(n.close(ctx))
	return []string{string(begun.Upload.ID), string(m.ID)}
}

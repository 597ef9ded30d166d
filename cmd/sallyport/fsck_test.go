package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/blob/diskblob"
)

func TestFsckRefuses(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if r := sallyport(t, nil, "fsck", "--data", data); r.code != 1 {
		t.Errorf("without a data directory: %+v", r)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Error("fsck made the data directory")
	}
	s := serve(t, data, nil)
	if r := sallyport(t, nil, "fsck", "--data", data); r.code != 1 || !strings.Contains(r.stderr, "in use by another") {
		t.Errorf("beside a running server: %+v", r)
	}
	s.stop()
	mustSallyport(t, nil, "fsck", "--data", data)
}

func TestFsckOrphans(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	serve(t, data, nil).stop()
	const key blob.Key = "staging/00112233/2026/01/02/upl_01J00000000000000000000000/1"
	store, err := diskblob.Open(filepath.Join(data, blobDir))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Put(context.Background(), key, strings.NewReader("left behind"), 11); err != nil {
		t.Fatal(err)
	}

	fsck := func(args ...string) (fsckReport, int) {
		t.Helper()
		r := sallyport(t, nil, append([]string{"fsck", "--json", "--data", data}, args...)...)
		if strings.Contains(r.stdout+r.stderr, "00112233") {
			t.Errorf("the report shows a blob key: %s%s", r.stdout, r.stderr)
		}
		var report fsckReport
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
			t.Fatalf("%v: %+v", err, r)
		}
		return report, r.code
	}
	report, code := fsck()
	if code != 1 || len(report.Orphans) != 1 || report.Orphans[0].ID != "upl_01J00000000000000000000000" || report.Orphans[0].Size != 11 {
		t.Errorf("exit code %d, %+v", code, report)
	}
	if _, err := store.Stat(context.Background(), key); err != nil {
		t.Errorf("a report without --delete deleted: %v", err)
	}
	if report, code := fsck("--delete"); code != 0 || report.Deleted != 1 {
		t.Errorf("--delete: exit code %d, %+v", code, report)
	}
	if report, code := fsck(); code != 0 || len(report.Orphans) != 0 {
		t.Errorf("afterwards: exit code %d, %+v", code, report)
	}
}

// TestFsckAfterAKill: what a killed server leaves is a leftover as long as nobody
// cleared up, and nothing once the next server has.
func TestFsckAfterAKill(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	serve(t, data, nil).stop()
	leaveHalfDone(t, data)
	fsck := func(want fsckLeftovers) {
		t.Helper()
		r := sallyport(t, nil, "fsck", "--json", "--data", data)
		var report fsckReport
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
			t.Fatalf("%v: %+v", err, r)
		}
		if r.code != 0 || len(report.Ledger)+len(report.Damaged)+len(report.Orphans) != 0 || report.Leftovers != want {
			t.Errorf("exit code %d, %+v, want nothing but leftovers %+v", r.code, report, want)
		}
	}
	fsck(fsckLeftovers{Blobs: 2, Bytes: 8})
	if out := mustSallyport(t, nil, "fsck", "--delete", "--data", data); !strings.Contains(out, "2 leftovers of 8") {
		t.Errorf("fsck says %s", out)
	}
	s := serve(t, data, nil)
	waitForNoBytes(t, filepath.Join(data, "objects"))
	s.stop()
	fsck(fsckLeftovers{})
}

// waitForNoBytes returns when a server's first sweep has emptied a folder.
func waitForNoBytes(t *testing.T, folder string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(childTime)
	for {
		files := 0
		err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files++
			}
			return err
		})
		if err == nil && files == 0 {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%d files are left after %s (%v)", files, childTime, err)
		}
	}
}

// leaveHalfDone does to a data directory what a server does that is killed in the
// midst of PUTs: one has stored nothing yet, the others have and are not committed.
func leaveHalfDone(t *testing.T, data string) {
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
	by := registry.Actor{Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal}
	for i, bytes := range []string{"", "half"} {
		b, err := n.ledger.CreateUpload(ctx, by, registry.NewUpload{
			Bucket: registry.DefaultBucket, Filename: "a", ContentType: "text/plain", Size: 4, SessionTTL: time.Hour, URLTTL: time.Minute})
		must(err)
		a, err := n.ledger.BeginPut(ctx, by, by.Tenant, b.Upload.ID, "")
		must(err)
		if i > 0 {
			_, err = n.blobs.Put(ctx, blob.Key(a.Blob), strings.NewReader(bytes), 4)
			must(err)
		}
	}
	i, err := n.ledger.ReserveBlob(ctx, by.Tenant)
	must(err)
	_, err = n.blobs.Put(ctx, blob.Key(i.Key), strings.NewReader("half"), 4)
	must(err)
	must(n.close(ctx)) // gives back only what no attempt has
}

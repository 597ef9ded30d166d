package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// TestFsckRenditions finds copies of pictures that are changed or lost.
func TestFsckRenditions(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	serve(t, data, nil).stop()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"data.dir": data}})
	must(err)
	open := func() *node {
		t.Helper()
		n, err := openNode(ctx, cfg, slog.New(slog.DiscardHandler), time.Now, newLedgerMetrics())
		must(err)
		return n
	}
	n := open()
	by := registry.Actor{Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal}
	store := func(content string) (registry.Intent, string) {
		t.Helper()
		i, err := n.ledger.ReserveBlob(ctx, by.Tenant)
		must(err)
		_, err = n.blobs.Put(ctx, blob.Key(i.Key), strings.NewReader(content), int64(len(content)))
		must(err)
		sum := sha256.Sum256([]byte(content))
		return i, hex.EncodeToString(sum[:])
	}
	object, sum := store("the picture")
	made, digest := store("a clean one")
	must(n.ledger.CreateBucket(ctx, by, registry.Bucket{Name: "pictures", Intake: registry.IntakeDirect}))
	_, err = n.ledger.PutObject(ctx, by, registry.NewObject{
		Intent: object, Bucket: "pictures", Key: "a", Kept: registry.Kept{ContentType: "image/png"},
		Stored:     registry.Stored{Size: 11, SHA256: sum, MD5: sum[:32]},
		Renditions: []registry.Rendition{{Name: "clean", ContentType: "image/png", Width: 1, Height: 1, Size: 11, SHA256: digest, Blob: made.Key}},
		Verdict:    registry.Verdict{Result: registry.VerdictClean},
	})
	must(err)
	must(n.close(ctx))

	fsck := func(want string, args ...string) {
		t.Helper()
		r := sallyport(t, nil, append([]string{"fsck", "--json", "--data", data}, args...)...)
		var report fsckReport
		must(json.Unmarshal([]byte(r.stdout), &report))
		switch {
		case len(report.Ledger)+len(report.Orphans) > 0:
			t.Errorf("report is %+v", report)
		case want == "" && (r.code != 0 || len(report.Damaged) > 0):
			t.Errorf("exit code %d, %+v", r.code, report)
		case want != "" && (r.code != 1 || len(report.Damaged) != 1 || !strings.Contains(report.Damaged[0].Problem, "of its rendition clean, "+want)):
			t.Errorf("exit code %d, %+v; want %q", r.code, report, want)
		}
	}
	replace := func(content string) {
		t.Helper()
		n := open()
		must(n.blobs.Delete(ctx, blob.Key(made.Key)))
		if content != "" {
			_, err := n.blobs.Put(ctx, blob.Key(made.Key), strings.NewReader(content), int64(len(content)))
			must(err)
		}
		must(n.close(ctx))
	}
	fsck("", "--content")
	replace("a dirty one")
	fsck("")
	fsck(changed, "--content")
	replace("short")
	fsck("5 bytes are stored where 11 belong")
	replace("")
	fsck("its bytes are missing")
}

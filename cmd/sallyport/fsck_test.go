package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

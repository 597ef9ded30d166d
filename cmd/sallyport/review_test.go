package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/cmd/sallyport/client"
)

// TestReviewCommands takes an object that no malware engine saw through examination,
// release, download and withdrawal.
func TestReviewCommands(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), []string{"SALLYPORT_SCANNER_REQUIRED=true"})
	root := s.root()
	path, want := randomFile(t, "a.bin", 1000)
	if r := sallyport(t, root, "upload", path); r.code != 1 || !strings.Contains(r.stderr, "held for review") {
		t.Errorf("upload: %+v", r)
	}
	var listed struct{ Objects []client.Object }
	decode(t, mustSallyport(t, root, "objects", "ls", "--held", "--json"), &listed)
	if len(listed.Objects) != 1 {
		t.Fatalf("held: %+v", listed)
	}
	id := listed.Objects[0].ObjectID

	for name, args := range map[string][]string{
		"no decision": {"review", id, "--reason", "seen"},
		"no reason":   {"review", id, "--decision", "release"},
		"a sentence":  {"review", id, "--decision", "release", "--reason", "it is fine"},
		"no object":   {"review", "obj_01J00000000000000000000000", "--decision", "release", "--reason", "seen"},
	} {
		if r := sallyport(t, root, append([]string{"objects"}, args...)...); r.code == 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	archive := filepath.Join(t.TempDir(), "evidence.zip")
	mustSallyport(t, root, "objects", "examine", id, "-o", archive)
	if info, err := os.Stat(archive); err != nil || info.Size() < int64(len(want)) {
		t.Errorf("examined: %v, %v", info, err)
	}
	if out := mustSallyport(t, root, "objects", "review", id, "--decision", "release", "--reason", "seen", "--note", "fine"); !strings.Contains(out, "published") {
		t.Errorf("released: %s", out)
	}
	mustSallyport(t, root, "download", id, "-o", "-")
	var given struct{ Downloads []client.Given }
	decode(t, mustSallyport(t, root, "objects", "downloads", id, "--json"), &given)
	if n := len(given.Downloads); n != 2 || given.Downloads[n-1].BytesOut != int64(len(want)) {
		t.Errorf("downloads: %+v", given)
	}
	if out := mustSallyport(t, root, "objects", "rescan", id); !strings.Contains(out, "published") {
		t.Errorf("rescan: %s", out)
	}
	if out := mustSallyport(t, root, "objects", "review", id, "--decision", "reject", "--reason", "late_find"); !strings.Contains(out, "rejected") {
		t.Errorf("rejected: %s", out)
	}
}

// TestScanRuleFlags: each flag changes what it names and nothing else.
func TestScanRuleFlags(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	root := s.root()
	set := func(args ...string) client.Scan {
		t.Helper()
		var p client.Profile
		decode(t, mustSallyport(t, root, append([]string{"profile", "set", "strict", "--json"}, args...)...), &p)
		return p.Scan
	}
	first := set("--scan", "async", "--scan-engine", "clamd", "--two-persons", "--keep-rejected", "720h", "--archive-bytes", "1GiB", "--thumbnail", "64,256")
	if first.Mode != "async" || len(first.Engines) != 1 || !first.TwoPersons || first.KeepRejected != "720h0m0s" || first.Archive.MaxBytes != 1<<30 || len(first.Image.Thumbnails) != 2 {
		t.Errorf("set: %+v", first)
	}
	second := set("--archive-depth", "2", "--keep-rejected", "0")
	if second.Archive.MaxDepth != 2 || second.Archive.MaxBytes != 1<<30 || second.KeepRejected != "" || !second.TwoPersons || second.Image == nil {
		t.Errorf("changed: %+v", second)
	}
	if third := set("--images=false", "--archive-depth", "0", "--archive-bytes", "0", "--scan-engine", ""); third.Image != nil || third.Archive != nil || len(third.Engines) != 0 {
		t.Errorf("taken back: %+v", third)
	}
	for _, args := range [][]string{{"--scan", "sometimes"}, {"--archive-bytes", "much"}, {"--thumbnail", "1"}, {"--scan", "inline"}} {
		if r := sallyport(t, root, append([]string{"profile", "set", "strict"}, args...)...); r.code == 0 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

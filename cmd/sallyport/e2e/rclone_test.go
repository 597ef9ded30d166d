package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// testRclone syncs a tree of odd names both ways and has rclone check that both
// sides are the same.
func testRclone(t *testing.T, a account) {
	rclone := newTool(t, "rclone", "apt-get install rclone", "version")
	rclone.file("rclone.conf", fmt.Appendf(nil, `[door]
type = s3
provider = Other
access_key_id = %s
secret_access_key = %s
endpoint = %s
region = %s
location_constraint = %s
force_path_style = %t
chunk_size = 5Mi
upload_cutoff = 10Mi
copy_cutoff = 10Mi
`, a.access, a.secret, a.endpoint, a.region, constraint(a), !a.virtual))
	rclone.env = []string{"RCLONE_CONFIG=" + rclone.home + "/rclone.conf", "RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=1"}
	if a.ca != "" {
		rclone.env = append(rclone.env, "RCLONE_CA_CERT="+a.ca, "HTTPS_PROXY="+a.tunnel)
	}
	const home, other = "door:rclone-home", "door:rclone-other"
	rclone.run("mkdir", home)
	rclone.run("mkdir", other)
	rclone.prints([]string{"rclone-home", "rclone-other"}, "lsd", "door:")

	tree := rclone.oddTree("tree")
	rclone.run("sync", "tree", home+"/tree")
	rclone.run("check", "tree", home+"/tree")
	rclone.run("check", "--download", "tree", home+"/tree")
	rclone.run("sync", home+"/tree", "tree-back")
	rclone.sameTree("tree-back", tree)
	if got := strings.Count(rclone.run("lsf", "-R", "--files-only", home), "\n"); got != len(tree) {
		t.Errorf("%d files are listed, want %d", got, len(tree))
	}

	// From bucket to bucket on the server, in parts where it is large.
	rclone.run("sync", home+"/tree", other+"/copy")
	rclone.run("check", home+"/tree", other+"/copy")
	rclone.run("moveto", other+"/copy/plain.txt", other+"/moved +% ü.txt")
	if got := rclone.run("cat", other+"/moved +% ü.txt"); got != string(tree["plain.txt"]) {
		t.Errorf("what was moved holds %d bytes", len(got))
	}
	if got := rclone.run("cat", "--offset", "8388600", "--count", "20", other+"/copy/large.bin"); got != string(tree["large.bin"][8388600:8388620]) {
		t.Errorf("a range is %q", got)
	}

	// What is gone on one side goes on the other.
	delete(tree, "deep/er/and/deeper.txt")
	rclone.run("deletefile", "tree/deep/er/and/deeper.txt")
	rclone.run("sync", "tree", home+"/tree")
	rclone.run("sync", home+"/tree", "tree-back")
	rclone.sameTree("tree-back", tree)
	rclone.run("purge", home)
	rclone.run("purge", other)
	if left := rclone.run("lsd", "door:"); left != "" {
		t.Errorf("buckets are left:\n%s", left)
	}
}

// constraint is the location that a bucket is made in; the oldest region is told
// by saying nothing.
func constraint(a account) string {
	if a.region == region {
		return ""
	}
	return a.region
}

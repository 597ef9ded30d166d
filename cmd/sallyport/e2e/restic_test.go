package e2e_test

import (
	"encoding/json"
	"testing"
)

// testRestic backs a tree up, twice, checks the repository, and restores it.
func testRestic(t *testing.T, a account) {
	restic := newTool(t, "restic", "apt-get install restic", "version")
	style := "path"
	if a.virtual {
		style = "dns"
	}
	restic.env = []string{
		"AWS_ACCESS_KEY_ID=" + a.access, "AWS_SECRET_ACCESS_KEY=" + a.secret, "AWS_DEFAULT_REGION=" + a.region,
		"RESTIC_REPOSITORY=s3:" + a.endpoint + "/restic-home/repository", "RESTIC_PASSWORD=a password",
	}
	options := []string{"-o", "s3.bucket-lookup=" + style, "-o", "s3.region=" + a.region}
	if a.ca != "" {
		options = append(options, "--cacert", a.ca)
		restic.env = append(restic.env, "HTTPS_PROXY="+a.tunnel)
	}
	run := func(args ...string) string { t.Helper(); return restic.run(append(args, options...)...) }

	tree := restic.oddTree("tree")
	run("init")
	run("backup", "tree")
	tree["later.txt"] = []byte("a second backup holds this too")
	restic.file("tree/later.txt", tree["later.txt"])
	run("backup", "tree")
	var snapshots []struct{ ID string }
	if err := json.Unmarshal([]byte(run("snapshots", "--json")), &snapshots); err != nil || len(snapshots) != 2 {
		t.Errorf("%d snapshots, %v", len(snapshots), err)
	}
	run("check", "--read-data")
	run("restore", "latest", "--target", "restored")
	restic.sameTree("restored/tree", tree)
	run("forget", "--keep-last", "1", "--prune")
	run("check", "--read-data")
	run("restore", "latest", "--target", "restored-again")
	restic.sameTree("restored-again/tree", tree)
}

package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// testAWSCLI takes aws through what people type: high-level copies and syncs, and
// the calls of s3api behind them.
func testAWSCLI(t *testing.T, a account) {
	aws := newAWS(t, a)
	const home, other = "s3://cli-home", "s3://cli-other"
	aws.prints([]string{"make_bucket: cli-home"}, "s3", "mb", home)
	aws.run("s3", "mb", other)
	aws.prints([]string{"cli-home", "cli-other"}, "s3", "ls")
	if got := strings.TrimSpace(aws.run("s3api", "get-bucket-location", "--bucket", "cli-home", "--query", "LocationConstraint", "--output", "text")); got != a.region && (got != "None" || a.region != region) {
		t.Errorf("the bucket is in %q", got)
	}

	small, large := noise(1, wholeSize), noise(2, partsSize)
	aws.file("small.bin", small)
	aws.file("large.bin", large)
	for _, name := range []string{"small.bin", "large.bin"} { // large goes in parts
		aws.run("s3", "cp", "--quiet", name, home+"/files/"+name)
		aws.run("s3", "cp", "--quiet", home+"/files/"+name, other+"/copied/"+name)
		aws.run("s3", "cp", "--quiet", other+"/copied/"+name, "back-"+name)
	}
	aws.same("back-small.bin", small)
	aws.same("back-large.bin", large)
	aws.prints([]string{"PRE files/"}, "s3", "ls", home)
	aws.run("s3", "mv", "--quiet", other+"/copied/small.bin", other+"/moved.bin")
	aws.refuses("404", "s3", "cp", "--only-show-errors", other+"/copied/small.bin", "gone.bin")

	tree := aws.oddTree("tree")
	aws.run("s3", "sync", "--only-show-errors", "tree", home+"/tree")
	if again := aws.run("s3", "sync", "tree", home+"/tree"); strings.TrimSpace(again) != "" {
		t.Errorf("a second sync sends\n%s", again)
	}
	aws.run("s3", "sync", "--quiet", home+"/tree", "tree-back")
	aws.sameTree("tree-back", tree)

	aws.refuses("BucketNotEmpty", "s3api", "delete-bucket", "--bucket", "cli-home")
	testAWSPresign(t, aws)
	if !a.brief { // a run of aws takes a second: once is enough
		testAWSObjects(t, aws)
		testAWSConfigurations(t, aws)
	}
	for _, b := range []string{home, other} {
		aws.run("s3", "rm", "--quiet", "--recursive", b)
	}
	aws.run("s3", "rb", other)
	if a.brief {
		aws.run("s3", "rb", home)
	} else {
		testAWSVersions(t, aws)
	}
	if left := strings.TrimSpace(aws.run("s3", "ls")); left != "" {
		t.Errorf("buckets are left: %s", left)
	}
}

func newAWS(t *testing.T, a account) *tool {
	t.Helper()
	path := workingAWS(t)
	if path == "" {
		need(t, "no aws of version 2; get it with: apt-get install awscli")
	}
	aws := &tool{t: t, path: path, home: t.TempDir(), always: []string{"--endpoint-url", a.endpoint}}
	style := "path"
	if a.virtual {
		style = "virtual"
	}
	aws.file("config", fmt.Appendf(nil, "[default]\nregion = %s\noutput = json\ns3 =\n    addressing_style = %s\n", a.region, style))
	aws.env = []string{
		"AWS_CONFIG_FILE=" + aws.home + "/config", "AWS_ACCESS_KEY_ID=" + a.access, "AWS_SECRET_ACCESS_KEY=" + a.secret,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	if a.ca != "" {
		aws.env = append(aws.env, "AWS_CA_BUNDLE="+a.ca, "HTTPS_PROXY="+a.tunnel)
	}
	return aws
}

// answer runs a call of s3api and decodes what it prints.
func (p *tool) answer(out any, args ...string) {
	p.t.Helper()
	text := p.run(append([]string{"s3api"}, args...)...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		p.t.Fatalf("aws s3api %s: %v in %q", args[0], err, text)
	}
}

// testAWSObjects makes calls about single objects.
func testAWSObjects(t *testing.T, aws *tool) {
	t.Helper()
	aws.file("note.txt", []byte("a note\n"))
	aws.run("s3api", "put-object", "--bucket", "cli-home", "--key", "note.txt", "--body", "note.txt", "--content-type", "text/plain",
		"--metadata", "author=ann,subject=doors", "--tagging", "kind=note", "--checksum-algorithm", "SHA256", "--cache-control", "max-age=60")
	aws.prints([]string{"text/plain", "ann"}, "s3api", "head-object", "--bucket", "cli-home", "--key", "note.txt", "--query", "[ContentType,Metadata.author]", "--output", "text")
	aws.run("s3api", "copy-object", "--bucket", "cli-home", "--key", "copy.txt", "--copy-source", "cli-home/note.txt",
		"--metadata-directive", "REPLACE", "--metadata", "author=bob", "--content-type", "text/x-note")
	aws.prints([]string{"text/x-note", "bob"}, "s3api", "head-object", "--bucket", "cli-home", "--key", "copy.txt", "--query", "[ContentType,Metadata.author]", "--output", "text")
	aws.prints([]string{"kind", "note"}, "s3api", "get-object-tagging", "--bucket", "cli-home", "--key", "copy.txt", "--output", "text")
	aws.run("s3api", "put-object-tagging", "--bucket", "cli-home", "--key", "copy.txt", "--tagging", "TagSet=[{Key=a,Value=1},{Key=b,Value=2}]")
	aws.prints([]string{"a", "1", "b", "2"}, "s3api", "get-object-tagging", "--bucket", "cli-home", "--key", "copy.txt", "--output", "text")
	aws.run("s3api", "delete-object-tagging", "--bucket", "cli-home", "--key", "copy.txt")

	aws.run("s3api", "get-object", "--bucket", "cli-home", "--key", "note.txt", "--range", "bytes=2-5", "part.txt")
	aws.same("part.txt", []byte("note"))
	aws.prints([]string{"7", "SHA256"}, "s3api", "get-object-attributes", "--bucket", "cli-home", "--key", "note.txt",
		"--object-attributes", "ObjectSize", "Checksum", "ETag")
	aws.refuses("304", "s3api", "head-object", "--bucket", "cli-home", "--key", "note.txt", "--if-none-match", "*")
	aws.refuses("PreconditionFailed", "s3api", "get-object", "--bucket", "cli-home", "--key", "note.txt", "--if-match", "00000000000000000000000000000000", "none.txt")
	aws.refuses("NoSuchKey", "s3api", "get-object", "--bucket", "cli-home", "--key", "never", "none.txt")
	aws.refuses("NoSuchBucket", "s3api", "list-objects-v2", "--bucket", "cli-nowhere")
	var deleted struct{ Deleted []struct{ Key string } }
	aws.answer(&deleted, "delete-objects", "--bucket", "cli-home", "--delete", "Objects=[{Key=note.txt},{Key=copy.txt},{Key=never}]")
	if len(deleted.Deleted) != 3 {
		t.Errorf("delete-objects: %v", deleted)
	}
}

// testAWSConfigurations gives a bucket what a bucket can have.
func testAWSConfigurations(t *testing.T, aws *tool) {
	t.Helper()
	in := func(call string, args ...string) []string {
		return append([]string{"s3api", call, "--bucket", "cli-home"}, args...)
	}
	aws.refuses("NoSuchLifecycleConfiguration", in("get-bucket-lifecycle-configuration")...)
	aws.run(in("put-bucket-lifecycle-configuration", "--lifecycle-configuration",
		`{"Rules":[{"ID":"old","Status":"Enabled","Filter":{"Prefix":"logs/"},"Expiration":{"Days":30},"NoncurrentVersionExpiration":{"NoncurrentDays":7},"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":2}}]}`)...)
	aws.prints([]string{`"ID": "old"`}, in("get-bucket-lifecycle-configuration")...)
	aws.run(in("delete-bucket-lifecycle")...)

	aws.refuses("NoSuchCORSConfiguration", in("get-bucket-cors")...)
	aws.run(in("put-bucket-cors", "--cors-configuration", `{"CORSRules":[{"AllowedOrigins":["https://app.example.com"],"AllowedMethods":["GET","PUT"],"AllowedHeaders":["*"],"ExposeHeaders":["ETag"],"MaxAgeSeconds":60}]}`)...)
	aws.prints([]string{"https://app.example.com"}, in("get-bucket-cors")...)
	aws.run(in("delete-bucket-cors")...)

	aws.refuses("NoSuchTagSet", in("get-bucket-tagging")...)
	aws.run(in("put-bucket-tagging", "--tagging", "TagSet=[{Key=team,Value=doors}]")...)
	aws.prints([]string{"team", "doors"}, in("get-bucket-tagging", "--output", "text")...)
	aws.run(in("delete-bucket-tagging")...)

	aws.prints([]string{"FULL_CONTROL"}, in("get-bucket-acl")...)
	aws.prints([]string{"BucketOwnerEnforced"}, in("get-bucket-ownership-controls")...)
	aws.prints([]string{`"BlockPublicAcls": true`}, in("get-public-access-block")...)
	aws.refuses("AccessControlListNotSupported", in("put-bucket-acl", "--acl", "public-read")...)
	aws.refuses("NoSuchWebsiteConfiguration", in("get-bucket-website")...)
	aws.refuses("NoSuchBucketPolicy", in("get-bucket-policy")...)
	aws.refuses("NotImplemented", in("put-bucket-website", "--website-configuration", `{"IndexDocument":{"Suffix":"index.html"}}`)...)
}

// testAWSPresign makes a URL and follows it as curl would.
func testAWSPresign(t *testing.T, aws *tool) {
	t.Helper()
	url := strings.TrimSpace(aws.run("s3", "presign", "s3://cli-home/files/small.bin", "--expires-in", "300"))
	if !strings.Contains(url, "X-Amz-Signature=") {
		t.Fatalf("presign printed %q", url)
	}
	curl := newTool(t, "curl", "apt-get install curl", "--version")
	args := []string{"-sS", "--fail-with-body", "-o", "presigned.bin", url}
	for _, variable := range aws.env {
		if ca, ok := strings.CutPrefix(variable, "AWS_CA_BUNDLE="); ok {
			args = append(args, "--cacert", ca)
		}
		if proxy, ok := strings.CutPrefix(variable, "HTTPS_PROXY="); ok {
			args = append(args, "--proxy", proxy)
		}
	}
	curl.run(args...)
	curl.same("presigned.bin", noise(1, wholeSize))
}

// testAWSVersions turns versions on in what is an empty bucket by now, and takes
// it apart in the end.
func testAWSVersions(t *testing.T, aws *tool) {
	t.Helper()
	const bucket = "cli-home"
	aws.run("s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
	aws.prints([]string{"Enabled"}, "s3api", "get-bucket-versioning", "--bucket", bucket)
	var versions []string
	for i := range 2 {
		aws.file("v.txt", fmt.Appendf(nil, "version %d", i))
		var put struct{ VersionId string }
		aws.answer(&put, "put-object", "--bucket", bucket, "--key", "v.txt", "--body", "v.txt")
		versions = append(versions, put.VersionId)
	}
	var marker struct {
		VersionId    string
		DeleteMarker bool
	}
	aws.answer(&marker, "delete-object", "--bucket", bucket, "--key", "v.txt")
	if !marker.DeleteMarker || marker.VersionId == "" {
		t.Errorf("delete-object: %+v", marker)
	}
	aws.refuses("404", "s3api", "head-object", "--bucket", bucket, "--key", "v.txt")
	aws.run("s3api", "get-object", "--bucket", bucket, "--key", "v.txt", "--version-id", versions[0], "old.txt")
	aws.same("old.txt", []byte("version 0"))
	var list struct {
		Versions      []struct{ VersionId string }
		DeleteMarkers []struct{ VersionId string }
	}
	aws.answer(&list, "list-object-versions", "--bucket", bucket, "--prefix", "v.txt")
	if len(list.Versions) != 2 || list.Versions[0].VersionId != versions[1] || len(list.DeleteMarkers) != 1 {
		t.Errorf("list-object-versions: %+v, want %v", list, versions)
	}
	for _, id := range append(versions, marker.VersionId) {
		aws.run("s3api", "delete-object", "--bucket", bucket, "--key", "v.txt", "--version-id", id)
	}
	aws.run("s3api", "delete-bucket", "--bucket", bucket)
}

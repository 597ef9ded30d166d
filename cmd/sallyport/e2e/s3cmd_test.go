package e2e_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// testS3cmd takes s3cmd through files, folders, parts and tags.
func testS3cmd(t *testing.T, a account) {
	s3cmd := newTool(t, "s3cmd", "apt-get install s3cmd", "--version")
	host := address(a.endpoint)
	inHost := host
	if a.virtual {
		inHost = "%(bucket)s." + host
	}
	config := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nbucket_location = %s\nuse_https = %t\n",
		a.access, a.secret, host, inHost, a.region, a.ca != "")
	if a.ca != "" {
		proxy, err := url.Parse(a.tunnel)
		if err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("ca_certs_file = %s\nproxy_host = %s\nproxy_port = %s\n", a.ca, proxy.Hostname(), proxy.Port())
	}
	s3cmd.file(".s3cfg", []byte(config+"multipart_chunk_size_mb = 5\nguess_mime_type = True\n"))
	const bucket = "s3://s3cmd-home"
	s3cmd.run("mb", bucket)
	s3cmd.prints([]string{bucket}, "ls")

	small, large := noise(1, wholeSize), noise(2, partsSize)
	s3cmd.file("small.bin", small)
	s3cmd.file("large.bin", large)
	s3cmd.run("put", "--no-progress", "--add-header=x-amz-meta-author:ann", "small.bin", "large.bin", bucket+"/files/")
	s3cmd.prints([]string{bucket + "/files/large.bin", bucket + "/files/small.bin"}, "ls", bucket+"/files/")
	s3cmd.prints([]string{"ann"}, "info", bucket+"/files/small.bin")
	s3cmd.run("get", "--no-progress", bucket+"/files/small.bin", "back-small.bin")
	s3cmd.run("get", "--no-progress", bucket+"/files/large.bin", "back-large.bin")
	s3cmd.same("back-small.bin", small)
	s3cmd.same("back-large.bin", large)

	s3cmd.run("cp", bucket+"/files/small.bin", bucket+"/copied.bin")
	s3cmd.run("modify", "--add-header=x-amz-meta-author:bob", bucket+"/copied.bin")
	s3cmd.prints([]string{"bob"}, "info", bucket+"/copied.bin")
	s3cmd.run("mv", bucket+"/copied.bin", bucket+"/moved.bin")
	if out := s3cmd.run("ls", bucket); !strings.Contains(out, "moved.bin") || strings.Contains(out, "copied.bin") {
		t.Errorf("after mv there are\n%s", out)
	}
	s3cmd.prints([]string{"2 objects"}, "du", bucket+"/files/")

	tree := s3cmd.oddTree("tree")
	s3cmd.run("sync", "--no-progress", "tree/", bucket+"/tree/")
	if again := s3cmd.run("sync", "--no-progress", "tree/", bucket+"/tree/"); strings.Contains(again, "upload:") {
		t.Errorf("a second sync sends\n%s", again)
	}
	s3cmd.file("tree-back/here", nil)
	s3cmd.run("sync", "--no-progress", "--delete-removed", bucket+"/tree/", "tree-back/")
	s3cmd.sameTree("tree-back", tree)

	s3cmd.refuses("does not exist", "get", "--no-progress", bucket+"/never", "never.bin")
	s3cmd.refuses("BucketNotEmpty", "rb", bucket)
	s3cmd.run("del", "--recursive", "--force", bucket)
	s3cmd.run("rb", bucket)
}

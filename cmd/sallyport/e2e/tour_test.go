package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shBlocks are the shell scripts in a Markdown file.
var shBlocks = regexp.MustCompile("(?s)```sh\n(.*?)```")

// awsPart begins the part of the tour that needs aws.
const awsPart = "# 6. "

// TestTour pastes the tour of the README into a shell, but for ports and paths
// that may be taken on this machine, and reads what it prints.
func TestTour(t *testing.T) {
	s := serve(t, disk{})
	root := filepath.Join("..", "..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shBlocks.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 2 {
		t.Fatalf("README.md has %d scripts", len(blocks))
	}
	tour, client := blocks[0][1], blocks[1][1]
	aws := workingAWS(t)
	if aws == "" {
		var there bool
		if tour, _, there = strings.Cut(tour, awsPart); !there {
			t.Fatal("the tour has no such part")
		}
		defer need(t, "the tour's last part is not tried, for there is no aws version 2; get it with: apt-get install awscli")
	}
	script := strings.NewReplacer(
		"127.0.0.1:9000", address(s.S3), "127.0.0.1:9001", address(s.Control),
		"data/root-credentials.json", filepath.Join(s.Data, "root-credentials.json"), "bin/sallyport", s.program,
	).Replace(tour + client)

	bin := t.TempDir()
	if aws != "" {
		if err := os.Symlink(aws, filepath.Join(bin, "aws")); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh")
	cmd.Dir, cmd.Stdin = root, strings.NewReader(script)
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+bin, "AWS_EC2_METADATA_DISABLED=true")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the shell: %v", err)
	}
	checkTour(t, string(out), aws != "")
}

// checkTour wants what each step prints, in its order.
func checkTour(t *testing.T, out string, withAWS bool) {
	t.Helper()
	want := []string{
		"<Code>EntityTooLarge</Code>", "\n200\n", "<Code>UploadURLAlreadyUsed</Code>", // 2
		`"state":"`,                                      // 3
		"\nHello, world!\n", "<Code>AccessDenied</Code>", // 4
		`"upload.created"`, `"object.published"`, `"url.revoked"`, // 5
	}
	if withAWS {
		want = append(want, "make_bucket: photos", "upload: ./README.md to s3://photos/docs/README.md", " README.md\n",
			"# Sallyport\n", "# Sallyport\n", "delete: s3://photos/docs/README.md", "remove_bucket: photos")
	}
	want = append(want, "obj_", "published", "README.md", "audit") // the client's
	rest := out
	for _, text := range want {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			t.Errorf("the tour does not print %q where it should", text)
			continue
		}
		rest = after
	}
	if t.Failed() {
		t.Logf("it prints\n%s", out)
	}
}

// workingAWS returns an aws of version 2 that works, "" if there is none: the
// first in PATH may be a stand-in for something that is not installed.
func workingAWS(t *testing.T) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "aws")
		if out, err := exec.Command(path, "--version").Output(); err == nil && strings.HasPrefix(string(out), "aws-cli/2.") {
			return path
		}
	}
	return ""
}

package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// account is what a person has who points a client at the service: an endpoint
// and a key of a tenant of their own.
type account struct {
	endpoint       string // URL of the S3 port
	region         string
	access, secret string
	ca             string // PEM file to trust, "" over plain HTTP
	virtual        bool   // buckets are in the host, not in the path
	tunnel         string // URL of a proxy that finds the endpoint's hosts, "" where names need none
	brief          bool   // a slow client may leave out what needs neither TLS nor this backend
}

// clients are the programs and libraries that people have.
var clients = []struct {
	name string
	run  func(*testing.T, account)
}{
	{"aws-sdk-go-v2", testSDKGo},
	{"minio-go", testMinIOGo},
	{"awscli", testAWSCLI},
	{"s3cmd", testS3cmd},
	{"rclone", testRclone},
	{"restic", testRestic},
	{"boto3", testBoto3},
	{"aws-sdk-js", testSDKJS},
}

// TestClients runs each client over plain HTTP with buckets in the path, and over
// TLS with buckets in the host and a region of another name, on each backend.
func TestClients(t *testing.T) {
	for _, on := range []struct {
		name string
		open func(*testing.T) backend
	}{
		{"disk", func(*testing.T) backend { return disk{} }},
		{"minio", func(t *testing.T) backend { return newBucket(t, sharedMinIO(t)) }},
	} {
		for _, secure := range []string{"http", "https"} {
			t.Run(on.name+"/"+secure, func(t *testing.T) {
				runClients(t, on.open(t), secure == "https")
			})
		}
	}
}

// runClients runs them all against one server, as its users would at the same
// time, and then looks at what they left in it.
func runClients(t *testing.T, on backend, secure bool) {
	base := account{region: region}
	var settings []string
	if secure {
		identity := newIdentity(t, virtualDomain, "*."+virtualDomain)
		base = account{region: "eu-nowhere-7", ca: identity.ca, virtual: true}
		settings = []string{"S3_TLS_CERT=" + identity.cert, "S3_TLS_KEY=" + identity.key,
			"S3_REGION=" + base.region, "S3_DOMAINS=" + virtualDomain}
	}
	s := serve(t, on, settings...)
	t.Cleanup(func() {
		s.searchAnswers()
		s.Stop()
		s.mustFsck()
	})
	base.endpoint = s.S3
	base.brief = secure || on != backend(disk{})
	if secure {
		base.tunnel = newTunnel(t, address(s.S3))
		_, port, _ := strings.Cut(address(s.S3), ":")
		base.endpoint = "https://" + virtualDomain + ":" + port
	}
	for _, c := range clients {
		own := base
		s.root.must("POST", "/tenants", map[string]string{"name": c.name}, nil)
		key := s.root.newKey(c.name, "person", "admin")
		own.access, own.secret = key.access, key.secret
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, own)
		})
	}
}

// tool is a client that is a program, with a home of its own.
type tool struct {
	t      *testing.T
	path   string
	home   string
	env    []string
	always []string // arguments before all others
}

// newTool finds a program that passes a check, first where Debian puts it: the
// first in PATH may be another or a stand-in.
func newTool(t *testing.T, name, install string, check ...string) *tool {
	t.Helper()
	for _, dir := range append([]string{"/usr/bin"}, filepath.SplitList(os.Getenv("PATH"))...) {
		path := filepath.Join(dir, name)
		if exec.Command(path, check...).Run() == nil {
			return &tool{t: t, path: path, home: t.TempDir()}
		}
	}
	need(t, "no "+name+" that works; get it with: "+install)
	return nil
}

// toolPatience is how long one run of a program may take, on a busy machine.
const toolPatience = 3 * time.Minute

// try runs the program in its home and returns what it printed.
func (p *tool) try(args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(p.path, slices.Concat(p.always, args)...)
	cmd.Dir = p.home
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "AWS_") && !strings.HasPrefix(variable, "SALLYPORT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(append(cmd.Env, "HOME="+p.home, "XDG_CACHE_HOME="+p.home, "XDG_CONFIG_HOME="+p.home), p.env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return "", "", err
	}
	late := time.AfterFunc(toolPatience, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	if !late.Stop() {
		err = errors.Join(errors.New("it took too long"), err)
	}
	return out.String(), complaints.String(), err
}

// run is try for what has to succeed; it returns what came on standard output.
func (p *tool) run(args ...string) string {
	p.t.Helper()
	stdout, stderr, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(p.path), strings.Join(args, " "), err, tail(stdout, 40), tail(stderr, 40))
	}
	return stdout
}

// refuses is try for what has to fail, for a reason that its output names.
func (p *tool) refuses(reason string, args ...string) {
	p.t.Helper()
	stdout, stderr, err := p.try(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(stdout+stderr, reason) {
		p.t.Errorf("%s %s: %v, and no word of %q:\n%s%s", filepath.Base(p.path), strings.Join(args, " "), err, reason,
			tail(stdout, 40), tail(stderr, 40))
	}
}

// prints runs and wants those words in what comes out, in their order.
func (p *tool) prints(words []string, args ...string) {
	p.t.Helper()
	out := p.run(args...)
	rest := out
	for _, word := range words {
		_, after, ok := strings.Cut(rest, word)
		if !ok {
			p.t.Errorf("%s %s: no %q, or not in its place, in\n%s", filepath.Base(p.path), strings.Join(args, " "), word, out)
			return
		}
		rest = after
	}
}

// file writes a file in the program's home and returns its name.
func (p *tool) file(name string, data []byte) string {
	p.t.Helper()
	path := filepath.Join(p.home, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return name
}

// same wants a file in the program's home to hold that.
func (p *tool) same(name string, want []byte) {
	p.t.Helper()
	got, err := os.ReadFile(filepath.Join(p.home, filepath.FromSlash(name)))
	if err != nil {
		p.t.Error(err)
		return
	}
	if !bytes.Equal(got, want) {
		p.t.Errorf("%s holds %d bytes, want %d, or others", name, len(got), len(want))
	}
}

// Sizes of bodies: one that clients send whole, and one of several parts.
const (
	wholeSize = 100_001
	partsSize = 17<<20 + 1
)

// oddNames are names that people have and that get lost in escapes.
var oddNames = []string{
	"plain.txt", "with space.txt", "plus+and&and=and?.txt", "per%cent%20.txt", "hash#tag;semi,comma.txt",
	"umlaut-äöü.txt", "日本語/深い/フォルダ.txt", "emoji-🚪.txt", "quote'and\"double.txt", "brackets[1]{2}(3)!*.txt",
	"tilde~at@colon:dollar$.txt", "deep/er/and/deeper.txt", "dots/...txt", "back\\slash.txt", "UPPER/Case.TXT",
}

// oddTree writes a file for each odd name and returns what it wrote.
func (p *tool) oddTree(dir string) map[string][]byte {
	p.t.Helper()
	tree := map[string][]byte{"empty.bin": {}, "large.bin": noise(77, partsSize)}
	for i, name := range oddNames {
		tree[name] = noise(uint64(i), 100+i)
	}
	for name, data := range tree {
		p.file(dir+"/"+name, data)
	}
	return tree
}

// sameTree wants a folder to hold exactly those files.
func (p *tool) sameTree(dir string, want map[string][]byte) {
	p.t.Helper()
	root := filepath.Join(p.home, dir)
	files := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		name, err := filepath.Rel(root, path)
		if _, known := want[filepath.ToSlash(name)]; err == nil && !known {
			p.t.Errorf("%q came too", name)
		}
		return err
	})
	if err != nil {
		p.t.Error(err)
	}
	if files != len(want) {
		p.t.Errorf("%s holds %d files, want %d", dir, files, len(want))
	}
	for name, data := range want {
		p.same(dir+"/"+name, data)
	}
}

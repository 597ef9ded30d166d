package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/cmd/sallyport/client"
)

// newKey makes an access key with the command and returns its environment.
func newKey(t *testing.T, s *running, env []string, args ...string) (id string, as []string) {
	t.Helper()
	var key client.Key
	decode(t, mustSallyport(t, env, append([]string{"key", "create", "--json"}, args...)...), &key)
	return key.AccessKey, s.as(key.AccessKey, key.SecretKey)
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// randomFile writes size bytes that a type detector takes for nothing.
func randomFile(t *testing.T, name string, size int) (path string, data []byte) {
	t.Helper()
	source := rand.NewChaCha8([32]byte{byte(size), 1})
	data = make([]byte, size)
	_, _ = source.Read(data) // never fails
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func TestUploadAndDownload(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := serve(t, data, nil)
	root := s.root()
	for _, size := range []int{0, 1, 5<<20 + 1} {
		path, want := randomFile(t, fmt.Sprintf("ü %d.bin", size), size)
		var object client.Object
		decode(t, mustSallyport(t, root, "upload", "--json", path), &object)
		if object.State != "published" || object.Size != int64(size) || object.Filename != filepath.Base(path) {
			t.Errorf("uploaded %+v", object)
		}
		target := filepath.Join(t.TempDir(), "copy")
		mustSallyport(t, root, "download", object.ObjectID, "-o", target)
		got, err := os.ReadFile(target)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
		if out := mustSallyport(t, root, "download", object.ObjectID, "-o", "-"); out != string(want) {
			t.Errorf("%d bytes came out as %d", size, len(out))
		}
		if entries, err := os.ReadDir(filepath.Dir(target)); err != nil || len(entries) != 1 {
			t.Errorf("download left %v, %v", entries, err)
		}
	}
	var listed struct{ Objects []client.Object }
	decode(t, mustSallyport(t, root, "objects", "ls", "--json", "--state", "published"), &listed)
	if len(listed.Objects) != 3 {
		t.Errorf("%d objects are listed", len(listed.Objects))
	}
	mustSallyport(t, root, "audit", "verify")
	s.stop()
	if out := mustSallyport(t, nil, "fsck", "--content", "--data", data); !strings.HasPrefix(out, "3 objects") {
		t.Errorf("fsck says %s", out)
	}
}

func TestUploadFailures(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	root := s.root()
	text, _ := randomFile(t, "plain.txt", 0)
	if err := os.WriteFile(text, []byte("just some plain text, nothing else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSallyport(t, root, "profile", "set", "small", "--max-size", "10", "--type", "image/*")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"another type than declared", []string{"--content-type", "image/png", text}, "type_mismatch"},
		{"no such file", []string{text + ".absent"}, "no such file"},
		{"a directory", []string{filepath.Dir(text)}, "not a regular file"},
		{"no such profile", []string{"--profile", "absent", text}, "NOT_FOUND"},
		{"too large for the profile", []string{"--profile", "small", text}, "SIZE_NOT_ALLOWED"},
	}
	for _, test := range tests {
		r := sallyport(t, root, append([]string{"upload"}, test.args...)...)
		if r.code != 1 || !strings.Contains(r.stderr, test.want) {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
	r := sallyport(t, root, "upload", text+".absent", text)
	if r.code != 1 || !strings.Contains(r.stdout, "published") {
		t.Errorf("a file that fails keeps the next one back: %+v", r)
	}
	r = sallyport(t, root, "upload", "--json", "--profile", "small", text)
	var refusal client.Error
	decode(t, r.stderr, &refusal)
	if refusal.Code != "SIZE_NOT_ALLOWED" || refusal.RequestID == "" || refusal.Message == "" {
		t.Errorf("the error is %s", r.stderr)
	}
}

func TestDownloadFailures(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	root := s.root()
	path, _ := randomFile(t, "report.bin", 100)
	var object client.Object
	decode(t, mustSallyport(t, root, "upload", "--json", path), &object)

	if r := sallyport(t, root, "download", "obj_01J00000000000000000000000"); r.code != 1 || !strings.Contains(r.stderr, "NOT_FOUND") {
		t.Errorf("an unknown object: %+v", r)
	}
	t.Chdir(t.TempDir())
	mustSallyport(t, root, "download", object.ObjectID)
	if _, err := os.Stat("report.bin"); err != nil {
		t.Error(err)
	}
	if r := sallyport(t, root, "download", object.ObjectID); r.code != 1 || !strings.Contains(r.stderr, "report.bin: exists") {
		t.Errorf("over a file that exists: %+v", r)
	}
	mustSallyport(t, root, "download", object.ObjectID, "-o", "report.bin")

	mustSallyport(t, root, "tenant", "create", "acme")
	_, stranger := newKey(t, s, root, "eve", "--role", "admin", "--tenant", "acme")
	if r := sallyport(t, stranger, "download", object.ObjectID, "-o", "stolen"); r.code != 1 || !strings.Contains(r.stderr, "NOT_FOUND") {
		t.Errorf("another tenant: %+v", r)
	}
	if _, err := os.Stat("stolen"); !os.IsNotExist(err) {
		t.Errorf("a failed download leaves a file: %v", err)
	}
}

func TestIdentityCommands(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	root := s.root()
	mustSallyport(t, root, "tenant", "create", "acme")
	if r := sallyport(t, root, "tenant", "create", "acme"); r.code != 1 || !strings.Contains(r.stderr, "TENANT_EXISTS") {
		t.Errorf("a tenant twice: %+v", r)
	}
	_, admin := newKey(t, s, root, "ann", "--role", "admin", "--tenant", "acme")
	readerID, reader := newKey(t, s, admin, "rob", "--role", "reader")

	if r := sallyport(t, reader, "key", "ls"); r.code != 1 || !strings.Contains(r.stderr, "FORBIDDEN") {
		t.Errorf("a reader lists keys: %+v", r)
	}
	if r := sallyport(t, admin, "tenant", "ls"); r.code != 1 {
		t.Errorf("a tenant's admin lists tenants: %+v", r)
	}
	mustSallyport(t, reader, "objects", "ls")
	mustSallyport(t, admin, "key", "revoke", readerID)
	if r := sallyport(t, reader, "objects", "ls"); r.code != 1 || !strings.Contains(r.stderr, "UNAUTHENTICATED") {
		t.Errorf("a revoked key: %+v", r)
	}

	var token client.Token
	decode(t, mustSallyport(t, admin, "token", "create", "ci", "--role", "reader", "--ttl", "1h", "--json"), &token)
	bearer := []string{"SALLYPORT_ENDPOINT=" + s.Control, "SALLYPORT_TOKEN=" + token.Token}
	mustSallyport(t, bearer, "objects", "ls")
	if out := mustSallyport(t, admin, "token", "ls", "--json"); !strings.Contains(out, token.ID) || strings.Contains(out, token.Token) {
		t.Errorf("tokens are listed as %s", out)
	}
	mustSallyport(t, admin, "token", "revoke", token.ID)
	if r := sallyport(t, bearer, "objects", "ls"); r.code != 1 || !strings.Contains(r.stderr, "UNAUTHENTICATED") {
		t.Errorf("a revoked token: %+v", r)
	}

	mustSallyport(t, root, "tenant", "suspend", "acme")
	if r := sallyport(t, admin, "objects", "ls"); r.code != 1 {
		t.Errorf("a suspended tenant: %+v", r)
	}
	mustSallyport(t, root, "tenant", "resume", "acme")
	mustSallyport(t, admin, "objects", "ls")
}

// TestPresignLimitCommands bounds presigned URLs of a tenant and of a bucket, and
// takes the bounds away again.
func TestPresignLimitCommands(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	root := s.root()
	mustSallyport(t, root, "tenant", "create", "acme")
	for _, test := range []struct{ flag, tenant, profile string }{
		{"10m", "10m0s", `"presign_max_ttl":"10m0s"`}, {"0", "the server's", ""},
	} {
		if out := mustSallyport(t, root, "tenant", "limits", "acme", "--presign-max-ttl", test.flag); !strings.Contains(out, test.tenant) {
			t.Errorf("tenant, %s: %s", test.flag, out)
		}
		out := mustSallyport(t, root, "profile", "set", "strict", "--json", "--single-use", "--presign-max-ttl", test.flag, "--session-ttl", test.flag)
		if !strings.Contains(out, `"single_use":true`) || strings.Contains(out, "presign_max_ttl") != (test.profile != "") || !strings.Contains(out, test.profile) {
			t.Errorf("profile, %s: %s", test.flag, out)
		}
	}
	if r := sallyport(t, root, "tenant", "limits", "nowhere"); r.code != 1 || !strings.Contains(r.stderr, "NOT_FOUND") {
		t.Errorf("no such tenant: %+v", r)
	}
}

func TestAuditCommands(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	root := s.root()
	mustSallyport(t, root, "tenant", "create", "acme")
	_, auditor := newKey(t, s, root, "ada", "--role", "auditor", "--tenant", "acme")
	older := filepath.Join(t.TempDir(), "first")
	mustSallyport(t, root, "audit", "export", older)
	mustSallyport(t, root, "profile", "set", "later")

	all := filepath.Join(t.TempDir(), "all")
	mustSallyport(t, root, "audit", "export", all)
	if out := mustSallyport(t, nil, "audit", "verify", all, "--older", filepath.Join(older, exportCheckpoint)); !strings.Contains(out, "all ") {
		t.Errorf("an operator's export: %s", out)
	}
	before := filepath.Join(older, exportCheckpoint)
	if out := mustSallyport(t, auditor, "audit", "verify", "--older", before); !strings.Contains(out, "each of your") {
		t.Errorf("an auditor verifies that the log goes on: %s", out)
	}
	if r := sallyport(t, auditor, "audit", "verify", "--older", filepath.Join(older, exportLeaves)); r.code != 1 {
		t.Errorf("with something that is no checkpoint: %+v", r)
	}
	if out := mustSallyport(t, auditor, "audit", "verify"); !strings.Contains(out, "each of your") {
		t.Errorf("an auditor verifies: %s", out)
	}
	if out := mustSallyport(t, auditor, "audit", "tail", "-n", "1000"); !strings.Contains(out, `"tenant":"acme"`) || strings.Contains(out, `"tenant":"default"`) {
		t.Errorf("an auditor sees: %s", out)
	}
	if r := sallyport(t, root, "audit", "verify", "--key", "other+00000000+AQIDBA=="); r.code != 1 {
		t.Errorf("with another key: %+v", r)
	}

	leaves := filepath.Join(all, exportLeaves)
	good, err := os.ReadFile(leaves)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"changed": strings.Replace(string(good), "tenant.created", "tenant.createD", 1),
		"missing": string(good[bytes.IndexByte(good, '\n')+1:]),
		"cut off": string(good[:len(good)-10]),
		"added":   string(good) + `{"seq":1000}` + "\n",
	} {
		if err := os.WriteFile(leaves, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := sallyport(t, nil, "audit", "verify", all); r.code != 1 {
			t.Errorf("an export with a line %s: %+v", name, r)
		}
	}
}

func TestFsckDamage(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := serve(t, data, nil)
	path, _ := randomFile(t, "a.bin", 5000)
	var object client.Object
	decode(t, mustSallyport(t, s.root(), "upload", "--json", path), &object)
	s.stop()

	blobs, err := filepath.Glob(filepath.Join(data, blobDir, "blobs", "*", "*"))
	if err != nil || len(blobs) != 1 {
		t.Fatalf("blobs %v, %v", blobs, err)
	}
	original, err := os.ReadFile(blobs[0])
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(original)
	changed[2500] ^= 1
	tests := []struct {
		name    string
		content []byte // nil: the file is gone
		args    []string
		want    string // "" finds nothing
	}{
		{"changed, looked at from outside", changed, nil, ""},
		{"changed", changed, []string{"--content"}, "not those that were stored"},
		{"cut off", original[:4999], nil, "4999 bytes are stored where 5000 belong"},
		{"gone", nil, nil, "missing"},
		{"gone, and to be cleaned up", nil, []string{"--delete"}, "missing"},
		{"whole again", original, []string{"--content"}, ""},
	}
	for _, test := range tests {
		if err := os.Remove(blobs[0]); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if test.content != nil {
			if err := os.WriteFile(blobs[0], test.content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := sallyport(t, nil, append([]string{"fsck", "--data", data}, test.args...)...)
		if test.want == "" {
			if r.code != 0 {
				t.Errorf("%s: %+v", test.name, r)
			}
			continue
		}
		if r.code != 1 || !strings.Contains(r.stdout, test.want) || !strings.Contains(r.stdout, object.ObjectID) {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
}

func TestCommandErrors(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown command":       {"frobnicate"},
		"unknown flag":          {"upload", "--frobnicate", "x"},
		"no file":               {"upload"},
		"group without command": {"key"},
		"bad endpoint":          {"objects", "ls", "--endpoint", "localhost"},
		"no credential":         {"objects", "ls"},
		"nobody there":          {"doctor", "--quick", "--data", "absent"},
	} {
		if r := sallyport(t, nil, args...); r.code != 1 || r.stderr+r.stdout == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if out := mustSallyport(t, nil, "version", "--json"); !strings.Contains(out, `"go":"go1.`) {
		t.Errorf("version says %s", out)
	}
}

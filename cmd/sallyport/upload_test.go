package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/client"
)

// parted is what the command says of an upload in parts at its beginning.
type parted struct {
	UploadID  string `json:"upload_id"`
	PartSize  int64  `json:"part_size"`
	PartCount int    `json:"part_count"`
}

// rootClient is a client with the root key.
func rootClient(t *testing.T, s *running) *client.Client {
	t.Helper()
	cfg := client.Config{Endpoint: s.Control, Region: "us-east-1", Now: time.Now}
	for _, variable := range s.root() {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "SALLYPORT_ACCESS_KEY":
			cfg.AccessKey = value
		case "SALLYPORT_SECRET_KEY":
			cfg.SecretKey = value
		}
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// received counts the parts that were ever stored.
func received(t *testing.T, env []string, object string) (n int) {
	t.Helper()
	for line := range strings.Lines(mustSallyport(t, env, "audit", "tail", "-n", "10000", "--json")) {
		var event struct{ Type, Object string }
		decode(t, line, &event)
		if event.Type == "upload.part_received" && event.Object == object {
			n++
		}
	}
	return n
}

// TestLargeUploads go in parts, and come back whole.
func TestLargeUploads(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := serve(t, data, nil)
	root := s.root()
	for _, size := range []int{64 << 20, 100<<20 + 3} {
		path, want := randomFile(t, "large.bin", size)
		r := sallyport(t, root, "upload", "--json", "--parallel", "3", path)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		var object client.Object
		decode(t, r.stdout, &object)
		if object.State != "published" || object.SHA256 == nil || *object.SHA256 != hexSHA256(want) {
			t.Errorf("uploaded %+v", object)
		}
		if inParts := size > partsAbove; inParts != strings.Contains(object.ETag, "-") || inParts != strings.Contains(r.stderr, "upl_") {
			t.Errorf("%d bytes have the ETag %s; told %q", size, object.ETag, r.stderr)
		}
		target := filepath.Join(t.TempDir(), "copy")
		mustSallyport(t, root, "download", object.ObjectID, "-o", target)
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
	}
	s.stop()
	mustSallyport(t, nil, "fsck", "--content", "--data", data)
}

// TestInterruptedUpload ends the command in the middle, and with it the server; what
// was stored is not sent again.
func TestInterruptedUpload(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := serve(t, data, nil)
	path, want := randomFile(t, "large.bin", 100<<20)
	cmd := command(t, s.root(), "upload", "--json", "--parallel", "2", path)
	var told lockedBuffer
	cmd.Stderr = &told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begun := interrupt(t, rootClient(t, s), &told, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	if begun.PartCount != 13 || begun.PartSize != 8<<20 {
		t.Errorf("begun %+v", begun)
	}
	s.ended = true
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()

	s = serve(t, data, nil)
	c := rootClient(t, s)
	stored, err := c.Parts(t.Context(), begun.UploadID)
	if err != nil || len(stored) == 0 || len(stored) == begun.PartCount {
		t.Fatalf("%d parts are left of the interruption, %v", len(stored), err)
	}
	session, err := c.Session(t.Context(), begun.UploadID)
	if err != nil {
		t.Fatal(err)
	}
	before := received(t, s.root(), session.ObjectID)
	var object client.Object
	decode(t, mustSallyport(t, s.root(), "upload", "--json", "--resume", begun.UploadID, path), &object)
	if object.ObjectID != session.ObjectID || object.State != "published" || object.SHA256 == nil || *object.SHA256 != hexSHA256(want) {
		t.Errorf("resumed %+v", object)
	}
	if sent := received(t, s.root(), session.ObjectID) - before; sent != begun.PartCount-len(stored) {
		t.Errorf("%d parts were sent, %d of %d were there", sent, len(stored), begun.PartCount)
	}
	// Once more only shows what has become of it.
	decode(t, mustSallyport(t, s.root(), "upload", "--json", "--resume", begun.UploadID, path), &object)
	if object.ObjectID != session.ObjectID || object.State != "published" {
		t.Errorf("resumed twice %+v", object)
	}
	s.stop()
	mustSallyport(t, nil, "fsck", "--content", "--data", data)
}

// interrupt waits for the first parts of an upload and ends it.
func interrupt(t *testing.T, c *client.Client, told *lockedBuffer, end func()) (begun parted) {
	t.Helper()
	defer end()
	for deadline := time.Now().Add(childTime); ; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no part was stored; told %q", told.String())
		}
		if begun.UploadID == "" {
			line, _, _ := strings.Cut(told.String(), "\n")
			_ = json.Unmarshal([]byte(line), &begun) // not there yet
			continue
		}
		if parts, err := c.Parts(t.Context(), begun.UploadID); err != nil {
			t.Fatal(err)
		} else if len(parts) >= 2 {
			return begun
		}
	}
}

func TestResumeFailures(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	c := rootClient(t, s)
	path, _ := randomFile(t, "large.bin", 9<<20)
	other, _ := randomFile(t, "other.bin", 9<<20+1)
	begin := func(size int64, inParts bool) string {
		u, err := c.CreateUpload(t.Context(), client.NewUpload{
			Filename: "large.bin", ContentType: "application/octet-stream", Size: size, Multipart: inParts})
		if err != nil {
			t.Fatal(err)
		}
		return u.UploadID
	}
	open, aborted, whole := begin(9<<20, true), begin(9<<20, true), begin(9<<20, false)
	if err := c.AbortUpload(t.Context(), aborted); err != nil {
		t.Fatal(err)
	}
	fixed := begin(9<<20, true)
	foreign := bytes.NewReader(make([]byte, 9<<20))
	session, err := c.Session(t.Context(), fixed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutParts(t.Context(), session, foreign, 2, nil); err != nil {
		t.Fatal(err)
	}
	parts, err := c.Parts(t.Context(), fixed)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	if err := c.RegisterPart(t.Context(), fixed, parts[1]); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown", []string{"--resume", "upl_01J00000000000000000000000", path}, "NOT_FOUND"},
		{"another size", []string{"--resume", open, other}, "another file"},
		{"aborted", []string{"--resume", aborted, path}, "is aborted"},
		{"not in parts", []string{"--resume", whole, path}, "not in parts"},
		{"two files", []string{"--resume", open, path, other}, "one file"},
		{"another content, registered", []string{"--resume", fixed, path}, "another file"},
		{"too many at a time", []string{"--parallel", "65", path}, "1 to 64"},
		{"none at a time", []string{"--parallel", "0", path}, "1 to 64"},
	} {
		r := sallyport(t, s.root(), append([]string{"upload"}, test.args...)...)
		if r.code != 1 || !strings.Contains(r.stderr, test.want) {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
	// Parts of other content that are not registered give way.
	replaced := begin(9<<20, true)
	if session, err = c.Session(t.Context(), replaced); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutParts(t.Context(), session, foreign, 2, nil); err != nil {
		t.Fatal(err)
	}
	if out := mustSallyport(t, s.root(), "upload", "--resume", replaced, path); !strings.Contains(out, "published") {
		t.Errorf("told %s", out)
	}
	if out := fmt.Sprint(c.AbortUpload(t.Context(), replaced)); !strings.Contains(out, "UPLOAD_FINALIZED") {
		t.Errorf("the session is not finalized: %s", out)
	}
}

package control_test

import (
	"archive/zip"
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

// everyScanRule is a profile with every rule of inspection there is.
const everyScanRule = `{"intake":"quarantine","scan":{"mode":"async","engines":["clamd","icap"],"executables":true,"active":true,` +
	`"archive":{"max_depth":3,"max_entries":1000,"max_bytes":1000000,"max_ratio":100,"encrypted":true},` +
	`"image":{"max_pixels":1000000,"max_frames":10,"thumbnails":[64,256],"inline":true},"two_persons":true,"keep_rejected":"720h0m0s"}}`

// TestScanRulesComeBack: what was set is what is shown, and setting that again changes
// nothing.
func TestScanRulesComeBack(t *testing.T) {
	r := newRig(t)
	first := r.do(r.root, "PUT", "/profiles/strict", everyScanRule).want(200, "")
	_, rules, _ := strings.Cut(everyScanRule, `"scan":`)
	if rules = strings.TrimSuffix(rules, "}"); !strings.Contains(string(first.body), rules) {
		t.Errorf("set %s, shown %s", rules, first.body)
	}
	if again := r.do(r.root, "PUT", "/profiles/strict", `{"scan":`+rules+`}`).want(200, ""); string(again.body) != string(first.body) {
		t.Errorf("first %s, then %s", first.body, again.body)
	}
	if plain := r.do(r.root, "PUT", "/profiles/strict", `{}`).want(200, ""); !strings.Contains(string(plain.body), `"scan":{}`) {
		t.Errorf("without rules: %s", plain.body)
	}
	r.do(r.root, "PUT", "/profiles/strict", `{"scan":{"mode":"off"}}`).want(200, "")
	if log := r.do(r.root, "GET", "/audit?limit=1000", ""); !strings.Contains(string(log.body), `"reason":"scan_off"`) {
		t.Error("the audit log does not say that scanning was turned off")
	}
}

// held is an object that no malware engine saw, on a rig that demands one.
func held(t *testing.T) (*rig, who, who, session) {
	t.Helper()
	r := newRig(t, func(s *setup) { s.required = true })
	boss := r.keyIn(r.root, "null", "boss", "admin")
	analyst := r.keyIn(r.root, "null", "ann", "analyst")
	s := r.finalized(boss, "hello")
	r.inspect()
	return r, boss, analyst, s
}

func TestReview(t *testing.T) {
	r, boss, ann, s := held(t)
	review := "/objects/" + s.object + "/review"
	for name, body := range map[string]string{
		"no decision":    `{"reason":"seen"}`,
		"no reason":      `{"decision":"release"}`,
		"another word":   `{"decision":"maybe","reason":"seen"}`,
		"a sentence":     `{"decision":"release","reason":"it is fine"}`,
		"a long note":    `{"decision":"release","reason":"seen","note":"` + strings.Repeat("x", 2001) + `"}`,
		"another member": `{"decision":"release","reason":"seen","force":true}`,
	} {
		t.Run(name, func(t *testing.T) { r.do(ann, "POST", review, body).want(400, "INVALID_REQUEST") })
	}
	r.do(boss, "GET", "/objects/"+s.object+"/content", "").want(409, "OBJECT_HELD")
	if list := r.do(ann, "GET", "/objects?held=true", "").want(200, ""); !strings.Contains(string(list.body), s.object) {
		t.Errorf("held: %s", list.body)
	}
	r.do(ann, "GET", "/objects?held=no", "").want(400, "INVALID_REQUEST")
	done := r.do(ann, "POST", review, `{"decision":"release","reason":"seen","note":"it is fine, see ticket 7"}`).want(200, "")
	if done.text("state") != "published" || !strings.Contains(string(done.body), "ticket 7") {
		t.Errorf("released: %s", done.body)
	}
	if shown := r.do(boss, "GET", "/objects/"+s.object, ""); strings.Contains(string(shown.body), "ticket 7") {
		t.Errorf("an administrator reads what analysts wrote: %s", shown.body)
	}
	if events := r.do(boss, "GET", "/objects/"+s.object+"/events", ""); strings.Contains(string(events.body), "ticket 7") {
		t.Error("the note is in the audit log")
	}
	r.do(ann, "POST", review, `{"decision":"release","reason":"seen"}`).want(409, "INVALID_REQUEST")
	r.do(ann, "POST", review, `{"decision":"confirm","reason":"seen"}`).want(409, "INVALID_REQUEST")
	if gone := r.do(ann, "POST", review, `{"decision":"reject","reason":"late_find"}`).want(200, ""); gone.text("state") != "rejected" {
		t.Errorf("rejected: %s", gone.body)
	}
	if same := r.do(ann, "POST", review, `{"decision":"confirm","reason":"checked"}`).want(200, ""); same.text("state") != "rejected" {
		t.Errorf("confirmed: %s", same.body)
	}
	if list := r.do(ann, "GET", "/objects?held=true", ""); strings.Contains(string(list.body), s.object) {
		t.Errorf("still held: %s", list.body)
	}
}

// TestReviewByTwo: where a profile says so, one analyst alone releases nothing.
func TestReviewByTwo(t *testing.T) {
	r, _, ann, s := held(t)
	bob := r.keyIn(r.root, "null", "bob", "analyst")
	r.do(r.root, "PUT", "/profiles/default", `{"scan":{"two_persons":true}}`).want(200, "")
	review := "/objects/" + s.object + "/review"
	other := r.keyIn(r.root, "null", "ann", "analyst") // another key of the same person
	for _, by := range []who{ann, ann, other} {
		a := r.do(by, "POST", review, `{"decision":"release","reason":"seen"}`).want(202, "")
		if a.text("state") != "quarantined" || !strings.Contains(string(a.body), `"proposal":{"decision":"release","reason":"seen","by":"ann"`) {
			t.Errorf("proposed: %s", a.body)
		}
	}
	if a := r.do(bob, "POST", review, `{"decision":"release","reason":"seen_too"}`).want(200, ""); a.text("state") != "published" || strings.Contains(string(a.body), "proposal") {
		t.Errorf("approved: %s", a.body)
	}
	var line struct {
		Events []struct{ Type, Principal string }
	}
	r.do(r.root, "GET", "/objects/"+s.object+"/events", "").into(&line)
	var told []string
	for _, e := range line.Events {
		if e.Type == "object.proposed" || e.Type == "object.reviewed" {
			told = append(told, e.Type+" by "+e.Principal)
		}
	}
	if !slices.Equal(told, []string{"object.proposed by ann", "object.reviewed by bob"}) {
		t.Errorf("the log says %v", told)
	}
}

func TestExamine(t *testing.T) {
	r, boss, ann, s := held(t)
	content := "/objects/" + s.object + "/content"
	raw := map[string]string{"X-Sallyport-Accept-Risk": "yes"}
	r.do(ann, "GET", content, "").want(403, "FORBIDDEN")
	r.do(ann, "GET", content+"?as=tar", "").want(400, "INVALID_REQUEST")
	r.send(ann, request{method: "GET", path: content, header: map[string]string{"X-Sallyport-Accept-Risk": "no"}}).want(400, "INVALID_REQUEST")
	for _, by := range []who{boss, r.keyIn(r.root, "null", "rob", "reader")} {
		r.do(by, "GET", content+"?as=zip", "").want(409, "OBJECT_HELD")
		r.send(by, request{method: "GET", path: content, header: raw}).want(409, "OBJECT_HELD")
	}
	a := r.send(ann, request{method: "GET", path: content, header: raw}).want(200, "")
	if string(a.body) != "hello" || a.header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("got %q as %v", a.body, a.header)
	}
	z := r.do(ann, "GET", content+"?as=zip", "").want(200, "")
	if got := unzipAES(t, z.body, "infected"); got["note.txt"] != "hello" {
		t.Errorf("the archive has %v", got)
	}
	if head := r.send(ann, request{method: "HEAD", path: content + "?as=zip"}); head.status != 200 || head.header.Get("Content-Length") != z.header.Get("Content-Length") {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	events, err := r.ledger.Timeline(t.Context(), registry.DefaultTenant, registry.ObjectID(s.object), 0, 1000)
	must(t, err)
	var how []string
	for _, e := range events {
		if e.Type == registry.EventObjectExamined {
			how = append(how, string(e.Principal)+" "+e.Reason)
		}
	}
	if !slices.Equal(how, []string{"ann raw", "ann zip", "ann zip"}) {
		t.Errorf("the audit log says %v", how)
	}

	r.do(ann, "POST", "/objects/"+s.object+"/review", `{"decision":"release","reason":"seen"}`).want(200, "")
	r.do(ann, "GET", content+"?as=zip", "").want(403, "FORBIDDEN") // published: for readers
	if got := unzipAES(t, r.do(boss, "GET", content+"?as=zip", "").want(200, "").body, "infected"); got["note.txt"] != "hello" {
		t.Errorf("the archive has %v", got)
	}
}

// TestRescan: it stays published, and shows in the row until it is done.
func TestRescan(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	s := r.published(boss, "hello")
	open := r.begin(boss, "hello")
	r.do(boss, "POST", "/objects/"+open.object+"/rescan", "").want(409, "INVALID_REQUEST")
	for range 2 {
		a := r.do(boss, "POST", "/objects/"+s.object+"/rescan", "").want(202, "")
		if a.text("state") != "published" || !strings.Contains(string(a.body), `"rescanning":true`) {
			t.Errorf("queued: %s", a.body)
		}
	}
	r.do(boss, "GET", "/objects/"+s.object+"/content", "").want(200, "")
	before := r.do(boss, "GET", "/objects/"+s.object, "")
	r.advance(time.Hour)
	r.inspect()
	after := r.do(boss, "GET", "/objects/"+s.object, "")
	if strings.Contains(string(after.body), "rescanning") || after.text("state") != "published" || bytes.Equal(before.body, after.body) {
		t.Errorf("inspected again: %s", after.body)
	}
}

func TestDownloads(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	s, other := r.published(boss, "hello"), r.published(boss, "hello")
	record := func(object, op string, status int, sent int64) {
		must(t, r.ledger.Access(t.Context(), registry.AccessRecord{
			Time: r.now(), Tenant: "acme", Principal: "rob", Credential: "SPROB", RequestID: "req-" + op, Object: registry.ObjectID(object), Op: op, Status: status, BytesOut: sent,
		}))
	}
	record(s.object, "GetObjectRow", 200, 400) // its row is not its bytes
	record(s.object, "GetObject", 403, 300)    // a refusal's body neither
	record(s.object, "HeadObject", 200, 0)
	record(s.object, "GetObject", 200, 0) // nothing arrived
	record(other.object, "GetObject", 200, 5)
	record(s.object, "GetObject", 206, 3)
	record(s.object, "DownloadByURL", 200, 5)
	var got struct {
		Downloads []struct {
			Op        string
			Principal string
			BytesOut  int64 `json:"bytes_out"`
		}
		Next string `json:"next_cursor"`
	}
	var ops []string
	for cursor := ""; ; cursor = "&cursor=" + got.Next {
		got.Next, got.Downloads = "", nil
		r.do(boss, "GET", "/objects/"+s.object+"/downloads?limit=1"+cursor, "").want(200, "").into(&got)
		for _, d := range got.Downloads {
			ops = append(ops, d.Op)
			if d.Principal != "rob" {
				t.Errorf("by %s", d.Principal)
			}
		}
		if got.Next == "" {
			break
		}
	}
	if !slices.Equal(ops, []string{"GetObject", "DownloadByURL"}) {
		t.Errorf("downloads are %v", ops)
	}
	for _, cursor := range []string{"x", "-1", "0", "99999999999999999999"} {
		r.do(boss, "GET", "/objects/"+s.object+"/downloads?cursor="+cursor, "").want(400, "INVALID_REQUEST")
	}
}

// unzipAES reads an archive of WinZip's AES encryption by another way than it is written:
// through archive/zip, and a block at a time.
func unzipAES(t *testing.T, archive []byte, password string) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	must(t, err)
	files := map[string]string{}
	for _, f := range z.File {
		if f.Method != 99 || f.Flags&1 == 0 {
			t.Fatalf("%s is not encrypted: method %d", f.Name, f.Method)
		}
		raw, err := f.OpenRaw()
		must(t, err)
		all, err := io.ReadAll(raw)
		must(t, err)
		salt, check, tag := all[:16], all[16:18], all[len(all)-10:]
		body := all[18 : len(all)-10]
		keys, err := pbkdf2.Key(sha1.New, password, salt, 1000, 66)
		must(t, err)
		if !bytes.Equal(keys[64:], check) {
			t.Fatal("the password is another one")
		}
		mac := hmac.New(sha1.New, keys[32:64])
		mac.Write(body)
		if !bytes.Equal(mac.Sum(nil)[:10], tag) {
			t.Fatal("the tag is wrong")
		}
		block, err := aes.NewCipher(keys[:32])
		must(t, err)
		for i := range body {
			var counter, pad [16]byte
			binary.LittleEndian.PutUint64(counter[:], uint64(i/16)+1)
			block.Encrypt(pad[:], counter[:])
			body[i] ^= pad[i%16]
		}
		files[f.Name] = string(body)
	}
	return files
}

// TestExaminedZipOpens asks a program that others unpack it with.
func TestExaminedZipOpens(t *testing.T) {
	program, err := exec.LookPath("7zz")
	if err != nil {
		program, err = exec.LookPath("7z") // Debian's p7zip-full
	}
	if err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal("needs 7zz: apt-get install 7zip")
		}
		t.Skip("needs 7zz: apt-get install 7zip")
	}
	r, _, ann, s := held(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.zip")
	must(t, os.WriteFile(path, r.do(ann, "GET", "/objects/"+s.object+"/content?as=zip", "").want(200, "").body, 0o600))
	if out, err := exec.Command(program, "x", "-pwrong", "-o"+dir, path).CombinedOutput(); err == nil {
		t.Errorf("another password opens it: %s", out)
	}
	if out, err := exec.Command(program, "x", "-y", "-pinfected", "-o"+dir, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "note.txt")); err != nil || string(got) != "hello" {
		t.Errorf("unpacked %q, %v", got, err)
	}
}

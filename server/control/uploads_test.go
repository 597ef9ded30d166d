package control_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
)

// A digest in capitals is the same digest: taken for another, it would reject the
// object for good.
func TestDigestInCapitals(t *testing.T) {
	r := newRig(t)
	sum := sha256.Sum256([]byte("hello"))
	digest := strings.ToUpper(hex.EncodeToString(sum[:]))
	a := r.do(r.root, "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":5,"sha256":"`+digest+`"}`).want(201, "")
	r.do(r.root, "PUT", "/uploads/"+a.text("upload_id")+"/content", "hello").want(200, "")
	if got := r.do(r.root, "POST", "/uploads/"+a.text("upload_id")+"/finalize", `{"sha256":"`+digest+`"}`).want(200, ""); got.text("state") != "quarantined" {
		t.Errorf("the object is %s", got.body)
	}
}

// The session says what its bytes are; who says it once more says the same.
func TestContentTypeOfContent(t *testing.T) {
	r := newRig(t)
	for sent, status := range map[string]int{"": 200, "text/plain": 200, "text/html": 400, "text/plain; charset=utf-8": 400, "application/x-www-form-urlencoded": 200} {
		q := request{method: "PUT", path: "/uploads/" + r.begin(r.root, "hello").upload + "/content", body: []byte("hello")}
		if sent != "" {
			q.header = map[string]string{"Content-Type": sent}
		}
		if a := r.send(r.root, q); a.status != status {
			t.Errorf("%q: %d %s, want %d", sent, a.status, a.body, status)
		}
	}
}

// A session whose attempt died waits for its bytes, whatever its row says.
func TestStateOfADeadAttempt(t *testing.T) {
	r := newRig(t)
	b := r.begin(r.root, "hello")
	root := registry.Actor{Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal, Credential: r.root.key}
	_, err := r.ledger.BeginPut(t.Context(), root, root.Tenant, registry.UploadID(b.upload), "")
	must(t, err)
	is := func(want string) {
		t.Helper()
		if got := r.do(r.root, "GET", "/uploads/"+b.upload, "").text("state"); got != want {
			t.Errorf("the session is %s, want %s", got, want)
		}
		if got := r.do(r.root, "GET", "/uploads", "").body; !strings.Contains(string(got), `"state":"`+want+`"`) {
			t.Errorf("the list says %s, want %s", got, want)
		}
	}
	is("uploading")
	r.advance(5 * time.Minute)
	is("created")
	r.advance(2 * time.Hour)
	is("expired")
}

// TestGoldenPath takes bytes in and out through this port.
func TestGoldenPath(t *testing.T) {
	r := newRig(t)
	uploader, reader := r.key(r.root, "up", "uploader"), r.key(r.root, "down", "reader")
	for _, size := range []int{0, 1, 5<<20 + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content := bytes.Repeat([]byte("sallyport "), size/10+1)[:size]
			sum := sha256.Sum256(content)
			digest := hex.EncodeToString(sum[:])
			a := r.do(uploader, "POST", "/uploads", fmt.Sprintf(`{"filename":"naïve \"a\".txt","content_type":"text/plain","size":%d,"sha256":%q}`, size, digest)).want(201, "")
			upload, object := a.text("upload_id"), a.text("object_id")
			r.do(reader, "GET", "/objects/"+object+"/content", "").want(409, "OBJECT_NOT_PUBLISHED")
			put := r.send(uploader, request{method: "PUT", path: "/uploads/" + upload + "/content", body: content}).want(200, "")
			if put.text("sha256") != digest {
				t.Errorf("received as %s", put.body)
			}
			if got := r.do(uploader, "GET", "/uploads/"+upload, "").want(200, ""); got.text("state") != "uploaded" || got.text("sha256") != digest {
				t.Errorf("the session is %s", got.body)
			}
			first := r.do(uploader, "POST", "/uploads/"+upload+"/finalize", `{"sha256":"`+digest+`"}`).want(200, "")
			if again := r.do(uploader, "POST", "/uploads/"+upload+"/finalize", "{}").want(200, ""); !bytes.Equal(again.body, first.body) {
				t.Errorf("finalized again: %s, not %s", again.body, first.body)
			}
			r.do(reader, "GET", "/objects/"+object+"/download-url", "").want(409, "OBJECT_NOT_PUBLISHED")
			r.inspect()
			got := r.do(reader, "GET", "/objects/"+object+"/content", "").want(200, "")
			if !bytes.Equal(got.body, content) {
				t.Errorf("%d bytes came back, not the %d sent", len(got.body), len(content))
			}
			for name, want := range map[string]string{
				"Content-Disposition":          `attachment; filename="na_ve _a_.txt"; filename*=UTF-8''na%C3%AFve%20%22a%22.txt`,
				"X-Content-Type-Options":       "nosniff",
				"Content-Security-Policy":      "sandbox; default-src 'none'",
				"Referrer-Policy":              "no-referrer",
				"Cross-Origin-Resource-Policy": "same-site",
				"Cache-Control":                "private, no-store",
			} {
				if got.header.Get(name) != want {
					t.Errorf("%s is %q", name, got.header.Get(name))
				}
			}
		})
	}
}

// TestEveryCode makes each refusal that a caller can meet.
func TestEveryCode(t *testing.T) {
	var faulty *blobtest.Faulty
	r := newRig(t, func(s *setup) {
		faulty = blobtest.NewFaulty(s.moves.Blobs)
		s.moves.Blobs = faulty
		s.moves.Linger = time.Nanosecond
	})
	r.do(r.root, "PUT", "/profiles/images", `{"allowed_types":["image/*"],"max_size":10}`).want(200, "")
	zeros := strings.Repeat("0", 64)
	up := func(s session, tail string) string { return "/uploads/" + s.upload + tail }
	for _, c := range []struct {
		name   string
		status int
		code   string
		call   func() answer
	}{
		{"another size", 400, "SIZE_NOT_ALLOWED", func() answer { return r.do(r.root, "PUT", up(r.begin(r.root, "x"), "/content"), "xy") }},
		{"a smaller size", 400, "SIZE_NOT_ALLOWED", func() answer { return r.do(r.root, "PUT", up(r.begin(r.root, "xy"), "/content"), "x") }},
		{"profile's size", 400, "SIZE_NOT_ALLOWED", func() answer {
			return r.do(r.root, "POST", "/uploads", `{"filename":"a","content_type":"image/png","size":11,"profile":"images"}`)
		}},
		{"profile's types", 400, "TYPE_NOT_ALLOWED", func() answer {
			return r.do(r.root, "POST", "/uploads", `{"filename":"a","content_type":"text/html","size":1,"profile":"images"}`)
		}},
		{"unknown profile", 404, "NOT_FOUND", func() answer {
			return r.do(r.root, "POST", "/uploads", `{"filename":"a","content_type":"text/html","size":1,"profile":"nowhere"}`)
		}},
		{"a bad Content-MD5", 400, "INVALID_REQUEST", func() answer {
			return r.send(r.root, request{method: "PUT", path: up(r.begin(r.root, "x"), "/content"), body: []byte("x"), header: map[string]string{"Content-MD5": "x"}})
		}},
		{"another Content-MD5", 409, "CHECKSUM_MISMATCH", func() answer {
			return r.send(r.root, request{method: "PUT", path: up(r.begin(r.root, "x"), "/content"), body: []byte("x"), header: map[string]string{"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}})
		}},
		{"another checksum", 409, "CHECKSUM_MISMATCH", func() answer {
			return r.send(r.root, request{method: "PUT", path: up(r.begin(r.root, "x"), "/content"), body: []byte("x"), header: map[string]string{"x-amz-checksum-crc32": "AAAAAA=="}})
		}},
		{"two checksums", 400, "INVALID_REQUEST", func() answer {
			return r.send(r.root, request{method: "PUT", path: up(r.begin(r.root, "x"), "/content"), body: []byte("x"), header: map[string]string{"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}})
		}},
		{"another body than signed", 400, "INVALID_REQUEST", func() answer {
			return r.send(r.root, request{method: "PUT", path: up(r.begin(r.root, "x"), "/content"), body: []byte("x"), hash: zeros})
		}},
		{"another digest at finalize", 409, "CHECKSUM_MISMATCH", func() answer {
			s := r.received(r.root, "x")
			a := r.do(r.root, "POST", up(s, "/finalize"), `{"sha256":"`+zeros+`"}`)
			if got := r.do(r.root, "GET", "/objects/"+s.object, "").text("state"); got != "rejected" {
				t.Errorf("the object is %s", got)
			}
			return a
		}},
		{"finalize before the bytes", 409, "UPLOAD_NOT_RECEIVED", func() answer { return r.do(r.root, "POST", up(r.begin(r.root, "x"), "/finalize"), "") }},
		{"bytes again", 409, "UPLOAD_ALREADY_RECEIVED", func() answer { return r.do(r.root, "PUT", up(r.received(r.root, "x"), "/content"), "x") }},
		{"url after the bytes", 409, "UPLOAD_ALREADY_RECEIVED", func() answer { return r.do(r.root, "POST", up(r.received(r.root, "x"), "/url"), "") }},
		{"bytes after finalize", 409, "UPLOAD_FINALIZED", func() answer { return r.do(r.root, "PUT", up(r.finalized(r.root, "x"), "/content"), "x") }},
		{"abort after finalize", 409, "UPLOAD_FINALIZED", func() answer { return r.do(r.root, "DELETE", up(r.finalized(r.root, "x"), ""), "") }},
		{"bytes after abort", 409, "UPLOAD_ABORTED", func() answer {
			s := r.begin(r.root, "x")
			r.do(r.root, "DELETE", up(s, ""), "").want(204, "")
			r.do(r.root, "DELETE", up(s, ""), "").want(204, "")
			return r.do(r.root, "PUT", up(s, "/content"), "x")
		}},
		{"bytes after the session", 409, "UPLOAD_EXPIRED", func() answer {
			s := r.begin(r.root, "x")
			r.advance(2*time.Hour + time.Second)
			if got := r.do(r.root, "GET", up(s, ""), "").text("state"); got != "expired" {
				t.Errorf("the session is %s", got)
			}
			return r.do(r.root, "PUT", up(s, "/content"), "x")
		}},
		{"not published", 409, "OBJECT_NOT_PUBLISHED", func() answer {
			return r.do(r.root, "GET", "/objects/"+r.finalized(r.root, "x").object+"/content", "")
		}},
		{"tenant again", 409, "TENANT_EXISTS", func() answer { return r.do(r.root, "POST", "/tenants", `{"name":"default"}`) }},
		{"no room", 507, "STORAGE_FULL", func() answer {
			s := r.begin(r.root, "x")
			faulty.SetFree(0)
			defer faulty.Heal()
			r.do(r.root, "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":1}`).want(507, "STORAGE_FULL")
			return r.do(r.root, "PUT", up(s, "/content"), "x")
		}},
		{"backend down", 503, "UNAVAILABLE", func() answer {
			s := r.begin(r.root, "x")
			faulty.Inject(blobtest.Fault{Op: blobtest.Put, When: blobtest.Before})
			defer faulty.Heal()
			a := r.do(r.root, "PUT", up(s, "/content"), "x")
			faulty.Heal()
			r.do(r.root, "PUT", up(s, "/content"), "x").want(200, "")
			return a
		}},
		{"backend down on the way out", 503, "UNAVAILABLE", func() answer {
			s := r.published(r.root, "x")
			faulty.Inject(blobtest.Fault{Op: blobtest.Open, When: blobtest.Before})
			defer faulty.Heal()
			a := r.do(r.root, "GET", "/objects/"+s.object+"/content", "")
			if a.header.Get("Content-Disposition") != "" {
				t.Error("the error is to be saved as a file")
			}
			return a
		}},
		{"what nobody thought of", 503, "UNAVAILABLE", func() answer {
			s := r.begin(r.root, "x")
			faulty.Inject(blobtest.Fault{Op: blobtest.Put, When: blobtest.Before, Err: errors.New("disk of glass is broken")})
			defer faulty.Heal()
			a := r.do(r.root, "PUT", up(s, "/content"), "x")
			if strings.Contains(string(a.body), "glass") || strings.Count(r.logs.String(), "of glass") != 1 {
				t.Errorf("it belongs into the log, once, and not into %s", a.body)
			}
			return a
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.call().want(c.status, c.code) })
	}
}

func TestBytesInTwoPlacesAtOnce(t *testing.T) {
	r := newRig(t)
	s := r.begin(r.root, "hello")
	token := r.do(r.root, "POST", "/tokens", `{"name":"x","roles":["admin"],"ttl":"1h"}`).text("token")
	slow := r.dial()
	_, err := fmt.Fprintf(slow, "PUT /uploads/%s/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 5\r\n\r\nhel", s.upload, token)
	must(t, err)
	deadline := time.Now().Add(patience)
	for r.do(r.root, "GET", "/uploads/"+s.upload, "").text("state") != "uploading" {
		if time.Now().After(deadline) {
			t.Fatal("the attempt does not begin")
		}
		time.Sleep(time.Millisecond)
	}
	r.do(r.root, "PUT", "/uploads/"+s.upload+"/content", "hello").want(409, "UPLOAD_IN_PROGRESS")
	r.do(r.root, "POST", "/uploads/"+s.upload+"/finalize", "").want(409, "")
	must(t, slow.Close())
	for r.do(r.root, "GET", "/uploads/"+s.upload, "").text("state") != "created" {
		if time.Now().After(deadline) {
			t.Fatal("the turn is not given back")
		}
		time.Sleep(time.Millisecond)
	}
	r.do(r.root, "PUT", "/uploads/"+s.upload+"/content", "hello").want(200, "")
}

func TestLifetimesAreNeverClamped(t *testing.T) {
	r := newRig(t)
	done, open := r.published(r.root, "x"), r.begin(r.root, "x")
	for _, ttl := range []string{"0", "-1", "59", "301", "60s", "1m", "", "1e2", "60.0", "%2B60", "86401", "36028797018964028" /* 60 in an int64 of nanoseconds */, "18446744073709551676", "99999999999999999999"} {
		r.do(r.root, "GET", "/objects/"+done.object+"/download-url?ttl="+ttl, "").want(400, "INVALID_TTL")
	}
	for _, body := range []string{`"0s"`, `"-1s"`, `"16m"`, `"1.5s"`, `"1ms"`, `"abc"`, `""`, `60`, `"99999999h"`} {
		r.do(r.root, "POST", "/uploads/"+open.upload+"/url", `{"ttl":`+body+`}`).want(400, "INVALID_TTL")
		if body != `"16m"` && body != `"1.5s"` {
			r.do(r.root, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":`+body+`}`).want(400, "INVALID_TTL")
		}
		if body != `"16m"` {
			r.do(r.root, "PUT", "/profiles/evidence", `{"session_ttl":`+body+`}`).want(400, "INVALID_TTL")
		}
	}
	r.do(r.root, "POST", "/tokens", `{"name":"t","roles":["reader"]}`).want(400, "INVALID_TTL")
	r.do(r.root, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"8761h"}`).want(400, "INVALID_TTL")
	r.do(r.root, "PUT", "/profiles/evidence", `{"get_url_min_ttl":"10m"}`).want(400, "INVALID_TTL")

	for asked, want := range map[string]time.Duration{"?ttl=60": time.Minute, "?ttl=300": 5 * time.Minute, "": 5 * time.Minute} {
		a := r.do(r.root, "GET", "/objects/"+done.object+"/download-url"+asked, "").want(200, "")
		r.lives(a.text("get_url"), a.text("expires_at"), want)
	}
	for asked, want := range map[string]time.Duration{`{"ttl":"1s"}`: time.Second, `{"ttl":"15m"}`: 15 * time.Minute, `{}`: 2 * time.Minute, ``: 2 * time.Minute, `{"ttl":null}`: 2 * time.Minute} {
		a := r.do(r.root, "POST", "/uploads/"+open.upload+"/url", asked).want(200, "")
		r.lives(a.text("put_url"), a.text("url_expires_at"), want)
	}
	a := r.do(r.root, "GET", "/uploads/"+open.upload, "").want(200, "")
	if a.text("url_expires_at") == "" {
		t.Errorf("the session does not say when its URL ends: %s", a.body)
	}
}

// lives checks that a URL lives as long as asked by its own words and by the
// answer's.
func (r *rig) lives(signed, expires string, want time.Duration) {
	r.tb.Helper()
	u, err := url.Parse(signed)
	must(r.tb, err)
	if got := u.Query().Get("X-Amz-Expires"); got != fmt.Sprint(int(want.Seconds())) {
		r.tb.Errorf("the URL lives %s s, asked were %s", got, want)
	}
	at, err := time.Parse(time.RFC3339, expires)
	must(r.tb, err)
	if left := at.Sub(r.now()); left > want || left < want-patience {
		r.tb.Errorf("%s are left of %s", left, want)
	}
	if u.Host != "s3.test:9000" || !strings.HasPrefix(u.Path, "/_/") || !strings.Contains(u.RawQuery, "&X-Amz-Signature=") {
		r.tb.Errorf("the URL is for %s%s", u.Host, u.Path)
	}
}

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	const one, two = `{"filename":"a","content_type":"text/plain","size":1}`, `{"filename":"b","content_type":"text/plain","size":1}`
	create := func(by who, key, body string) answer {
		return r.send(by, request{method: "POST", path: "/uploads", body: []byte(body), header: map[string]string{"Idempotency-Key": key}})
	}
	for _, bad := range []string{strings.Repeat("k", 256), "ключ"} {
		create(r.root, bad, one).want(400, "INVALID_REQUEST")
	}
	if a := r.raw("POST /uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.do(r.root, "POST", "/tokens", `{"name":"x","roles":["admin"],"ttl":"1h"}`).text("token") +
		"\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: " + fmt.Sprint(len(one)) + "\r\nConnection: close\r\n\r\n" + one); !strings.HasPrefix(a, "HTTP/1.1 400 ") {
		t.Errorf("two keys: %s", a)
	}
	first := create(r.root, "k", one).want(201, "")
	create(r.root, "k", two).want(400, "INVALID_REQUEST")
	colleague := r.key(r.root, "colleague", "uploader")
	if other := create(colleague, "k", two).want(201, ""); other.text("upload_id") == first.text("upload_id") {
		t.Error("two principals share a key")
	}
	r.advance(23*time.Hour + 59*time.Minute)
	// What is allowed by now is nothing to what was done then.
	r.do(r.root, "PUT", "/profiles/default", `{"allowed_types":["image/png"]}`).want(200, "")
	create(r.root, "new", one).want(400, "TYPE_NOT_ALLOWED")
	again := create(r.root, "k", one).want(201, "")
	r.do(r.root, "PUT", "/profiles/default", `{}`).want(200, "")
	for _, field := range []string{"upload_id", "object_id", "url_id", "put_url", "url_expires_at"} {
		if again.text(field) != first.text(field) {
			t.Errorf("%s is %q the second time, was %q", field, again.text(field), first.text(field))
		}
	}
	r.advance(2 * time.Minute)
	if later := create(r.root, "k", one).want(201, ""); later.text("upload_id") == first.text("upload_id") {
		t.Error("a key is remembered for more than a day")
	}
}

func TestIdempotencyUnderConcurrency(t *testing.T) {
	r := newRig(t)
	ids := make([]string, 16)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			a := r.exchange(r.root, request{method: "POST", path: "/uploads", header: map[string]string{"Idempotency-Key": "k"},
				body: []byte(`{"filename":"a","content_type":"text/plain","size":1}`)})
			ids[i] = string(a.body)
		})
	}
	group.Wait()
	for _, got := range ids {
		if got != ids[0] || !strings.Contains(got, "upl_") {
			t.Errorf("answers differ: %s and %s", got, ids[0])
		}
	}
}

// TestScannerRequiredHolds: what nobody looked at for malware is held, and shown
// as that.
func TestScannerRequiredHolds(t *testing.T) {
	r := newRig(t, func(s *setup) { s.required = true })
	s := r.published(r.root, "x")
	a := r.do(r.root, "GET", "/objects/"+s.object, "").want(200, "")
	if !strings.Contains(string(a.body), `"held":true`) {
		t.Errorf("the object is %s", a.body)
	}
	r.do(r.root, "GET", "/objects/"+s.object+"/content", "").want(409, "OBJECT_HELD")
	r.do(r.root, "GET", "/objects/"+s.object+"/download-url", "").want(409, "OBJECT_NOT_PUBLISHED")
}

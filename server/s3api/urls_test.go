package s3api_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/server"
	"sallyport/sigv4"
)

const hello = "hello, world"

// putTests are the ways in which a PUT on a URL goes wrong on its headers.
var putTests = []struct {
	name   string
	url    func(s *stack, b registry.Begun) string
	length int64
	status int
	code   string
}{
	{"altered signature", func(s *stack, b registry.Begun) string { return flip(s.putURL(b), -1) }, 12, 403, "SignatureDoesNotMatch"},
	{"altered grant", func(s *stack, b registry.Begun) string {
		return strings.Replace(s.putURL(b), "Grant=g_0", "Grant=g_1", 1)
	}, 12, 403, "SignatureDoesNotMatch"},
	{"altered id", func(s *stack, b registry.Begun) string {
		return strings.Replace(s.putURL(b), string(b.Upload.ID), string(b.Upload.ID)+"0", 1)
	}, 12, 403, "SignatureDoesNotMatch"},
	{"escaped id", func(s *stack, b registry.Begun) string {
		return strings.Replace(s.putURL(b), "/upl_", "/%75pl_", 1)
	}, 12, 403, "SignatureDoesNotMatch"},
	{"longer life", func(s *stack, b registry.Begun) string {
		return strings.Replace(s.putURL(b), "Expires=120", "Expires=900", 1)
	}, 12, 403, "SignatureDoesNotMatch"},
	{"more query", func(s *stack, b registry.Begun) string {
		return strings.Replace(s.putURL(b), "&X-Amz-Signature", "&partNumber=1&X-Amz-Signature", 1)
	}, 12, 403, "SignatureDoesNotMatch"},
	{"no signature", func(s *stack, b registry.Begun) string { u, _, _ := strings.Cut(s.putURL(b), "?"); return u }, 12, 403, "SignatureDoesNotMatch"},
	{"part of a signature", func(s *stack, b registry.Begun) string {
		u, _, _ := strings.Cut(s.putURL(b), "&X-Amz-SignedHeaders")
		return u
	}, 12, 403, "SignatureDoesNotMatch"},
	{"for another method", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "GET", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID), headers: plainText})
	}, 12, 403, "SignatureDoesNotMatch"},
	{"for another type", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID),
			headers: []sigv4.Param{{Name: "content-type", Value: "text/html"}}})
	}, 12, 403, "SignatureDoesNotMatch"},
	{"on a path that no URL is made for", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/other/" + string(b.Upload.ID), grant: string(b.Grant.ID), headers: plainText})
	}, 12, 403, "SignatureDoesNotMatch"},
	{"no grant", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), headers: plainText})
	}, 12, 403, "AccessDenied"},
	{"unknown grant", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: "g_01ARZ3NDEKTSV4RRFFQ69G5FAV", headers: plainText})
	}, 12, 403, "AccessDenied"},
	{"grant of another session", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(s.session(12, "").Grant.ID), headers: plainText})
	}, 12, 403, "AccessDenied"},
	{"unknown session", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/upl_01ARZ3NDEKTSV4RRFFQ69G5FAV", grant: string(b.Grant.ID), headers: plainText})
	}, 12, 403, "AccessDenied"},
	{"superseded", func(s *stack, b registry.Begun) string {
		_, _, err := s.pipe.ReissuePut(s.ctx(), root, b.Upload.ID, 0)
		s.must(err)
		return s.putURL(b)
	}, 12, 403, "AccessDenied"},
	{"revoked", func(s *stack, b registry.Begun) string {
		s.must(s.pipe.RevokeURL(s.ctx(), root, b.Grant.ID))
		return s.putURL(b)
	}, 12, 403, "AccessDenied"},
	{"aborted", func(s *stack, b registry.Begun) string {
		s.must(s.pipe.Abort(s.ctx(), root, b.Upload.ID))
		return s.putURL(b)
	}, 12, 403, "AccessDenied"},
	{"expired", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID), headers: plainText,
			at: s.now().Add(-3 * time.Minute)})
	}, 12, 403, "AccessDenied"},
	{"dated ahead", func(s *stack, b registry.Begun) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID), headers: plainText,
			at: s.now().Add(20 * time.Minute)})
	}, 12, 403, "AccessDenied"},
	{"used", func(s *stack, b registry.Begun) string {
		if r := s.put(s.putURL(b), hello); r.status != 200 {
			s.Fatalf("put: %d %s", r.status, r.body)
		}
		return s.putURL(b)
	}, 12, 409, "UploadURLAlreadyUsed"},
	{"used and finalized", func(s *stack, b registry.Begun) string {
		if r := s.put(s.putURL(b), hello); r.status != 200 {
			s.Fatalf("put: %d %s", r.status, r.body)
		}
		_, err := s.pipe.Finalize(s.ctx(), root, b.Upload.ID, "")
		s.must(err)
		return s.putURL(b)
	}, 12, 409, "UploadURLAlreadyUsed"},
	{"used, and of a wrong length", func(s *stack, b registry.Begun) string {
		if r := s.put(s.putURL(b), hello); r.status != 200 {
			s.Fatalf("put: %d %s", r.status, r.body)
		}
		return s.putURL(b)
	}, 13, 409, "UploadURLAlreadyUsed"},
	{"in use", func(s *stack, b registry.Begun) string {
		_, err := s.ledger.BeginPut(s.ctx(), root, root.Tenant, b.Upload.ID, b.Grant.ID)
		s.must(err)
		return s.putURL(b)
	}, 12, 409, "OperationAborted"},
	{"longer", func(s *stack, b registry.Begun) string { return s.putURL(b) }, 13, 400, "EntityTooLarge"},
	{"very much longer", func(s *stack, b registry.Begun) string { return s.putURL(b) }, 5 << 40, 400, "EntityTooLarge"},
	{"shorter", func(s *stack, b registry.Begun) string { return s.putURL(b) }, 11, 400, "EntityTooSmall"},
	{"in chunks", func(s *stack, b registry.Begun) string { return s.putURL(b) }, -1, 411, "MissingContentLength"},
}

// flip changes the i-th byte of a URL, from the end.
func flip(url string, i int) string {
	b := []byte(url)
	b[len(b)+i] ^= 1
	return string(b)
}

// TestRefusedUploads sends the headers of a PUT that cannot succeed and waits for
// permission to send the rest: it must not get it.
func TestRefusedUploads(t *testing.T) {
	s := newStack(t)
	for _, test := range putTests {
		for _, expect := range []string{"", "100-continue", "100-Continue"} {
			t.Run(test.name+"/"+expect, func(t *testing.T) {
				url := test.url(s, s.session(int64(len(hello)), ""))
				text := "PUT " + strings.TrimPrefix(url, s.url) + " HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: text/plain\r\n"
				if expect != "" {
					text += "Expect: " + expect + "\r\n"
				}
				if test.length < 0 {
					text += "Transfer-Encoding: chunked\r\n\r\n"
				} else {
					text += fmt.Sprintf("Content-Length: %d\r\n\r\n", test.length)
				}
				// No body byte is ever sent: the answer has to come without.
				e := s.raw(text).want(t, test.status, test.code)
				if e.Resource != "" || e.Key != "" || strings.Contains(e.Message, "upl_") {
					t.Errorf("the answer repeats the URL: %+v", e)
				}
			})
		}
	}
	t.Run("no length", func(t *testing.T) {
		url := s.putURL(s.session(0, ""))
		s.raw("PUT "+strings.TrimPrefix(url, s.url)+" HTTP/1.1\r\nHost: "+s.addr+"\r\nContent-Type: text/plain\r\n\r\n").want(t, 411, "MissingContentLength")
	})
	// What the headers say comes after what the URL is good for.
	t.Run("malformed headers", func(t *testing.T) {
		revoked, used, fresh := s.session(12, ""), s.session(12, ""), s.session(12, "")
		s.must(s.pipe.RevokeURL(s.ctx(), root, revoked.Grant.ID))
		s.put(s.putURL(used), hello)
		for _, md5 := range []string{"", "nonsense"} {
			s.put(s.putURL(revoked), hello, "Content-MD5", md5).want(t, 403, "AccessDenied")
			s.put(s.putURL(used), hello, "Content-MD5", md5).want(t, 409, "UploadURLAlreadyUsed")
			s.put(s.putURL(fresh), hello, "Content-MD5", md5).want(t, 400, "InvalidDigest")
		}
	})
	for name, revoke := range map[string]func(registry.Actor) error{
		"key revoked": func(a registry.Actor) error {
			return s.pipe.RevokeKey(s.ctx(), root, registry.AccessKeyID(a.Credential))
		},
		"principal revoked": func(a registry.Actor) error { return s.pipe.RevokePrincipal(s.ctx(), root, a.Principal) },
	} {
		t.Run(name, func(t *testing.T) {
			who := registry.Actor{Tenant: root.Tenant, Principal: registry.PrincipalName(strings.ReplaceAll(name, " ", "-")), Roles: []registry.Role{registry.RoleUploader}}
			who.Credential = s.key(who.Tenant, who.Principal, who.Roles...).AccessKeyID
			b := s.begin(who, 12, "")
			url := s.putURL(b)
			s.must(revoke(who))
			s.put(url, hello).want(t, 403, "AccessDenied")
		})
	}
}

// TestRotatedKey uses URLs of a signing key that was replaced: for as long as they
// live by themselves, and no longer.
func TestRotatedKey(t *testing.T) {
	s := newStack(t)
	s.offset.Add(int64(24 * time.Hour))
	used, late := s.session(12, ""), s.session(12, "")
	first, second := s.putURL(used), s.sign(link{method: "PUT", path: "/_/uploads/" + string(late.Upload.ID), grant: string(late.Grant.ID),
		headers: plainText, expires: 7 * 24 * time.Hour})
	s.must(s.pipe.RotateURLKeys(s.ctx()))
	s.offset.Add(int64(time.Minute))
	if r := s.put(first, hello); r.status != 200 {
		t.Errorf("a URL of the old key: %d %s", r.status, r.body)
	}
	fresh := s.session(12, "")
	url := s.putURL(fresh)
	if credential := func(u string) string { return u[strings.Index(u, "X-Amz-Credential="):][:60] }; credential(url) == credential(first) {
		t.Error("the old key still signs")
	}
	if r := s.put(url, hello); r.status != 200 {
		t.Errorf("a URL of the new key: %d %s", r.status, r.body)
	}
	s.put(second, hello, "Content-MD5", "").want(t, 400, "InvalidDigest") // the URL itself holds
	s.offset.Add(int64(62 * time.Minute))
	s.put(second, hello).want(t, 403, "SignatureDoesNotMatch")
}

// TestSuspended stops the URLs of a tenant.
func TestSuspended(t *testing.T) {
	s := newStack(t)
	_, err := s.ledger.CreateTenant(s.ctx(), root, "acme")
	s.must(err)
	ann := registry.Actor{Tenant: "acme", Principal: "ann", Roles: []registry.Role{registry.RoleAdmin}}
	ann.Credential = s.key("acme", "ann", registry.RoleAdmin).AccessKeyID
	b := s.begin(ann, 12, "")
	url := s.sign(link{tenant: "acme", method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID), headers: plainText})
	s.must(s.pipe.SuspendTenant(s.ctx(), root, "acme"))
	s.put(url, hello).want(t, 403, "AccessDenied")
	s.put(flip(url, -1), hello).want(t, 403, "SignatureDoesNotMatch")
	s.must(s.pipe.ResumeTenant(s.ctx(), root, "acme"))
	if r := s.put(url, hello); r.status != 200 {
		t.Errorf("after the suspension: %d %s", r.status, r.body)
	}
}

// TestURLDigests holds uploads against the digests that session and request
// declare.
func TestURLDigests(t *testing.T) {
	s := newStack(t)
	sum := sha256.Sum256([]byte(hello))
	declared, encoded := hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:])
	sign := func(b registry.Begun, checksum string) string {
		return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID),
			headers: []sigv4.Param{{Name: "content-type", Value: "text/plain"}, {Name: "x-amz-checksum-sha256", Value: checksum}}})
	}
	b := s.session(12, declared)
	wrong := base64.StdEncoding.EncodeToString(make([]byte, 32))
	s.put(sign(b, wrong), hello, "x-amz-checksum-sha256", wrong).want(t, 400, "BadDigest")
	s.put(sign(b, encoded), hello).want(t, 403, "SignatureDoesNotMatch")                                // the header is signed and was not sent
	s.put(sign(b, encoded), "jello, world", "x-amz-checksum-sha256", encoded).want(t, 400, "BadDigest") // other bytes
	s.put(s.putURL(b), hello, "x-amz-checksum-sha256", encoded).want(t, 403, "SignatureDoesNotMatch")   // not signed
	s.put(sign(b, encoded), hello, "x-amz-checksum-sha256", encoded, "Content-MD5", "=").want(t, 400, "InvalidDigest")
	s.put(sign(b, encoded), hello, "x-amz-checksum-sha256", encoded, "Content-MD5", md5Of("x")).want(t, 400, "BadDigest")
	// All of them gave the turn back.
	if r := s.put(sign(b, encoded), hello, "x-amz-checksum-sha256", encoded); r.status != 200 || r.header.Get("x-amz-checksum-sha256") != encoded {
		t.Fatalf("put: %d %v %s", r.status, r.header, r.body)
	}
	// A URL whose signer left the type out does not let it be chosen.
	b = s.session(12, "")
	url := s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID)})
	s.put(url, hello, "Content-Type", "text/html").want(t, 403, "SignatureDoesNotMatch")
}

// TestOneOfMany puts on one URL from many sides at once.
func TestOneOfMany(t *testing.T) {
	s := newStack(t)
	b := s.session(1<<20, "")
	url := s.putURL(b)
	const n = 64
	var wg sync.WaitGroup
	replies := make([]reply, n)
	bodies := make([]string, n)
	for i := range n {
		bodies[i] = strings.Repeat(string(rune('A'+i)), 1<<20)
		if len(bodies[i]) > 1<<20 {
			bodies[i] = bodies[i][:1<<20]
		}
		wg.Go(func() { replies[i] = s.put(url, bodies[i]) })
	}
	wg.Wait()
	winner := -1
	for i, r := range replies {
		switch r.status {
		case 200:
			if winner >= 0 {
				t.Errorf("%d and %d both won", winner, i)
			}
			winner = i
		default:
			if code := r.error(t).Code; r.status != 409 || code != "UploadURLAlreadyUsed" && code != "OperationAborted" {
				t.Errorf("%d: %d %s", i, r.status, code)
			}
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	_, err := s.pipe.Finalize(s.ctx(), root, b.Upload.ID, "")
	s.must(err)
	get, _ := s.getURL(s.inspected(b.Object.ID).ID)
	if r := s.get("GET", get); string(r.body) != bodies[winner] {
		t.Errorf("what was stored is not the winner's: %d bytes", len(r.body))
	}
}

// TestBrokenUpload lets the connection end in the middle and uses the URL again.
func TestBrokenUpload(t *testing.T) {
	s := newStack(t)
	url := s.putURL(s.session(int64(len(hello)), ""))
	nc, err := net.Dial("tcp", s.addr)
	s.must(err)
	s.must(nc.SetDeadline(time.Now().Add(patience)))
	fmt.Fprintf(nc, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\nhello", strings.TrimPrefix(url, s.url), s.addr, len(hello))
	s.must(nc.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	s.must(err)
	body, err := io.ReadAll(resp.Body)
	s.must(err)
	if resp.StatusCode != 400 || !bytes.Contains(body, []byte("<Code>IncompleteBody</Code>")) {
		t.Errorf("answer to half a body: %d %s", resp.StatusCode, body)
	}
	nc.Close()
	if r := s.put(url, hello); r.status != 200 {
		t.Fatalf("put again: %d %s", r.status, r.body)
	}
}

// TestDownload looks at everything a download URL answers.
func TestDownload(t *testing.T) {
	s := newStack(t)
	o := s.publish(hello)
	url, grant := s.getURL(o.ID)
	want := map[string]string{
		"Content-Disposition":          `attachment; filename="re_port __.txt"; filename*=UTF-8''re%22port%20%C3%A4%25.txt`,
		"X-Content-Type-Options":       "nosniff",
		"Content-Security-Policy":      "sandbox; default-src 'none'",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-site",
		"Cache-Control":                "private, no-store",
		"Content-Length":               "12",
		"Accept-Ranges":                "bytes",
		"ETag":                         `"` + o.ETag + `"`,
	}
	for _, method := range []string{"GET", "HEAD"} {
		r := s.get(method, url)
		if r.status != 200 || (string(r.body) == hello) != (method == "GET") {
			t.Fatalf("%s: %d %q", method, r.status, r.body)
		}
		for name, value := range want {
			if got := r.header.Get(name); got != value {
				t.Errorf("%s: %s: %q, want %q", method, name, got, value)
			}
		}
		if ct := r.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
			t.Errorf("content type %q", ct)
		}
	}
	if r := s.get("GET", url, "Range", "bytes=7-"); r.status != 206 || string(r.body) != "world" || r.header.Get("Content-Range") != "bytes 7-11/12" {
		t.Errorf("range: %d %q %v", r.status, r.body, r.header)
	}
	if r := s.get("GET", url, "If-None-Match", want["ETag"]); r.status != 304 || len(r.body) != 0 {
		t.Errorf("if-none-match: %d", r.status)
	}
	s.get("GET", url, "Range", "bytes=12-").want(t, 416, "InvalidRange")
	s.get("GET", flip(url, -1)).want(t, 403, "SignatureDoesNotMatch")
	s.get("GET", url+"&response-content-type=text/html").want(t, 403, "SignatureDoesNotMatch")
	s.get("PUT", url).want(t, 403, "SignatureDoesNotMatch")
	s.get("DELETE", url).want(t, 403, "SignatureDoesNotMatch")
	path, query, _ := strings.Cut(url, "?")
	s.get("GET", strings.Replace(path, "/_/objects/", "/default/", 1)+"?"+query).want(t, 403, "InvalidAccessKeyId")
	if r := s.get("HEAD", flip(url, -1)); r.status != 403 || len(r.body) != 0 {
		t.Errorf("HEAD: %d %q", r.status, r.body)
	}
	other := s.publish("another")
	s.get("GET", s.sign(link{method: "GET", path: "/_/objects/" + string(other.ID), grant: string(grant.ID)})).want(t, 403, "AccessDenied")
	s.get("GET", s.sign(link{method: "GET", path: "/_/objects/" + string(o.ID), grant: string(grant.ID), at: s.now().Add(-3 * time.Minute)})).want(t, 403, "AccessDenied")
	s.get("GET", s.sign(link{method: "GET", path: "/_/objects/" + string(o.ID), grant: string(grant.ID), at: s.now().Add(20 * time.Minute)})).want(t, 403, "AccessDenied")

	s.offset.Add(int64(6 * time.Minute))
	if e := s.get("GET", url).want(t, 403, "AccessDenied"); e.Message != "Request has expired" || e.ServerTime == "" {
		t.Errorf("expired: %+v", e)
	}
	url, grant = s.getURL(o.ID)
	s.must(s.pipe.RevokeURL(s.ctx(), root, grant.ID))
	if e := s.get("GET", url).want(t, 403, "AccessDenied"); e.Message != "Access Denied" {
		t.Errorf("revoked: %+v", e)
	}
	url, _ = s.getURL(o.ID)
	s.must(s.pipe.Delete(s.ctx(), root, o.ID))
	s.get("GET", url).want(t, 403, "AccessDenied")
}

// TestRevokedMidway cuts a download that runs.
func TestRevokedMidway(t *testing.T) {
	s := newStack(t)
	o := s.publish(strings.Repeat("x", 16<<20))
	url, grant := s.getURL(o.ID)
	nc, err := net.Dial("tcp", s.addr)
	s.must(err)
	defer nc.Close()
	s.must(nc.SetDeadline(time.Now().Add(patience)))
	s.must(nc.(*net.TCPConn).SetReadBuffer(64 << 10))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(url, s.url), s.addr)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	s.must(err)
	s.must(s.pipe.RevokeURL(s.ctx(), root, grant.ID))
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil || n == 16<<20 {
		t.Errorf("the download went on after its URL was revoked: %d bytes, %v", n, err)
	}
	x := s.exchange(func(e *server.Exchange) bool { return e.Grant == string(grant.ID) })
	if x.Reason != "cut" || !x.Aborted || x.Object != string(o.ID) || x.Grant != string(grant.ID) {
		t.Errorf("exchange %+v", x)
	}
}

// TestTenants tries the grants and URLs of one tenant with another's signing key.
func TestTenants(t *testing.T) {
	s := newStack(t)
	_, err := s.ledger.CreateTenant(s.ctx(), root, "acme")
	s.must(err)
	o := s.publish(hello)
	_, grant := s.getURL(o.ID)
	foreign := s.get("GET", s.sign(link{tenant: "acme", method: "GET", path: "/_/objects/" + string(o.ID), grant: string(grant.ID)}))
	unknown := s.get("GET", s.sign(link{tenant: "acme", method: "GET", path: "/_/objects/obj_01ARZ3NDEKTSV4RRFFQ69G5FAV", grant: "g_01ARZ3NDEKTSV4RRFFQ69G5FAV"}))
	alike(t, foreign, unknown)
	b := s.session(12, "")
	foreign = s.put(s.sign(link{tenant: "acme", method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID), headers: plainText}), hello)
	unknown = s.put(s.sign(link{tenant: "acme", method: "PUT", path: "/_/uploads/upl_01ARZ3NDEKTSV4RRFFQ69G5FAV", grant: "g_01ARZ3NDEKTSV4RRFFQ69G5FAV", headers: plainText}), hello)
	alike(t, foreign, unknown)

	s.bucket("photos")
	theirs := s.key("acme", "ann", registry.RoleAdmin)
	for _, c := range []call{
		{method: "GET", path: "/%s/k"}, {method: "HEAD", path: "/%s/k"}, {method: "PUT", path: "/%s/k", body: "x"}, {method: "DELETE", path: "/%s/k"},
		{method: "GET", path: "/%s"}, {method: "HEAD", path: "/%s"}, {method: "DELETE", path: "/%s"}, {method: "GET", path: "/%s?location"}, {method: "GET", path: "/%s?policy"},
	} {
		c.credentials = theirs
		there, nowhere := c, c
		there.path, nowhere.path = fmt.Sprintf(c.path, "photos"), fmt.Sprintf(c.path, "nobody")
		alike(t, s.do(there), s.do(nowhere))
	}
	if r := s.do(call{method: "PUT", path: "/photos", credentials: theirs}); r.status != 200 {
		t.Errorf("a bucket of the same name in another tenant: %d %s", r.status, r.body)
	}
	s.must(s.pipe.SuspendTenant(s.ctx(), root, "acme"))
	s.do(call{method: "GET", path: "/", credentials: theirs}).want(t, 403, "InvalidAccessKeyId")
}

// alike compares two answers, ids, names and dates aside.
func alike(t *testing.T, a, b reply) {
	t.Helper()
	plain := func(r reply) string {
		text := string(r.body)
		for _, drop := range []string{r.header.Get("x-amz-request-id"), "photos", "nobody"} {
			text = strings.ReplaceAll(text, drop, "")
		}
		h := r.header.Clone()
		h.Del("x-amz-request-id")
		h.Del("Date")
		return fmt.Sprintf("%d %v %s", r.status, h, text)
	}
	if a.status < 400 || plain(a) != plain(b) {
		t.Errorf("a foreign and an unknown one differ:\n%s\n%s", plain(a), plain(b))
	}
}

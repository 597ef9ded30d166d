package s3api_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/sigv4"
)

// partSession begins a session in parts; partSession(…).PartSize is the least there
// is, 8 MiB.
func (s *stack) partSession(size int64) registry.Upload {
	s.Helper()
	b, err := s.pipe.Begin(s.ctx(), root, pipeline.BeginRequest{Filename: "a.txt", ContentType: "text/plain", Size: size, InParts: true})
	s.must(err)
	return b.Upload
}

// partLink is a part's URL in the making, as the control port signs it.
func (s *stack) partLink(u registry.Upload, number int) link {
	s.Helper()
	p, err := s.pipe.IssuePart(s.ctx(), root, u.ID, number, 0)
	s.must(err)
	return link{method: "PUT", path: "/_/uploads/" + string(u.ID), grant: string(p.Grant.ID), headers: plainText,
		query: []sigv4.Param{{Name: "partNumber", Value: strconv.Itoa(number)}}}
}

func (s *stack) partURL(u registry.Upload, number int) string {
	s.Helper()
	return s.sign(s.partLink(u, number))
}

// TestRefusedParts sends the headers of a PUT of a part that cannot succeed; the
// answer has to come without a body byte. Each is about part 1 of 12 bytes.
func TestRefusedParts(t *testing.T) {
	s := newStack(t)
	numbered := func(value string) func(*stack, registry.Upload) string {
		return func(s *stack, u registry.Upload) string {
			l := s.partLink(u, 1)
			l.query[0].Value = value
			return s.sign(l)
		}
	}
	used := func(s *stack, u registry.Upload) string {
		url := s.partURL(u, 1)
		if r := s.put(url, hello); r.status != 200 {
			s.Fatalf("put: %d %s", r.status, r.body)
		}
		return url
	}
	for _, test := range []struct {
		name   string
		url    func(*stack, registry.Upload) string
		length int64
		status int
		code   string
	}{
		{"altered number", func(s *stack, u registry.Upload) string {
			return strings.Replace(s.partURL(u, 1), "partNumber=1", "partNumber=2", 1)
		}, 12, 403, "SignatureDoesNotMatch"},
		{"number left out", func(s *stack, u registry.Upload) string {
			return strings.Replace(s.partURL(u, 1), "&partNumber=1", "", 1)
		}, 12, 403, "SignatureDoesNotMatch"},
		{"number added", func(s *stack, _ registry.Upload) string {
			return s.putURL(s.session(12, "")) + "&partNumber=1"
		}, 12, 403, "SignatureDoesNotMatch"},
		{"signed for another number", numbered("2"), 12, 403, "AccessDenied"},
		{"signed for no number", numbered("one"), 12, 403, "AccessDenied"},
		{"signed for part 0", numbered("0"), 12, 403, "AccessDenied"},
		{"signed without a number", func(s *stack, u registry.Upload) string {
			l := s.partLink(u, 1)
			l.query = nil
			return s.sign(l)
		}, 12, 403, "AccessDenied"},
		{"superseded", func(s *stack, u registry.Upload) string {
			url := s.partURL(u, 1)
			s.partURL(u, 1)
			return url
		}, 12, 403, "AccessDenied"},
		{"revoked", func(s *stack, u registry.Upload) string {
			l := s.partLink(u, 1)
			s.must(s.pipe.RevokeURL(s.ctx(), root, registry.GrantID(l.grant)))
			return s.sign(l)
		}, 12, 403, "AccessDenied"},
		{"aborted", func(s *stack, u registry.Upload) string {
			url := s.partURL(u, 1)
			s.must(s.pipe.Abort(s.ctx(), root, u.ID))
			return url
		}, 12, 403, "AccessDenied"},
		{"expired by its signature", func(s *stack, u registry.Upload) string {
			l := s.partLink(u, 1)
			l.at = s.now().Add(-3 * time.Minute)
			return s.sign(l)
		}, 12, 403, "AccessDenied"},
		{"used", used, 12, 409, "UploadURLAlreadyUsed"},
		{"used, and of a wrong length", used, 13, 409, "UploadURLAlreadyUsed"},
		{"registered", func(s *stack, u registry.Upload) string {
			used(s, u)
			url := s.partURL(u, 1)
			sum := md5.Sum([]byte(hello))
			_, err := s.pipe.RegisterPart(s.ctx(), root, u.ID, 1, registry.Registration{ETag: hex.EncodeToString(sum[:]), Size: 12})
			s.must(err)
			return url
		}, 12, 409, "UploadURLAlreadyUsed"},
		{"finalized", func(s *stack, u registry.Upload) string {
			url := used(s, u)
			_, err := s.pipe.Finalize(s.ctx(), root, u.ID, "")
			s.must(err)
			return url
		}, 12, 409, "UploadURLAlreadyUsed"},
		{"in use", func(s *stack, u registry.Upload) string {
			l := s.partLink(u, 1)
			_, err := s.ledger.BeginPut(s.ctx(), root, root.Tenant, u.ID, registry.GrantID(l.grant))
			s.must(err)
			return s.sign(l)
		}, 12, 409, "OperationAborted"},
		{"longer", func(s *stack, u registry.Upload) string { return s.partURL(u, 1) }, 13, 400, "EntityTooLarge"},
		{"shorter", func(s *stack, u registry.Upload) string { return s.partURL(u, 1) }, 11, 400, "EntityTooSmall"},
		{"in chunks", func(s *stack, u registry.Upload) string { return s.partURL(u, 1) }, -1, 411, "MissingContentLength"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := test.url(s, s.partSession(12))
			text := "PUT " + strings.TrimPrefix(url, s.url) + " HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n"
			if test.length < 0 {
				text += "Transfer-Encoding: chunked\r\n\r\n"
			} else {
				text += fmt.Sprintf("Content-Length: %d\r\n\r\n", test.length)
			}
			s.raw(text).want(t, test.status, test.code)
		})
	}
}

// TestParts puts the parts of a session by their URLs, the last one first and one of
// them by many at once.
func TestParts(t *testing.T) {
	s := newStack(t)
	first, last := strings.Repeat("abcdefg\n", 1<<20), "the rest\n"
	u := s.partSession(int64(len(first) + len(last)))
	if u.PartSize != 8<<20 || u.PartCount() != 2 {
		t.Fatalf("%d parts of %d bytes", u.PartCount(), u.PartSize)
	}
	url := s.partURL(u, 2)
	const n = 64
	replies := make([]reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { replies[i] = s.put(url, last) })
	}
	wg.Wait()
	won := 0
	for i, r := range replies {
		if r.status == 200 {
			won++
			sum := md5.Sum([]byte(last))
			if want := `"` + hex.EncodeToString(sum[:]) + `"`; r.header.Get("ETag") != want || r.header.Get("x-amz-checksum-sha256") == "" {
				t.Errorf("answer %v, want ETag %s", r.header, want)
			}
			continue
		}
		if code := r.error(t).Code; r.status != 409 || code != "UploadURLAlreadyUsed" && code != "OperationAborted" {
			t.Errorf("%d: %d %s", i, r.status, code)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
	s.put(s.partURL(u, 1), first[:8<<20-1]+"X", "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==").want(t, 400, "BadDigest")
	for _, body := range []string{strings.Repeat("X", 8<<20), first} { // the second replaces the first
		if r := s.put(s.partURL(u, 1), body); r.status != 200 {
			t.Fatalf("put: %d %s", r.status, r.body)
		}
	}
	_, err := s.pipe.Finalize(s.ctx(), root, u.ID, "")
	s.must(err)
	get, _ := s.getURL(s.inspected(u.Object).ID)
	if r := s.get("GET", get); string(r.body) != first+last || !strings.HasSuffix(r.header.Get("ETag"), `-2"`) {
		t.Errorf("%d bytes with %s", len(r.body), r.header.Get("ETag"))
	}
	if r := s.get("GET", get, "Range", "bytes=8388600-8388611"); r.status != 206 || string(r.body) != (first + last)[8388600:8388612] {
		t.Errorf("across parts: %d %q", r.status, r.body)
	}
}

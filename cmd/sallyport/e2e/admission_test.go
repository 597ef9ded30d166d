package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// refusal is a put that has to be refused on its headers.
type refusal struct {
	name    string
	prepare func(t *testing.T, s *Server) (u *Session, size int)
	status  int
	code    string
}

// sessionSize is what the sessions below declare.
const sessionSize = 1000

// refusals are the ways of being refused. Each prepares a session and says how
// long a body to announce.
var refusals = []refusal{
	{"too long", func(_ *testing.T, s *Server) (*Session, int) { return s.root.begin(sessionSize), sessionSize + 1 }, 400, "EntityTooLarge"},
	{"too short", func(_ *testing.T, s *Server) (*Session, int) { return s.root.begin(sessionSize), sessionSize - 1 }, 400, "EntityTooSmall"},
	{"signature altered", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		last := u.PutURL[len(u.PutURL)-1]
		u.PutURL = u.PutURL[:len(u.PutURL)-1] + string("0123456789abcdef0"[strings.IndexByte("0123456789abcdef", last)+1])
		return u, sessionSize
	}, 403, "SignatureDoesNotMatch"},
	{"expiry altered", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		u.PutURL = withParam(u.PutURL, "X-Amz-Expires", "900")
		return u, sessionSize
	}, 403, "SignatureDoesNotMatch"},
	{"another session's grant", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		u.PutURL = withParam(u.PutURL, "X-Sp-Grant", s.root.begin(sessionSize).URLID)
		return u, sessionSize
	}, 403, "SignatureDoesNotMatch"},
	{"type altered", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		u.Headers = map[string]string{"Content-Type": "text/html"}
		return u, sessionSize
	}, 403, "SignatureDoesNotMatch"},
	{"used", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		u.mustPut(noise(1, sessionSize))
		return u, sessionSize
	}, 409, "UploadURLAlreadyUsed"},
	{"expired", func(t *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		u.reissue(map[string]any{"ttl": "1s"})
		eventually(t, "the URL expires", func() bool {
			a, err := u.put(noise(1, sessionSize+1)) // never taken
			return err == nil && a.Status == http.StatusForbidden
		})
		return u, sessionSize
	}, 403, "AccessDenied"},
	{"revoked", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		s.root.must("DELETE", "/urls/"+u.URLID, nil, nil)
		return u, sessionSize
	}, 403, "AccessDenied"},
	{"superseded", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		old := u.PutURL
		u.reissue(map[string]any{})
		u.PutURL = old
		return u, sessionSize
	}, 403, "AccessDenied"},
	{"aborted", func(_ *testing.T, s *Server) (*Session, int) {
		u := s.root.begin(sessionSize)
		s.root.must("DELETE", "/uploads/"+u.UploadID, nil, nil)
		return u, sessionSize
	}, 403, "AccessDenied"},
}

// TestRefusedBeforeTheBody asks before sending: what cannot succeed is refused
// whole, and no byte is asked for.
func TestRefusedBeforeTheBody(t *testing.T) {
	s := serve(t, disk{})
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			s.in(t)
			u, size := r.prepare(t, s)
			w := s.dial()
			w.send(u.putHead(size, expects))
			if a := w.mustAnswer(); !a.is(r.status, r.code) {
				t.Errorf("on a bare connection: %s, want %d %s", a, r.status, r.code)
			}
			w.end()

			body := &counter{r: bytes.NewReader(make([]byte, size))}
			req, err := u.request(context.Background(), body, int64(size))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Expect", "100-continue")
			patient := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}
			defer patient.CloseIdleConnections()
			resp, err := patient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if a := (answer{resp.StatusCode, resp.Header, text}); err != nil || !a.is(r.status, r.code) {
				t.Errorf("by net/http: %s, %v", a, err)
			}
			if body.n > 0 {
				t.Errorf("the client sent %d bytes", body.n)
			}
		})
	}
	t.Run("no length", func(t *testing.T) {
		s.in(t)
		u := s.root.begin(sessionSize)
		w := s.dial()
		w.send(head("PUT", u.PutURL, "Content-Type: "+octets, "Transfer-Encoding: chunked", expects))
		if a := w.mustAnswer(); !a.is(http.StatusLengthRequired, "MissingContentLength") {
			t.Error(a)
		}
		w.end()
	})
	t.Run("nothing wrong", func(t *testing.T) {
		s.in(t)
		u := s.root.begin(sessionSize)
		w := s.dial()
		w.send(u.putHead(sessionSize, "expect: 100-Continue")) // any case
		if a := w.mustAnswer(); a.Status != http.StatusContinue {
			t.Fatal(a)
		}
		w.send(string(noise(1, sessionSize)))
		if a := w.mustAnswer(); a.Status != http.StatusOK {
			t.Error(a)
		}
	})
}

// counter counts what is read of a body.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestSmuggling hides whole requests, signed and valid, in bodies that are not
// read: none is executed.
func TestSmuggling(t *testing.T) {
	s := serve(t, disk{})
	hidden := func(method, path string, body []byte) string {
		req, err := s.root.objectRequest(context.Background(), method, path, "", body, nil)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := req.Write(&text); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	s.mustObject("PUT", "/victims", nil)
	s.mustObject("PUT", "/victims/kept", []byte("kept"))
	smuggled := hidden("DELETE", "/victims/kept", nil) + hidden("PUT", "/victims/planted", []byte("planted"))

	for _, r := range refusals {
		for _, form := range []string{"plain", "expecting"} {
			t.Run(r.name+" "+form, func(t *testing.T) {
				s.in(t)
				u, _ := r.prepare(t, s)
				header := []string{}
				if form == "expecting" {
					header = append(header, expects)
				}
				w := s.dial()
				w.send(u.putHead(len(smuggled), header...) + smuggled)
				a := w.mustAnswer()
				if a.Status < 400 {
					t.Errorf("the outer request: %s", a)
				}
				w.end()
			})
		}
	}
	for name, framing := range map[string]string{
		"chunked":         "Transfer-Encoding: chunked",
		"both lengths":    fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked", len(smuggled)),
		"two lengths":     fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0", len(smuggled)),
		"folded encoding": "Transfer-Encoding:\r\n chunked",
	} {
		t.Run(name, func(t *testing.T) {
			s.in(t)
			w := s.dial()
			w.send(head("PUT", s.root.begin(sessionSize).PutURL, "Content-Type: "+octets, framing) + "0\r\n\r\n" + smuggled)
			if a := w.mustAnswer(); a.Status < 400 {
				t.Errorf("the outer request: %s", a)
			}
			w.end()
		})
	}
	if a, err := s.root.object("GET", "/victims/kept", "", nil, nil); err != nil || string(a.Body) != "kept" {
		t.Errorf("a hidden DELETE was executed: %s, %v", a, err)
	}
	if a, err := s.root.object("GET", "/victims/planted", "", nil, nil); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("a hidden PUT was executed: %s, %v", a, err)
	}
}

// mustObject makes a request of the S3 port that has to succeed.
func (s *Server) mustObject(method, path string, body []byte) answer {
	s.t.Helper()
	a, err := s.root.object(method, path, "", body, nil)
	if err != nil || a.Status >= 300 {
		s.t.Fatalf("%s %s: %s, %v", method, path, a, err)
	}
	return a
}

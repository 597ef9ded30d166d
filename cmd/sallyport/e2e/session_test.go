package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
)

// Session is an upload as its creator sees it.
type Session struct {
	UploadID string            `json:"upload_id"`
	ObjectID string            `json:"object_id"`
	State    string            `json:"state"`
	PutURL   string            `json:"put_url"`
	URLID    string            `json:"url_id"`
	Headers  map[string]string `json:"headers"`

	client *Client
	size   int64
}

// newUpload is what a session is made from.
type newUpload struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256,omitempty"`
	Profile     string `json:"profile,omitempty"`
}

// octets is the type of random bytes.
const octets = "application/octet-stream"

// begin opens a session for so many bytes of no particular type.
func (c *Client) begin(size int64) *Session {
	c.server.t.Helper()
	return c.beginAs(newUpload{Filename: "report.bin", ContentType: octets, Size: size})
}

func (c *Client) beginAs(n newUpload) *Session {
	c.server.t.Helper()
	s, err := c.tryBegin(n)
	if err != nil {
		c.server.t.Fatal(err)
	}
	return s
}

// tryBegin is beginAs for goroutines and for servers that may die.
func (c *Client) tryBegin(n newUpload) (*Session, error) {
	a, err := c.call("POST", "/uploads", n)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusCreated {
		return nil, fmt.Errorf("begin: %s", a)
	}
	s := &Session{client: c, size: n.Size}
	if err := json.Unmarshal(a.Body, s); err != nil {
		return nil, err
	}
	c.server.seen.signature(s.PutURL)
	return s, nil
}

// reissue asks for a fresh URL.
func (s *Session) reissue(in any) {
	s.client.server.t.Helper()
	s.client.must("POST", "/uploads/"+s.UploadID+"/url", in, s)
	s.client.server.seen.signature(s.PutURL)
}

// request is a PUT of body to the session's URL.
func (s *Session) request(ctx context.Context, body io.Reader, size int64) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.PutURL, body)
	if err != nil {
		return nil, err
	}
	for name, value := range s.Headers {
		if !strings.EqualFold(name, "Content-Length") {
			req.Header.Set(name, value)
		}
	}
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody
	}
	return req, nil
}

// put sends body to the session's URL.
func (s *Session) put(body []byte) (answer, error) {
	req, err := s.request(context.Background(), bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return answer{}, err
	}
	return s.client.server.do(req)
}

// mustPut is put for what has to be taken.
func (s *Session) mustPut(body []byte) {
	s.client.server.t.Helper()
	a, err := s.put(body)
	if err != nil || a.Status != http.StatusOK {
		s.client.server.t.Fatalf("put: %s, %v", a, err)
	}
}

// putWhenFree is mustPut where a former attempt may not have given the turn
// back yet.
func (s *Session) putWhenFree(body []byte) {
	s.client.server.t.Helper()
	eventually(s.client.server.t, "the URL takes its bytes", func() bool {
		a, err := s.put(body)
		if err != nil {
			s.client.server.t.Fatal(err)
		}
		if a.is(http.StatusConflict, "OperationAborted") {
			return false
		}
		if a.Status != http.StatusOK {
			s.client.server.t.Fatalf("put: %s", a)
		}
		return true
	})
}

// finalize declares the upload complete and waits until it is published.
func (s *Session) publish() {
	s.client.server.t.Helper()
	s.client.must("POST", "/uploads/"+s.UploadID+"/finalize", map[string]any{}, nil)
	s.awaitState("published")
}

func (s *Session) awaitState(want string) {
	s.client.server.t.Helper()
	state := ""
	defer func() {
		if state != want {
			s.client.server.t.Logf("the object is %q", state)
		}
	}()
	eventually(s.client.server.t, "the object is "+want, func() bool {
		state = s.client.objectState(s.ObjectID)
		return state == want
	})
}

func (c *Client) objectState(id string) string {
	c.server.t.Helper()
	var row struct{ State string }
	c.must("GET", "/objects/"+id, nil, &row)
	return row.State
}

// downloadURL is a signed URL for a published object.
type downloadURL struct {
	GetURL string `json:"get_url"`
	URLID  string `json:"url_id"`
}

func (c *Client) downloadURL(object string) downloadURL {
	c.server.t.Helper()
	var d downloadURL
	c.must("GET", "/objects/"+object+"/download-url?ttl=120", nil, &d)
	c.server.seen.signature(d.GetURL)
	return d
}

// mustGet fetches a URL that has to have that content.
func (s *Server) mustGet(target string, want []byte) answer {
	s.t.Helper()
	a, err := s.get(target)
	if err != nil || a.Status != http.StatusOK {
		s.t.Fatalf("get: %s, %v", a, err)
	}
	if !bytes.Equal(a.Body, want) {
		s.t.Fatalf("%d bytes came back for %d, or others", len(a.Body), len(want))
	}
	return a
}

// noise returns bytes that no detector takes for anything, the same for the same
// seed.
func noise(seed uint64, size int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	if size > 0 {
		data[0] = 0 // no text, and no magic number
	}
	return data
}

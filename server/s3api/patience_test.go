package s3api_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry/blob"
	"sallyport/server"
)

// slowStore keeps those who want to read waiting until something is sent to go on,
// which each of them then fails with.
type slowStore struct {
	blob.Store
	slow    atomic.Bool
	waiting chan struct{}
	goOn    chan error
}

func (b *slowStore) Open(ctx context.Context, key blob.Key, off, n int64) (blob.Reader, error) {
	if b.slow.Load() {
		b.waiting <- struct{}{}
		if err := <-b.goOn; err == errPanicking {
			panic("x")
		} else if err != nil {
			return nil, err
		}
	}
	return b.Store.Open(ctx, key, off, n)
}

type panicking struct{}

func (panicking) Error() string { return "panics" }

var errPanicking error = panicking{}

// slowPatience is how long clients of a slow stack wait.
const slowPatience = 60 * time.Millisecond

// newSlowStack is a stack whose clients do not wait for long.
func newSlowStack(t *testing.T) (*stack, *slowStore) {
	store := &slowStore{waiting: make(chan struct{}, 8), goOn: make(chan error, 8)}
	s := newStack(t, func(c *setup) {
		c.api.Patience = slowPatience
		c.wrap = func(b blob.Store) blob.Store {
			store.Store = b
			return store
		}
	})
	s.bucket("photos")
	return s, store
}

// answering sends a call and returns once the head of its answer is there.
func (s *stack) answering(c call) (*http.Response, net.Conn) {
	s.Helper()
	nc, err := net.DialTimeout("tcp", s.addr, patience)
	s.must(err)
	s.must(nc.SetDeadline(time.Now().Add(patience)))
	req := s.request(c)
	s.must(req.Write(nc))
	resp, err := http.ReadResponse(bufio.NewReader(nc), req)
	s.must(err)
	return resp, nc
}

// TestLateCompletion keeps a client waiting for a completion that takes its time.
func TestLateCompletion(t *testing.T) {
	s, store := newSlowStack(t)
	for _, test := range []struct {
		name  string
		fails error
		code  string // "" if it succeeds
	}{
		{"result", nil, ""},
		{"error", blob.ErrUnavailable, "ServiceUnavailable"},
		{"panic", errPanicking, "InternalError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := s.multipart("/photos/"+test.name, nil)
			doc := listed(1, m.put(1, []byte("hello")))
			store.slow.Store(true)
			defer store.slow.Store(false)
			c := m.call("POST", "", doc)
			c.header = header("Origin", "https://console.test")
			resp, nc := s.answering(c)
			defer nc.Close()
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/xml" || resp.ContentLength >= 0 ||
				resp.Header.Get("x-amz-request-id") == "" || resp.Header.Get("Access-Control-Allow-Origin") == "" {
				t.Fatalf("head: %d %v", resp.StatusCode, resp.Header)
			}
			const declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			began := make([]byte, len(declaration)+3)
			if _, err := io.ReadFull(resp.Body, began); err != nil || string(began) != declaration+"   " {
				t.Fatalf("while waiting: %q %v", began, err)
			}
			<-store.waiting
			store.slow.Store(false)
			store.goOn <- test.fails
			rest, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			id := resp.Header.Get("x-amz-request-id")
			e := s.exchange(func(e *server.Exchange) bool { return e.RequestID == id })
			all := reply{resp.StatusCode, resp.Header, append(began, rest...)}
			if test.code == "" {
				if done := all.completed(t); done.ETag == "" || e.Reason != "" || e.Object == "" {
					t.Errorf("%+v, exchange %+v", done, e)
				}
				return
			}
			if got := all.error(t); got.Code != test.code || got.RequestID != id || got.Resource != "/photos/"+test.name || e.Reason != test.code {
				t.Errorf("%+v, exchange %+v", got, e)
			}
			if done := m.do(m.call("POST", "", doc)).completed(t); done.ETag == "" {
				t.Errorf("again: %+v", done)
			}
		})
	}
	if strings.Contains(s.logs.String(), "/photos/") {
		t.Error("a key is in the log")
	}
}

// TestImpatientClient: a completion goes on without its client.
func TestImpatientClient(t *testing.T) {
	s, store := newSlowStack(t)
	m := s.multipart("/photos/k", nil)
	doc := listed(1, m.put(1, []byte("hello")))
	store.slow.Store(true)
	_, nc := s.answering(m.call("POST", "", doc))
	s.must(nc.Close())
	<-store.waiting
	store.slow.Store(false)
	s.exchange(func(e *server.Exchange) bool { return e.Op == "CompleteMultipartUpload" && e.Aborted })
	store.goOn <- nil
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if r := s.do(call{method: "GET", path: "/photos/k"}); string(r.body) == "hello" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("never completed: %d %s", r.status, r.body)
		}
	}
	m.do(m.call("POST", "", doc)).completed(t)
}

// TestLateCopy: a copied part whose source has to be read answers late, too.
func TestLateCopy(t *testing.T) {
	s, store := newSlowStack(t)
	if r := s.do(call{method: "PUT", path: "/photos/source", body: "hello"}); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	m := s.multipart("/photos/k", header("X-Amz-Checksum-Algorithm", "SHA1"))
	store.slow.Store(true)
	c := m.call("PUT", "partNumber=1", "")
	c.header = header("X-Amz-Copy-Source", "/photos/source")
	resp, nc := s.answering(c)
	defer nc.Close()
	<-store.waiting
	store.slow.Store(false)
	store.goOn <- nil
	body, err := io.ReadAll(resp.Body)
	var doc struct {
		XMLName            xml.Name `xml:"CopyPartResult"`
		ETag, ChecksumSHA1 string
	}
	if err != nil || resp.StatusCode != 200 || xml.Unmarshal(body, &doc) != nil || doc.ETag == "" || doc.ChecksumSHA1 == "" {
		t.Errorf("%d %v %s", resp.StatusCode, err, body)
	}
}

// TestLateAnswerToOldClient: who speaks no HTTP/1.1 cannot be sent an answer in pieces
// (RFC 9112, section 6.1), and has to wait for the whole.
func TestLateAnswerToOldClient(t *testing.T) {
	s, store := newSlowStack(t)
	m := s.multipart("/photos/k", nil)
	doc := listed(1, m.put(1, []byte("hello")))
	store.slow.Store(true)
	var text strings.Builder
	s.must(s.request(m.call("POST", "", doc)).Write(&text))
	nc, err := net.DialTimeout("tcp", s.addr, patience)
	s.must(err)
	defer nc.Close()
	s.must(nc.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(nc, strings.Replace(text.String(), " HTTP/1.1", " HTTP/1.0", 1))
	s.must(err)
	<-store.waiting
	store.slow.Store(false)
	time.AfterFunc(4*slowPatience, func() { store.goOn <- blob.ErrUnavailable })
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	s.must(err)
	body, err := io.ReadAll(resp.Body)
	s.must(err)
	if len(resp.TransferEncoding) != 0 || !resp.Close {
		t.Errorf("head: %v %v", resp.TransferEncoding, resp.Header)
	}
	reply{resp.StatusCode, resp.Header, body}.want(t, 503, "ServiceUnavailable")
}

package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/cmd/sallyport/client"
)

// start serves handle and returns a client of it.
func start(t *testing.T, handle http.HandlerFunc) (*client.Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{
		Endpoint: server.URL, AccessKey: "SPTESTKEY", SecretKey: "hidden-word", Region: "us-east-1", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, server
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name, contentType, body string
		want                    client.Error
	}{
		{"JSON", "application/json", `{"code":"NOT_FOUND","message":"no such object","request_id":"r1"}`,
			client.Error{Status: 404, Code: "NOT_FOUND", Message: "no such object", RequestID: "r1"}},
		{"XML", "application/xml", `<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>gone</Message><RequestId>r2</RequestId></Error>`,
			client.Error{Status: 404, Code: "NoSuchKey", Message: "gone", RequestID: "r2"}},
		{"HTML of a proxy", "text/html", `<html><body>Not here</body></html>`,
			client.Error{Status: 404, Code: "HTTP_404", Message: "not found", RequestID: "r3"}},
		{"nothing", "", "", client.Error{Status: 404, Code: "HTTP_404", Message: "not found", RequestID: "r3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, _ := start(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				w.Header().Set("X-Request-Id", "r3")
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, test.body)
			})
			_, err := c.Object(context.Background(), "obj_1")
			var got *client.Error
			if !errors.As(err, &got) || *got != test.want {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestUnreachableServerHidesTheURL(t *testing.T) {
	c, server := start(t, func(http.ResponseWriter, *http.Request) {})
	server.Close()
	_, err := c.Put(context.Background(), client.Upload{PutURL: server.URL + "/_/uploads/u?X-Amz-Signature=hidden-word"}, strings.NewReader("x"), 1, nil)
	if err == nil || strings.Contains(err.Error(), "hidden-word") {
		t.Errorf("error %v", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed bool
	c, _ := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	if _, err := c.Profiles(context.Background()); err == nil || followed {
		t.Errorf("error %v, followed %v", err, followed)
	}
}

func TestListFollowsPages(t *testing.T) {
	tests := []struct{ limit, want int }{{0, 2500}, {5, 5}, {1000, 1000}, {1001, 1001}}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.limit), func(t *testing.T) {
			c, _ := start(t, func(w http.ResponseWriter, r *http.Request) {
				var at, size int
				_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &at)
				_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &size)
				page := map[string]any{}
				var objects []map[string]any
				for ; size > 0 && at < 2500; size-- {
					objects = append(objects, map[string]any{"object_id": fmt.Sprintf("obj_%d", at)})
					at++
				}
				page["objects"], page["next_cursor"] = objects, nil
				if at < 2500 {
					page["next_cursor"] = fmt.Sprint(at)
				}
				_ = json.NewEncoder(w).Encode(page)
			})
			objects, err := c.Objects(context.Background(), client.ObjectFilter{}, test.limit)
			if err != nil || len(objects) != test.want {
				t.Fatalf("%d objects, %v", len(objects), err)
			}
			for i, o := range objects {
				if o.ObjectID != fmt.Sprintf("obj_%d", i) {
					t.Fatalf("object %d is %s", i, o.ObjectID)
				}
			}
		})
	}
}

// bytesServer is the S3 port's side of one session, and its reissue call.
type bytesServer struct {
	t      *testing.T
	refuse []int // statuses of the first PUTs; 0 stores and drops the answer

	mu       sync.Mutex // protects the fields below: each connection has its goroutine
	puts     int
	stored   []byte
	reissued int
}

func (s *bytesServer) handle(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPost {
		s.reissued++
		if s.stored != nil {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"code":"UPLOAD_ALREADY_RECEIVED","message":"stored"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"put_url": "http://" + r.Host + "/put", "headers": map[string]string{"X-Said": "yes"}})
		return
	}
	s.puts++
	if r.Header.Get("X-Said") != "yes" {
		s.t.Error("a header that the server asked for is missing")
	}
	if s.puts <= len(s.refuse) {
		status := s.refuse[s.puts-1]
		if status == 0 {
			s.stored, _ = io.ReadAll(r.Body)
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		return
	}
	var err error
	if s.stored, err = io.ReadAll(r.Body); err != nil || int64(len(s.stored)) != r.ContentLength {
		s.t.Errorf("%d of %d bytes, %v", len(s.stored), r.ContentLength, err)
	}
}

func TestPut(t *testing.T) {
	tests := []struct {
		name     string
		refuse   []int
		puts     int
		reissued int
		fails    bool
	}{
		{"at once", nil, 1, 0, false},
		{"after 503", []int{503}, 2, 1, false},
		{"after 503 twice", []int{503, 503}, 3, 2, false},
		{"503 for ever", []int{503, 503, 503}, 3, 2, true},
		{"a refusal is final", []int{403}, 1, 0, true},
		{"full is final", []int{507}, 1, 0, true},
		{"only the answer was lost", []int{0}, 1, 1, false},
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	sum := sha256.Sum256(data)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &bytesServer{t: t, refuse: test.refuse}
			c, server := start(t, s.handle)
			upload := client.Upload{UploadID: "upl_1", PutURL: server.URL + "/put", Headers: map[string]string{"X-Said": "yes"}}
			var last int64
			got, err := c.Put(context.Background(), upload, bytes.NewReader(data), int64(len(data)), func(n int64) { last = n })
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.puts != test.puts || s.reissued != test.reissued {
				t.Errorf("%d PUTs and %d fresh URLs", s.puts, s.reissued)
			}
			if test.fails {
				if err == nil {
					t.Error("no error")
				}
				return
			}
			if err != nil || got != hex.EncodeToString(sum[:]) || !bytes.Equal(s.stored, data) || last != int64(len(data)) {
				t.Errorf("digest %s, %v; %d bytes stored, %d reported", got, err, len(s.stored), last)
			}
		})
	}
}

func TestPutOfNothing(t *testing.T) {
	s := &bytesServer{t: t}
	c, server := start(t, s.handle)
	upload := client.Upload{PutURL: server.URL + "/put", Headers: map[string]string{"X-Said": "yes"}}
	sum, err := c.Put(context.Background(), upload, strings.NewReader(""), 0, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || sum != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" || s.puts != 1 {
		t.Errorf("digest %s, %v, %d PUTs", sum, err, s.puts)
	}
}

func TestPutOfAFileThatShrank(t *testing.T) {
	s := &bytesServer{t: t}
	c, server := start(t, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.puts++
		s.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
	})
	_, err := c.Put(context.Background(), client.Upload{PutURL: server.URL}, strings.NewReader("abc"), 10, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || s.puts > 1 || s.reissued != 0 {
		t.Errorf("error %v after %d PUTs, %d fresh URLs", err, s.puts, s.reissued)
	}
}

func TestDownload(t *testing.T) {
	data := []byte("the bytes that were stored")
	sum := sha256.Sum256(data)
	right, wrong := hex.EncodeToString(sum[:]), strings.Repeat("0", 64)
	tests := []struct {
		name    string
		sent    []byte
		length  int // what Content-Length says
		sha256  *string
		want    string // written
		corrupt bool
		fails   bool
	}{
		{"whole", data, len(data), &right, string(data), false, false},
		{"cut off", data[:5], len(data), &right, "", false, true},
		{"shorter", data[:5], 5, &right, "", true, true},
		{"changed", []byte(strings.ToUpper(string(data))), len(data), &right, "", true, true},
		{"another digest", data, len(data), &wrong, "", true, true},
		{"digest unknown", data, len(data), nil, "", true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, _ := start(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/download-url") {
					_ = json.NewEncoder(w).Encode(map[string]any{"get_url": "http://" + r.Host + "/bytes", "headers": map[string]string{}})
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(test.length))
				_, _ = w.Write(test.sent)
			})
			var got bytes.Buffer
			object := client.Object{ObjectID: "obj_1", Size: int64(len(data)), SHA256: test.sha256}
			err := c.Download(context.Background(), object, nil, &got)
			if (err != nil) != test.fails || errors.Is(err, client.ErrCorrupt) != test.corrupt {
				t.Errorf("error %v", err)
			}
			if !test.fails && got.String() != test.want {
				t.Errorf("wrote %q", got.String())
			}
		})
	}
}

func TestAuditPages(t *testing.T) {
	serve := func(seqs []int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			after := -1
			_, _ = fmt.Sscan(r.URL.Query().Get("after"), &after)
			sent := 0
			for _, seq := range seqs {
				if seq > after && sent < 2 { // pages of two
					fmt.Fprintf(w, "{\"seq\":%d}\n", seq)
					sent++
				}
			}
		}
	}
	read := func(c *client.Client, from, to uint64) (got []uint64, err error) {
		err = c.Audit(context.Background(), from, to, func(l client.AuditLeaf) error {
			got = append(got, l.Seq)
			return nil
		})
		return got, err
	}
	c, _ := start(t, serve([]int{0, 1, 4, 5, 9}))
	for _, test := range []struct {
		from, to uint64
		want     string
	}{{0, 100, "[0 1 4 5 9]"}, {1, 9, "[1 4 5]"}, {5, 6, "[5]"}, {10, 100, "[]"}, {0, 0, "[]"}} {
		if got, err := read(c, test.from, test.to); err != nil || fmt.Sprint(got) != test.want {
			t.Errorf("from %d to %d: %v, %v; want %s", test.from, test.to, got, err, test.want)
		}
	}
	backwards, _ := start(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{\"seq\":3}\n{\"seq\":2}\n") })
	if _, err := read(backwards, 0, 100); err == nil {
		t.Error("leaves out of order are no error")
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []client.Config{
		{Endpoint: ""}, {Endpoint: "localhost:9001"}, {Endpoint: "ftp://host"}, {Endpoint: "http://host/path"},
		{Endpoint: "http://user:pass@host"}, {Endpoint: "http://host", AccessKey: "SP"},
	} {
		if _, err := client.New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

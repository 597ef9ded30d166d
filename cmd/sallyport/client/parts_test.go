package client_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sallyport/cmd/sallyport/client"
)

// partsServer is a server of one session in parts of ten bytes.
type partsServer struct {
	t *testing.T
	// trouble is what happens to the first PUTs of a part: a status, or 0 for an
	// answer that is lost.
	trouble map[int][]int
	altered bool // says that other bytes were stored

	mu     sync.Mutex // protects the fields below
	parts  map[int][]byte
	fixed  map[int]bool
	issued map[int]int
	puts   map[int]int
}

func newPartsServer(t *testing.T) *partsServer {
	return &partsServer{t: t, parts: map[int][]byte{}, fixed: map[int]bool{}, issued: map[int]int{}, puts: map[int]int{}, trouble: map[int][]int{}}
}

func etagOf(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func (s *partsServer) handle(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var number, use int
	switch {
	case r.Method == http.MethodGet:
		var list []map[string]any
		for n := 1; n <= 10; n++ {
			if b, ok := s.parts[n]; ok {
				list = append(list, map[string]any{"part_number": n, "size": len(b), "etag": etagOf(b), "registered": s.fixed[n]})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"parts": append([]map[string]any{}, list...)})
	case r.Method == http.MethodPost:
		_, _ = fmt.Sscanf(r.URL.Path, "/uploads/upl_1/parts/%d/url", &number)
		s.issued[number]++
		_ = json.NewEncoder(w).Encode(map[string]any{"part_number": number, "size": min(10, 25-10*(number-1)),
			"url": fmt.Sprintf("http://%s/put/%d/%d", r.Host, number, s.issued[number]), "headers": map[string]string{"X-Said": "yes"}})
	default:
		_, _ = fmt.Sscanf(r.URL.Path, "/put/%d/%d", &number, &use)
		s.put(w, r, number, use)
	}
}

func (s *partsServer) put(w http.ResponseWriter, r *http.Request, number, use int) {
	s.puts[number]++
	if use != s.puts[number] || r.Header.Get("X-Said") != "yes" {
		s.t.Errorf("PUT %d of part %d by its URL %d, with %v", s.puts[number], number, use, r.Header)
	}
	status := http.StatusOK
	if trouble := s.trouble[number]; len(trouble) >= s.puts[number] {
		status = trouble[s.puts[number]-1]
	}
	if status >= 300 {
		w.WriteHeader(status)
		return
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.parts[number] = b
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	if s.altered {
		b = append(b, 'x')
	}
	w.Header().Set("ETag", `"`+etagOf(b)+`"`)
}

var inThree = client.Session{UploadID: "upl_1", Size: 25, PartSize: 10, PartCount: 3}

func TestPutParts(t *testing.T) {
	data := []byte("aaaaaaaaaabbbbbbbbbbccccc")
	sum := sha256.Sum256(data)
	for _, test := range []struct {
		name  string
		setUp func(*partsServer)
		puts  [4]int // of each part
		want  error  // class of the failure
		fails bool
	}{
		{"at once", func(*partsServer) {}, [4]int{0, 1, 1, 1}, nil, false},
		{"after 503", func(s *partsServer) { s.trouble[2] = []int{503, 503} }, [4]int{0, 1, 3, 1}, nil, false},
		{"an answer was lost", func(s *partsServer) { s.trouble[3] = []int{0} }, [4]int{0, 1, 1, 2}, nil, false},
		{"there already", func(s *partsServer) { s.parts[1], s.fixed[1], s.parts[3] = data[:10], true, data[20:] }, [4]int{0, 0, 1, 0}, nil, false},
		{"there with other bytes", func(s *partsServer) { s.parts[2] = []byte("BBBBBBBBBB") }, [4]int{0, 1, 1, 1}, nil, false},
		{"there and shorter", func(s *partsServer) { s.parts[2] = data[10:15] }, [4]int{0, 1, 1, 1}, nil, false},
		{"fixed with other bytes", func(s *partsServer) { s.parts[2], s.fixed[2] = []byte("BBBBBBBBBB"), true }, [4]int{0, 1, 0, 1}, client.ErrNotTheFile, true},
		{"a refusal is final", func(s *partsServer) { s.trouble[2] = []int{403} }, [4]int{0, 1, 1, 1}, nil, true},
		{"503 for ever", func(s *partsServer) { s.trouble[1] = []int{503, 503, 503} }, [4]int{0, 3, 1, 1}, nil, true},
		{"altered on its way", func(s *partsServer) { s.altered = true }, [4]int{0, 3, 3, 3}, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newPartsServer(t)
			test.setUp(s)
			c, _ := start(t, s.handle)
			var last int64
			got, err := c.PutParts(context.Background(), inThree, bytes.NewReader(data), 2, func(n int64) { last = n })
			s.mu.Lock()
			defer s.mu.Unlock()
			if test.fails {
				if err == nil || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				return
			}
			if err != nil || got != hex.EncodeToString(sum[:]) || last != 25 {
				t.Errorf("digest %s, %v; %d bytes reported", got, err, last)
			}
			for n := 1; n <= 3; n++ {
				if s.puts[n] != test.puts[n] || !bytes.Equal(s.parts[n], data[10*(n-1):min(10*n, 25)]) {
					t.Errorf("part %d is %q after %d PUTs, want %d", n, s.parts[n], s.puts[n], test.puts[n])
				}
			}
		})
	}
}

func TestPutPartsOfAFileThatShrank(t *testing.T) {
	s := newPartsServer(t)
	c, _ := start(t, s.handle)
	_, err := c.PutParts(context.Background(), inThree, strings.NewReader("aaaaaaaaaabbbb"), 1, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || len(s.parts[2]) > 0 || s.puts[2] > 1 {
		t.Errorf("error %v after %d PUTs of part 2", err, s.puts[2])
	}
}

func TestPutPartsOfAnotherSession(t *testing.T) {
	c, _ := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	if _, err := c.PutParts(context.Background(), client.Session{UploadID: "upl_1", Size: 5}, strings.NewReader("hello"), 1, nil); err == nil {
		t.Error("no error")
	}
}

// TestPutAfterAnEarlyRefusal: net/http may still read the body of an attempt that
// was refused, and must get none of the next one's.
func TestPutAfterAnEarlyRefusal(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	var mu sync.Mutex
	puts := 0
	var stored []byte
	c, server := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_ = json.NewEncoder(w).Encode(map[string]any{"put_url": "http://" + r.Host + "/put", "headers": map[string]string{}})
			return
		}
		mu.Lock()
		puts++
		early := puts < 3
		mu.Unlock()
		if early { // in the middle of the body
			_, _ = io.CopyN(io.Discard, r.Body, 100<<10)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		stored = b
		mu.Unlock()
	})
	sum := sha256.Sum256(data)
	got, err := c.Put(context.Background(), client.Upload{UploadID: "upl_1", PutURL: server.URL + "/put"}, bytes.NewReader(data), int64(len(data)), func(int64) {})
	mu.Lock()
	defer mu.Unlock()
	if err != nil || got != hex.EncodeToString(sum[:]) || !bytes.Equal(stored, data) || puts != 3 {
		t.Errorf("digest %s, %v; %d bytes stored after %d PUTs", got, err, len(stored), puts)
	}
}

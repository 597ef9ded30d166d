package s3blob_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/s3blob"
)

// proxy stands before a MinIO and misbehaves as told.
type proxy struct {
	*httptest.Server
	backend *httputil.ReverseProxy

	mu       sync.Mutex // protects the fields below
	handle   func(w http.ResponseWriter, r *http.Request) bool
	response func(r *http.Response) error
	requests []string // method and, for a copy, "copy"
}

func newProxy(t *testing.T, m *blobtest.MinIO) *proxy {
	t.Helper()
	target, err := url.Parse(m.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	p.backend = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			p.mu.Lock()
			change := p.response
			p.mu.Unlock()
			if change == nil {
				return nil
			}
			return change(r)
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		name := r.Method
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			name = "copy"
		}
		p.requests = append(p.requests, name)
		handle := p.handle
		p.mu.Unlock()
		if handle == nil || !handle(w, r) {
			p.backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

// on sets what happens to requests; handle returns true if it has answered.
// The count of requests starts anew.
func (p *proxy) on(handle func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handle, p.response, p.requests = handle, nil, nil
}

// onAnswer sets what happens to MinIO's answers.
func (p *proxy) onAnswer(change func(r *http.Response) error) {
	p.on(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.response = change
}

func (p *proxy) count(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, request := range p.requests {
		if request == name {
			n++
		}
	}
	return n
}

// store returns a store that reaches MinIO through the proxy.
func (p *proxy) store(t *testing.T, m *blobtest.MinIO, timeout time.Duration) *s3blob.Store {
	cfg := config(m, "secretbucket")
	cfg.Endpoint = p.URL
	cfg.Timeout = timeout
	return newStore(t, cfg)
}

// answer refuses the first n requests of a method, all of them if n < 0.
func answer(method string, n, status int, code string) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != method || n == 0 {
			return false
		}
		n--
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			io.WriteString(w, "<Error><Code>"+code+"</Code><Message>no secretbucket</Message></Error>")
		}
		return true
	}
}

// bare answers every connection with what serve writes to it, so that it can
// break rules that net/http keeps.
func bare(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.Map
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(c, true)
			wg.Go(func() { serve(c); c.Close() })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		wg.Wait()
	})
	return "http://" + listener.Addr().String()
}

// wantDiscreet checks that an error names neither bucket nor key nor host path.
func wantDiscreet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{"secretbucket", "secretkey", "http://", "X-Amz"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q contains %q", err, secret)
		}
	}
}

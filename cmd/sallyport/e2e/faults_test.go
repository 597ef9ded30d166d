package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry/blob/blobtest"
)

// faultSize is that of the files below.
const faultSize = 2 << 20

// sufferer is a server whose backend is about to fail, amid its work.
type sufferer struct {
	*Server
	published *Session // with noise(1)
	doomed    *Session // the same, to be deleted
	received  *Session // noise(2), to be finalized
	running   *Session // a put of noise(3) that is halfway
	conn      *wire
}

func suffer(s *Server) *sufferer {
	s.t.Helper()
	x := &sufferer{Server: s}
	for _, u := range []**Session{&x.published, &x.doomed} {
		*u = s.root.begin(faultSize)
		(*u).mustPut(noise(1, faultSize))
		(*u).publish()
	}
	x.received = s.root.begin(faultSize)
	x.received.mustPut(noise(2, faultSize))
	x.running = s.root.begin(faultSize)
	x.conn = s.dial()
	x.conn.send(x.running.putHead(faultSize) + string(noise(3, faultSize)[:faultSize/2]))
	eventually(s.t, "the put runs", func() bool { return s.metric("transfers_running") == 1 })
	return x
}

// endure uses the server while its backend is gone. Nothing may be lost, and
// what needs no bytes goes on.
func (x *sufferer) endure() {
	x.t.Helper()
	target := x.root.downloadURL(x.published.ObjectID).GetURL
	x.conn.send(string(noise(3, faultSize)[faultSize/2:]))
	var wg sync.WaitGroup // each may take its time
	defer wg.Wait()
	wg.Go(func() {
		if a, err := x.conn.answer(); err != nil || !unavailable(a) {
			x.t.Errorf("the running put: %s, %v", a, err)
		}
	})
	wg.Go(func() {
		if a, err := x.get(target); err != nil || !unavailable(a) {
			x.t.Errorf("a download: %s, %v", a, err)
		}
	})
	wg.Go(func() {
		a, err := x.root.call("GET", "/objects/"+x.published.ObjectID+"/content", nil)
		if err != nil || !a.is(http.StatusServiceUnavailable, "UNAVAILABLE") {
			x.t.Errorf("a proxied download: %s, %v", a, err)
		}
	})
	wg.Go(func() {
		if a, err := x.get(x.Ops + "/readyz"); err != nil || a.Status != http.StatusServiceUnavailable {
			x.t.Errorf("it says that it is ready: %s, %v", a, err)
		}
	})
	x.root.must("DELETE", "/objects/"+x.doomed.ObjectID, nil, nil)
	x.root.must("POST", "/uploads/"+x.received.UploadID+"/finalize", map[string]any{}, nil)
	x.root.begin(1)
}

// unavailable tells whether an answer of the S3 port says that it is not its day.
func unavailable(a answer) bool {
	return a.is(http.StatusServiceUnavailable, "ServiceUnavailable") || a.is(http.StatusServiceUnavailable, "SlowDown")
}

// recover looks whether everything is as it was, and goes on.
func (x *sufferer) recover() {
	x.t.Helper()
	eventually(x.t, "the server is ready", func() bool { return x.ready() == http.StatusOK })
	x.mustGet(x.root.downloadURL(x.published.ObjectID).GetURL, noise(1, faultSize))
	x.running.putWhenFree(noise(3, faultSize))
	x.running.publish()
	x.received.awaitState("published")
	x.mustGet(x.root.downloadURL(x.running.ObjectID).GetURL, noise(3, faultSize))
	x.mustGet(x.root.downloadURL(x.received.ObjectID).GetURL, noise(2, faultSize))
	// Bytes whose put had no answer are left alone for a minute, and other
	// leftovers until the next sweep: a start does both at once.
	x.Restart()
	x.holds(3)
	if out, ok := x.cli("audit", "verify"); !ok {
		x.t.Errorf("audit verify: %s", out)
	}
	x.Stop()
	x.mustFsck()
}

func TestBackendKilled(t *testing.T) {
	m := blobtest.StartMinIO(t)
	x := suffer(serve(t, newBucket(t, m)))
	m.Kill()
	x.endure()
	m.Start()
	x.recover()
}

// TestBackendFrozen is about a backend that takes connections and says nothing:
// it is given up after its time, which is most of this test's.
func TestBackendFrozen(t *testing.T) {
	t.Parallel()
	m := blobtest.StartMinIO(t)
	x := suffer(serve(t, newBucket(t, m)))
	thawed := false
	defer func() {
		if !thawed {
			m.Thaw() // or nothing could end
		}
	}()
	m.Freeze()
	x.endure()
	m.Thaw()
	thawed = true
	x.recover()
}

// weather is how a proxy in front of MinIO behaves.
type weather int32

const (
	fair  weather = iota
	busy          // every request is answered 503
	short         // every body breaks off halfway
	slow          // every request has to wait
)

// stormy is a proxy in front of MinIO.
type stormy struct {
	*httptest.Server
	weather atomic.Int32
	served  atomic.Int64 // requests in bad weather
	puts    atomic.Int64 // PUTs that got through and are running
}

func newStormy(t *testing.T, m *blobtest.MinIO) *stormy {
	target, err := url.Parse(m.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &stormy{}
	through := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { // and keep the Host, which is signed
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(resp *http.Response) error {
			if weather(p.weather.Load()) == short && resp.Request.Method == http.MethodGet {
				resp.Body = &brokenBody{resp.Body, resp.ContentLength / 2}
			}
			return nil
		},
		ErrorLog:     quiet(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := weather(p.weather.Load())
		if now != fair {
			p.served.Add(1)
		}
		switch now {
		case busy:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
			return
		case slow:
			time.Sleep(200 * time.Millisecond) // the slowness that is being tried
		}
		if r.Method == http.MethodPut {
			p.puts.Add(1)
			defer p.puts.Add(-1)
		}
		through.ServeHTTP(w, r)
	}))
	p.Config.ErrorLog = quiet()
	t.Cleanup(p.Close)
	return p
}

func (p *stormy) turn(to weather) { p.weather.Store(int32(to)) }

// brokenBody fails after so many bytes.
type brokenBody struct {
	io.ReadCloser
	left int64
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// stormyBucket is a bucket that is reached through a proxy.
type stormyBucket struct {
	*bucket
	proxy *stormy
}

func (b stormyBucket) settings() []string { return b.settingsVia(b.proxy.URL) }

func TestBackendBusy(t *testing.T) {
	m := sharedMinIO(t)
	proxy := newStormy(t, m)
	x := suffer(serve(t, stormyBucket{newBucket(t, m), proxy}))
	// The running put gets through before the weather turns; a new one is refused.
	eventually(t, "the running put has reached the backend", func() bool { return proxy.puts.Load() == 1 })
	proxy.turn(busy)
	u := x.root.begin(faultSize)
	if a, err := u.put(noise(4, faultSize)); err != nil || !unavailable(a) {
		t.Errorf("a put: %s, %v", a, err)
	}
	if a, err := x.get(x.root.downloadURL(x.published.ObjectID).GetURL); err != nil || !unavailable(a) {
		t.Errorf("a download: %s, %v", a, err)
	}
	proxy.turn(fair)
	u.putWhenFree(noise(4, faultSize))
	x.root.must("DELETE", "/uploads/"+u.UploadID, nil, nil)
	x.conn.send(string(noise(3, faultSize)[faultSize/2:]))
	if a := x.conn.mustAnswer(); a.Status != http.StatusOK {
		t.Errorf("the put that was running all the time: %s", a)
	}
}

// TestBackendShort has the backend break off: a client may get everything or an
// error, never less without one.
func TestBackendShort(t *testing.T) {
	m := sharedMinIO(t)
	proxy := newStormy(t, m)
	s := serve(t, stormyBucket{newBucket(t, m), proxy})
	data := noise(1, faultSize)
	u := s.root.begin(faultSize)
	u.mustPut(data)
	u.publish()
	v := s.root.begin(faultSize)
	v.mustPut(data)

	proxy.turn(short)
	s.root.must("POST", "/uploads/"+v.UploadID+"/finalize", map[string]any{}, nil) // inspection reads, too
	for _, target := range []string{s.root.downloadURL(u.ObjectID).GetURL, ""} {
		var a answer
		var err error
		if target != "" {
			a, err = s.get(target)
		} else {
			a, err = s.root.call("GET", "/objects/"+u.ObjectID+"/content", nil)
		}
		if err == nil && a.Status == http.StatusOK && !bytes.Equal(a.Body, data) {
			t.Errorf("%d bytes of %d, and no error", len(a.Body), len(data))
		}
	}
	if proxy.served.Load() == 0 {
		t.Error("nothing came by")
	}
	proxy.turn(slow)
	s.mustGet(s.root.downloadURL(u.ObjectID).GetURL, data)
	proxy.turn(fair)
	v.awaitState("published")
	s.mustGet(s.root.downloadURL(v.ObjectID).GetURL, data)
}

package control_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/diskblob"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
	"sallyport/server"
	"sallyport/server/auth"
	"sallyport/server/control"
	"sallyport/sigv4"
)

// patience bounds every wait of these tests; nothing should come near it.
const patience = 20 * time.Second

const region = "us-east-1"

// rig is the control port over a real ledger and store, with an inspection
// worker. Every answer it gives is held against the OpenAPI document.
type rig struct {
	tb     testing.TB
	ledger *registry.Ledger
	moves  *pipeline.Pipeline
	worker *scanner.Worker
	url    string // of the listener
	logs   *logs
	spec   *spec
	http   *http.Client
	root   who
	offset atomic.Int64 // of the clock
	leap   atomic.Int64 // of the wall clock against the monotonic one
	start  time.Time

	shutdown func() // ends the listener

	mu      sync.Mutex // protects the field below
	secrets []string   // what no log and no error body may hold
}

// setup is what a test may change of a rig.
type setup struct {
	addr    string // to listen on
	api     control.Config
	moves   pipeline.Config
	proxies []string // trusted

	required bool // hold what no malware engine saw
}

// who is a caller: a key pair or a token.
type who struct {
	name   string
	key    string
	secret string
	token  string
}

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(tb testing.TB, change ...func(*setup)) *rig {
	tb.Helper()
	r := &rig{tb: tb, start: time.Now(), logs: &logs{}, spec: loadSpec(tb), root: who{name: "root", key: "ROOTKEY0000000000001", secret: "root-secret-root-secret-root-secret-0001"}}
	s := setup{addr: "127.0.0.1:0"}
	log := slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dir := tb.TempDir()
	r.keep(r.root.secret, dir, "/staging/", "/accepted/")
	_, isBenchmark := tb.(*testing.B)
	bolt, err := boltkv.Open(filepath.Join(dir, "ledger.db"), boltkv.Options{
		Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: !isBenchmark})
	must(tb, err)
	r.ledger, err = registry.Open(context.Background(), registry.Config{Store: bolt, Now: r.now, Elapsed: r.elapsed})
	must(tb, err)
	must(tb, r.ledger.Bootstrap(context.Background(), registry.RootCredentials{AccessKey: registry.AccessKeyID(r.root.key), SecretKey: registry.Secret(r.root.secret)}))
	disk, err := diskblob.Open(filepath.Join(dir, "blobs"))
	must(tb, err)
	s.moves = pipeline.Config{Ledger: r.ledger, Blobs: disk, Now: r.now, Log: log, Detect: inspect.Detect, Lineage: inspect.Lineage}
	s.api = control.Config{Ledger: r.ledger, S3URL: "http://s3.test:9000", Log: log,
		CORS: server.CORSRules{server.OpenCORS([]string{"https://app.test"})}}
	for _, c := range change {
		c(&s)
	}
	s.api.Proxies, err = server.ParseTrustedProxies(s.proxies)
	must(tb, err)
	r.moves = pipeline.New(s.moves)
	r.worker = scanner.NewWorker(scanner.Config{Queue: r.moves, Now: r.now, Log: log, Panel: scanner.NewPanel(
		scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}}, Required: s.required, Now: r.now, Log: log})})
	s.api.Pipeline = r.moves
	s.api.Auth = auth.New(auth.Config{Ledger: r.ledger, Region: region, Now: r.now, PresignMax: time.Hour})
	tb.Cleanup(func() {
		must(tb, errors.Join(r.ledger.Check(context.Background()), r.ledger.Close(context.Background()), disk.Close()))
		r.silent("the log", r.logs.String())
	})
	r.listenAndScan(s, log)
	return r
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// listenAndScan starts what a running server has, to be ended before the ledger.
func (r *rig) listenAndScan(s setup, log *slog.Logger) {
	r.tb.Helper()
	api := control.New(s.api)
	l, err := server.New(server.Config{
		Name: "control", Addr: s.addr, Log: log, Now: time.Now, Proxies: s.api.Proxies,
		Admit: api.Admit, Routes: api.Routes, RenderError: api.RenderError,
	})
	must(r.tb, err)
	must(r.tb, l.Start())
	r.url = "http://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { r.moves.Run(ctx) })
	r.http = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	r.shutdown = sync.OnceFunc(func() {
		stop()
		background.Wait()
		r.http.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(l.Shutdown(ctx), l.Wait()); err != nil {
			r.tb.Errorf("shutdown: %v", err)
		}
	})
	r.tb.Cleanup(r.shutdown)
}

func (r *rig) now() time.Time {
	return time.Now().Add(time.Duration(r.offset.Load() + r.leap.Load()))
}

func (r *rig) elapsed() time.Duration {
	return time.Since(r.start) + time.Duration(r.offset.Load())
}

func (r *rig) advance(d time.Duration) { r.offset.Add(int64(d)) }

// answer is what came back.
type answer struct {
	tb     testing.TB
	status int
	header http.Header
	body   []byte
}

// request is one call; the zero of body sends none.
type request struct {
	method, path string // path with its query
	body         []byte
	header       map[string]string
	hash         string // x-amz-content-sha256, instead of the body's own
}

// send makes a call and holds the answer against the OpenAPI document.
func (r *rig) send(by who, q request) answer {
	r.tb.Helper()
	a := r.exchange(by, q)
	r.spec.check(r.tb, q.method, q.path, a)
	return a
}

func (r *rig) exchange(by who, q request) answer {
	r.tb.Helper()
	req, err := http.NewRequest(q.method, r.url+q.path, bytes.NewReader(q.body))
	must(r.tb, err)
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	by.sign(r.tb, req, q, r.now())
	resp, err := r.http.Do(req)
	must(r.tb, err)
	body, err := io.ReadAll(resp.Body)
	must(r.tb, errors.Join(err, resp.Body.Close()))
	a := answer{tb: r.tb, status: resp.StatusCode, header: resp.Header, body: body}
	if a.status >= 400 {
		r.silent(q.method+" "+q.path, string(body))
	} else if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		r.learn(body)
	}
	return a
}

// keep remembers a secret.
func (r *rig) keep(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secrets...)
}

// learn remembers the secrets of an answer.
func (r *rig) learn(body []byte) {
	var told struct {
		SecretKey string `json:"secret_key"`
		Token     string `json:"token"`
		PutURL    string `json:"put_url"`
		GetURL    string `json:"get_url"`
		URL       string `json:"url"`
		Secret    string `json:"secret"`
	}
	if json.Unmarshal(body, &told) != nil {
		return // a list, a document
	}
	_, put, _ := strings.Cut(told.PutURL, "X-Amz-Signature=")
	_, get, _ := strings.Cut(told.GetURL, "X-Amz-Signature=")
	_, part, _ := strings.Cut(told.URL, "X-Amz-Signature=")
	for _, s := range []string{told.SecretKey, told.Token, told.Secret, put, get, part} {
		if s != "" {
			r.keep(s)
		}
	}
}

// silent fails the test if a text holds a secret.
func (r *rig) silent(where, text string) {
	r.tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.secrets {
		if strings.Contains(text, s) {
			r.tb.Errorf("%s holds a secret", where)
		}
	}
}

// sign adds the caller's credential; nobody has none.
func (w who) sign(tb testing.TB, req *http.Request, q request, now time.Time) {
	tb.Helper()
	switch {
	case w.token != "":
		req.Header.Set("Authorization", "Bearer "+w.token)
		return
	case w.key == "":
		return
	}
	sum := sha256.Sum256(q.body)
	hash := hex.EncodeToString(sum[:])
	if q.hash != "" {
		hash = q.hash
	}
	date := now.UTC().Format("20060102T150405Z")
	path, query, _ := strings.Cut(q.path, "?")
	signed := sigv4.Request{Method: []byte(q.method), Path: []byte(path), Query: []byte(query), Header: []sigv4.Field{
		{Name: []byte("Host"), Value: []byte(req.Host)},
		{Name: []byte("X-Amz-Date"), Value: []byte(date)},
		{Name: []byte("X-Amz-Content-Sha256"), Value: []byte(hash)},
	}}
	for name, values := range req.Header {
		if strings.HasPrefix(strings.ToLower(name), "x-amz-") {
			signed.Header = append(signed.Header, sigv4.Field{Name: []byte(name), Value: []byte(values[0])})
		}
	}
	req.Header.Set("X-Amz-Date", date)
	req.Header.Set("X-Amz-Content-Sha256", hash)
	key := sigv4.DeriveKey(w.key, []byte(w.secret), date[:8], region, "s3")
	authorization, err := sigv4.SignHeader(nil, &signed, key)
	must(tb, err)
	req.Header.Set("Authorization", string(authorization))
}

// do is send with a JSON body, "" for none.
func (r *rig) do(by who, method, path, body string) answer {
	r.tb.Helper()
	return r.send(by, request{method: method, path: path, body: []byte(body)})
}

// want fails the test unless the answer has the status and, for errors, the code.
func (a answer) want(status int, code string) answer {
	a.tb.Helper()
	if a.status != status || code != "" && a.text("code") != code {
		a.tb.Fatalf("got %d %s, want %d %s", a.status, bytes.TrimSpace(a.body), status, code)
	}
	return a
}

func (a answer) into(v any) {
	a.tb.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.tb.Fatalf("%v in %q", err, a.body)
	}
}

// text returns a field of the JSON answer.
func (a answer) text(field string) string {
	a.tb.Helper()
	var m map[string]any
	a.into(&m)
	s, _ := m[field].(string)
	return s
}

// tenant makes a tenant and returns its administrator.
func (r *rig) tenant(name string) who {
	r.tb.Helper()
	r.do(r.root, "POST", "/tenants", `{"name":"`+name+`"}`).want(201, "")
	return r.keyIn(r.root, `"`+name+`"`, "boss-of-"+name, "admin", "analyst")
}

// key makes a key in by's tenant.
func (r *rig) key(by who, principal string, roles ...string) who {
	r.tb.Helper()
	return r.keyIn(by, "null", principal, roles...)
}

func (r *rig) keyIn(by who, tenant, principal string, roles ...string) who {
	r.tb.Helper()
	list, err := json.Marshal(roles)
	must(r.tb, err)
	a := r.do(by, "POST", "/keys", `{"tenant":`+tenant+`,"principal":"`+principal+`","roles":`+string(list)+`}`).want(201, "")
	return who{name: principal, key: a.text("access_key"), secret: a.text("secret_key")}
}

// session is an upload as far as it got.
type session struct{ upload, object, url, put string }

// begin creates a session for text.
func (r *rig) begin(by who, text string) session {
	r.tb.Helper()
	body, err := json.Marshal(map[string]any{"filename": "note.txt", "content_type": "text/plain", "size": len(text)})
	must(r.tb, err)
	a := r.do(by, "POST", "/uploads", string(body)).want(201, "")
	return session{a.text("upload_id"), a.text("object_id"), a.text("url_id"), a.text("put_url")}
}

// received is begin with the bytes sent, finalized also finalized, and published
// also inspected.
func (r *rig) received(by who, text string) session {
	r.tb.Helper()
	s := r.begin(by, text)
	r.do(by, "PUT", "/uploads/"+s.upload+"/content", text).want(200, "")
	return s
}

func (r *rig) finalized(by who, text string) session {
	r.tb.Helper()
	s := r.received(by, text)
	r.do(by, "POST", "/uploads/"+s.upload+"/finalize", "").want(200, "")
	return s
}

func (r *rig) published(by who, text string) session {
	r.tb.Helper()
	s := r.finalized(by, text)
	r.inspect()
	return s
}

// inspect settles everything in the scan queue.
func (r *rig) inspect() {
	r.tb.Helper()
	for {
		did, err := r.worker.Once(context.Background())
		must(r.tb, err)
		if !did {
			return
		}
	}
}

// dial opens a connection of its own.
func (r *rig) dial() net.Conn {
	r.tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	must(r.tb, err)
	r.tb.Cleanup(func() { _ = conn.Close() })
	must(r.tb, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// raw sends text as it is and returns all that comes back.
func (r *rig) raw(text string) string {
	r.tb.Helper()
	conn := r.dial()
	_, err := io.WriteString(conn, text)
	must(r.tb, err)
	back, _ := io.ReadAll(conn) // a reset ends it as well
	return string(back)
}

// beyondLoopback returns an address of this machine that is not loopback.
func beyondLoopback(tb testing.TB) string {
	tb.Helper()
	addrs, err := net.InterfaceAddrs()
	must(tb, err)
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil && !ip.IP.IsLinkLocalUnicast() {
			return ip.IP.String()
		}
	}
	tb.Skip("needs an IPv4 address that is not loopback")
	return ""
}

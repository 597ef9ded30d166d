package s3api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/blob/diskblob"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
	"sallyport/server"
	"sallyport/server/auth"
	"sallyport/server/s3api"
	"sallyport/sigv4"
)

const (
	region     = "us-east-1"
	rootKey    = "SPROOTROOTROOTROOT01"
	rootSecret = "root-secret-root-secret"
	patience   = 20 * time.Second
)

// root is the first administrator.
var root = registry.Actor{
	Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal, Credential: rootKey, RequestID: "test",
	Roles: []registry.Role{registry.RoleOperator, registry.RoleAdmin, registry.RoleAnalyst},
}

// stack is the S3 port over a real ledger and a real store.
type stack struct {
	testing.TB
	ledger   *registry.Ledger
	pipe     *pipeline.Pipeline
	worker   *scanner.Worker
	auth     *auth.Authenticator
	listener *server.Listener
	addr     string
	url      string
	logs     *buffer
	offset   atomic.Int64 // of the clock

	mu        sync.Mutex
	exchanges []*server.Exchange
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *buffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *buffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *stack) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

func (s *stack) ctx() context.Context { return context.WithoutCancel(s.Context()) }

func (s *stack) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// setup is what a test may change of its stack.
type setup struct {
	api  s3api.Config
	auth auth.Config
	// wrap puts something around the store of bytes; nil leaves it.
	wrap func(blob.Store) blob.Store
	// judge inspects writes before they are answered; nil does not.
	judge pipeline.Judge
}

// newStack serves on a free port until the test ends.
func newStack(t testing.TB, change ...func(*setup)) *stack {
	t.Helper()
	s := &stack{TB: t, logs: &buffer{}}
	log := slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dir, start := t.TempDir(), time.Now()
	bolt, err := boltkv.Open(filepath.Join(dir, "ledger.db"), boltkv.Options{
		Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: true})
	s.must(err)
	s.ledger, err = registry.Open(s.ctx(), registry.Config{
		Store: bolt, Now: s.now, Log: log,
		Elapsed: func() time.Duration { return time.Since(start) + time.Duration(s.offset.Load()) },
	})
	s.must(err)
	disk, err := diskblob.Open(filepath.Join(dir, "blobs"))
	s.must(err)
	cfg := setup{
		auth: auth.Config{Ledger: s.ledger, Region: region, Now: s.now, PresignMax: time.Hour},
		api: s3api.Config{Ledger: s.ledger, Region: region, Log: log, Now: s.now,
			CORSOrigins: []string{"https://console.test"}},
		wrap: func(b blob.Store) blob.Store { return b },
	}
	for _, c := range change {
		c(&cfg)
	}
	s.pipe = pipeline.New(pipeline.Config{
		Ledger: s.ledger, Blobs: cfg.wrap(disk), Now: s.now, Log: log, Detect: inspect.Detect, Lineage: inspect.Lineage,
		Judge: cfg.judge})
	s.worker = scanner.NewWorker(scanner.Config{Queue: s.pipe, Panel: scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}}, Now: s.now}), Now: s.now, Log: log})
	s.must(s.ledger.Bootstrap(s.ctx(), registry.RootCredentials{AccessKey: rootKey, SecretKey: rootSecret}))
	s.auth = auth.New(cfg.auth)
	cfg.api.Pipeline, cfg.api.Auth = s.pipe, s.auth
	s.serve(s3api.New(cfg.api), log)
	t.Cleanup(func() {
		if !t.Failed() {
			s.must(s.ledger.Check(s.ctx()))
		}
		s.must(errors.Join(s.ledger.Close(s.ctx()), disk.Close()))
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(s.ctx(), patience)
		defer cancel()
		s.must(s.listener.Shutdown(ctx))
	})
	return s
}

func (s *stack) serve(api *s3api.API, log *slog.Logger) {
	s.Helper()
	var err error
	s.listener, err = server.New(server.Config{
		Name: "s3", Addr: "127.0.0.1:0", Log: log, Now: time.Now, IDHeader: s3api.IDHeader,
		Admit: api.Admit, Routes: api.Routes, RenderError: api.RenderError,
		Limits: server.Limits{BodyIdle: 5 * time.Second},
		Observe: func(e *server.Exchange) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.exchanges = append(s.exchanges, e)
		},
	})
	s.must(err)
	s.must(s.listener.Start())
	s.addr = s.listener.Addr().String()
	s.url = "http://" + s.addr
}

// key makes an access key with roles in a tenant.
func (s *stack) key(tenant registry.TenantName, principal registry.PrincipalName, roles ...registry.Role) aws.Credentials {
	s.Helper()
	k, secret, err := s.ledger.CreateKey(s.ctx(), root, registry.NewKey{Tenant: tenant, Principal: principal, Roles: roles})
	s.must(err)
	return aws.Credentials{AccessKeyID: string(k.ID), SecretAccessKey: string(secret)}
}

var rootCredentials = aws.Credentials{AccessKeyID: rootKey, SecretAccessKey: rootSecret}

// sdk is an AWS client with those credentials.
func (s *stack) sdk(c aws.Credentials) *s3.Client {
	return s3.New(s3.Options{
		Region: region, BaseEndpoint: &s.url, UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
		RetryMaxAttempts: 1,
	})
}

// bucket makes a direct bucket in the root's tenant.
func (s *stack) bucket(name string) string {
	s.Helper()
	s.must(s.pipe.CreateBucket(s.ctx(), root, registry.BucketName(name)))
	return name
}

// call is one request, to be signed by hand and sent raw.
type call struct {
	method, path string // raw path with query
	header       http.Header
	body         string
	credentials  aws.Credentials // zero: root's
	anonymous    bool
	at           time.Time         // zero: now
	payload      string            // "": the body's hash
	region       string            // "": ours
	after        func(http.Header) // changes the headers once they are signed
}

// reply is the answer to a call.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// xmlError is S3's error document.
type xmlError struct {
	XMLName    xml.Name `xml:"Error"`
	Code       string
	Message    string
	Resource   string
	RequestID  string `xml:"RequestId"`
	HostID     string `xml:"HostId"`
	Region     string
	Key        string
	BucketName string
	Condition  string

	StringToSign, CanonicalRequest string
	RequestTime, ServerTime        string
	MaxAllowedSkewMilliseconds     string
	HeadersNotSigned               string
}

func (r reply) error(t testing.TB) xmlError {
	t.Helper()
	var e xmlError
	if err := xml.Unmarshal(r.body, &e); err != nil {
		t.Fatalf("status %d, no error document: %v: %q", r.status, err, r.body)
	}
	return e
}

// want fails the test unless the reply is that error.
func (r reply) want(t testing.TB, status int, code string) xmlError {
	t.Helper()
	e := r.error(t)
	if r.status != status || e.Code != code {
		t.Errorf("got %d %s (%s), want %d %s", r.status, e.Code, e.Message, status, code)
	}
	if e.RequestID == "" || e.RequestID != r.header.Get("x-amz-request-id") || e.HostID == "" || r.header.Get("x-amz-id-2") != e.HostID {
		t.Errorf("request ids: %q %q in the body, %v", e.RequestID, e.HostID, r.header)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/xml" {
		t.Errorf("content type %q", ct)
	}
	return e
}

// request signs a call.
func (s *stack) request(c call) *http.Request {
	s.Helper()
	req, err := http.NewRequest(c.method, s.url+"/", strings.NewReader(c.body))
	s.must(err)
	path, query, _ := strings.Cut(c.path, "?")
	req.URL.Opaque = "//" + s.addr + path
	req.URL.RawQuery = query
	if c.body == "" {
		req.Body, req.ContentLength = nil, 0
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	if c.anonymous {
		return req
	}
	if c.credentials == (aws.Credentials{}) {
		c.credentials = rootCredentials
	}
	if c.at.IsZero() {
		c.at = s.now()
	}
	if c.payload == "" {
		sum := sha256.Sum256([]byte(c.body))
		c.payload = hex.EncodeToString(sum[:])
	}
	if c.region == "" {
		c.region = region
	}
	req.Header.Set("X-Amz-Content-Sha256", c.payload)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	s.must(signer.SignHTTP(s.ctx(), c.credentials, req, c.payload, "s3", c.region, c.at))
	if c.after != nil {
		c.after(req.Header)
	}
	return req
}

// resign signs a request again, after its host was changed.
func (s *stack) resign(req *http.Request, body string) {
	s.Helper()
	sum := sha256.Sum256([]byte(body))
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	s.must(signer.SignHTTP(s.ctx(), rootCredentials, req, hex.EncodeToString(sum[:]), "s3", region, s.now()))
}

func (s *stack) do(c call) reply {
	s.Helper()
	return s.send(s.request(c))
}

func (s *stack) send(req *http.Request) reply {
	s.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	s.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	s.must(err)
	return reply{resp.StatusCode, resp.Header, b}
}

// raw sends bytes as they are and reads one answer.
func (s *stack) raw(text string) reply {
	s.Helper()
	nc, err := net.DialTimeout("tcp", s.addr, patience)
	s.must(err)
	defer nc.Close()
	s.must(nc.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(nc, text)
	s.must(err)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	s.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	s.must(err)
	return reply{resp.StatusCode, resp.Header, b}
}

// exchange waits for one that is picked.
func (s *stack) exchange(pick func(*server.Exchange) bool) *server.Exchange {
	s.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		for _, e := range s.exchanges {
			if pick(e) {
				s.mu.Unlock()
				return e
			}
		}
		s.mu.Unlock()
		if time.Now().After(deadline) {
			s.Fatal("the exchange was never observed")
		}
	}
}

// session begins an upload of size bytes.
func (s *stack) session(size int64, sha256 string) registry.Begun {
	s.Helper()
	return s.begin(root, size, sha256)
}

func (s *stack) begin(who registry.Actor, size int64, sha256 string) registry.Begun {
	s.Helper()
	b, err := s.pipe.Begin(s.ctx(), who, pipeline.BeginRequest{
		Filename: "re\"port ä%.txt", ContentType: "text/plain", Size: size, SHA256: sha256})
	s.must(err)
	return b
}

// link is a signed URL in the making.
type link struct {
	method, path, grant string
	tenant              registry.TenantName // "": default
	headers             []sigv4.Param
	query               []sigv4.Param
	at                  time.Time     // zero: now
	expires             time.Duration // 0: 2 min
	base                string        // scheme and host; "": the stack's
}

// sign makes a URL of Sallyport's own.
func (s *stack) sign(l link) string {
	s.Helper()
	if l.tenant == "" {
		l.tenant = registry.DefaultTenant
	}
	if l.at.IsZero() {
		l.at = s.now()
	}
	if l.expires == 0 {
		l.expires = 2 * time.Minute
	}
	if l.base == "" {
		l.base = s.url
	}
	row, err := s.ledger.SigningURLKey(s.ctx(), l.tenant)
	s.must(err)
	key, err := s.auth.Key(row, l.at)
	s.must(err)
	query := l.query
	if l.grant != "" {
		query = append(query, sigv4.Param{Name: "X-Sp-Grant", Value: l.grant})
	}
	u, err := sigv4.PresignURL(nil, &sigv4.Presign{
		Method: l.method, URL: l.base, Path: l.path, Query: query, Headers: l.headers, Time: l.at, Expires: l.expires}, key)
	s.must(err)
	return string(u)
}

var plainText = []sigv4.Param{{Name: "content-type", Value: "text/plain"}}

// putURL is the URL that a session's grant stands for.
func (s *stack) putURL(b registry.Begun) string {
	return s.sign(link{method: "PUT", path: "/_/uploads/" + string(b.Upload.ID), grant: string(b.Grant.ID), headers: plainText})
}

// put sends a body to an upload URL.
func (s *stack) put(url, body string, header ...string) reply {
	s.Helper()
	req, err := http.NewRequest("PUT", url, strings.NewReader(body))
	s.must(err)
	req.Header.Set("Content-Type", "text/plain")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.send(req)
}

// get reads a URL.
func (s *stack) get(method, url string, header ...string) reply {
	s.Helper()
	req, err := http.NewRequest(method, url, nil)
	s.must(err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.send(req)
}

// publish brings a session with content to its published object.
func (s *stack) publish(content string) registry.Object {
	s.Helper()
	b := s.session(int64(len(content)), "")
	if r := s.put(s.putURL(b), content); r.status != 200 {
		s.Fatalf("put: %d %s", r.status, r.body)
	}
	_, err := s.pipe.Finalize(s.ctx(), root, b.Upload.ID, "")
	s.must(err)
	return s.inspected(b.Object.ID)
}

// inspected judges what waits and returns the object.
func (s *stack) inspected(id registry.ObjectID) registry.Object {
	s.Helper()
	for {
		worked, err := s.worker.Once(s.ctx())
		s.must(err)
		if !worked {
			break
		}
	}
	o, err := s.ledger.Object(s.ctx(), registry.DefaultTenant, id)
	s.must(err)
	return o
}

// getURL issues a download URL.
func (s *stack) getURL(id registry.ObjectID) (string, registry.Grant) {
	s.Helper()
	g, _, err := s.pipe.IssueGet(s.ctx(), root, id, registry.Attachment, 0)
	s.must(err)
	return s.sign(link{method: "GET", path: "/_/objects/" + string(id), grant: string(g.ID)}), g
}

package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/policy"
	"sallyport/server/hooks"
)

// patience bounds every wait of these tests; nothing should come near it.
const patience = 20 * time.Second

const acme registry.TenantName = "acme"

// rig is a ledger in a file with a dispatcher that may call 127.0.0.1.
type rig struct {
	testing.TB
	*registry.Ledger
	path string
	amy  registry.Actor // admin of acme
	cfg  hooks.Config
	logs *logs

	stop func() // ends the dispatcher
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

// newRig does not run the dispatcher yet.
func newRig(tb testing.TB, change ...func(*hooks.Config)) *rig {
	tb.Helper()
	r := &rig{TB: tb, path: filepath.Join(tb.TempDir(), "ledger.db"), logs: &logs{}, stop: func() {}}
	r.cfg = hooks.Config{
		Targets: policy.Targets{Hosts: []string{"127.0.0.1"}}, Now: time.Now, Timeout: 5 * time.Second,
		Log:     slog.New(slog.NewTextHandler(r.logs, nil)),
		Backoff: []time.Duration{10 * time.Millisecond, 10 * time.Millisecond}, Pause: 10 * time.Millisecond,
	}
	for _, c := range change {
		c(&r.cfg)
	}
	r.open()
	r.must(r.Bootstrap(r.ctx(), registry.RootCredentials{AccessKey: "SPROOTROOTROOTROOT01", SecretKey: "correct horse battery"}))
	r.amy = r.tenant(acme)
	tb.Cleanup(func() {
		r.stop()
		r.must(errors.Join(r.Check(context.Background()), r.Close(context.Background())))
	})
	return r
}

func (r *rig) ctx() context.Context { return context.WithoutCancel(r.Context()) }

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) open() {
	r.Helper()
	s, err := boltkv.Open(r.path, boltkv.Options{Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: true})
	r.must(err)
	r.Ledger, err = registry.Open(r.ctx(), registry.Config{Store: s, RootKey: [32]byte{1, 2, 3}, Now: time.Now})
	r.must(err)
}

// reopen ends the process and starts the next one, without a dispatcher.
func (r *rig) reopen() {
	r.Helper()
	r.stop()
	r.must(r.Close(r.ctx()))
	r.open()
}

// run starts the dispatcher.
func (r *rig) run() {
	cfg := r.cfg
	cfg.Ledger = r.Ledger
	ctx, cancel := context.WithCancel(context.Background())
	d := hooks.New(cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
		r.stop = func() {}
	}
}

func (r *rig) tenant(name registry.TenantName) registry.Actor {
	r.Helper()
	_, err := r.CreateTenant(r.ctx(), registry.Actor{Tenant: "default", Principal: "root"}, name)
	r.must(err)
	key, _, err := r.CreateKey(r.ctx(), registry.System(name), registry.NewKey{Tenant: name, Principal: "amy", Roles: []registry.Role{registry.RoleAdmin}})
	r.must(err)
	c, err := r.Credential(r.ctx(), key.ID)
	r.must(err)
	return c.Actor("req-1")
}

// hook makes a webhook of amy's.
func (r *rig) hook(url string, types ...registry.NoticeType) (registry.Webhook, string) {
	r.Helper()
	w, secret, err := r.CreateWebhook(r.ctx(), r.amy, registry.WebhookTerms{URL: url, Types: types})
	r.must(err)
	return w, string(secret)
}

// begin creates a session, which is a notice.
func (r *rig) begin() registry.Begun { return r.beginAs(r.amy) }

func (r *rig) beginAs(by registry.Actor) registry.Begun {
	r.Helper()
	b, err := r.CreateUpload(r.ctx(), by, registry.NewUpload{
		Bucket: registry.DefaultBucket, Filename: "secret-plans.txt", ContentType: "text/plain", Size: 5,
		SessionTTL: 2 * time.Hour, URLTTL: 2 * time.Minute,
	})
	r.must(err)
	return b
}

// end aborts a session, which is another notice.
func (r *rig) end(b registry.Begun) {
	r.Helper()
	r.must(r.AbortUpload(r.ctx(), r.amy, acme, b.Upload.ID))
}

func (r *rig) progress(w registry.Webhook) registry.WebhookProgress {
	r.Helper()
	w, err := r.Webhook(r.ctx(), w.Tenant, w.ID)
	r.must(err)
	return w.Progress
}

// settled waits until the ledger knows what became of a call.
func (r *rig) settled(w registry.Webhook, c call) {
	r.Helper()
	r.eventually("the call is settled", func() bool { return !r.progress(w).TriedAt.Before(c.at.Truncate(time.Millisecond)) })
}

// eventually waits for something to come true.
func (r *rig) eventually(what string, is func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("%s: not after %s\n%s", what, patience, r.logs)
		}
	}
}

// call is one request that a receiver got.
type call struct {
	path   string
	header http.Header
	body   []byte
	at     time.Time
}

func (c call) id() string { return c.header.Get("webhook-id") }

// receiver is a target of webhooks on 127.0.0.1.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex // protects the fields below
	calls   []call
	now     int // under way
	most    int // under way at once
	opened  int // connections
	respond func(w http.ResponseWriter, req *http.Request)
}

// newReceiver answers as respond does, or with 204.
func newReceiver(tb testing.TB, respond func(http.ResponseWriter, *http.Request)) *receiver {
	tb.Helper()
	v := &receiver{respond: respond}
	v.Server = httptest.NewUnstartedServer(http.HandlerFunc(v.serve))
	v.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	v.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.opened++
		}
	}
	tb.Cleanup(v.Close)
	return v
}

func startReceiver(tb testing.TB, respond func(http.ResponseWriter, *http.Request)) *receiver {
	tb.Helper()
	v := newReceiver(tb, respond)
	v.Start()
	return v
}

func (v *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	v.mu.Lock()
	v.calls = append(v.calls, call{req.URL.Path, req.Header.Clone(), body, time.Now()})
	v.now++
	v.most = max(v.most, v.now)
	respond := v.respond
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.now--
	}()
	if respond == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	respond(w, req)
}

// answers changes what it answers with.
func (v *receiver) answers(respond func(http.ResponseWriter, *http.Request)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.respond = respond
}

func (v *receiver) got() []call {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]call(nil), v.calls...)
}

func (v *receiver) connections() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.opened
}

// await returns the calls once there are n.
func (v *receiver) await(r *rig, n int) []call {
	r.Helper()
	r.eventually(fmt.Sprintf("%d calls of the receiver, which got %d", n, len(v.got())), func() bool { return len(v.got()) >= n })
	calls := v.got()
	if len(calls) > n {
		r.Fatalf("%d calls, not %d", len(calls), n)
	}
	return calls
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// silent fails the test if the log holds any of the texts.
func (r *rig) silent(texts ...string) {
	r.Helper()
	for _, s := range texts {
		if strings.Contains(r.logs.String(), s) {
			r.Errorf("the log holds %q", s)
		}
	}
}

package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
)

// house is a ledger in a file with a tenant "acme", a bucket of either intake
// and one actor. It is checked when the test ends.
type house struct {
	testing.TB
	*registry.Ledger
	path string
	time *wall
	wrap func(kv.Store) kv.Store // nil, or what stands between ledger and store
	amy  registry.Actor          // admin of acme

	letters int // WebhookLetters
}

const (
	acme   registry.TenantName = "acme"
	files  registry.BucketName = "files"  // quarantine
	direct registry.BucketName = "direct" // direct
)

// wall is a clock that tests set.
type wall struct {
	mu    sync.Mutex // protects the fields below
	shown time.Time
	mono  time.Duration
}

func (w *wall) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown
}

func (w *wall) elapsed() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mono
}

// pass lets time pass for both clocks.
func (w *wall) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown, w.mono = w.shown.Add(d), w.mono+d
}

// set moves the hands of the wall clock alone.
func (w *wall) set(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = w.shown.Add(d)
}

func newHouse(tb testing.TB) *house {
	tb.Helper()
	h := &house{
		TB: tb, path: filepath.Join(tb.TempDir(), "ledger.db"),
		time: &wall{shown: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
	}
	h.open()
	tb.Cleanup(func() {
		if err := h.Check(context.Background()); err != nil {
			tb.Errorf("check: %v", err)
		}
		if err := h.Close(context.Background()); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	h.must(h.Bootstrap(h.ctx(), rootCredentials))
	h.amy = h.tenant(acme)
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: files, Intake: registry.IntakeQuarantine}))
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: direct, Intake: registry.IntakeDirect}))
	return h
}

var rootCredentials = registry.RootCredentials{AccessKey: "SPROOTROOTROOTROOTRO", SecretKey: "correct horse battery"}

func (h *house) ctx() context.Context { return context.WithoutCancel(h.Context()) }

func (h *house) open() {
	h.Helper()
	s, err := boltkv.Open(h.path, boltkv.Options{Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: true})
	h.must(err)
	var store kv.Store = s
	if h.wrap != nil {
		store = h.wrap(s)
	}
	l, err := registry.Open(h.ctx(), registry.Config{
		Store: store, RootKey: [32]byte{1, 2, 3}, Now: h.time.now, Elapsed: h.time.elapsed, AccessEvery: time.Hour, WebhookLetters: h.letters,
	})
	if err != nil {
		_ = s.Close()
	}
	h.must(err)
	h.Ledger = l
}

// reopen ends the process and starts the next one.
func (h *house) reopen() {
	h.Helper()
	h.must(h.Close(h.ctx()))
	h.open()
}

// tenant makes a tenant and returns its admin, with a key.
func (h *house) tenant(name registry.TenantName) registry.Actor {
	h.Helper()
	_, err := h.CreateTenant(h.ctx(), registry.Actor{Tenant: "default", Principal: "root"}, name)
	h.must(err)
	return h.actor(name, "amy")
}

func (h *house) actor(tenant registry.TenantName, name registry.PrincipalName) registry.Actor {
	h.Helper()
	key, _, err := h.CreateKey(h.ctx(), registry.System(tenant), registry.NewKey{
		Tenant: tenant, Principal: name, Roles: []registry.Role{registry.RoleAdmin},
	})
	h.must(err)
	c, err := h.Credential(h.ctx(), key.ID)
	h.must(err)
	return c.Actor("req-1")
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// want fails unless err is of the class; nil is a class.
func (h *house) want(err, class error) {
	h.Helper()
	if !errors.Is(err, class) {
		h.Fatalf("got %v, want %v", err, class)
	}
}

// digest is the SHA-256 of some content.
func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func stored(content string) registry.Stored {
	return registry.Stored{Size: int64(len(content)), SHA256: digest(content), MD5: digest(content)[:32]}
}

var sessionOf = registry.NewUpload{
	Bucket: files, Filename: "a.txt", ContentType: "text/plain", Size: 5,
	SessionTTL: 2 * time.Hour, URLTTL: 2 * time.Minute,
}

// begin creates a session for "hello".
func (h *house) begin() registry.Begun {
	h.Helper()
	b, err := h.CreateUpload(h.ctx(), h.amy, sessionOf)
	h.must(err)
	return b
}

func (h *house) take(b registry.Begun) registry.Attempt {
	h.Helper()
	a, err := h.BeginPut(h.ctx(), registry.Actor{RequestID: "req-2"}, b.Upload.Tenant, b.Upload.ID, b.Grant.ID)
	h.must(err)
	return a
}

// received is a session whose bytes are there.
func (h *house) received() registry.Begun {
	h.Helper()
	b := h.begin()
	_, err := h.CompletePut(h.ctx(), h.take(b), stored("hello"))
	h.must(err)
	return b
}

// finalized is a session whose object is in the queue.
func (h *house) finalized() registry.Object {
	h.Helper()
	o, err := h.Finalize(h.ctx(), h.amy, acme, h.received().Upload.ID, "")
	h.must(err)
	return o
}

func (h *house) claim() registry.Claim {
	h.Helper()
	c, err := h.ClaimScan(h.ctx(), "w1", time.Minute)
	h.must(err)
	return c
}

var clean = registry.Verdict{Result: registry.VerdictClean, Engines: []registry.EngineNote{{Name: "inspect", Result: "clean"}}}

// judged is an object between step 1 and step 3 of its promotion.
func (h *house) judged() registry.Object {
	h.Helper()
	h.finalized()
	o, err := h.SettleScan(h.ctx(), h.claim(), clean, "text/plain")
	h.must(err)
	return o
}

func (h *house) published() registry.Object {
	h.Helper()
	o := h.judged()
	o, err := h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
	if o.State != registry.ObjectPublished {
		h.Fatalf("object is %s", o.State)
	}
	return o
}

// put writes content through the S3 port.
func (h *house) put(bucket registry.BucketName, key, content string) registry.Object {
	h.Helper()
	o, err := h.tryPut(bucket, key, content, registry.Conditions{})
	h.must(err)
	return o
}

func (h *house) tryPut(bucket registry.BucketName, key, content string, c registry.Conditions) (registry.Object, error) {
	h.Helper()
	i, err := h.ReserveBlob(h.ctx(), h.amy.Tenant)
	h.must(err)
	n := registry.NewObject{
		Intent: i, Bucket: bucket, Key: key, Kept: registry.Kept{ContentType: "text/plain"}, Detected: "text/plain",
		Stored: stored(content), Conditions: c, Verdict: clean, // which counts in direct buckets only
	}
	o, err := h.PutObject(h.ctx(), h.amy, n)
	if err != nil {
		h.must(h.ReleaseBlob(h.ctx(), i))
	}
	return o, err
}

// deleteKey deletes a key as its bucket's versioning has it.
func (h *house) deleteKey(bucket registry.BucketName, key string) error {
	h.Helper()
	_, err := h.deletion(bucket, registry.Deletion{Key: key})
	return err
}

// deletion carries one deletion out.
func (h *house) deletion(bucket registry.BucketName, d registry.Deletion) (registry.DeletionResult, error) {
	h.Helper()
	results, err := h.DeleteVersions(h.ctx(), h.amy, bucket, []registry.Deletion{d})
	h.must(err)
	if len(results) != 1 {
		h.Fatalf("%d results of one deletion", len(results))
	}
	return results[0], results[0].Err
}

func (h *house) state(id registry.ObjectID) registry.ObjectState {
	h.Helper()
	o, err := h.Object(h.ctx(), acme, id)
	h.must(err)
	return o.State
}

// garbage returns the blobs on the garbage list.
func (h *house) garbage() map[registry.BlobKey]bool {
	h.Helper()
	list, err := h.Garbage(h.ctx(), 0, 1000)
	h.must(err)
	keys := make(map[registry.BlobKey]bool)
	for _, g := range list {
		keys[g.Blob] = true
	}
	return keys
}

// events returns the types of an object's timeline.
func (h *house) events(id registry.ObjectID) []registry.EventType {
	h.Helper()
	events, err := h.Timeline(h.ctx(), acme, id, 0, 1000)
	h.must(err)
	var types []registry.EventType
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

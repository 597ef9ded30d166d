package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry/kv"
	"sallyport/registry/kv/boltkv"
)

// auditFile is a ledger file with only the audit log's tables in use.
type auditFile struct {
	path  string
	store kv.Store
	mu    sync.Mutex // protects time
	time  time.Time
}

func newAuditFile(tb testing.TB) *auditFile {
	tb.Helper()
	f := &auditFile{path: filepath.Join(tb.TempDir(), "ledger.db"), time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	f.openStore(tb)
	tb.Cleanup(func() {
		if err := f.store.Close(); err != nil && !errors.Is(err, kv.ErrClosed) {
			tb.Errorf("close store: %v", err)
		}
	})
	return f
}

func (f *auditFile) openStore(tb testing.TB) {
	tb.Helper()
	s, err := boltkv.Open(f.path, boltkv.Options{Tables: auditTables, AppendTables: auditAppendTables, QuietTables: auditQuietTables, NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	f.store = s
}

func (f *auditFile) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.time
}

func (f *auditFile) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.time = f.time.Add(d)
}

// config keeps the writer quiet: tests flush.
func (f *auditFile) config() auditConfig {
	return auditConfig{
		Store: f.store, Now: f.now, Rand: rand.Reader, AccessEvery: time.Hour,
		Seal:   func(b []byte) ([]byte, error) { return flipAll(b), nil },
		Unseal: func(b []byte) ([]byte, error) { return flipAll(b), nil },
	}
}

func flipAll(b []byte) []byte {
	c := bytes.Clone(b)
	for i := range c {
		c[i] ^= 0x5a
	}
	return c
}

// open opens the log; it is closed with the test, whole or not.
func (f *auditFile) open(tb testing.TB) *auditLog {
	tb.Helper()
	a, err := openAudit(tb.Context(), f.config())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.abandon(a) })
	return a
}

// abandon ends the writer as a crash does: nothing more is written.
func (f *auditFile) abandon(a *auditLog) {
	a.access.stop()
	<-a.access.done
}

func testEvent(tenant TenantName, at time.Time) *Event {
	return newEvent(EventUploadCreated, Actor{Tenant: tenant, Principal: "alice", Credential: "SPAAAAAAAAAAAAAAAAAA"}, at)
}

// fill appends n events of each tenant in turn, many to a transaction.
func (f *auditFile) fill(tb testing.TB, a *auditLog, n int, tenants ...TenantName) {
	tb.Helper()
	for done := 0; done < n; {
		group := min(n-done, 1000)
		err := f.store.Update(tb.Context(), func(tx kv.Tx) error {
			for i := range group {
				if _, err := a.append(tx, testEvent(tenants[(done+i)%len(tenants)], f.now())); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
		done += group
	}
}

func mustVerify(tb testing.TB, a *auditLog) AuditReport {
	tb.Helper()
	r, err := a.VerifyAudit(tb.Context())
	if err != nil {
		tb.Fatalf("VerifyAudit: %v", err)
	}
	return r
}

func TestAppendRefusesUnfitEvents(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	for name, spoil := range map[string]func(*Event){
		"unknown type":          func(e *Event) { e.Type = "upload.eaten" },
		"no time":               func(e *Event) { e.Time = time.Time{} },
		"a URL":                 func(e *Event) { e.Subject = "http://127.0.0.1:9000/_/uploads/upl_1?X-Amz-Signature=ab" },
		"a blob key":            func(e *Event) { e.Reason = "staging/ab12/2026/03/01/upl_1/1" },
		"a client's key":        func(e *Event) { e.To = "holiday/sea.jpg" },
		"a sentence":            func(e *Event) { e.Reason = "could not connect" },
		"a line":                func(e *Event) { e.From = "created\n" },
		"a secret's alphabet":   func(e *Event) { e.Credential = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY=" },
		"a text without an end": func(e *Event) { e.Subject = strings.Repeat("a", maxWord+1) },
	} {
		t.Run(name, func(t *testing.T) {
			ev := testEvent("acme", f.now())
			spoil(ev)
			err := f.store.Update(t.Context(), func(tx kv.Tx) error {
				_, err := a.append(tx, ev)
				return err
			})
			if !errors.Is(err, errBadEvent) {
				t.Errorf("append = %v, want errBadEvent", err)
			}
		})
	}
	if r := mustVerify(t, a); r.Size != 0 {
		t.Errorf("the log has %d leaves", r.Size)
	}
}

// The form of a leaf is a contract with everybody who keeps exports.
func TestEventJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 13, 0, 0, 120e6, time.FixedZone("CET", 3600))
	ev := newEvent(EventObjectVerdict, Actor{
		Tenant: "default", Principal: "root", Credential: "SPROOT", RequestID: "REQ1", Roles: []Role{RoleOperator},
	}, at).in("acme")
	ev.Seq, ev.Bucket, ev.Upload, ev.Object, ev.Grant = 7, "photos", "upl_1", "obj_1", "g_1"
	ev.Subject, ev.From, ev.To, ev.Attempt = "SPX", "scanning", "rejected", 2
	ev.Size, ev.SHA256, ev.DetectedType = new(int64(0)), "ab", "text/plain; charset=utf-8"
	ev.Result, ev.Reason, ev.Roles = VerdictInfected, "malware", []Role{RoleReader}
	ev.Engines = []EngineNote{{Name: "clamav", Version: "ClamAV 1.4.1/27400", Result: "infected", Signature: "Eicar-Test <&>"}}
	ev.ExpiresAt = at.Add(time.Hour)
	ev.Block = &BlockNote{SHA256: "cd", Bytes: 9, Count: 3, First: at.UTC(), Last: at.UTC()}
	ev.Gap = &GapNote{From: at.UTC(), To: at.UTC(), Lost: 4}
	got, err := ev.leaf()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seq":7,"time":"2026-03-01T12:00:00.12Z","type":"object.verdict","tenant":"acme","actor_tenant":"default",` +
		`"principal":"root","credential":"SPROOT","request_id":"REQ1","bucket":"photos","upload":"upl_1","object":"obj_1",` +
		`"grant":"g_1","subject":"SPX","from":"scanning","to":"rejected","attempt":2,"size":0,"sha256":"ab",` +
		`"detected_type":"text/plain; charset=utf-8","result":"infected","engines":[{"name":"clamav","version":"ClamAV 1.4.1/27400",` +
		`"result":"infected","signature":"Eicar-Test \u003c\u0026\u003e"}],"reason":"malware","roles":["reader"],` +
		`"expires_at":"2026-03-01T13:00:00.12Z","block":{"sha256":"cd","bytes":9,"count":3,"first":"2026-03-01T12:00:00.12Z",` +
		`"last":"2026-03-01T12:00:00.12Z"},"gap":{"from":"2026-03-01T12:00:00.12Z","to":"2026-03-01T12:00:00.12Z","lost":4}}`
	if string(got) != want {
		t.Errorf("leaf is\n%s\nwant\n%s", got, want)
	}
	small, err := newEvent(EventServerStarted, Actor{}, at).leaf()
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"seq":0,"time":"2026-03-01T12:00:00.12Z","type":"server.started"}`; string(small) != want {
		t.Errorf("leaf is %s, want %s", small, want)
	}
}

// What an engine says is not ours to refuse, but it must not swell the log.
func TestEngineTextsAreCut(t *testing.T) {
	long := strings.Repeat("é", 5000)
	ev := testEvent("acme", time.Unix(1, 0))
	for range 100 {
		ev.Engines = append(ev.Engines, EngineNote{Name: long, Version: long, Result: long, Signature: long})
	}
	ev.DetectedType = long
	b, err := ev.leaf()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 16<<10 {
		t.Errorf("leaf has %d bytes", len(b))
	}
	if len(ev.Engines) != 100 || ev.Engines[0].Name != long {
		t.Error("the caller's event was changed")
	}
}

func TestFailedUpdateLeavesNoLeaf(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	f.fill(t, a, tileWidth-1, "acme")
	failure := errors.New("no")
	err := f.store.Update(t.Context(), func(tx kv.Tx) error {
		for range 3 { // completes a tile on the way
			if _, err := a.append(tx, testEvent("other", f.now())); err != nil {
				return err
			}
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Fatalf("Update = %v", err)
	}
	if r := mustVerify(t, a); r.Size != tileWidth-1 {
		t.Errorf("the log has %d leaves, want %d", r.Size, tileWidth-1)
	}
	if got, err := a.Events(t.Context(), "other", 0, 10); err != nil || len(got) != 0 {
		t.Errorf("Events = %d leaves, %v", len(got), err)
	}
	f.fill(t, a, 2, "acme")
	if r := mustVerify(t, a); r.Size != tileWidth+1 {
		t.Errorf("the log has %d leaves, want %d", r.Size, tileWidth+1)
	}
}

func TestConcurrentAppends(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	const callers, each = 64, 20
	var seen sync.Map
	var group sync.WaitGroup
	failure := errors.New("no")
	for c := range callers {
		group.Go(func() {
			for i := range each {
				var seq uint64
				err := f.store.Update(context.Background(), func(tx kv.Tx) (err error) {
					if seq, err = a.append(tx, testEvent(TenantName(fmt.Sprintf("tenant-%d", c%5)), f.now())); err != nil {
						return err
					}
					if i%7 == 3 {
						return failure
					}
					return nil
				})
				switch {
				case errors.Is(err, failure):
				case err != nil:
					t.Error(err)
				default:
					if _, twice := seen.LoadOrStore(seq, c); twice {
						t.Errorf("seq %d was given twice", seq)
					}
				}
			}
		})
	}
	group.Wait()
	r := mustVerify(t, a)
	if want := uint64(callers * (each - 3)); r.Size != want {
		t.Fatalf("the log has %d leaves, want %d", r.Size, want)
	}
	for seq := range r.Size {
		if _, ok := seen.Load(seq); !ok {
			t.Errorf("nobody was given seq %d", seq)
		}
	}
}

func TestEventsPages(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	// "big" is everywhere, "rare" in few tiles, "bi" and "bigger" are there
	// to be mistaken for "big".
	f.fill(t, a, 3*tileWidth, "big", "bi", "bigger")
	f.fill(t, a, 1, "rare")
	f.fill(t, a, 60*tileWidth, "big")
	f.fill(t, a, 2, "rare")
	size := mustVerify(t, a).Size

	for _, tc := range []struct {
		tenant TenantName
		limit  int
		want   int
	}{
		{"", 1000, int(size)},
		{"", 7777, int(size)},
		{"big", 1000, 61 * tileWidth},
		{"big", 37, 61 * tileWidth},
		{"bi", 100, tileWidth},
		{"rare", 1, 3},
		{"rare", 100, 3},
		{"nobody", 10, 0},
	} {
		t.Run(fmt.Sprintf("%s by %d", tc.tenant, tc.limit), func(t *testing.T) {
			n, from := 0, uint64(0)
			for {
				page, err := a.Events(t.Context(), tc.tenant, from, tc.limit)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				if len(page) > min(tc.limit, maxLeaves) {
					t.Fatalf("page of %d leaves", len(page))
				}
				for _, leaf := range page {
					ev, err := leaf.Event()
					if err != nil {
						t.Fatal(err)
					}
					if leaf.Seq < from || ev.Seq != leaf.Seq || tc.tenant != "" && ev.Tenant != tc.tenant {
						t.Fatalf("leaf %d of %q in the page from %d of %q", leaf.Seq, ev.Tenant, from, tc.tenant)
					}
					from = leaf.Seq + 1
				}
				n += len(page)
			}
			if n != tc.want {
				t.Errorf("%d leaves, want %d", n, tc.want)
			}
		})
	}
	for _, limit := range []int{0, -1} {
		if _, err := a.Events(t.Context(), "", 0, limit); !errors.Is(err, ErrInvalid) {
			t.Errorf("Events of %d = %v, want ErrInvalid", limit, err)
		}
	}
	if page, err := a.Events(t.Context(), "", ^uint64(0), 1); err != nil || len(page) != 0 {
		t.Errorf("Events from the end of time = %d leaves, %v", len(page), err)
	}
}

func TestLeavesAt(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	f.fill(t, a, 10, "acme", "other")
	err := f.store.View(t.Context(), func(tx kv.Tx) error {
		evs, err := leavesAt(tx, "acme", []uint64{8, 2, 3})
		if err != nil {
			return err
		}
		if len(evs) != 2 || evs[0].Seq != 2 || evs[1].Seq != 8 {
			t.Errorf("leavesAt = %+v, want 2 and 8", evs)
		}
		if _, err := leavesAt(tx, "acme", []uint64{10}); !errors.Is(err, ErrNotFound) {
			t.Errorf("leavesAt(10) = %v, want ErrNotFound", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

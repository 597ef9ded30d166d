package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry/kv"
)

func mustAccess(tb testing.TB, a *auditLog, rec AccessRecord) {
	tb.Helper()
	if err := a.Access(tb.Context(), rec); err != nil {
		tb.Fatalf("Access: %v", err)
	}
}

func known(at time.Time, key string) AccessRecord {
	return AccessRecord{
		Time: at, RequestID: "R", Tenant: "acme", Principal: "alice", Credential: "SPAAAAAAAAAAAAAAAAAA", Op: "GetObject",
		Bucket: "photos", Key: key, Status: 200, BytesOut: 4096, Duration: time.Millisecond, Remote: netip.MustParseAddr("192.0.2.7"),
	}
}

func records(tb testing.TB, a *auditLog, tenant TenantName) (recs []AccessRecord, blocks int) {
	tb.Helper()
	for b, err := range a.AccessBlocks(tb.Context(), tenant, 0) {
		if err != nil {
			tb.Fatal(err)
		}
		blocks++
		for line := range bytes.Lines(b.Lines) {
			var rec AccessRecord
			if err := json.Unmarshal(line, &rec); err != nil {
				tb.Fatalf("%s: %v", line, err)
			}
			recs = append(recs, rec)
		}
	}
	return recs, blocks
}

// events returns the events of one type.
func events(tb testing.TB, a *auditLog, typ EventType) (evs []Event) {
	tb.Helper()
	for from := uint64(0); ; {
		page, err := a.Events(tb.Context(), "", from, maxLeaves)
		if err != nil {
			tb.Fatal(err)
		}
		if len(page) == 0 {
			return evs
		}
		for _, leaf := range page {
			ev, err := leaf.Event()
			if err != nil {
				tb.Fatal(err)
			}
			if ev.Type == typ {
				evs = append(evs, ev)
			}
			from = leaf.Seq + 1
		}
	}
}

// metric reads one of the log's metrics by name.
func metric(tb testing.TB, a *auditLog, name string) float64 {
	tb.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(a.collectors()...)
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, fam := range families {
		if fam.GetName() == name {
			m := fam.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is 0
		}
	}
	tb.Fatalf("there is no metric %s", name)
	return 0
}

func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("did not happen: %s", what)
		}
	}
}

func TestAccessBlocks(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	odd := "\x00\"tenant\":\"other\"<&>\n\xff" + string(bytes.Repeat([]byte("k"), 2000))
	mustAccess(t, a, known(f.now().Add(time.Second), "b"))
	mustAccess(t, a, known(f.now(), odd))
	other := known(f.now(), "c")
	other.Tenant = "other"
	mustAccess(t, a, other)
	if got := metric(t, a, "audit_access_buffered"); got != 3 {
		t.Errorf("%v records are buffered, want 3", got)
	}
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAccess(t, a, other)
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.FlushAccess(t.Context()); err != nil { // of nothing
		t.Fatal(err)
	}

	all, blocks := records(t, a, "")
	if len(all) != 4 || blocks != 2 {
		t.Fatalf("%d records in %d blocks, want 4 in 2", len(all), blocks)
	}
	if want := known(f.now().Add(time.Second), "b"); all[0] != want {
		t.Errorf("record is %+v, want %+v", all[0], want)
	}
	if n := len(all[1].Key); n > maxAccessText+2 {
		t.Errorf("a key of %d bytes was kept", n)
	}
	own, blocks := records(t, a, "acme")
	if len(own) != 2 || blocks != 1 {
		t.Errorf("acme sees %d records in %d blocks, want 2 in 1", len(own), blocks)
	}
	if own, _ := records(t, a, "other"); len(own) != 2 || own[0].Tenant != "other" {
		t.Errorf("other sees %+v", own)
	}
	if own, _ := records(t, a, "nobody"); len(own) != 0 {
		t.Errorf("nobody sees %+v", own)
	}
	evs := events(t, a, EventAccessBlock)
	if len(evs) != 2 || evs[0].Block.Count != 3 || !evs[0].Block.First.Equal(f.now()) || !evs[0].Block.Last.Equal(f.now().Add(time.Second)) {
		t.Errorf("leaves of the blocks: %+v", evs)
	}
	if r := mustVerify(t, a); r.Blocks != 2 || r.Signed.Size != r.Size {
		t.Errorf("VerifyAudit = %+v, want 2 blocks, all signed", r)
	}
	for name, want := range map[string]float64{
		"audit_access_blocks_total": 2, "audit_access_records_total": 4, "audit_access_buffered": 0,
		"audit_access_waits_total": 0, "audit_access_lost_total": 0, "audit_tree_size": 2, "audit_signed_size": 2,
	} {
		if got := metric(t, a, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// A tenant's reader gets no byte of a block that is not its own.
func TestTenantSeesNoStoredBlock(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	mustAccess(t, a, known(f.now(), "a"))
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[TenantName]bool{"": true, "acme": false} {
		for b, err := range a.AccessBlocks(t.Context(), tenant, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Stored != nil; got != want {
				t.Errorf("tenant %q has the stored block: %v, want %v", tenant, got, want)
			}
		}
	}
}

func TestAccessBlocksChecksTheLeaf(t *testing.T) {
	f, a := tamperFile(t)
	defer f.edit(t, row{tableAccessBlocks, seqKey(301)}, flipAt(9))()
	n := 0
	var failure error
	for _, err := range a.AccessBlocks(t.Context(), "", 0) {
		if err != nil {
			failure = err
			continue
		}
		n++
	}
	if n != 1 || !errors.Is(failure, ErrTampered) {
		t.Errorf("%d blocks, then %v; want 1, then ErrTampered", n, failure)
	}
}

// The writer writes by itself, a second's records at a time.
func TestAccessIsWrittenInTime(t *testing.T) {
	f := newAuditFile(t)
	cfg := f.config()
	cfg.AccessEvery = 5 * time.Millisecond
	a, err := openAudit(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.abandon(a)
	mustAccess(t, a, known(f.now(), "a"))
	f.fill(t, a, 3, "acme")
	eventually(t, "the record is written and the head signed", func() bool {
		return metric(t, a, "audit_access_records_total") == 1 && metric(t, a, "audit_signed_size") == 4
	})
}

func TestFullBufferWaits(t *testing.T) {
	f := newAuditFile(t)
	cfg := f.config()
	cfg.AccessBuffer = 4
	a, err := openAudit(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.abandon(a)
	a.access.writing.Lock() // the disk hangs
	for i := range 4 {
		mustAccess(t, a, known(f.now(), fmt.Sprint(i)))
	}
	late := make(chan error, 1)
	go func() { late <- a.Access(context.Background(), known(f.now(), "late")) }()
	eventually(t, "the fifth waits", func() bool { return metric(t, a, "audit_access_waits_total") == 1 })
	mustAccess(t, a, AccessRecord{Time: f.now(), Status: 403, Reason: "AccessDenied"}) // nobody's: never waits

	ended, end := context.WithCancel(t.Context())
	end()
	if err := a.Access(ended, known(f.now(), "given up")); !errors.Is(err, context.Canceled) {
		t.Errorf("Access = %v, want context.Canceled", err)
	}
	select {
	case err := <-late:
		t.Fatalf("Access did not wait: %v", err)
	default:
	}
	a.access.writing.Unlock()
	if err := <-late; err != nil {
		t.Errorf("Access = %v", err)
	}
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	if recs, _ := records(t, a, "acme"); len(recs) != 5 {
		t.Errorf("%d records, want 5", len(recs))
	}
	gaps := events(t, a, EventAccessGap)
	if len(gaps) != 1 || gaps[0].Gap.Lost != 1 || !gaps[0].Gap.From.Equal(f.now()) {
		t.Errorf("gaps %+v, want one of one record", gaps)
	}
	mustVerify(t, a)
}

func TestConcurrentAccess(t *testing.T) {
	f := newAuditFile(t)
	cfg := f.config()
	cfg.AccessBuffer, cfg.AccessEvery = 64, time.Millisecond
	a, err := openAudit(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.abandon(a)
	const callers, each = 16, 200
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for i := range each {
				if err := a.Access(context.Background(), known(f.now(), fmt.Sprintf("%d/%d", c, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := a.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	recs, blocks := records(t, a, "")
	for _, rec := range recs {
		seen[rec.Key]++
	}
	if len(recs) != callers*each || len(seen) != callers*each {
		t.Errorf("%d records, %d different, want %d", len(recs), len(seen), callers*each)
	}
	if blocks < callers*each/64 {
		t.Errorf("%d blocks: the buffer was larger than it may be", blocks)
	}
	mustVerify(t, a)
}

func TestGapAfterAnUncleanEnd(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	mustAccess(t, a, known(f.now().Add(time.Minute), "kept"))
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAccess(t, a, known(f.now().Add(2*time.Minute), "lost"))
	f.abandon(a)
	start := f.now()
	f.pass(time.Hour)

	b := f.open(t)
	gaps := events(t, b, EventAccessGap)
	if len(gaps) != 1 {
		t.Fatalf("gaps %+v, want one", gaps)
	}
	if g := gaps[0].Gap; !g.From.Equal(start.Add(time.Minute)) || !g.To.Equal(f.now()) || g.Lost != 0 {
		t.Errorf("gap %+v, want from the last block to now", g)
	}

	// Nothing was lost by a clean end, so the next start has no gap to tell.
	if err := b.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.pass(time.Hour)
	c := f.open(t)
	if gaps := events(t, c, EventAccessGap); len(gaps) != 1 {
		t.Errorf("gaps %+v after a clean end, want the one from before", gaps)
	}
	// Without a block since, the gap begins at the start of the process.
	start = f.now()
	f.abandon(c)
	f.pass(time.Hour)
	d := f.open(t)
	gaps = events(t, d, EventAccessGap)
	if len(gaps) != 2 || !gaps[1].Gap.From.Equal(start) {
		t.Errorf("gaps %+v, want a second one from %v", gaps, start)
	}
	mustVerify(t, d)
}

func TestAccessAfterClose(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	mustAccess(t, a, known(f.now(), "a"))
	for range 2 {
		if err := a.close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Access(t.Context(), known(f.now(), "b")); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("Access = %v, want kv.ErrClosed", err)
	}
	if recs, _ := records(t, a, ""); len(recs) != 1 {
		t.Errorf("%d records, want 1", len(recs))
	}
	if r := mustVerify(t, a); r.Signed.Size != r.Size {
		t.Errorf("after close %d of %d leaves are signed for", r.Signed.Size, r.Size)
	}
}

// A store that fails keeps nobody waiting for ever.
func TestClosedStoreRefusesRecords(t *testing.T) {
	f := newAuditFile(t)
	cfg := f.config()
	cfg.AccessBuffer = 1
	a, err := openAudit(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.abandon(a)
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	var failure error
	eventually(t, "a record is refused", func() bool {
		failure = a.Access(t.Context(), known(f.now(), "a"))
		return failure != nil
	})
	if !errors.Is(failure, kv.ErrClosed) {
		t.Errorf("Access = %v, want kv.ErrClosed", failure)
	}
	if err := a.close(t.Context()); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("close = %v, want kv.ErrClosed: the end was not clean", err)
	}
}

// failingStore fails updates while it is told to.
type failingStore struct {
	kv.Store
	mu   sync.Mutex
	fail error
}

func (s *failingStore) Update(ctx context.Context, fn func(kv.Tx) error) error {
	s.mu.Lock()
	err := s.fail
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, fn)
}

func (s *failingStore) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Records that could not be written stay, in order, and are written once.
func TestFailedWriteKeepsRecords(t *testing.T) {
	f := newAuditFile(t)
	s := &failingStore{Store: f.store}
	f.store = s
	a := f.open(t)
	mustAccess(t, a, known(f.now(), "a"))
	mustAccess(t, a, AccessRecord{Time: f.now(), Status: 403, Reason: "AccessDenied"})
	full := errors.New("disk is full")
	s.set(full)
	for range 3 {
		if err := a.FlushAccess(t.Context()); !errors.Is(err, full) {
			t.Fatalf("FlushAccess = %v, want %v", err, full)
		}
		mustAccess(t, a, AccessRecord{Time: f.now(), Status: 403, Reason: "AccessDenied"})
	}
	mustAccess(t, a, known(f.now(), "b"))
	s.set(nil)
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	recs, blocks := records(t, a, "")
	if len(recs) != 3 || blocks != 1 || recs[0].Key != "a" || recs[1].Key != "b" || recs[2].Count != 4 {
		t.Errorf("%d records in %d blocks: %+v", len(recs), blocks, recs)
	}
	mustVerify(t, a)
}

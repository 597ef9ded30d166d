//go:build bench && linux

package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv/boltkv"
)

// ledgerHouse is a ledger of its own with one direct and one quarantine bucket.
type ledgerHouse struct {
	*registry.Ledger
	actor registry.Actor
}

const (
	ledgerTenant  registry.TenantName = "default"
	ledgerDirect  registry.BucketName = "direct"
	ledgerProfile registry.BucketName = "default"
)

// benchLedger fills ledgers of several sizes through their own verbs, without
// flushes, opens each again as a server would, and measures what the hot paths
// ask of it.
func benchLedger(t *testing.T, b *bench) {
	sizes := os.Getenv("SALLYPORT_BENCH_OBJECTS")
	if sizes == "" {
		sizes = "1000000,10000000"
	}
	for size := range strings.SplitSeq(sizes, ",") {
		objects, err := strconv.ParseInt(size, 10, 64)
		if err != nil || objects < 1 {
			t.Fatalf("SALLYPORT_BENCH_OBJECTS: %q is no number of objects", size)
		}
		t.Run(size, func(t *testing.T) { benchLedgerOf(t, b, objects) })
		b.vol.trim()
	}
}

func benchLedgerOf(t *testing.T, b *bench, objects int64) {
	path := filepath.Join(b.vol.folder(t, "ledger"), "ledger.db")
	b.report.title(fmt.Sprintf("Ledger of %d objects", objects), "                                     calls at once        op/s        p50        p99  process CPU/op")
	began := time.Now()
	fill(t, path, int(objects))
	took := time.Since(began)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b.report.printf("  filled in %s (%.0f /s, not flushed); %s in the file, %.0f bytes per object\n",
		took.Round(time.Second), float64(objects)/took.Seconds(), sizeText(info.Size()), float64(info.Size())/float64(objects))

	b.vol.settle(t)
	began = time.Now()
	h := openLedger(t, path, false)
	b.report.printf("  opened in %s\n", time.Since(began).Round(time.Millisecond))
	defer func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for _, v := range h.verbs(t, int(objects)) {
		b.vol.settle(t)
		b.report.printf("  %s\n", v.measure(t))
	}
}

func openLedger(t *testing.T, path string, unflushed bool) *ledgerHouse {
	t.Helper()
	store, err := boltkv.Open(path, boltkv.Options{Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: unflushed})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	l, err := registry.Open(ctx, registry.Config{Store: store, RootKey: [32]byte{1}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Bootstrap(ctx, registry.RootCredentials{AccessKey: accessKey, SecretKey: secretKey}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Credential(ctx, accessKey)
	if err != nil {
		t.Fatal(err)
	}
	return &ledgerHouse{l, c.Actor("bench")}
}

// ledgerKey is the name of the i-th object: a thousand to a folder, written in
// an order in which neighbours do not come one after the other.
func ledgerKey(i int) string { return fmt.Sprintf("folder-%05d/object-%03d.jpg", i/1000, i%1000) }

// scatter is a permutation of the numbers below n: the step is prime and, for
// any n that is a round number, divides nothing of it.
func scatter(i, n int) int { return int(uint64(i) * 7_368_787 % uint64(n)) }

func fill(t *testing.T, path string, n int) {
	t.Helper()
	h := openLedger(t, path, true)
	ctx := context.Background()
	if err := h.CreateBucket(ctx, h.actor, registry.Bucket{Name: ledgerDirect, Intake: registry.IntakeDirect}); err != nil {
		t.Fatal(err)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2048 { // the more callers, the larger the commits
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || t.Failed() {
					return
				}
				if err := h.put(ctx, ledgerKey(scatter(i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

var inspected = registry.Verdict{Result: registry.VerdictClean, Engines: []registry.EngineNote{{Name: "inspect", Result: "clean"}}}

var received = registry.Stored{
	Size:   4096,
	SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
	MD5:    "5d41402abc4b2a76b9719d911017c592",
}

// put writes an object as the S3 port does.
func (h *ledgerHouse) put(ctx context.Context, key string) error {
	i, err := h.ReserveBlob(ctx, ledgerTenant)
	if err != nil {
		return err
	}
	_, err = h.PutObject(ctx, h.actor, registry.NewObject{
		Intent: i, Bucket: ledgerDirect, Key: key, Kept: registry.Kept{ContentType: "image/jpeg"}, Detected: "image/jpeg",
		Stored: received, Verdict: inspected,
	})
	return err
}

func (h *ledgerHouse) session(ctx context.Context) (registry.Begun, error) {
	return h.CreateUpload(ctx, h.actor, registry.NewUpload{
		Bucket: ledgerProfile, Filename: "report.pdf", ContentType: "application/pdf", Size: received.Size,
		SessionTTL: 2 * time.Hour, URLTTL: 2 * time.Minute,
	})
}

// verb is one call to measure, from a number of goroutines.
type verb struct {
	name    string
	callers int
	calls   int
	call    func(i int) error
}

// verbs are the calls that hot paths make.
func (h *ledgerHouse) verbs(t *testing.T, objects int) []verb {
	t.Helper()
	ctx := context.Background()
	create := func(int) error {
		_, err := h.session(ctx)
		return err
	}
	judged := h.judged(t, 2000)
	return []verb{
		{"CreateUpload", 1, 2000, create},
		{"CreateUpload", 64, 40_000, create},
		{"PutObject", 64, 40_000, func(i int) error { return h.put(ctx, fmt.Sprintf("new/%08d", scatter(i, 40_000))) }},
		{"Named", 1, 50_000, func(int) error {
			_, err := h.Named(ctx, ledgerTenant, ledgerDirect, ledgerKey(rand.IntN(objects)))
			return err
		}},
		{"List, a page of 1,000", 1, 500, func(int) error {
			page, err := h.List(ctx, ledgerTenant, ledgerDirect, registry.ListQuery{After: ledgerKey(rand.IntN(max(1, objects-1000))), Max: 1000})
			if err == nil && objects > 1000 && len(page.Entries) != 1000 {
				err = fmt.Errorf("a page of %d", len(page.Entries))
			}
			return err
		}},
		{"List, a page of 1,000 folders", 1, 20, func(int) error {
			page, err := h.List(ctx, ledgerTenant, ledgerDirect, registry.ListQuery{Delimiter: "/", After: "folder-", Max: 1000})
			if err == nil && len(page.Prefixes) != min(1000, (objects+999)/1000) {
				err = fmt.Errorf("a page of %d folders", len(page.Prefixes))
			}
			return err
		}},
		{"Publish", 16, len(judged), func(i int) error {
			_, err := h.Publish(ctx, ledgerTenant, judged[i])
			return err
		}},
	}
}

// judged makes objects that are ready to be published.
func (h *ledgerHouse) judged(t *testing.T, n int) []registry.ObjectID {
	t.Helper()
	ctx := context.Background()
	ids := make([]registry.ObjectID, n)
	v := verb{"", 64, n, func(i int) error {
		begun, err := h.session(ctx)
		if err != nil {
			return err
		}
		attempt, err := h.BeginPut(ctx, h.actor, ledgerTenant, begun.Upload.ID, begun.Grant.ID)
		if err != nil {
			return err
		}
		if _, err := h.CompletePut(ctx, attempt, received); err != nil {
			return err
		}
		if _, err := h.Finalize(ctx, h.actor, ledgerTenant, begun.Upload.ID, ""); err != nil {
			return err
		}
		claim, err := h.ClaimScan(ctx, "bench", time.Minute)
		if err != nil {
			return err
		}
		o, err := h.SettleScan(ctx, claim, inspected, "application/pdf")
		ids[i] = o.ID
		return err
	}}
	v.measure(t)
	return ids
}

// measure makes the calls and tells what they took.
func (v verb) measure(t *testing.T) string {
	t.Helper()
	times := make([]time.Duration, v.calls)
	var next atomic.Int64
	var wg sync.WaitGroup
	before, began := ownCPU(t), time.Now()
	for range v.callers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= v.calls {
					return
				}
				start := time.Now()
				if err := v.call(i); err != nil {
					t.Errorf("%s: %v", v.name, err)
					return
				}
				times[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	elapsed, used := time.Since(began), ownCPU(t)-before
	if t.Failed() {
		t.FailNow()
	}
	slices.Sort(times)
	return fmt.Sprintf("%-36s %12d %11.0f %10s %10s %12s", v.name, v.callers, float64(v.calls)/elapsed.Seconds(),
		cpuText(times[len(times)/2]), cpuText(times[len(times)*99/100]), cpuText(used/time.Duration(v.calls)))
}

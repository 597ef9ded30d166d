//go:build bench && linux

package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
)

// incoming is a bucket that inspects before it publishes.
const incoming = "incoming"

// scanned is the longest object that is sent to clamd here, in bytes.
const scanned = 256 << 20

// benchScanning measures what inspection by a real clamd costs uploads, and how fast it is.
func benchScanning(t *testing.T, b *bench) {
	daemon := clamdtest.Start(t, "StreamMaxLength 1G", "MaxFileSize 1G", "MaxScanSize 2G")
	settings := []string{"SCANNER_CLAMD_ADDR=" + daemon.Unix, "SCANNER_CLAMD_PATIENCE=1s", "SCANNER_CLAMD_STREAM_MAX_LENGTH=1GiB",
		"SCANNER_CLAMD_MAX_FILE_SIZE=1GiB", "SCANNER_CLAMD_MAX_SCAN_SIZE=2GiB"}
	without, with := b.startSallyport(t, "no clamd", nil), b.startSallyport(t, "clamd", nil, settings...)
	for _, s := range []server{without, with} {
		s.makeProfile(t, incoming, `{"intake":"quarantine"}`)
	}
	b.scanLater(t, without, with)
	b.scanInline(t, daemon, with)
	b.vol.trim()
	b.drain(t, daemon, b.startSallyport(t, "clamd", nil, settings...))
}

// makeProfile sets a bucket up.
func (s server) makeProfile(t *testing.T, name, profile string) {
	t.Helper()
	sum := sha256.Sum256([]byte(profile))
	c := dial(t, s.control)
	defer c.Close()
	var answer kept
	if err := c.do(request{method: "PUT", path: "/profiles/" + name, contentType: "application/json", bodySHA256: hex.EncodeToString(sum[:]),
		chunk: []byte(profile), size: int64(len(profile)), wantStatus: http.StatusOK, keep: &answer}); err != nil {
		t.Fatal(err)
	}
}

// scanLater compares what an upload takes that is inspected after its answer. clamd works
// meanwhile, on the same processors: at a moderate pace there is room for it, at full
// speed it takes its share.
func (b *bench) scanLater(t *testing.T, servers ...server) {
	t.Helper()
	b.report.title("Uploads that are inspected afterwards, with clamd and without",
		"                                              median  (low - high)     ratio   server CPU/op")
	for _, size := range []int64{small, chunk} {
		for _, l := range []load{
			{name: fmt.Sprintf("PUT %s, 20 a second", sizeText(size)), clients: 1, size: size, time: 2 * time.Second, each: true},
			{name: fmt.Sprintf("PUT %s, 16 at a time", sizeText(size)), clients: 16, size: size, time: 2 * time.Second},
		} {
			l.next = func(_ int, i int64) request {
				return putRequest(fmt.Sprintf("/%s/%d/%d/%02x/%08d", incoming, size, l.clients, i%256, i), unlike(i, size), size)
			}
			results := make(map[string]series)
			counts := make([]atomic.Int64, len(servers))
			for round := range b.rounds {
				for i := range servers {
					at := (round + i) % len(servers)
					b.vol.settle(t)
					once := l.once
					if l.each {
						once = l.paced
					}
					results[servers[at].name] = append(results[servers[at].name], once(t, servers[at], &counts[at], nil))
					servers[at].drained(t, nil) // what waits must not slow the other one
				}
			}
			b.report.row(l, servers, results)
			if l.each { // the rate is the inverse of the latency
				ratio := results[servers[1].name].ratio(results[servers[0].name])
				b.report.aim(fmt.Sprintf("clamd adds no latency to uploads of %s, inspected later", sizeText(size)), ratio >= 0.9,
					"%.2f of the time without", 1/ratio)
			}
		}
	}
}

// paced has one client do an operation every 50 ms. The sample's time is that of the
// operations alone.
func (l load) paced(t *testing.T, s server, count *atomic.Int64, _ *process) sample {
	t.Helper()
	c := dial(t, s.host)
	defer c.Close()
	result := sample{cpu: -s.process.cpu(t)}
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for end := time.Now().Add(l.time); time.Now().Before(end); <-every.C {
		r := l.next(0, count.Add(1)-1)
		began := time.Now()
		if err := c.do(r); err != nil {
			t.Fatalf("%s on %s: %v", l.name, s.name, err)
		}
		result.elapsed += time.Since(began)
		result.ops++
	}
	result.cpu += s.process.cpu(t)
	return result
}

// unlike is content that clamd has not seen: it knows again what it has found clean.
func unlike(i, size int64) []byte {
	body := noise(int(size))
	copy(body, fmt.Sprintf("\x00%d\x00", i)) // no text, and no magic number
	return body
}

// scanInline compares writes that are inspected on their way with clamd alone.
func (b *bench) scanInline(t *testing.T, daemon *clamdtest.Clamd, s server) {
	t.Helper()
	alone, err := clamd.New(clamd.Config{
		Address: daemon.Unix, Now: time.Now, Limits: clamd.Limits{StreamMaxLength: 1 << 30, MaxFileSize: 1 << 30, MaxScanSize: 2 << 30},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	b.report.title("A write of "+sizeText(scanned)+" that clamd inspects on its way", "                             clamd alone          PUT     ratio")
	var ratios []float64
	for range b.rounds {
		b.vol.settle(t)
		began := time.Now()
		r, err := alone.Stream(t.Context(), &again{chunk: unlike(0, chunk), left: scanned}, scanned)
		if err != nil || r.Result != registry.VerdictClean {
			t.Fatalf("%+v, %v", r, err)
		}
		own := time.Since(began)
		body := unlike(0, chunk)
		c := dial(t, s.host) // an idle one would have been closed by now
		began = time.Now()
		err = c.do(putRequest("/"+bucket+"/inline", body, scanned))
		put := time.Since(began)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		ratios = append(ratios, own.Seconds()/put.Seconds())
		b.report.printf("  %-26s %12s %12s %9.2f\n", "", cpuText(own), cpuText(put), ratios[len(ratios)-1])
	}
	ratio := median(ratios, func(f float64) float64 { return f })
	b.report.aim("inline inspection of "+sizeText(scanned)+" at ≥ 0.8 of clamd's own speed", ratio >= 0.8,
		"%.2f (%.2f - %.2f)", ratio, slices.Min(ratios), slices.Max(ratios))
}

// again reads a chunk over and over.
type again struct {
	chunk []byte
	left  int64
	at    int
}

func (r *again) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.chunk[r.at:])
	r.at = (r.at + n) % len(r.chunk)
	r.left -= int64(n)
	return n, nil
}

// drainAim bounds how much anonymous memory the server may take on while it drains its queue.
const drainAim = 64 << 20

// drain fills the queue while clamd stands still, and measures how it empties.
func (b *bench) drain(t *testing.T, daemon *clamdtest.Clamd, s server) {
	t.Helper()
	s.makeProfile(t, incoming, `{"intake":"quarantine"}`)
	objects := number(t, "SALLYPORT_BENCH_QUEUE", 10_000)
	b.report.title(fmt.Sprintf("A queue of %d objects of 4 KiB is inspected", objects), "                                    objects/s   RssAnon before      at most")
	c := dial(t, s.host)
	defer c.Close()
	before := s.process.rssAnon(t)
	daemon.Freeze()
	frozen := true
	defer func() {
		if frozen {
			daemon.Thaw()
		}
	}()
	for i := range objects {
		if err := c.do(putRequest(fmt.Sprintf("/%s/%02x/%08d", incoming, i%256, i), unlike(i, small), small)); err != nil {
			t.Fatal(err)
		}
	}
	if waiting := s.queued(t); waiting < objects*9/10 { // what changes hands may be counted nowhere
		t.Fatalf("%d objects wait, not %d", waiting, objects)
	}
	most := s.process.rssAnon(t)
	daemon.Thaw()
	frozen = false
	var began time.Time // of the first verdict: until then the server waits for clamd to be back
	s.drained(t, func(left int64) {
		most = max(most, s.process.rssAnon(t))
		if began.IsZero() && left < objects {
			began, objects = time.Now(), left
		}
	})
	rate := float64(objects) / time.Since(began).Seconds()
	b.report.printf("  %-26s %18.0f %16s %12s\n", "", rate, sizeText(before), sizeText(most))
	b.report.aim("its memory grows by less than "+sizeText(drainAim)+" meanwhile", most-before < drainAim,
		"%s, from %s to %s", sizeText(max(most-before, 0)), sizeText(before), sizeText(most))
}

// drained waits until nothing is left to inspect, and says now and then how much is.
func (s server) drained(t *testing.T, saw func(left int64)) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Minute)
	for {
		left := s.queued(t)
		if saw != nil {
			saw(left)
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d objects still wait on %s", left, s.name)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// queued is how many objects wait for a verdict or are being inspected.
func (s server) queued(t *testing.T) int64 {
	t.Helper()
	resp, err := http.Get("http://" + s.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum, found := int64(0), 0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "sallyport_ledger_scans_waiting" && name != "sallyport_ledger_scans_claimed" {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum, found = sum+int64(n), found+1
	}
	if found != 2 {
		t.Fatal("the metrics do not tell how long the queue is")
	}
	return sum
}

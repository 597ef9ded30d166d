package pipeline_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
	"sallyport/scanner/inspect"
)

// BenchmarkInline writes 256 MiB to a bucket that scans inline with a real clamd, and has
// clamd scan the same alone. Their quotient is "of-clamd": 1 is no time lost.
func BenchmarkInline(b *testing.B) {
	const size = 256 << 20
	daemon := clamdtest.Start(b, "StreamMaxLength 512M", "MaxFileSize 512M", "MaxScanSize 512M")
	e, err := clamd.New(clamd.Config{
		Address: daemon.Unix, Limits: clamd.Limits{StreamMaxLength: 512 << 20, MaxFileSize: 512 << 20, MaxScanSize: 512 << 20}, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	panel := scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}}, Malware: []scanner.Engine{e}, Now: time.Now})
	r := newRig(b, func(c *pipeline.Config) { c.Judge = scanner.NewInline(scanner.InlineConfig{Panel: panel}) })
	r.bucket("bench")
	data, err := io.ReadAll(io.LimitReader(blobtest.Bytes(1, size), size))
	if err != nil {
		b.Fatal(err)
	}
	alone := func() {
		if result, err := e.Stream(b.Context(), bytes.NewReader(data), size); err != nil || result.Result != registry.VerdictClean {
			b.Fatal(result, err)
		}
	}
	inline := func() {
		if _, err := r.putKey("bench", "k", data); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(size)
	var spent [2]time.Duration
	var fresh uint64
	for b.Loop() {
		for i, work := range []func(){alone, inline} {
			fresh++ // clamd remembers what was clean
			binary.BigEndian.PutUint64(data, fresh)
			start := time.Now()
			work()
			spent[i] += time.Since(start)
		}
	}
	b.ReportMetric(spent[0].Seconds()/spent[1].Seconds(), "of-clamd")
	b.ReportMetric(float64(size)*float64(b.N)/1e6/spent[1].Seconds(), "inline-MB/s")
}

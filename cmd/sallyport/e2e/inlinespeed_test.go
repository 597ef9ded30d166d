//go:build soak

package e2e_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
)

// TestInlineSpeed compares a write that is inspected on its way with clamd alone.
func TestInlineSpeed(t *testing.T) {
	const size = 256 << 20
	daemon := clamdtest.Start(t, "StreamMaxLength 1G", "MaxFileSize 1G", "MaxScanSize 2G")
	s := serve(t, disk{}, "SCANNER_CLAMD_ADDR="+daemon.Unix,
		"SCANNER_CLAMD_STREAM_MAX_LENGTH=1GiB", "SCANNER_CLAMD_MAX_FILE_SIZE=1GiB", "SCANNER_CLAMD_MAX_SCAN_SIZE=2GiB")
	s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct"}, nil)
	alone, err := clamd.New(clamd.Config{
		Address: daemon.Unix, Now: time.Now, Limits: clamd.Limits{StreamMaxLength: 1 << 30, MaxFileSize: 1 << 30, MaxScanSize: 2 << 30},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	own, put := time.Hour, time.Hour
	for i := range uint64(3) { // in turn, since a machine may have other work at times
		// Content that clamd has not seen: it knows again what it has found clean.
		data := noise(100+i, size)
		start := time.Now()
		r, err := alone.Stream(t.Context(), bytes.NewReader(data), size)
		if err != nil || r.Result != registry.VerdictClean {
			t.Fatalf("%+v, %v", r, err)
		}
		own = min(own, time.Since(start))

		data = noise(200+i, size)
		start = time.Now()
		a, err := s.root.object("PUT", "/direct/large.bin", "", data, http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}})
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("PUT: %s, %v", a, err)
		}
		put = min(put, time.Since(start))
	}
	ratio := own.Seconds() / put.Seconds()
	t.Logf("256 MiB: clamd alone %.2fs, PUT %.2fs, ratio %.2f", own.Seconds(), put.Seconds(), ratio)
	if ratio < 0.8 {
		t.Errorf("inline inspection has %.2f of clamd's own speed, want 0.8", ratio)
	}
}

package registry_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry"
)

// gauge reads one of the ledger's gauges.
func (h *house) gauge(name string) float64 {
	h.Helper()
	all := prometheus.NewRegistry()
	all.MustRegister(h.Metrics()...)
	families, err := all.Gather()
	h.must(err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	h.Fatalf("there is no %s", name)
	return 0
}

// The age of the queue is that of what waits longest, also while an engine is down.
func TestAgeOfTheScanQueue(t *testing.T) {
	h := newHouse(t)
	const name = "ledger_scan_oldest_seconds"
	if age := h.gauge(name); age != 0 {
		t.Errorf("an empty queue is %v s old", age)
	}
	first := h.put(files, "a", "x").ID
	h.time.pass(time.Hour)
	h.put(files, "b", "x")
	if age := h.gauge(name); age != 3600 {
		t.Errorf("waiting: %v s, want 3600", age)
	}
	for range 3 {
		c, err := h.ClaimScan(h.ctx(), "w", time.Minute)
		h.must(err)
		h.time.pass(time.Second)
		h.must(h.PauseScan(h.ctx(), c))
	}
	if age := h.gauge(name); age != 3603 {
		t.Errorf("paused: %v s, want 3603", age)
	}
	for range 2 {
		c, err := h.ClaimScan(h.ctx(), "w", time.Hour)
		h.must(err)
		if c.Object.ID != first {
			continue // it keeps the other
		}
		_, err = h.SettleScan(h.ctx(), c, registry.Verdict{Result: registry.VerdictInfected}, "")
		h.must(err)
	}
	if age := h.gauge(name); age != 3 {
		t.Errorf("claimed: %v s, want 3", age)
	}
}

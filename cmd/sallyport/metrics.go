package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metricsPrefix begins the name of each metric that is ours.
const metricsPrefix = "sallyport_"

// collector is a part that has metrics.
type collector interface {
	Metrics() []prometheus.Collector
}

// gather registers the parts' metrics under our prefix, beside those of the Go
// runtime and the process.
func gather(parts ...collector) (prometheus.Gatherer, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	prefixed := prometheus.WrapRegistererWithPrefix(metricsPrefix, registry)
	for _, part := range parts {
		for _, metric := range part.Metrics() {
			if err := prefixed.Register(metric); err != nil {
				return nil, err
			}
		}
	}
	return registry, nil
}

// ledgerMetrics measures the ledger's commits: one flush each, for as many
// updates as were waiting.
type ledgerMetrics struct {
	commits prometheus.Histogram
	updates prometheus.Counter
}

func newLedgerMetrics() *ledgerMetrics {
	return &ledgerMetrics{
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ledger_commit_duration_seconds", Help: "Time to write and flush one group of updates.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		updates: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ledger_updates_total", Help: "Updates committed.",
		}),
	}
}

// observe runs on the committer and must be quick.
func (m *ledgerMetrics) observe(took time.Duration, updates int) {
	m.commits.Observe(took.Seconds())
	m.updates.Add(float64(updates))
}

// Metrics makes it a collector.
func (m *ledgerMetrics) Metrics() []prometheus.Collector {
	return []prometheus.Collector{m.commits, m.updates}
}

package scanner

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	settled *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scans_total",
			Help: "Objects taken from the scan queue, by how the scan ended.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "scan_seconds",
			Help:    "Time one engine took over one object.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"engine"}),
	}
}

// Metrics returns the worker's collectors, without a prefix.
func (w *Worker) Metrics() []prometheus.Collector {
	return []prometheus.Collector{w.m.settled, w.m.seconds}
}

package scanner

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	settled *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scans_total",
			Help: "Objects taken from the scan queue, by how the scan ended.",
		}, []string{"outcome"}),
	}
}

type panelMetrics struct {
	seconds  *prometheus.HistogramVec
	verdicts *prometheus.CounterVec
}

func newPanelMetrics() *panelMetrics {
	return &panelMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "scan_seconds",
			Help:    "Time one engine took over one object.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"engine"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scan_verdicts_total",
			Help: "What engines said of objects, by engine and result.",
		}, []string{"engine", "result"}),
	}
}

// Metrics returns the collectors of the worker and of its panel, without a prefix.
func (w *Worker) Metrics() []prometheus.Collector {
	return append(w.cfg.Panel.Metrics(), w.m.settled)
}

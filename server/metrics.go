package server

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one listener. Every label comes from a closed set.
type metrics struct {
	requests  *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	refusals  *prometheus.CounterVec
	received  prometheus.Counter
	sent      prometheus.Counter
	rejected  prometheus.Counter
	panics    prometheus.Counter
	open      prometheus.GaugeFunc
	lingering prometheus.GaugeFunc
	busy      prometheus.GaugeFunc

	inFlight atomic.Int64
}

func newMetrics(l *Listener) *metrics {
	label := prometheus.Labels{"listener": l.cfg.Name}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: label})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: label}, labels)
	}
	gauge := func(name, help string, f func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: label}, f)
	}
	m := &metrics{
		requests: vector("http_requests_total", "Exchanges by operation and class of status.", "op", "class"),
		refusals: vector("http_refusals_total", "Exchanges that were not done, by reason.", "reason"),
		received: counter("http_received_bytes_total", "Body bytes received."),
		sent:     counter("http_sent_bytes_total", "Body bytes sent."),
		rejected: counter("http_rejected_connections_total", "Connections turned away at the limit."),
		panics:   counter("http_panics_total", "Panics recovered."),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "From the header's arrival to the answer's last byte.",
			ConstLabels: label,
			Buckets:     []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"op"}),
	}
	m.open = gauge("http_connections", "Open connections.", func() float64 { return float64(l.open()) })
	m.lingering = gauge("http_lingering_connections", "Connections that discard an unread body.",
		func() float64 { return float64(len(l.lingering)) })
	m.busy = gauge("http_requests_in_flight", "Exchanges under way.", func() float64 { return float64(m.inFlight.Load()) })
	return m
}

// Metrics returns the listener's collectors. They carry the listener's name as a
// label, so that those of several listeners can be registered side by side.
func (l *Listener) Metrics() []prometheus.Collector {
	m := l.metrics
	return []prometheus.Collector{
		m.requests, m.latency, m.refusals, m.received, m.sent, m.rejected, m.panics, m.open, m.lingering, m.busy,
	}
}

func (m *metrics) observe(e *Exchange) {
	m.inFlight.Add(-1)
	m.requests.WithLabelValues(e.op(), strconv.Itoa(e.Status/100)+"xx").Inc()
	m.latency.WithLabelValues(e.op()).Observe(e.Duration.Seconds())
	m.received.Add(float64(e.BytesIn))
	m.sent.Add(float64(e.BytesOut))
	if e.Reason != "" {
		m.refusals.WithLabelValues(e.Reason).Inc()
	}
}

package hooks

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	tries   *prometheus.CounterVec
	dead    prometheus.Counter
	took    prometheus.Histogram
	running prometheus.Collector
}

// delivered is the outcome of a try that succeeded, beside the causes of those that
// did not.
const delivered = "delivered"

func newMetrics(running func() float64) *metrics {
	return &metrics{
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webhook_tries_total", Help: "Tries to send a message to a webhook, by what became of them."}, []string{"outcome"}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "webhook_dead_total", Help: "Messages to webhooks that were given up after their last try."}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "webhook_try_duration_seconds", Help: "Time that a try took, whatever became of it.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12)}),
		running: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "webhooks_sending", Help: "Webhooks that a message is being sent to."}, running),
	}
}

func (m *metrics) observe(a answer, took time.Duration) {
	outcome := a.cause
	if outcome == "" {
		outcome = delivered
	}
	m.tries.WithLabelValues(outcome).Inc()
	m.took.Observe(took.Seconds())
}

// Metrics returns the dispatcher's collectors, without a prefix. What waits and what is
// dead in the ledger are the ledger's.
func (d *Dispatcher) Metrics() []prometheus.Collector {
	return []prometheus.Collector{d.metrics.tries, d.metrics.dead, d.metrics.took, d.metrics.running}
}

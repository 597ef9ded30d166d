package sandbox

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts children.
type metrics struct {
	starts prometheus.Counter
	killed *prometheus.CounterVec
}

func newMetrics() metrics {
	m := metrics{
		starts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sandbox_starts_total", Help: "Child processes started."}),
		killed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandbox_killed_total", Help: "Child processes ended over an object, by reason."}, []string{"reason"}),
	}
	for _, reason := range []string{ReasonTimeout, ReasonMemory, ReasonCPU, ReasonFiles, ReasonCrash, ReasonOutput} {
		m.killed.WithLabelValues(reason)
	}
	return m
}

// ended counts an end, if that is what an error tells of.
func (m metrics) ended(err error) {
	var killed *Killed
	if errors.As(err, &killed) {
		m.killed.WithLabelValues(killed.Reason).Inc()
	}
}

// Metrics returns the pool's collectors, without a prefix.
func (p *Pool) Metrics() []prometheus.Collector {
	return []prometheus.Collector{p.metrics.starts, p.metrics.killed}
}

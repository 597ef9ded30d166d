package clamd

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	engine   *Engine
	sessions prometheus.Counter
	bytes    prometheus.Counter
	busy     prometheus.GaugeFunc

	info, age *prometheus.Desc
}

func newMetrics(e *Engine) *metrics {
	return &metrics{
		engine: e,
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clamd_sessions_total", Help: "Connections made to clamd.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clamd_sent_bytes_total", Help: "Content sent to clamd.",
		}),
		busy: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "clamd_streams", Help: "Streams that clamd is looking at.",
		}, func() float64 { return float64(len(e.pool.slots)) }),
		info: prometheus.NewDesc("clamd_info", "1, with clamd's version and that of its signature database.", []string{"version"}, nil),
		age:  prometheus.NewDesc("clamd_database_age_seconds", "Age of clamd's signature database.", nil, nil),
	}
}

// Describe implements prometheus.Collector, for what clamd says of itself.
func (m *metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.info
	c <- m.age
}

// Collect implements prometheus.Collector. What clamd has not said yet is left out.
func (m *metrics) Collect(c chan<- prometheus.Metric) {
	v := m.engine.known()
	if v.Engine == "" {
		return
	}
	c <- prometheus.MustNewConstMetric(m.info, prometheus.GaugeValue, 1, v.String())
	if age, ok := m.engine.Age(); ok {
		c <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, age.Seconds())
	}
}

// Metrics returns the engine's collectors, without a prefix.
func (e *Engine) Metrics() []prometheus.Collector {
	return []prometheus.Collector{e.m.sessions, e.m.bytes, e.m.busy, e.m}
}

package icap

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	connections prometheus.Counter
	bytes       prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		connections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "icap_connections_total", Help: "Connections made to the ICAP service.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "icap_sent_bytes_total", Help: "Content sent to the ICAP service.",
		}),
	}
}

// Metrics returns the engine's collectors, without a prefix.
func (e *Engine) Metrics() []prometheus.Collector {
	return []prometheus.Collector{e.m.connections, e.m.bytes}
}

package registry

import (
	"context"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry/kv"
)

// accessMetrics counts what the access log does.
type accessMetrics struct {
	blocks, bytes, records, waits, lost prometheus.Counter
}

func newAccessMetrics() accessMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return accessMetrics{
		blocks:  counter("audit_access_blocks_total", "Blocks of access records written."),
		bytes:   counter("audit_access_block_bytes_total", "Bytes of the blocks written, compressed."),
		records: counter("audit_access_records_total", "Access records written."),
		waits:   counter("audit_access_waits_total", "Requests that waited because the buffer of access records was full."),
		lost:    counter("audit_access_lost_total", "Access records that could not be kept."),
	}
}

// collectors returns the metrics of the audit log and its access records.
func (a *auditLog) collectors() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	l := a.access
	return []prometheus.Collector{
		l.count.blocks, l.count.bytes, l.count.records, l.count.waits, l.count.lost,
		gauge("audit_tree_size", "Leaves of the audit log.", func() float64 {
			return a.measure(auditSize)
		}),
		gauge("audit_signed_size", "Leaves that the last signed head covers.", func() float64 {
			return a.measure(func(tx kv.Reader) (uint64, error) {
				c, _, err := a.lastHead(tx)
				return c.Size, err
			})
		}),
		gauge("audit_access_buffered", "Access records in memory, waiting to be written.", func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return float64(len(l.pending) + l.inFlight + len(l.refused))
		}),
	}
}

// measure reads one number for a gauge; NaN says that it cannot be read.
func (a *auditLog) measure(read func(kv.Reader) (uint64, error)) float64 {
	var n uint64
	err := a.store.View(context.Background(), func(tx kv.Tx) (err error) {
		n, err = read(tx)
		return err
	})
	if err != nil {
		return math.NaN()
	}
	return float64(n)
}

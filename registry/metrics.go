package registry

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry/kv"
)

// metrics counts the steps that were committed; what lies in the ledger is
// measured when it is asked for.
type metrics struct {
	steps *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{steps: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ledger_steps_total", Help: "Committed steps of uploads and objects, by step and the state they led to.",
	}, []string{"step", "to"})}
}

func (m *metrics) count(steps []transition) {
	for _, s := range steps {
		m.steps.WithLabelValues(string(s.step), s.to).Inc()
	}
}

// Metrics returns the ledger's collectors, without a prefix.
func (l *Ledger) Metrics() []prometheus.Collector {
	gauge := func(name, help string, table kv.Table) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return l.measure(table) })
	}
	return slices.Concat(l.auditLog.collectors(), []prometheus.Collector{
		l.metrics.steps,
		gauge("ledger_scans_waiting", "Objects in the scan queue, due or not.", tScanDue),
		gauge("ledger_scans_claimed", "Objects that a worker has claimed.", tScanClaims),
		gauge("ledger_rescans", "Published objects that wait to be inspected again, or are.", tRescans),
		gauge("ledger_rejected_kept", "Rejected objects whose bytes are kept for review.", tRejected),
		gauge("ledger_promotions", "Objects whose blobs are on the move.", tPromoting),
		gauge("ledger_uploads_open", "Sessions that are neither finalized nor over.", tUploadExpiry),
		gauge("ledger_objects_unpublished", "Objects that are pending, quarantined, scanning or rejected.", tObjectStates),
		gauge("ledger_intents", "Registered keys that no row refers to yet.", tIntents),
		gauge("ledger_garbage", "Blobs that wait to be deleted.", tGarbage),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ledger_scan_oldest_seconds", Help: "How long the object has waited for its first verdict that has waited longest; 0 if none does.",
		}, func() float64 { return l.oldestScan().Seconds() }),
		gauge("ledger_webhook_retries", "Messages to webhooks that wait for another try.", tWebhookDue),
		gauge("ledger_webhook_letters", "Messages to webhooks that were tried and not delivered, those that were given up included.", tWebhookMessages),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ledger_clock_jump_seconds", Help: "How far the wall clock leapt ahead; expiry and sweeps wait while it is not 0.",
		}, func() float64 { return l.ClockJump().Seconds() }),
	})
}

// measureLimit bounds what one scrape walks; a table that holds more shows as
// this many.
const measureLimit = 200_000

func (l *Ledger) measure(table kv.Table) float64 {
	n := 0
	err := l.view(context.Background(), func(t *txn) error {
		n = 0
		return t.Scan(table, kv.Range{}, func(_, _ []byte) error {
			if n++; n == measureLimit {
				return kv.Stop
			}
			return nil
		})
	})
	if err != nil {
		return 0
	}
	return float64(n)
}

// oldestLimit bounds how many rows oldestScan reads of each table. Those that were
// retried stand further behind than they should.
const oldestLimit = 1000

// oldestScan returns how long ago the first of the objects was accepted that wait for a
// verdict. Not by when they are due: an engine that is down moves that on.
func (l *Ledger) oldestScan() time.Duration {
	var oldest, now time.Time
	err := l.view(context.Background(), func(t *txn) error {
		oldest, now = time.Time{}, t.now
		for _, table := range []kv.Table{tScanDue, tScanClaims} {
			if err := t.oldestOf(table, &oldest); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(oldest))
}

func (t *txn) oldestOf(table kv.Table, oldest *time.Time) error {
	n := 0
	return t.Scan(table, kv.Range{}, func(key, _ []byte) error {
		_, tenant, id := untimed(key)
		o, err := t.object(tenant, ObjectID(id))
		if err != nil {
			return err
		}
		first := o.State == ObjectQuarantined || o.State == ObjectScanning
		if first && (oldest.IsZero() || o.ModifiedAt.Before(*oldest)) {
			*oldest = o.ModifiedAt
		}
		if n++; n == oldestLimit {
			return kv.Stop
		}
		return nil
	})
}

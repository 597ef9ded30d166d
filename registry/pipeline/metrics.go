package pipeline

import (
	"errors"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/policy"
)

type metrics struct {
	issued    *prometheus.CounterVec
	transfers *prometheus.CounterVec
	refused   *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	backend   *prometheus.CounterVec
	promoted  *prometheus.CounterVec
	swept     *prometheus.CounterVec
	cut       prometheus.Counter
}

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return &metrics{
		issued:    vec("urls_issued_total", "Signed URLs issued.", "op"),
		transfers: vec("transfers_total", "Bodies moved, by kind and how it ended.", "kind", "outcome"),
		refused:   vec("refusals_total", "Requests refused, by what was asked and why.", "kind", "reason"),
		bytes:     vec("transfer_bytes_total", "Bytes of bodies moved.", "direction"),
		backend:   vec("backend_errors_total", "Errors of the store of bytes.", "op"),
		promoted:  vec("promotions_total", "Promotions, by how they ended.", "outcome"),
		swept:     vec("swept_total", "Leftovers dealt with by sweeps.", "kind"),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "transfers_cut_total", Help: "Running transfers ended by a revocation."}),
	}
}

// Metrics returns the pipeline's collectors, without a prefix. States and queue
// depths are the ledger's.
func (p *Pipeline) Metrics() []prometheus.Collector {
	return []prometheus.Collector{
		p.m.issued, p.m.transfers, p.m.refused, p.m.bytes, p.m.backend, p.m.promoted, p.m.swept, p.m.cut,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "transfers_running", Help: "Bodies being moved."},
			func() float64 { return float64(p.transfers.count()) }),
	}
}

// reasons gives each class of error its word. The first that matches counts.
var reasons = []struct {
	err  error
	word string
}{
	{policy.ErrForbidden, "forbidden"},
	{policy.ErrTypeNotAllowed, "type"},
	{policy.ErrSizeNotAllowed, "size"},
	{policy.ErrInvalidTTL, "ttl"},
	{policy.ErrTarget, "target"},
	{policy.ErrInvalid, "invalid"},
	{registry.ErrMarker, "marker"},
	{registry.ErrNoUpload, "no_upload"},
	{registry.ErrNotFound, "not_found"},
	{registry.ErrUploadNotReceived, "not_received"},
	{registry.ErrUploadAlreadyReceived, "already_received"},
	{registry.ErrUploadInProgress, "in_progress"},
	{registry.ErrUploadFinalized, "finalized"},
	{registry.ErrUploadExpired, "session_expired"},
	{registry.ErrUploadAborted, "aborted"},
	{registry.ErrChecksumMismatch, "checksum"},
	{registry.ErrNotPublished, "not_published"},
	{registry.ErrHeld, "held"},
	{ErrNoInline, "no_inline"},
	{registry.ErrLocked, "locked"},
	{registry.ErrPart, "part"},
	{registry.ErrPartOrder, "part"},
	{registry.ErrPartTooSmall, "part"},
	{registry.ErrPartConflict, "part"},
	{registry.ErrURLUsed, "url_used"},
	{registry.ErrNotConfigured, "not_configured"},
	{registry.ErrConflict, "conflict"},
	{registry.ErrGrantRevoked, "url_revoked"},
	{registry.ErrGrantSuperseded, "url_superseded"},
	{registry.ErrGrantExpired, "url_expired"},
	{registry.ErrFenced, "fenced"},
	{registry.ErrPrecondition, "precondition"},
	{registry.ErrIdempotencyConflict, "idempotency"},
	{registry.ErrRevoked, "credential_revoked"},
	{registry.ErrTenantSuspended, "tenant_suspended"},
	{registry.ErrStorageFull, "no_space"},
	{registry.ErrInvalid, "invalid"},
	{ErrSelfCopy, "self_copy"},
	{ErrPartNumber, "part"},
	{ErrChecksumAlgorithm, "digest"},
	{ErrRange, "range"},
	{ErrMissingLength, "length"},
	{ErrTooLong, "length"},
	{ErrTooShort, "length"},
	{ErrContentType, "type"},
	{ErrInvalidDigest, "digest"},
	{ErrBadDigest, "digest"},
	{ErrPayloadMismatch, "digest"},
	{ErrIncompleteBody, "incomplete"},
	{ErrInfected, "infected"},
	{ErrRefused, "refused"},
	{ErrScanIncomplete, "scan_incomplete"},
	{ErrScanDown, "scan_down"},
	{ErrCut, "cut"},
	{ErrTooManyWatches, "too_many"},
	{ErrNoSpace, "no_space"},
	{ErrBytesMissing, "bytes_missing"},
	{blob.ErrUnavailable, "backend"},
	{blob.ErrCorrupt, "backend"},
	{io.ErrUnexpectedEOF, "incomplete"},
}

func reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "other"
}

// refuse counts an error that was the answer to a request; it returns it.
func (p *Pipeline) refuse(kind string, err error) error {
	if err != nil {
		p.m.refused.WithLabelValues(kind, reason(err)).Inc()
	}
	return err
}

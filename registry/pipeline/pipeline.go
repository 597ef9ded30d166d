package pipeline

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/policy"
)

// Config is what a Pipeline is made of. Ledger, Blobs and Now are required.
type Config struct {
	Ledger *registry.Ledger
	Blobs  blob.Store
	Limits policy.Limits // the zero value is policy.Defaults()
	Now    func() time.Time
	Log    *slog.Logger // nil discards

	// Detect returns the media type of content by its first bytes, and Lineage
	// a type's ancestors as policy.Content wants them; both are those of
	// scanner/inspect. Without Detect, direct writes have no detected type;
	// without Lineage only equal types match.
	Detect  func(head []byte) string
	Lineage func(mediaType string) []string

	// Judge inspects what is written to buckets that scan inline; nil has built-in
	// inspection only.
	Judge Judge
	// KeepRejected is how long rejected bytes are kept where the bucket does not say.
	// 0 is for ever.
	KeepRejected time.Duration
	// Signatures returns the version of each malware engine's signatures; when one
	// changes, everything published is inspected again. nil does not look.
	Signatures func(context.Context) (map[string]string, error)
	// RescanEvery is how often everything published is inspected again in any case. 0
	// is never.
	RescanEvery time.Duration
	// RescanCheck is how often Run looks at the two. 0 is 1 min.
	RescanCheck time.Duration
	// ScannerRequired queues what is written to direct buckets for the scan
	// worker, too: nothing is published that only built-in inspection saw.
	ScannerRequired bool

	// Targets are where webhooks may be sent.
	Targets policy.Targets

	// MinFree is the room, in bytes, that new bodies must leave in a store
	// that knows its own.
	MinFree uint64
	// SpoolDir is where bodies of unknown length are written to, for this process
	// alone; it is made when it is needed. "" is the system's own.
	SpoolDir string
	// SpoolFree returns how many bytes can still be written there; MinFree holds
	// there, too. nil does not look.
	SpoolFree func() (uint64, error)
	// Lease is how long the ledger lets an attempt keep its turn; it is
	// renewed at a third of it while bytes move. 0 is 1 min.
	Lease time.Duration
	// Linger is how long bytes whose Put ended with an unknown outcome are
	// left alone before they are deleted, so that what the store still does
	// with them comes first. 0 is 1 min.
	Linger time.Duration
	// SweepEvery and PromoteEvery are the periods of Run. 0 is 1 min and 5 s.
	SweepEvery   time.Duration
	PromoteEvery time.Duration
	// RotateEvery is how old a tenant's URL signing key gets; Run looks at 24 times
	// in that time. 0 is 24 h.
	RotateEvery time.Duration
	// LifecycleEvery is how often Run carries out the buckets' lifecycle rules. 0 is
	// 1 h.
	LifecycleEvery time.Duration
	// Promoters is how many objects are promoted at once. 0 is 4.
	Promoters int
}

// Pipeline moves uploads and objects. Its methods are safe for concurrent use.
type Pipeline struct {
	cfg       Config
	ledger    *registry.Ledger
	limits    policy.Limits
	log       *slog.Logger
	transfers transfers
	watches   watches
	unsettled unsettled
	owed      owed
	lanes     lanes
	promoting inFlight[registry.ObjectID]
	rescans   atomic.Bool // a run of them may be under way
	setbacks  setbacks
	nudge     chan struct{} // wakes the sweep of Run
	queued    func()        // see OnQueued
	m         *metrics
}

// New returns a pipeline that does nothing by itself: Recover once and Run are
// the caller's to call.
func New(cfg Config) *Pipeline {
	if cfg.Limits == (policy.Limits{}) {
		cfg.Limits = policy.Defaults()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&cfg.Lease, time.Minute},
		{&cfg.Linger, time.Minute},
		{&cfg.SweepEvery, time.Minute},
		{&cfg.PromoteEvery, 5 * time.Second},
		{&cfg.RescanCheck, time.Minute},
		{&cfg.RotateEvery, 24 * time.Hour},
		{&cfg.LifecycleEvery, time.Hour},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if cfg.Promoters == 0 {
		cfg.Promoters = 4
	}
	p := &Pipeline{
		cfg: cfg, ledger: cfg.Ledger, limits: cfg.Limits, log: cfg.Log,
		nudge: make(chan struct{}, 1), queued: func() {}, m: newMetrics(),
	}
	p.lanes.free.Store(int64(runtime.GOMAXPROCS(0)))
	return p
}

// OnQueued sets what to call, without blocking, when an object was queued for
// its scan: the scan worker's Wake. Call it before anything else.
func (p *Pipeline) OnQueued(wake func()) { p.queued = wake }

// sweepSoon makes Run sweep without waiting for its ticker.
func (p *Pipeline) sweepSoon() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

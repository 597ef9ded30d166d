package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
	"sallyport/server"
	"sallyport/server/hooks"
)

// startService opens everything, serves, and begins what goes on in the
// background. On an error nothing is left running.
func startService(ctx context.Context, cfg config.Config, log *slog.Logger, now func() time.Time) (*service, error) {
	s := &service{cfg: cfg, log: log, failed: make(chan error, 3)}
	commits := newLedgerMetrics()
	var err error
	if s.node, err = openNode(ctx, cfg, log, now, commits); err != nil {
		return nil, err
	}
	if err := s.start(ctx, commits, now); err != nil {
		return nil, errors.Join(err, s.stop(nil))
	}
	return s, nil
}

func (s *service) start(ctx context.Context, commits *ledgerMetrics, now func() time.Time) (err error) {
	if s.credentials, err = bootstrap(ctx, s.cfg, s.node.ledger); err != nil {
		return err
	}
	if s.engines, err = newEngines(s.cfg, s.log, now); err != nil {
		return err
	}
	moves := newPipeline(s, now)
	worker := scanner.NewWorker(scanner.Config{
		Queue: moves, Panel: s.engines.panel, Workers: s.cfg.ScannerWorkers, Now: now, Log: s.log,
	})
	moves.OnQueued(worker.Wake)
	s.hooks = hooks.New(hooks.Config{Ledger: s.node.ledger, Targets: webhookTargets(s.cfg), Now: now, Log: s.log})
	if err := s.listen(moves, worker, commits, now); err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.background.Go(func() { s.ensureBucket(background) })
	s.background.Go(func() {
		// What an earlier process left. Clients need not wait for it, and a
		// backend that is down must not keep the server from starting.
		if err := moves.Recover(background); err != nil && background.Err() == nil {
			s.log.Warn("recovery is not complete, it goes on in the background", "err", err)
		}
		moves.Run(background)
	})
	s.background.Go(func() { worker.Run(background) })
	s.background.Go(func() { s.hooks.Run(background) })
	s.background.Go(func() { s.engines.watchAge(background, now) })
	s.warn()
	return nil
}

// bucketEvery is how long to wait for a backend between two tries to make its
// bucket.
const bucketEvery = 3 * time.Second

// ensureBucket makes the backend's bucket if there is none, as soon as the
// backend answers: it may be started after us. Whoever may not make it is told
// once; readiness tells the rest.
func (s *service) ensureBucket(ctx context.Context) {
	backend, ok := s.node.blobs.(interface {
		EnsureBucket(context.Context) error
	})
	if !ok {
		return
	}
	again := time.NewTicker(bucketEvery)
	defer again.Stop()
	for told := false; ; {
		err := backend.EnsureBucket(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !told {
			told = true
			s.log.Warn("the backend's bucket cannot be used yet; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

func newPipeline(s *service, now func() time.Time) *pipeline.Pipeline {
	limits := policy.Defaults()
	limits.SessionTTL = s.cfg.UploadsSessionTTL
	limits.PutURLTTL = s.cfg.UploadsPutURLTTL
	limits.GetURLTTL = s.cfg.DownloadsURLTTL
	limits.PresignMaxTTL = s.cfg.PresignMaxTTL
	limits.MaxSize = int64(s.cfg.UploadsMaxSize)
	var signatures func(context.Context) (map[string]string, error)
	if s.cfg.ScannerRescanOnUpdate && s.engines.inline.Malware() {
		signatures = s.engines.signatures
	}
	return pipeline.New(pipeline.Config{
		Ledger: s.node.ledger, Blobs: s.node.blobs, Limits: limits, Now: now, Log: s.log,
		Detect: inspect.Detect, Lineage: inspect.Lineage,
		ScannerRequired: s.cfg.ScannerRequired,
		Judge:           s.engines.inline,
		KeepRejected:    s.cfg.ScannerKeepRejected,
		Signatures:      signatures,
		RescanEvery:     s.cfg.ScannerRescanEvery,
		MinFree:         uint64(s.cfg.DataMinFree),
		SpoolDir:        filepath.Join(s.cfg.DataDir, spoolDir),
		SpoolFree:       func() (uint64, error) { return freeSpace(s.cfg.DataDir) },
		LifecycleEvery:  s.cfg.LifecycleEvery,
		Targets:         webhookTargets(s.cfg),
	})
}

func webhookTargets(cfg config.Config) policy.Targets {
	return policy.Targets{Hosts: cfg.WebhooksAllowHosts, Networks: cfg.WebhookNetworks()}
}

// checks is what readiness depends on: ledger and backend. Without the rest the
// server is degraded.
func (s *service) checks(worker *scanner.Worker) []server.Check {
	return []server.Check{
		{Name: "ledger", Importance: server.Essential, Probe: func(ctx context.Context) error {
			_, err := s.node.ledger.Bucket(ctx, registry.DefaultTenant, registry.DefaultBucket)
			return err
		}},
		{Name: "backend", Importance: server.Essential, Probe: s.node.blobs.Check},
		{Name: "scanner", Importance: server.Helpful, Probe: func(context.Context) error {
			if worker.Down() || s.engines.inline.Down() {
				return scanner.ErrDown
			}
			return nil
		}},
		{Name: "clock", Importance: server.Helpful, Probe: func(context.Context) error {
			if s.node.ledger.ClockJump() != 0 {
				return registry.ErrClockJumped
			}
			return nil
		}},
		{Name: "space", Importance: server.Helpful, Probe: func(context.Context) error {
			free, err := freeSpace(s.cfg.DataDir)
			if err == nil && free < uint64(s.cfg.DataMinFree) {
				err = registry.ErrStorageFull
			}
			return err
		}},
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/cmd/sallyport/config"
	"sallyport/scanner"
	"sallyport/scanner/archive"
	"sallyport/scanner/clamd"
	"sallyport/scanner/exec"
	"sallyport/scanner/filetype"
	"sallyport/scanner/icap"
	"sallyport/scanner/image"
	"sallyport/scanner/inspect"
	"sallyport/scanner/sandbox"
)

// engines is what inspects objects, and what that is made of.
type engines struct {
	cfg   config.Config
	log   *slog.Logger
	pool  *sandbox.Pool
	clamd *clamd.Engine // nil without one
	icap  *icap.Engine  // nil without one
	exec  *exec.Engine  // nil without one
	// commands is where exec runs, nil without one.
	commands *sandbox.Pool

	panel  *scanner.Panel
	inline *scanner.Inline
}

// malwareEngine is an engine that looks for malware.
type malwareEngine interface {
	scanner.Engine
	scanner.Streamer
}

// newEngines puts the configured engines together. They connect, and start children, when
// they are asked something.
func newEngines(cfg config.Config, log *slog.Logger, now func() time.Time) (*engines, error) {
	e := &engines{cfg: cfg, log: log, pool: newSandbox(cfg, log, now)}
	malware, err := e.malware(now)
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	spool := filepath.Join(cfg.DataDir, spoolDir)
	var looking []scanner.Engine
	var hearing []scanner.Streamer
	for _, m := range malware {
		looking, hearing = append(looking, m), append(hearing, m)
	}
	e.panel = scanner.NewPanel(scanner.PanelConfig{
		Inspect: []scanner.Engine{
			&inspect.Engine{},
			filetype.New(e.pool),
			archive.New(archive.Config{Runner: e.pool, Malware: hearing, SpoolDir: spool, Now: now}),
			image.New(image.Config{Runner: e.pool, SpoolDir: spool}),
		},
		Malware: looking, Required: cfg.ScannerRequired, SpoolDir: spool, Now: now, Log: log,
	})
	e.inline = scanner.NewInline(scanner.InlineConfig{Panel: e.panel, Streams: bodies(cfg)})
	return e, nil
}

// icapConnections is how many files are sent to an ICAP service at the same time.
const icapConnections = 16

// bodies is how many bodies are heard on their way from clients, who may be slow: half of
// what each engine can hear at a time is left for the queue.
func bodies(cfg config.Config) int {
	n := 16
	if cfg.ScannerClamdAddr != "" {
		n = min(n, cfg.ScannerClamdSessions/2)
	}
	if cfg.ScannerICAPURL != "" {
		n = min(n, icapConnections/2)
	}
	if n == 0 {
		return scanner.NoStreams
	}
	return n
}

// sandboxed is the command that starts a child: this very program, even after the file it was
// started from has been replaced.
func sandboxed() []string { return []string{"/proc/self/exe", sandboxName} }

// newSandbox returns the children that parse.
func newSandbox(cfg config.Config, log *slog.Logger, now func() time.Time) *sandbox.Pool {
	return sandbox.NewPool(sandbox.Config{
		Command: sandboxed(), Workers: cfg.ScannerSandboxWorkers,
		Limits: sandbox.Limits{Memory: int64(cfg.ScannerSandboxMemory), Wall: cfg.ScannerSandboxTimeout},
		Now:    now, Log: log,
	})
}

// malware makes the configured engines that look for malware, in the order in which they are
// asked.
func (e *engines) malware(now func() time.Time) (all []malwareEngine, err error) {
	if e.cfg.ScannerClamdAddr != "" {
		e.clamd, err = clamd.New(clamd.Config{
			Address: e.cfg.ScannerClamdAddr, Limits: clamd.Limits{
				StreamMaxLength: int64(e.cfg.ScannerClamdStreamMaxLength), MaxFileSize: int64(e.cfg.ScannerClamdMaxFileSize),
				MaxScanSize: int64(e.cfg.ScannerClamdMaxScanSize), MaxRecursion: e.cfg.ScannerClamdMaxRecursion,
			},
			MaxAge: e.cfg.ScannerMaxDBAge, Timeout: e.cfg.ScannerClamdTimeout, Patience: e.cfg.ScannerClamdPatience,
			Sessions: e.cfg.ScannerClamdSessions,
			Now:      now, Log: e.log,
		})
		if err != nil {
			return nil, fmt.Errorf("scanner.clamd_addr: %w", err)
		}
		all = append(all, e.clamd)
	}
	if e.cfg.ScannerICAPURL != "" {
		e.icap, err = icap.New(icap.Config{
			URL: e.cfg.ScannerICAPURL, MaxSize: int64(e.cfg.ScannerICAPMaxSize), Timeout: e.cfg.ScannerICAPTimeout,
			Connections: icapConnections, Now: now, Log: e.log,
		})
		if err != nil {
			return nil, fmt.Errorf("scanner.icap_url: %w", err)
		}
		all = append(all, e.icap)
	}
	if len(e.cfg.ScannerExecCommand) > 0 {
		if err := e.newCommand(now); err != nil {
			return nil, fmt.Errorf("scanner.exec_command: %w", err)
		}
		all = append(all, e.exec)
	}
	return all, nil
}

// newCommand makes the engine that is a command, with children of its own: its limits are
// not those of parsers.
func (e *engines) newCommand(now func() time.Time) (err error) {
	c := exec.Config{
		Command: e.cfg.ScannerExecCommand, Paths: e.cfg.ScannerExecPaths, Version: e.cfg.ScannerExecVersion,
		MaxSize: int64(e.cfg.ScannerExecMaxSize), SpoolDir: filepath.Join(e.cfg.DataDir, spoolDir), Now: now,
	}
	for _, list := range []struct {
		codes *[]int
		text  []string
	}{
		{&c.Clean, e.cfg.ScannerExecClean}, {&c.Infected, e.cfg.ScannerExecInfected},
		{&c.Incomplete, e.cfg.ScannerExecIncomplete}, {&c.Down, e.cfg.ScannerExecDown},
	} {
		if *list.codes, err = config.ExitCodes(list.text); err != nil {
			return err
		}
	}
	if e.cfg.ScannerExecSignature != "" {
		if c.Signature, err = regexp.Compile(e.cfg.ScannerExecSignature); err != nil {
			return err
		}
	}
	e.commands = sandbox.NewPool(sandbox.Config{
		Command: sandboxed(), Workers: e.cfg.ScannerSandboxWorkers, Unconfined: e.cfg.ScannerExecUnconfined,
		Limits: sandbox.Limits{
			Memory: int64(e.cfg.ScannerExecMemory), CPU: e.cfg.ScannerExecTimeout, Wall: e.cfg.ScannerExecTimeout,
		},
		Now: now, Log: e.log,
	})
	c.Runner = e.commands
	e.exec, err = exec.New(c)
	return err
}

// signatures returns the version of each malware engine and its signatures, by name.
func (e *engines) signatures(ctx context.Context) (map[string]string, error) {
	versions := map[string]string{}
	if e.clamd != nil {
		v, err := e.clamd.Version(ctx)
		if err != nil {
			return nil, err
		}
		versions[e.clamd.Name()] = v.String()
	}
	if e.icap != nil {
		v, err := e.icap.Version(ctx)
		if err != nil {
			return nil, err
		}
		versions[e.icap.Name()] = v
	}
	if e.exec != nil && len(e.cfg.ScannerExecVersion) > 0 {
		v, err := e.exec.Probe(ctx)
		if err != nil {
			return nil, err
		}
		versions[e.exec.Name()] = v
	}
	return versions, nil
}

const (
	// ageEvery is how often clamd is asked for the age of its database, for the metric.
	ageEvery = time.Minute
	// ageAgain is how often an old one is warned about.
	ageAgain = 24 * time.Hour
)

// watchAge warns of an old signature database until ctx ends.
func (e *engines) watchAge(ctx context.Context, now func() time.Time) {
	if e.clamd == nil {
		return
	}
	tick := time.NewTicker(ageEvery)
	defer tick.Stop()
	for warned := (time.Time{}); ; {
		// One that is down is the worker's to tell.
		if v, err := e.clamd.Version(ctx); err == nil {
			if text := oldDatabase(e.cfg, v, now()); text != "" && now().Sub(warned) > ageAgain {
				warned = now()
				e.log.WarnContext(ctx, text)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// oldDatabase says what is wrong with the age of clamd's database, "" if nothing.
func oldDatabase(cfg config.Config, v clamd.Version, now time.Time) string {
	age := now.Sub(v.Built).Round(time.Hour)
	switch {
	case v.Built.IsZero() && cfg.ScannerMaxDBAge > 0:
		return "the age of clamd's signature database is not known: nothing is inspected by it (scanner.max_db_age)"
	case v.Built.IsZero():
		return ""
	case cfg.ScannerMaxDBAge > 0 && age > cfg.ScannerMaxDBAge:
		return fmt.Sprintf("clamd's signature database is %s old: nothing is inspected by it until it is updated (scanner.max_db_age)", age)
	case cfg.ScannerWarnDBAge > 0 && age > cfg.ScannerWarnDBAge:
		return fmt.Sprintf("clamd's signature database is %s old (scanner.warn_db_age)", age)
	}
	return ""
}

// Metrics makes it a collector.
func (e *engines) Metrics() []prometheus.Collector {
	all := append(e.inline.Metrics(), e.pool.Metrics()...)
	if e.clamd != nil {
		all = append(all, e.clamd.Metrics()...)
	}
	if e.icap != nil {
		all = append(all, e.icap.Metrics()...)
	}
	return all
}

// close ends the children and the connections.
func (e *engines) close() error {
	failures := []error{e.pool.Close()}
	if e.commands != nil {
		failures = append(failures, e.commands.Close())
	}
	if e.clamd != nil {
		failures = append(failures, e.clamd.Close())
	}
	return errors.Join(failures...)
}

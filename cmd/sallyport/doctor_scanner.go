package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sallyport/scanner"
)

// probeTimeout bounds how long an engine may take over the archives that doctor makes.
const probeTimeout = 3 * time.Minute

// checkScanner looks at each engine that serve would start with, and at the sandbox.
func (d *doctor) checkScanner(ctx context.Context) {
	e, err := newEngines(d.cfg, slog.New(slog.DiscardHandler), d.now)
	if err != nil {
		d.fail("scanner", err.Error())
		return
	}
	defer func() { _ = e.close() }()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	d.checkSandbox(ctx, e)
	if !e.inline.Malware() {
		d.warn("scanner", noMalwareEngine(d.cfg))
		return
	}
	if e.clamd != nil {
		d.checkClamd(ctx, e)
	}
	if e.icap != nil {
		d.checkICAP(ctx, e)
	}
	if e.exec != nil {
		version, err := e.exec.Probe(ctx)
		if err != nil {
			d.fail("exec", err.Error())
			return
		}
		d.ok("exec", "it runs; its version is "+orUnknown(version))
	}
}

// checkSandbox starts a child and says what is in force in it.
func (d *doctor) checkSandbox(ctx context.Context, e *engines) {
	report, err := e.pool.Report(ctx)
	switch {
	case err != nil:
		d.fail("sandbox", "no child can be started, so that nothing is inspected: "+err.Error())
	case !report.Closed():
		d.warn("sandbox", "what parses uploads is not kept from the network and from files: "+report.String())
	default:
		d.ok("sandbox", report.String())
	}
}

func (d *doctor) checkClamd(ctx context.Context, e *engines) {
	version, err := e.clamd.Version(ctx)
	if err != nil {
		d.fail("clamd", unreached(err))
		return
	}
	text := version.String() + ", its database is of unknown age"
	if !version.Built.IsZero() {
		text = fmt.Sprintf("%s, its database was made on %s", version, stamp(version.Built))
	}
	d.ok("clamd", text)
	if old := oldDatabase(d.cfg, version, d.now()); old != "" {
		d.warn("clamd database", old)
	}
	findings, err := e.clamd.Probe(ctx)
	for _, f := range findings {
		switch {
		case f.Problem != "":
			d.fail("clamd "+f.Check, f.Problem)
		case f.Notice != "":
			d.warn("clamd "+f.Check, f.Notice)
		default:
			d.ok("clamd "+f.Check, "as configured, or more")
		}
	}
	if err != nil {
		d.fail("clamd", "its limits cannot be probed: "+err.Error())
	}
}

func (d *doctor) checkICAP(ctx context.Context, e *engines) {
	version, err := e.icap.Version(ctx)
	if err != nil {
		d.fail("icap", unreached(err))
		return
	}
	d.ok("icap", orUnknown(version))
	switch problem, err := e.icap.Probe(ctx); {
	case err != nil:
		d.fail("icap", "its limit cannot be probed: "+err.Error())
	case problem != "":
		d.fail("icap limit", problem)
	default:
		d.ok("icap limit", "as configured, or more")
	}
}

// unreached says what it means that an engine does not answer.
func unreached(err error) string {
	if errors.Is(err, scanner.ErrDown) {
		return "uploads wait until it answers: " + err.Error()
	}
	return err.Error()
}

func orUnknown(version string) string {
	if version == "" {
		return "unknown"
	}
	return version
}

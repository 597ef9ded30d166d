package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/config"
	"sallyport/server"
	"sallyport/server/hooks"
)

func (a *app) serveCommand() *cobra.Command {
	var s settings
	var showCredentials bool
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.load(&s)
			if err != nil {
				return err
			}
			return a.serve(cfg, showCredentials)
		},
	}
	s.register(command.Flags())
	command.Flags().BoolVar(&showCredentials, "show-credentials", false, "print the generated secret even where that is not a terminal")
	return command
}

// serve runs the server until a signal ends it or a listener fails. SIGTERM and
// SIGINT let running transfers finish, a second one cuts them; SIGHUP reads the
// certificates again.
func (a *app) serve(cfg config.Config, showCredentials bool) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(signals)

	log, flush := newLogger(a.errOut, cfg)
	defer flush()
	s, err := startService(context.Background(), cfg, log, a.now)
	if err != nil {
		return err
	}
	a.welcome(s, showCredentials)
	err = s.wait(signals)
	return errors.Join(err, s.stop(signals))
}

// service is a running server.
type service struct {
	cfg         config.Config
	log         *slog.Logger
	node        *node
	engines     *engines         // nil until they are made
	credentials *rootCredentials // to show; nil when there are none
	reachable   endpoints

	hooks            *hooks.Dispatcher
	s3, control, ops *server.Listener
	failed           chan error // of listeners that stopped by themselves

	background sync.WaitGroup
	cancel     context.CancelFunc // of the background
}

// wait returns when a signal asks for the end, or with the error of a listener.
func (s *service) wait(signals <-chan os.Signal) error {
	for {
		select {
		case err := <-s.failed:
			return err
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				s.log.Info("stopping", "signal", sig.String(), "grace", s.cfg.ServerShutdownGrace)
				return nil
			}
			for _, l := range s.listeners() {
				if err := l.Reload(); err != nil {
					s.log.Error("certificates were not reloaded, the old ones stay in use", "err", err)
				}
			}
			s.log.Info("certificates were read again")
		}
	}
}

func (s *service) listeners() []*server.Listener {
	var all []*server.Listener
	for _, l := range []*server.Listener{s.s3, s.control, s.ops} {
		if l != nil {
			all = append(all, l)
		}
	}
	return all
}

// closeTime bounds what comes after the last transfer: giving back claims,
// flushing access records, closing the ledger.
const closeTime = 30 * time.Second

// stop ends everything in the reverse order of its start. Operators see the
// server until the end. It is safe on a service that was started in part.
func (s *service) stop(signals <-chan os.Signal) error {
	grace, cut := context.WithTimeout(context.Background(), s.cfg.ServerShutdownGrace)
	defer cut()
	go func() {
		for {
			select {
			case <-grace.Done():
				return
			case sig := <-signals:
				if sig != syscall.SIGHUP {
					cut()
				}
			}
		}
	}()
	var transfers sync.WaitGroup
	for _, l := range []*server.Listener{s.s3, s.control} {
		if l == nil {
			continue
		}
		transfers.Go(func() {
			if err := l.Shutdown(grace); err != nil {
				s.log.Warn("transfers were cut", "err", err)
			}
		})
	}
	transfers.Wait()
	if s.cancel != nil {
		s.cancel()
	}
	s.background.Wait()
	var failures []error
	if s.engines != nil {
		failures = append(failures, s.engines.close())
	}

	end, done := context.WithTimeout(context.Background(), closeTime)
	defer done()
	if s.ops != nil {
		if err := s.ops.Shutdown(end); err != nil {
			s.log.Warn("operators' requests were cut", "err", err)
		}
	}
	if s.reachable != (endpoints{}) {
		failures = append(failures, os.Remove(filepath.Join(s.cfg.DataDir, endpointsFile)))
	}
	return errors.Join(append(failures, s.node.close(end))...)
}

// welcome says on standard output where the server is and who may use it.
func (a *app) welcome(s *service, showCredentials bool) {
	if a.json {
		_ = a.writeJSON(s.reachable) // the same is in the data directory
		return
	}
	a.printf("Sallyport %s\n\n", readBuild().Version)
	a.printf("  S3       %s\n  Control  %s\n  Ops      %s\n", s.reachable.S3, s.reachable.Control, s.reachable.Ops)
	a.printf("  Data     %s, objects on %s\n", s.cfg.DataDir, s.cfg.BackendKind)
	if s.credentials == nil {
		return
	}
	file := filepath.Join(s.cfg.DataDir, rootCredentialsFile)
	a.printf("\n  Access key  %s\n", s.credentials.AccessKey)
	f, isFile := a.out.(*os.File)
	if showCredentials || isFile && a.terminal(f) {
		a.printf("  Secret key  %s\n  Both are in %s\n", s.credentials.SecretKey, file)
		return
	}
	a.printf("  Secret key  in %s\n", file)
}

// warn logs what an operator should know of from the start.
func (s *service) warn() {
	if !s.engines.inline.Malware() {
		s.log.Warn(noMalwareEngine(s.cfg))
	}
	free, err := freeSpace(s.cfg.DataDir)
	switch {
	case err != nil:
		s.log.Warn("free space cannot be read", "err", err)
	case free < uint64(s.cfg.DataMinFree):
		s.log.Warn("uploads are refused until there is room", "free", bytesText(int64(free)), "min_free", s.cfg.DataMinFree.String())
	}
	if s.cfg.S3DebugSignatures {
		s.log.Warn("s3.debug_signatures is on: refusals show parts of the request")
	}
	if s.cfg.ControlAllowPlain && s.cfg.ControlTLSCert == "" {
		s.log.Warn("control.allow_plain is on: tokens and signed URLs cross the network unencrypted")
	}
}

// watch makes a listener's failure the end of the service.
func (s *service) watch(l *server.Listener) {
	go func() {
		if err := l.Wait(); err != nil {
			s.failed <- fmt.Errorf("listener stopped: %w", err)
		}
	}()
}

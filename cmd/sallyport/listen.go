package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/server"
	"sallyport/server/auth"
	"sallyport/server/control"
	"sallyport/server/s3api"
)

// minRateOff tells server.Limits that there is no minimum rate.
const minRateOff = -1

// fronts is what the s3 and control listeners are built from.
type fronts struct {
	*service
	moves   *pipeline.Pipeline
	now     func() time.Time
	proxies server.TrustedProxies
	s3URL   string // signed URLs begin with it
	// controlURL is the console's origin.
	controlURL string
}

// listen builds and starts the listeners, and notes where they are reached.
func (s *service) listen(moves *pipeline.Pipeline, worker *scanner.Worker, commits *ledgerMetrics, now func() time.Time) error {
	// URLs are signed for a port, so it must be known before it is bound.
	for _, addr := range []*string{&s.cfg.S3Addr, &s.cfg.ControlAddr} {
		if err := fixPort(addr); err != nil {
			return err
		}
	}
	proxies, err := server.ParseTrustedProxies(s.cfg.TrustedProxies)
	if err != nil {
		return err
	}
	f := fronts{
		service: s, moves: moves, now: now, proxies: proxies,
		s3URL:      localURL(s.cfg.S3TLSCert, s.cfg.S3Addr),
		controlURL: localURL(s.cfg.ControlTLSCert, s.cfg.ControlAddr),
	}
	s.reachable = endpoints{S3: f.s3URL, Control: f.controlURL, PID: os.Getpid()}
	if len(s.cfg.S3ExternalURL) > 0 {
		f.s3URL = s.cfg.S3ExternalURL[0]
	}
	if s.cfg.ControlExternalURL != "" {
		f.controlURL = s.cfg.ControlExternalURL
	}
	if s.s3, err = f.newS3(); err != nil {
		return err
	}
	if s.control, err = f.newControl(); err != nil {
		return err
	}
	parts := []collector{s.node.ledger, moves, worker, s.engines, s.hooks, commits}
	for _, l := range s.listeners() {
		parts = append(parts, l)
	}
	metrics, err := gather(parts...)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.ops, err = server.NewOps(server.OpsConfig{
		Addr: s.cfg.OpsAddr, Log: quiet(s.log, s.cfg.LogLevel), Now: now, Metrics: metrics, Checks: s.checks(worker),
	})
	if err != nil {
		return err
	}
	for _, l := range s.listeners() {
		if err := l.Start(); err != nil {
			return err
		}
		s.watch(l)
	}
	s.reachable.Ops = localURL("", s.ops.Addr().String())
	return writeEndpoints(s.cfg.DataDir, s.reachable)
}

func (f fronts) newS3() (*server.Listener, error) {
	api := s3api.New(s3api.Config{
		Pipeline: f.moves, Auth: f.authenticator(f.cfg.S3ExternalURL), Ledger: f.node.ledger,
		Region: f.cfg.S3Region, Domains: f.cfg.S3Domains, URL: f.s3URL, InlineURL: f.cfg.DownloadsInlineURL,
		CORSOrigins: f.cfg.S3CORSOrigins, ConsoleOrigins: []string{f.controlURL},
		DebugSignatures: f.cfg.S3DebugSignatures, Log: f.log, Now: f.now,
	})
	return server.New(server.Config{
		Name: "s3", Addr: f.cfg.S3Addr, TLS: tlsFiles(f.cfg.S3TLSCert, f.cfg.S3TLSKey),
		Limits: limits(f.cfg), Log: f.log, Now: f.now, Proxies: f.proxies, IDHeader: s3api.IDHeader,
		Admit: api.Admit, Routes: api.Routes, RenderError: api.RenderError,
		Observe: accessRecorder(f.node.ledger, f.log),
	})
}

func (f fronts) newControl() (*server.Listener, error) {
	var external []string
	if f.cfg.ControlExternalURL != "" {
		external = []string{f.cfg.ControlExternalURL}
	}
	api := control.New(control.Config{
		Pipeline: f.moves, Ledger: f.node.ledger, Auth: f.authenticator(external),
		S3URL: f.s3URL, InlineURL: f.cfg.DownloadsInlineURL, CORS: server.CORSRules{server.OpenCORS([]string{f.controlURL})},
		Proxies: f.proxies, AllowPlain: f.cfg.ControlAllowPlain, Log: f.log,
	})
	return server.New(server.Config{
		Name: "control", Addr: f.cfg.ControlAddr, TLS: tlsFiles(f.cfg.ControlTLSCert, f.cfg.ControlTLSKey),
		Limits: limits(f.cfg), Log: f.log, Now: f.now, Proxies: f.proxies,
		Admit: api.Admit, Routes: api.Routes, RenderError: api.RenderError,
		Observe: accessRecorder(f.node.ledger, f.log),
	})
}

// authenticator verifies for one listener. A signature made for an external URL
// holds although a proxy put another Host into the request: one of the trusted
// proxies, where those are configured, else whoever it was.
func (f fronts) authenticator(external []string) *auth.Authenticator {
	var hosts []string
	for _, u := range external {
		if parsed, err := url.Parse(u); err == nil { // validated with the configuration
			hosts = append(hosts, parsed.Host)
		}
	}
	cfg := auth.Config{
		Ledger: f.node.ledger, Region: f.cfg.S3Region, Now: f.now, Hosts: hosts, PresignMax: f.cfg.PresignMaxTTL,
	}
	if len(f.cfg.TrustedProxies) > 0 {
		cfg.FromProxy = f.proxies.Sent
	}
	return auth.New(cfg)
}

func limits(cfg config.Config) server.Limits {
	l := server.Limits{
		HeaderTimeout: cfg.ServerHeaderTimeout,
		BodyIdle:      cfg.ServerBodyIdle,
		Idle:          cfg.ServerIdleTimeout,
		MinRate:       int64(cfg.ServerMinRate),
		MaxConns:      cfg.ServerMaxConnections,
	}
	if l.MinRate == 0 {
		l.MinRate = minRateOff
	}
	return l
}

func tlsFiles(cert, key string) *server.TLSFiles {
	if cert == "" {
		return nil
	}
	return &server.TLSFiles{Cert: cert, Key: key}
}

// fixPort replaces port 0 by one that is free now.
func fixPort(addr *string) error {
	host, port, err := net.SplitHostPort(*addr)
	if err != nil || port != "0" {
		return err
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	*addr = net.JoinHostPort(host, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	return l.Close()
}

// localURL is how this machine reaches a listener: an address that means all
// interfaces is reached on the loopback.
func localURL(cert, addr string) string {
	scheme := "http"
	if cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "" // validated with the configuration
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

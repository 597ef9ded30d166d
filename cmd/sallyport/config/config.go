// Package config holds every setting of the server: its name, its default, what
// it means, and how flag, environment, file and default are put together.
//
// The comments in this file are the documentation: the reference in
// deploy/docs/configuration.md and the help of the flags are made from them, and
// a test fails when they differ.
package config

import (
	"log/slog"
	"time"
)

// Config is what the server starts with. The key tag names a setting in the YAML
// file ("s3.addr" is addr: under s3:), and so in the environment
// (SALLYPORT_S3_ADDR) and as a flag (--s3-addr). Secrets have no flag, because
// every process of a machine can read every other's command line.
type Config struct {
	// Directory that holds the ledger, the generated keys and, with the disk
	// backend, the objects. It is created with mode 0700 and must belong to
	// one running server.
	DataDir string `key:"data.dir" flag:"data"`
	// Free space below which new bodies are refused. Reads, deletes and the
	// audit log go on, so it must leave room for the ledger to grow.
	DataMinFree Size `key:"data.min_free"`

	// Lowest level that is logged: debug, info, warn or error.
	LogLevel slog.Level `key:"log.level"`
	// Form of the log lines on standard error: text or json.
	LogFormat string `key:"log.format"`

	// File with the root key that seals the secrets in the ledger: 32 raw
	// bytes or 64 hexadecimal digits. Empty means a key generated in the data
	// directory.
	RootKeyFile string `key:"root.key_file"`
	// Access key of the first administrator, set before the first start. Empty
	// means a generated one, kept in the data directory. A later start with
	// another value is refused.
	RootAccessKey string `key:"root.access_key" flag:"-"`
	// Secret that belongs to root.access_key. Both are set, or neither.
	RootSecretKey Secret `key:"root.secret_key"`

	// Address of the S3 port, host:port. Port 0 picks a free one.
	S3Addr string `key:"s3.addr"`
	// URLs under which clients reach the S3 port, without a path. The first one
	// signs; all of them verify. Empty means http://127.0.0.1 and the port. No
	// URL is ever built from what a request says its host is.
	S3ExternalURL []string `key:"s3.external_url"`
	// Host names below which the first label names a bucket (virtual-host
	// style), e.g. s3.example.org.
	S3Domains []string `key:"s3.domains"`
	// Region that signatures must name.
	S3Region string `key:"s3.region"`
	// PEM file with the certificate chain of the S3 port. Empty means plain
	// HTTP. SIGHUP reads it again.
	S3TLSCert string `key:"s3.tls_cert"`
	// PEM file with the private key that belongs to s3.tls_cert.
	S3TLSKey string `key:"s3.tls_key"`
	// Origins that browsers may use signed URLs and buckets from where a bucket
	// has no rules of its own. The control port's own origin always may.
	S3CORSOrigins []string `key:"s3.cors_origins"`
	// Show the client what was signed when a signature does not match. For
	// debugging a client only: the answer repeats parts of the request.
	S3DebugSignatures bool `key:"s3.debug_signatures"`

	// Address of the control port (API and console), host:port. Port 0 picks a
	// free one.
	ControlAddr string `key:"control.addr"`
	// URL under which clients reach the control port, without a path. Empty
	// means http://127.0.0.1 and the port.
	ControlExternalURL string `key:"control.external_url"`
	// PEM file with the certificate chain of the control port. Empty means
	// plain HTTP. SIGHUP reads it again.
	ControlTLSCert string `key:"control.tls_cert"`
	// PEM file with the private key that belongs to control.tls_cert.
	ControlTLSKey string `key:"control.tls_key"`
	// Accept tokens and hand out URLs without TLS from other machines too. Only
	// for networks where nobody else listens.
	ControlAllowPlain bool `key:"control.allow_plain"`

	// Addresses or networks of reverse proxies whose X-Forwarded-For and
	// X-Forwarded-Proto are believed, e.g. 10.0.0.0/8. Once any are named, a
	// request that names another host than its signature was made for is judged
	// by the external URLs only if it comes from one of them; without any, from
	// everybody.
	TrustedProxies []string `key:"trusted_proxies"`

	// Address of the operators' port (health and metrics), host:port. It asks
	// for no credential, so keep it private. Port 0 picks a free one.
	OpsAddr string `key:"ops.addr"`

	// Where objects are kept: disk (in the data directory) or s3.
	BackendKind string `key:"backend.kind"`
	// URL of the S3 service behind Sallyport, e.g. http://minio:9000.
	BackendS3Endpoint string `key:"backend.s3_endpoint"`
	// Bucket that holds the objects, made at the start if there is none. It must be
	// private, have neither versioning nor expiry rules, and belong to this server
	// alone.
	BackendS3Bucket string `key:"backend.s3_bucket"`
	// Region of that bucket.
	BackendS3Region string `key:"backend.s3_region"`
	// Access key for that bucket.
	BackendS3AccessKey string `key:"backend.s3_access_key" flag:"-"`
	// Secret key for that bucket.
	BackendS3SecretKey Secret `key:"backend.s3_secret_key"`

	// Longest lifetime of a URL that a client presigned itself with its access
	// key, at most 168h.
	PresignMaxTTL time.Duration `key:"presign.max_ttl"`
	// How long an upload session lives unless its profile says otherwise.
	UploadsSessionTTL time.Duration `key:"uploads.session_ttl"`
	// How long an upload URL lives unless its profile says otherwise, at most
	// 15m. An expired one can be issued anew while the session lives.
	UploadsPutURLTTL time.Duration `key:"uploads.put_url_ttl"`
	// Most that one PUT or one part may carry, at most 5GiB. An object of many
	// parts may have 5TiB, or what its profile says.
	UploadsMaxSize Size `key:"uploads.max_size"`
	// How long a download URL lives when the request does not say, 60s to 300s.
	DownloadsURLTTL time.Duration `key:"downloads.url_ttl"`
	// Where browsers are shown the renditions of pictures: a URL of their own host,
	// such as https://media.example.net, that reaches the s3 listener with its Host
	// header as it was sent. Nothing else is served there. Choose a host that shares
	// no cookies with your application, best of another domain. Without one nothing
	// is shown; renditions are downloads like all others then.
	DownloadsInlineURL string `key:"downloads.inline_url"`

	// Hold every upload for review while no malware engine is configured,
	// rather than publish on the built-in inspection alone.
	ScannerRequired bool `key:"scanner.required"`
	// Objects inspected at the same time.
	ScannerWorkers int `key:"scanner.workers"`

	// Where ClamAV's daemon listens: tcp://host:port or unix:///path. Empty means
	// that it is not asked.
	ScannerClamdAddr string `key:"scanner.clamd_addr"`
	// StreamMaxLength of its clamd.conf. clamd cannot be asked for its limits, and
	// what is above one of them it passes without a look; so what is above these
	// is held for review. They must be no more than clamd's own, which doctor
	// probes.
	ScannerClamdStreamMaxLength Size `key:"scanner.clamd_stream_max_length"`
	// MaxFileSize of clamd.conf, of one file and of each member of an archive.
	ScannerClamdMaxFileSize Size `key:"scanner.clamd_max_file_size"`
	// MaxScanSize of clamd.conf, of a file and of all that clamd unpacks from it.
	ScannerClamdMaxScanSize Size `key:"scanner.clamd_max_scan_size"`
	// MaxRecursion of clamd.conf.
	ScannerClamdMaxRecursion int `key:"scanner.clamd_max_recursion"`
	// How long clamd may take over one file once it has all of it. The object is
	// tried again later, and held for review in the end.
	ScannerClamdTimeout time.Duration `key:"scanner.clamd_timeout"`
	// How long clamd may stay silent before it is asked, on another connection,
	// whether it is alive. It counts as down when that takes as long again.
	ScannerClamdPatience time.Duration `key:"scanner.clamd_patience"`
	// Files sent to clamd at the same time. No more than its MaxQueue.
	ScannerClamdSessions int `key:"scanner.clamd_sessions"`
	// Age of clamd's signature database from which the log and doctor warn. 0
	// never warns.
	ScannerWarnDBAge time.Duration `key:"scanner.warn_db_age"`
	// Age of clamd's signature database from which nothing is inspected by it:
	// uploads wait until it is updated. 0 inspects by any.
	ScannerMaxDBAge time.Duration `key:"scanner.max_db_age"`

	// ICAP service that inspects, icap://host:port/service. Empty means none.
	ScannerICAPURL string `key:"scanner.icap_url"`
	// Largest body that the ICAP service looks at; what is larger is held for
	// review. It must be no more than the service's own limit, which doctor
	// probes.
	ScannerICAPMaxSize Size `key:"scanner.icap_max_size"`
	// How long the ICAP service may take over one body once it has all of it.
	ScannerICAPTimeout time.Duration `key:"scanner.icap_timeout"`

	// Any other scanner as a command: an absolute path and its arguments. It reads
	// the content from standard input, in a sandbox, and judges with its exit code.
	// Empty means none.
	ScannerExecCommand []string `key:"scanner.exec_command"`
	// Files and directories that the command may read and execute: its libraries and
	// signatures. All else is closed to it.
	ScannerExecPaths []string `key:"scanner.exec_paths"`
	// Exit codes that mean that nothing was found.
	ScannerExecClean []string `key:"scanner.exec_clean"`
	// Exit codes that mean that something was found. Any code that is in none of
	// these lists is a failed try.
	ScannerExecInfected []string `key:"scanner.exec_infected"`
	// Exit codes that mean that not everything was looked at.
	ScannerExecIncomplete []string `key:"scanner.exec_incomplete"`
	// Exit codes that mean that the command does not work at present: uploads wait.
	ScannerExecDown []string `key:"scanner.exec_down"`
	// Regular expression whose first group, in what the command prints, is the name
	// of what was found. Empty takes the first line.
	ScannerExecSignature string `key:"scanner.exec_signature"`
	// Command that prints the version of the scanner and its signatures, with exit
	// code 0.
	ScannerExecVersion []string `key:"scanner.exec_version"`
	// Largest content that the command looks at; what is larger is held for review.
	// 0 is any.
	ScannerExecMaxSize Size `key:"scanner.exec_max_size"`
	// Memory that the command may take.
	ScannerExecMemory Size `key:"scanner.exec_memory"`
	// How long the command may take over one object.
	ScannerExecTimeout time.Duration `key:"scanner.exec_timeout"`
	// Run the command even where the kernel cannot keep it from the file system.
	ScannerExecUnconfined bool `key:"scanner.exec_unconfined"`

	// Child processes that unpack archives, decode pictures and tell types, at
	// most at a time.
	ScannerSandboxWorkers int `key:"scanner.sandbox_workers"`
	// Memory that one of them may take.
	ScannerSandboxMemory Size `key:"scanner.sandbox_memory"`
	// How long one of them may take over one object.
	ScannerSandboxTimeout time.Duration `key:"scanner.sandbox_timeout"`

	// Inspect everything published again, newest first, when an engine has new
	// signatures.
	ScannerRescanOnUpdate bool `key:"scanner.rescan_on_update"`
	// How often everything published is inspected again in any case. 0 is never.
	ScannerRescanEvery time.Duration `key:"scanner.rescan_every"`
	// How long the bytes of rejected objects are kept for review, unless their
	// profile says otherwise. 0 keeps them for ever.
	ScannerKeepRejected time.Duration `key:"scanner.keep_rejected"`

	// Hosts that webhooks may be sent to whatever address they have, and by plain
	// HTTP: names, addresses, or *.example.org for all names below. Every other
	// host must be reached by HTTPS and at an address of the public Internet.
	WebhooksAllowHosts []string `key:"webhooks.allow_hosts"`
	// Networks that webhooks may be sent to besides the public Internet, e.g.
	// 10.1.0.0/16. Private, loopback and link-local addresses are refused
	// otherwise, by the address that is dialled.
	WebhooksAllowNetworks []string `key:"webhooks.allow_networks"`

	// How often the lifecycle rules of buckets are carried out.
	LifecycleEvery time.Duration `key:"lifecycle.every"`

	// How long running transfers may go on after SIGTERM before they are cut.
	ServerShutdownGrace time.Duration `key:"server.shutdown_grace"`
	// Connections that one port serves at the same time; more are answered with
	// 503 and closed.
	ServerMaxConnections int `key:"server.max_connections"`
	// Time a client has to send a request's headers.
	ServerHeaderTimeout time.Duration `key:"server.header_timeout"`
	// How long an idle connection is kept open for the next request.
	ServerIdleTimeout time.Duration `key:"server.idle_timeout"`
	// How long a body may stand still before its transfer is ended.
	ServerBodyIdle time.Duration `key:"server.body_idle"`
	// Rate per second that a body must keep, averaged over the time spent
	// waiting for the client and judged after 30 s of it. 0 switches the rule
	// off.
	ServerMinRate Size `key:"server.min_rate"`
}

// Default returns the settings of a server that was told nothing.
func Default() Config {
	return Config{
		DataDir:           "./data",
		DataMinFree:       1 << 30,
		LogLevel:          slog.LevelInfo,
		LogFormat:         "text",
		S3Addr:            ":9000",
		S3Region:          "us-east-1",
		ControlAddr:       ":9001",
		OpsAddr:           "127.0.0.1:9002",
		BackendKind:       "disk",
		BackendS3Region:   "us-east-1",
		PresignMaxTTL:     time.Hour,
		UploadsSessionTTL: 2 * time.Hour,
		UploadsPutURLTTL:  120 * time.Second,
		UploadsMaxSize:    5 << 30,
		DownloadsURLTTL:   300 * time.Second,
		ScannerWorkers:    2,

		ScannerClamdStreamMaxLength: 100 << 20,
		ScannerClamdMaxFileSize:     100 << 20,
		ScannerClamdMaxScanSize:     400 << 20,
		ScannerClamdMaxRecursion:    17,
		ScannerClamdTimeout:         5 * time.Minute,
		ScannerClamdPatience:        10 * time.Second,
		ScannerClamdSessions:        32,
		ScannerWarnDBAge:            7 * 24 * time.Hour,
		ScannerICAPMaxSize:          100 << 20,
		ScannerICAPTimeout:          5 * time.Minute,
		ScannerExecClean:            []string{"0"},
		ScannerExecInfected:         []string{"1"},
		ScannerExecMemory:           2 << 30,
		ScannerExecTimeout:          2 * time.Minute,
		ScannerSandboxWorkers:       2,
		ScannerSandboxMemory:        512 << 20,
		ScannerSandboxTimeout:       2 * time.Minute,
		ScannerRescanOnUpdate:       true,
		ScannerKeepRejected:         30 * 24 * time.Hour,

		LifecycleEvery:       time.Hour,
		ServerShutdownGrace:  30 * time.Second,
		ServerMaxConnections: 8192,
		ServerHeaderTimeout:  10 * time.Second,
		ServerIdleTimeout:    60 * time.Second,
		ServerBodyIdle:       30 * time.Second,
		ServerMinRate:        1 << 10,
	}
}

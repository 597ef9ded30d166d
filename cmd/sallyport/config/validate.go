package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits that no setting can pass.
const (
	maxPutURLTTL  = 15 * time.Minute   // a signed PUT URL is for now, not for later
	minGetURLTTL  = 60 * time.Second   // shorter ones expire on their way to the reader
	maxGetURLTTL  = 300 * time.Second  // longer ones are a profile's to allow
	maxPresignTTL = 7 * 24 * time.Hour // SigV4's own limit
	maxSinglePut  = 5 << 30            // S3's limit of one PUT
)

// check collects what is wrong, each under the name the operator knows.
type check struct {
	name     func(key string) string
	problems []error
}

func (k *check) fail(key, format string, args ...any) {
	k.problems = append(k.problems, fmt.Errorf("%s: "+format, append([]any{k.name(key)}, args...)...))
}

// validate judges the settings as a whole.
func (c *Config) validate(name func(key string) string) []error {
	k := &check{name: name}
	c.validateFiles(k)
	c.validateListeners(k)
	c.validateBackend(k)
	c.validateLimits(k)
	c.validateScanner(k)
	c.validateWebhooks(k)
	return k.problems
}

func (c *Config) validateFiles(k *check) {
	if c.DataDir == "" {
		k.fail("data.dir", "must not be empty")
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		k.fail("log.format", "%q is neither text nor json", c.LogFormat)
	}
	if (c.RootAccessKey == "") != (c.RootSecretKey == "") {
		k.fail("root.access_key", "root.access_key and root.secret_key are set both or neither")
	}
	if (c.S3TLSCert == "") != (c.S3TLSKey == "") {
		k.fail("s3.tls_cert", "s3.tls_cert and s3.tls_key are set both or neither")
	}
	if (c.ControlTLSCert == "") != (c.ControlTLSKey == "") {
		k.fail("control.tls_cert", "control.tls_cert and control.tls_key are set both or neither")
	}
}

func (c *Config) validateListeners(k *check) {
	for key, addr := range map[string]string{"s3.addr": c.S3Addr, "control.addr": c.ControlAddr, "ops.addr": c.OpsAddr} {
		if err := checkAddr(addr); err != nil {
			k.fail(key, "%w", err)
		}
	}
	for _, u := range c.S3ExternalURL {
		if err := checkOrigin(u); err != nil {
			k.fail("s3.external_url", "%w", err)
		}
	}
	if c.ControlExternalURL != "" {
		if err := checkOrigin(c.ControlExternalURL); err != nil {
			k.fail("control.external_url", "%w", err)
		}
	}
	for _, o := range c.S3CORSOrigins {
		if err := checkOrigin(o); o != "*" && err != nil {
			k.fail("s3.cors_origins", "%w", err)
		}
	}
	for _, d := range c.S3Domains {
		if !isHostname(d) {
			k.fail("s3.domains", "%q is not a host name", d)
		}
	}
	for _, p := range c.TrustedProxies {
		_, asNet := netip.ParsePrefix(p)
		if _, asAddr := netip.ParseAddr(p); asNet != nil && asAddr != nil {
			k.fail("trusted_proxies", "%q is neither an address nor a network like 10.0.0.0/8", p)
		}
	}
	if !isWord(c.S3Region) {
		k.fail("s3.region", "%q is not a region name", c.S3Region)
	}
	if c.DownloadsInlineURL != "" {
		c.validateInline(k)
	}
}

// validateInline sees to it that what strangers made is shown by a host that is nothing
// else: browsers tell sites apart by their hosts.
func (c *Config) validateInline(k *check) {
	const key = "downloads.inline_url"
	if err := checkOrigin(c.DownloadsInlineURL); err != nil {
		k.fail(key, "%w", err)
		return
	}
	own := hostOf(c.DownloadsInlineURL)
	if c.DownloadsInlineURL != strings.ToLower(c.DownloadsInlineURL) {
		k.fail(key, "%q is not in lower case", c.DownloadsInlineURL)
	}
	for name, others := range map[string][]string{
		"s3.external_url": c.S3ExternalURL, "control.external_url": {c.ControlExternalURL},
		"s3.addr": {"//" + c.S3Addr}, "control.addr": {"//" + c.ControlAddr}, "s3.cors_origins": c.S3CORSOrigins,
	} {
		for _, other := range others {
			if strings.EqualFold(hostOf(other), own) {
				k.fail(key, "has the host of %s; it needs one of its own", k.name(name))
			}
		}
	}
	for _, d := range c.S3Domains {
		if own == d || strings.HasSuffix(own, "."+d) {
			k.fail(key, "is below %s, where hosts name buckets", k.name("s3.domains"))
		}
	}
}

// hostOf is the host name of a URL without its port: cookies do not tell ports apart.
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (c *Config) validateBackend(k *check) {
	switch c.BackendKind {
	case "disk":
		return
	case "s3":
	default:
		k.fail("backend.kind", "%q is neither disk nor s3", c.BackendKind)
		return
	}
	needed := map[string]string{
		"backend.s3_endpoint":   c.BackendS3Endpoint,
		"backend.s3_bucket":     c.BackendS3Bucket,
		"backend.s3_access_key": c.BackendS3AccessKey,
		"backend.s3_secret_key": string(c.BackendS3SecretKey),
	}
	for key, value := range needed {
		if value == "" {
			k.fail(key, "is needed when backend.kind is s3")
		}
	}
	if c.BackendS3Endpoint != "" {
		if err := checkOrigin(c.BackendS3Endpoint); err != nil {
			k.fail("backend.s3_endpoint", "%w", err)
		}
	}
	if !isWord(c.BackendS3Region) {
		k.fail("backend.s3_region", "%q is not a region name", c.BackendS3Region)
	}
}

func (c *Config) validateLimits(k *check) {
	between := func(key string, d, low, high time.Duration) {
		if d < low || d > high {
			k.fail(key, "%s is not between %s and %s", shortDuration(d), shortDuration(low), shortDuration(high))
		}
	}
	const long = 365 * 24 * time.Hour
	between("presign.max_ttl", c.PresignMaxTTL, time.Second, maxPresignTTL)
	between("uploads.session_ttl", c.UploadsSessionTTL, time.Second, 7*24*time.Hour)
	between("uploads.put_url_ttl", c.UploadsPutURLTTL, time.Second, maxPutURLTTL)
	between("downloads.url_ttl", c.DownloadsURLTTL, minGetURLTTL, maxGetURLTTL)
	between("lifecycle.every", c.LifecycleEvery, time.Second, 7*24*time.Hour)
	between("server.shutdown_grace", c.ServerShutdownGrace, 0, long)
	between("server.header_timeout", c.ServerHeaderTimeout, 100*time.Millisecond, time.Hour)
	between("server.idle_timeout", c.ServerIdleTimeout, 100*time.Millisecond, time.Hour)
	between("server.body_idle", c.ServerBodyIdle, 100*time.Millisecond, time.Hour)
	if c.UploadsMaxSize < 1 || c.UploadsMaxSize > maxSinglePut {
		k.fail("uploads.max_size", "%s is not between 1 and 5GiB", c.UploadsMaxSize)
	}
	if c.ServerMaxConnections < 1 {
		k.fail("server.max_connections", "%d is not at least 1", c.ServerMaxConnections)
	}
}

// checkAddr accepts host:port with a port number and any host, or none.
func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q does not end in a port number", addr)
	}
	return nil
}

// checkOrigin accepts scheme, host and port alone. A path would be signed on one
// side of a proxy and not on the other.
func checkOrigin(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("%q is not a URL like https://s3.example.org", s)
	}
	if u.User != nil {
		return errors.New("must not contain a user or password")
	}
	if u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return fmt.Errorf("%q must end after host and port: no path, not even /", s)
	}
	return nil
}

func isHostname(s string) bool {
	return len(s) <= 253 && !slices.ContainsFunc(strings.Split(s, "."), func(label string) bool {
		return !isWord(label) || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-")
	})
}

// isWord accepts what may stand in a host name's label or a region.
func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

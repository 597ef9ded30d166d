package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sallyport/registry/blob"
)

// certificateNotice is how long before its end a certificate is warned about.
const certificateNotice = 14 * 24 * time.Hour

// checkDataDir looks at owner, mode, room and whether flushes work.
func (d *doctor) checkDataDir() {
	dir := d.cfg.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.warn("data directory", dir+" does not exist yet; serve makes it")
		return
	case err != nil:
		d.fail("data directory", err.Error())
		return
	case !info.IsDir():
		d.fail("data directory", dir+" is not a directory")
		return
	}
	sound := true
	if info.Mode().Perm()&0o077 != 0 {
		sound = false
		d.fail("data directory", fmt.Sprintf("%s is open to others (mode %04o): chmod 700 it", dir, info.Mode().Perm()))
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		sound = false
		d.fail("data directory", fmt.Sprintf("%s belongs to user %d, not to %d who runs this", dir, owner.Uid, os.Geteuid()))
	}
	for _, name := range []string{rootKeyFile, rootCredentialsFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm()&0o077 != 0 {
			sound = false
			d.fail("data directory", fmt.Sprintf("%s is open to others (mode %04o): chmod 600 it", name, info.Mode().Perm()))
		}
	}
	free, err := freeSpace(dir)
	switch {
	case err != nil:
		sound = false
		d.fail("data directory", "its free space cannot be read: "+err.Error())
	case free < uint64(d.cfg.DataMinFree):
		sound = false
		d.fail("data directory", fmt.Sprintf("%s free is below data.min_free (%s): uploads are refused", bytesText(int64(free)), d.cfg.DataMinFree))
	}
	took, err := d.timeFlush(dir)
	if err != nil {
		sound = false
		d.fail("data directory", "a file cannot be written and flushed there: "+err.Error())
	}
	if sound {
		d.ok("data directory", fmt.Sprintf("%s, %s free, a durable write takes %s", dir, bytesText(int64(free)), took.Round(10*time.Microsecond)))
	}
}

// timeFlush writes a small file durably, the way the ledger and the store do.
func (d *doctor) timeFlush(dir string) (took time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	start := d.now()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		return 0, err
	}
	err = errors.Join(f.Sync(), syncDir(dir))
	return d.now().Sub(start), err
}

// checkBackend asks the store of bytes to judge itself.
func (d *doctor) checkBackend(ctx context.Context) {
	if _, err := os.Stat(d.cfg.DataDir); d.cfg.BackendKind == "disk" && err != nil {
		return // reported already, and looking must not make it
	}
	store, err := openBlobs(d.cfg)
	if err != nil {
		d.fail("backend", err.Error())
		return
	}
	defer func() { _ = store.Close() }()
	examiner, ok := store.(blob.Doctor)
	if !ok {
		d.warn("backend", d.cfg.BackendKind+" cannot be examined")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*doctorTimeout)
	defer cancel()
	for _, f := range examiner.Doctor(ctx) {
		if f.Problem != "" {
			d.fail("backend", f.Check+": "+f.Problem)
			continue
		}
		d.ok("backend", f.Check)
	}
}

// checkTLS looks at the certificates that are configured.
func (d *doctor) checkTLS() {
	var control []string
	if d.cfg.ControlExternalURL != "" {
		control = []string{d.cfg.ControlExternalURL}
	}
	d.checkCertificate("s3 certificate", d.cfg.S3TLSCert, d.cfg.S3TLSKey, d.cfg.S3ExternalURL)
	d.checkCertificate("control certificate", d.cfg.ControlTLSCert, d.cfg.ControlTLSKey, control)
}

func (d *doctor) checkCertificate(check, certFile, keyFile string, urls []string) {
	if certFile == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		d.fail(check, err.Error())
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		d.fail(check, err.Error())
		return
	}
	now := d.now()
	switch {
	case now.After(leaf.NotAfter):
		d.fail(check, "it ended on "+stamp(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		d.fail(check, "it begins on "+stamp(leaf.NotBefore))
	case now.Add(certificateNotice).After(leaf.NotAfter):
		d.warn(check, "it ends on "+stamp(leaf.NotAfter))
	default:
		d.ok(check, "valid until "+stamp(leaf.NotAfter))
	}
	for _, external := range urls {
		// A proxy may end TLS for this name with a certificate of its own.
		if u, err := url.Parse(external); err == nil && u.Scheme == "https" && leaf.VerifyHostname(u.Hostname()) != nil {
			d.warn(check, "it does not name "+u.Hostname())
		}
	}
}

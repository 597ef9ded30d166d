package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificates keeps a key pair up to date with its files.
type certificates struct {
	files TLSFiles
	now   func() time.Time
	log   *slog.Logger
	conf  *tls.Config

	mu      sync.Mutex // guards the fields below
	pair    *tls.Certificate
	stamp   fileStamps // of the files that were last tried
	checked time.Time
}

// certificateAge is how long the files are believed unchanged.
const certificateAge = 2 * time.Second

// fileStamps tells two versions of the two files apart.
type fileStamps [2]struct {
	modified time.Time
	size     int64
}

func loadCertificates(files TLSFiles, now func() time.Time, log *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, now: now, log: log}
	c.conf = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificates) config() *tls.Config { return c.conf }

// reload tries the files now.
func (c *certificates) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(c.stat())
}

// current returns the pair to use for a handshake, after a look at the files if the
// last one is a while ago.
func (c *certificates) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.checked) < certificateAge {
		return c.pair
	}
	c.checked = now
	// The stamp is kept of a bad version as well: it is complained about once.
	if stamp := c.stat(); stamp != c.stamp {
		if err := c.load(stamp); err != nil {
			c.log.Error("new certificate not usable, keeping the old one", "err", err)
		} else {
			c.log.Info("certificate reloaded", "file", c.files.Cert)
		}
	}
	return c.pair
}

// load expects mu to be held.
func (c *certificates) load(stamp fileStamps) error {
	c.stamp = stamp
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.pair, c.checked = &pair, c.now()
	return nil
}

// stat leaves a file that is not there zero: load will say so.
func (c *certificates) stat() (s fileStamps) {
	for i, name := range []string{c.files.Cert, c.files.Key} {
		if info, err := os.Stat(name); err == nil {
			s[i].modified, s[i].size = info.ModTime(), info.Size()
		}
	}
	return s
}

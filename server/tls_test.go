package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/server"
)

// tlsFiles is a key pair on disk.
type tlsFiles struct{ server.TLSFiles }

func newTLSFiles(t testing.TB) tlsFiles {
	dir := t.TempDir()
	return tlsFiles{server.TLSFiles{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}}
}

// write puts a new self-signed pair for a name there.
func (f tlsFiles) write(t testing.TB, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.writeFile(t, f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	f.writeFile(t, f.Key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

func (f tlsFiles) writeFile(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// served returns the name in the certificate that a fresh connection is shown.
func served(t *testing.T, addr string) string {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTLSReload(t *testing.T) {
	files := newTLSFiles(t)
	files.write(t, "one")
	var ahead atomic.Int64 // of the real clock, so that the files are looked at again soon
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	f := start(t, server.Config{TLS: &files.TLSFiles, Now: now, Routes: routes(drain)})
	if got := served(t, f.addr); got != "one" {
		t.Fatalf("certificate of %q", got)
	}
	t.Run("on demand", func(t *testing.T) {
		files.write(t, "two")
		if err := f.Reload(); err != nil {
			t.Fatal(err)
		}
		if got := served(t, f.addr); got != "two" {
			t.Errorf("certificate of %q", got)
		}
	})
	t.Run("broken files keep the old one", func(t *testing.T) {
		files.writeFile(t, files.Cert, []byte("nonsense"))
		if err := f.Reload(); err == nil {
			t.Error("no error")
		}
		if got := served(t, f.addr); got != "two" {
			t.Errorf("certificate of %q", got)
		}
	})
	t.Run("by itself", func(t *testing.T) {
		files.write(t, "three")
		if got := served(t, f.addr); got != "two" {
			t.Errorf("certificate of %q: the files are looked at for every connection", got)
		}
		ahead.Add(int64(3 * time.Second))
		if got := served(t, f.addr); got != "three" {
			t.Errorf("certificate of %q", got)
		}
		files.writeFile(t, files.Key, []byte("nonsense"))
		ahead.Add(int64(3 * time.Second))
		if got := served(t, f.addr); got != "three" || !strings.Contains(f.logs.String(), "keeping the old one") {
			t.Errorf("certificate of %q, log %s", got, f.logs)
		}
	})
}

func TestTLSFilesMissing(t *testing.T) {
	files := newTLSFiles(t)
	cfg := config()
	cfg.TLS = &files.TLSFiles
	if _, err := server.New(cfg); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func TestTLSBodies(t *testing.T) {
	files := newTLSFiles(t)
	files.write(t, "one")
	f := start(t, server.Config{TLS: &files.TLSFiles, Routes: routes(drain)})
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	hc := &http.Client{Timeout: patience, Transport: tr}
	resp, err := hc.Post("https://"+f.addr+"/k", "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "100000" {
		t.Errorf("%q, %v", got, err)
	}
	if e := f.seen(1); !e.TLS || e.BytesIn != 100_000 || e.BytesOut != 6 {
		t.Errorf("%+v", e)
	}
}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/cmd/sallyport/client"
)

// writeCertificate makes a certificate for the loopback that trusts itself.
func writeCertificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeCertificate(t, dir, 1)
	flags := []string{"--s3-tls-cert", cert, "--s3-tls-key", key, "--control-tls-cert", cert, "--control-tls-key", key}
	data := filepath.Join(t.TempDir(), "data")
	s := serve(t, data, nil, flags...)
	if !strings.HasPrefix(s.S3, "https://") || !strings.HasPrefix(s.Control, "https://") {
		t.Fatalf("endpoints are %+v", s.endpoints)
	}
	trusting := append(s.root(), "SSL_CERT_FILE="+cert)
	path, want := randomFile(t, "a.bin", 100_000)
	var object client.Object
	decode(t, mustSallyport(t, trusting, "upload", "--json", path), &object)
	if out := mustSallyport(t, trusting, "download", object.ObjectID, "-o", "-"); out != string(want) {
		t.Errorf("%d bytes came out as %d", len(want), len(out))
	}
	if r := sallyport(t, s.root(), "objects", "ls"); r.code != 1 {
		t.Errorf("a certificate that nobody vouches for is trusted: %+v", r)
	}
	out := mustSallyport(t, nil, append([]string{"doctor", "--data", data, "--data-min-free", "1MiB"}, flags...)...)
	if !strings.Contains(out, "warn  s3 certificate    it ends on") {
		t.Errorf("doctor on a certificate that ends in a week:\n%s", out)
	}

	serial := func() int64 {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.S3, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("certificate %d is served", got)
	}
	writeCertificate(t, dir, 2)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(childTime); serial() != 2; {
		if time.Now().After(deadline) {
			t.Fatal("SIGHUP does not load the new certificate")
		}
	}
}

// TestBehindProxy has a proxy in front that puts its own idea of Host into each
// request. Signed URLs name the proxy and hold through it, and only for it.
func TestBehindProxy(t *testing.T) {
	var target atomic.Pointer[url.URL]
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target.Load()) // sets Host as well
	}})
	defer proxy.Close()
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil, "--s3-external-url", proxy.URL)
	s3, err := url.Parse(s.S3)
	if err != nil {
		t.Fatal(err)
	}
	target.Store(s3)
	path, want := randomFile(t, "a.bin", 100_000)
	var object client.Object
	decode(t, mustSallyport(t, s.root(), "upload", "--json", path), &object)
	if out := mustSallyport(t, s.root(), "download", object.ObjectID, "-o", "-"); out != string(want) {
		t.Errorf("%d bytes came out as %d", len(want), len(out))
	}
	u := newClient(t, s).mustCreate(10)
	if !strings.HasPrefix(u.PutURL, proxy.URL+"/_/uploads/") {
		t.Errorf("the URL does not begin with %s", proxy.URL)
	}
}

// TestTrustedProxies lets a request that came with another Host than the signed
// one count only if a proxy that is trusted has sent it, once any is.
func TestTrustedProxies(t *testing.T) {
	for proxies, want := range map[string]int{"": http.StatusOK, "127.0.0.1": http.StatusOK, "192.0.2.1": http.StatusForbidden} {
		t.Run(proxies, func(t *testing.T) {
			s := serve(t, filepath.Join(t.TempDir(), "data"), nil, "--s3-external-url", "http://s3.example.test", "--trusted-proxies", proxies)
			c := newClient(t, s)
			for host, want := range map[string]int{"": want, "s3.example.test": http.StatusOK} {
				u := c.mustCreate(5)
				inside := strings.Replace(u.PutURL, "http://s3.example.test", s.S3, 1)
				req, err := http.NewRequest(http.MethodPut, inside, strings.NewReader("hello"))
				if err != nil {
					t.Fatal(err)
				}
				req.Host = host
				for name, value := range u.Headers {
					req.Header.Set(name, value)
				}
				answer, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if err := answer.Body.Close(); err != nil || answer.StatusCode != want {
					t.Errorf("with the host %q: %s, want %d", host, answer.Status, want)
				}
			}
		})
	}
}

// testClient is a client in this process, where a body can be held back.
type testClient struct {
	*client.Client
	t       *testing.T
	control string // URL of the control port
}

func newClient(t *testing.T, s *running) testClient {
	t.Helper()
	root := s.root()
	c, err := client.New(client.Config{
		Endpoint: s.Control, Region: "us-east-1", Now: time.Now,
		AccessKey: strings.TrimPrefix(root[1], "SALLYPORT_ACCESS_KEY="), SecretKey: strings.TrimPrefix(root[2], "SALLYPORT_SECRET_KEY="),
	})
	if err != nil {
		t.Fatal(err)
	}
	return testClient{c, t, s.Control}
}

func (c testClient) mustCreate(size int64) client.Upload {
	c.t.Helper()
	u, err := c.CreateUpload(context.Background(), client.NewUpload{Filename: "a.bin", ContentType: "application/octet-stream", Size: size})
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

// heldPut is a PUT whose second half is held back.
type heldPut struct {
	rest   []byte
	body   *io.PipeWriter
	result chan error
}

// finish sends the rest and returns the outcome.
func (h *heldPut) finish() error {
	if _, err := h.body.Write(h.rest); err != nil {
		return err
	}
	return <-h.result
}

// abandon breaks the body off, without which net/http waits for it even when
// the connection is gone, and returns the outcome.
func (h *heldPut) abandon() error {
	_ = h.body.CloseWithError(io.ErrUnexpectedEOF) // never fails
	return <-h.result
}

// holdPut begins a PUT and returns once the server reads its body.
func (c testClient) holdPut(size int) *heldPut {
	c.t.Helper()
	u := c.mustCreate(int64(size))
	r, w := io.Pipe()
	c.t.Cleanup(func() { _ = w.Close() })
	req, err := http.NewRequest(http.MethodPut, u.PutURL, r)
	if err != nil {
		c.t.Fatal(err)
	}
	req.ContentLength = int64(size)
	for name, value := range u.Headers {
		req.Header.Set(name, value)
	}
	h := &heldPut{rest: make([]byte, size-size/2), body: w, result: make(chan error, 1)}
	go func() {
		answer, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				err = &client.Error{Status: answer.StatusCode}
			}
		}
		h.result <- err
	}()
	if _, err := w.Write(make([]byte, size/2)); err != nil {
		c.t.Fatal(err)
	}
	c.awaitUploading(u.UploadID)
	return h
}

func (c testClient) awaitUploading(id string) {
	c.t.Helper()
	token, err := c.CreateToken(context.Background(), client.NewToken{Name: "watch", Roles: []string{"admin"}, TTL: "1h"})
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, c.control+"/uploads/"+id, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	for deadline := time.Now().Add(childTime); ; time.Sleep(5 * time.Millisecond) {
		state := c.state(req)
		if state == "uploading" {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the upload is %s", state)
		}
	}
}

// state reads where the session stands that req asks for.
func (c testClient) state(req *http.Request) string {
	c.t.Helper()
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	var upload struct{ State string }
	err = json.NewDecoder(answer.Body).Decode(&upload)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		c.t.Fatal(err)
	}
	return upload.State
}

func TestGracefulStop(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil, "--server-shutdown-grace", "60s")
	put := newClient(t, s).holdPut(4 << 20)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(s.S3, "http://")
	for deadline := time.Now().Add(childTime); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break // it accepts nobody any more
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("a stopping server goes on accepting")
		}
	}
	if err := put.finish(); err != nil {
		t.Errorf("a transfer within the grace ends with %v", err)
	}
	s.ended = true
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
}

func TestSecondSignalCuts(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil, "--server-shutdown-grace", "10m")
	put := newClient(t, s).holdPut(4 << 20)
	begin := time.Now()
	for range 2 {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // two signals at once are one
	}
	s.ended = true
	if err := s.cmd.Wait(); err != nil || time.Since(begin) > 20*time.Second {
		t.Errorf("the server ends with %v after %s", err, time.Since(begin))
	}
	if err := put.abandon(); err == nil {
		t.Error("a transfer that was cut succeeds")
	}
}

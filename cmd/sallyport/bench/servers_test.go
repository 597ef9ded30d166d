//go:build bench && linux

package bench

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every server gets the same credentials and one bucket.
const (
	accessKey = "SPBENCHBENCHBENCHBEN"
	secretKey = "bench-secret-bench-secret-bench-secret-1"
	region    = "us-east-1"
	bucket    = "bench"
)

// server is a running server of S3.
type server struct {
	name    string
	host    string // host:port of the S3 port
	control string // the same of Sallyport's control port
	ops     string // and of the one with metrics
	process *process
	missing string // how to install it; it is not running then
}

// howToInstall is what a report says of a binary that is not there.
var howToInstall = map[string]string{
	"minio":     "make minio",
	"versitygw": "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
}

// find looks for a binary in PATH and in GOPATH/bin.
func find(name string) (path string, ok bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	out, err := exec.Command("go", "env", "GOPATH").Output()
	if err != nil {
		return "", false
	}
	for _, root := range filepath.SplitList(strings.TrimSpace(string(out))) {
		path := filepath.Join(root, "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
	}
	return "", false
}

func absent(name string) server {
	return server{name: name, missing: "not installed: " + howToInstall[name]}
}

// buildSallyport builds what is in the tree now, as make build does.
func buildSallyport(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "sallyport/cmd/sallyport")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// startSallyport starts one with everything at its default, on the disk or, with
// behind, in front of another server. Settings are environment variables, NAME=VALUE
// without SALLYPORT_.
func (b *bench) startSallyport(t *testing.T, name string, behind *server, settings ...string) server {
	t.Helper()
	data := b.vol.folder(t, "sallyport")
	env := []string{"SALLYPORT_ROOT_ACCESS_KEY=" + accessKey, "SALLYPORT_ROOT_SECRET_KEY=" + secretKey}
	if behind != nil {
		env = append(env, "SALLYPORT_BACKEND_KIND=s3", "SALLYPORT_BACKEND_S3_ENDPOINT=http://"+behind.host,
			"SALLYPORT_BACKEND_S3_BUCKET="+backendBucket,
			"SALLYPORT_BACKEND_S3_ACCESS_KEY="+accessKey, "SALLYPORT_BACKEND_S3_SECRET_KEY="+secretKey)
	}
	for _, setting := range settings {
		env = append(env, "SALLYPORT_"+setting)
	}
	p := launch(t, t.TempDir(), env, b.binary, "serve", "--data", data,
		"--s3-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	var reached struct{ S3, Control, Ops string }
	p.await(t, func() bool {
		text, err := os.ReadFile(filepath.Join(data, "endpoints.json"))
		return err == nil && json.Unmarshal(text, &reached) == nil
	})
	s := server{name: name, process: p,
		host: strings.TrimPrefix(reached.S3, "http://"), control: strings.TrimPrefix(reached.Control, "http://"),
		ops: strings.TrimPrefix(reached.Ops, "http://")}
	s.makeBucket(t, bucket)
	return s
}

func (b *bench) startMinIO(t *testing.T) server {
	t.Helper()
	path, ok := find("minio")
	if !ok {
		return absent("minio")
	}
	s := server{name: "minio", host: freeAddress(t)}
	// CI_CD lets it use a folder that is no disk of its own.
	s.process = launch(t, t.TempDir(), []string{
		"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on",
	}, path, "server", "--quiet", "--anonymous", "--address", s.host, "--console-address", "127.0.0.1:0", b.vol.folder(t, "minio"))
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	s.process.await(t, func() bool {
		resp, err := client.Get("http://" + s.host + "/minio/health/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	s.makeBucket(t, bucket)
	return s
}

func (b *bench) startVersity(t *testing.T) server {
	t.Helper()
	path, ok := find("versitygw")
	if !ok {
		return absent("versitygw")
	}
	s := server{name: "versitygw", host: freeAddress(t)}
	s.process = launch(t, t.TempDir(), nil, path, "--port", s.host, "--access", accessKey, "--secret", secretKey,
		"--region", region, "--keep-alive", "--quiet", "posix", b.vol.folder(t, "versitygw"))
	s.process.await(t, func() bool {
		c, err := net.Dial("tcp", s.host)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	s.makeBucket(t, bucket)
	return s
}

// startProxy starts the least that can stand in front of a server: a process
// that copies bytes both ways.
func startProxy(t *testing.T, behind server) server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, t.TempDir(), []string{proxyVariable + "=" + behind.host}, self)
	s := server{name: "tcp copy", process: p}
	p.await(t, func() bool {
		text, err := os.ReadFile(p.log)
		s.host = strings.TrimSpace(string(text))
		return err == nil && strings.HasSuffix(string(text), "\n")
	})
	return s
}

// runProxy prints its address and copies until it is ended.
func runProxy(backend string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(l.Addr().String() + "\n")
	for {
		front, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer front.Close()
			back, err := net.Dial("tcp", backend)
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(back, front) // either end may just go
				back.Close()
			}()
			_, _ = io.Copy(front, back)
			back.Close()
		}()
	}
}

// freeAddress is one that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// makeBucket makes a bucket. MinIO calls itself ready a little before it is.
func (s server) makeBucket(t *testing.T, name string) {
	t.Helper()
	var err error
	for range 100 {
		c := dial(t, s.host)
		err = c.do(request{method: "PUT", path: "/" + name, wantStatus: http.StatusOK})
		c.Close()
		if err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal(err)
}

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"

	"sallyport/registry/blob/s3blob"
)

// TestContainers builds the image as "make image" does, runs it in front of a
// MinIO in another container, and takes files along the golden path across both.
func TestContainers(t *testing.T) {
	t.Parallel()
	d := newDocks(t)
	minio := d.minio()
	const access, secret = "SPROOTINACONTAINER00", "the-root-secret-of-the-container"
	s3Port, controlPort := freePort(t), freePort(t)
	box := d.run("sallyport", d.sallyport(), nil, map[docker.Port]string{"9000/tcp": s3Port, "9001/tcp": controlPort},
		"SALLYPORT_ROOT_ACCESS_KEY="+access, "SALLYPORT_ROOT_SECRET_KEY="+secret, "SALLYPORT_LOG_LEVEL=debug",
		"SALLYPORT_S3_EXTERNAL_URL=http://127.0.0.1:"+s3Port, "SALLYPORT_CONTROL_ALLOW_PLAIN=true",
		"SALLYPORT_BACKEND_KIND=s3", "SALLYPORT_BACKEND_S3_ENDPOINT=http://"+minio.address, "SALLYPORT_BACKEND_S3_BUCKET="+containerBucket,
		"SALLYPORT_BACKEND_S3_ACCESS_KEY="+minio.access, "SALLYPORT_BACKEND_S3_SECRET_KEY="+minio.secret)
	s := &Server{
		S3: "http://127.0.0.1:" + s3Port, Control: "http://127.0.0.1:" + controlPort,
		t: t, seen: newSeen(), web: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	s.root = s.as(access, secret)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the container's log ends:\n%s", tail(d.log(box), 60))
		}
	})
	d.healthy(box)

	user := s.root.newKey("", "ann", "uploader", "reader", "auditor")
	for _, size := range []int{0, 1, 5<<20 + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { golden(t, s, user, noise(uint64(size), size)) })
	}
	u := user.begin(1000)
	u.mustPut(noise(1, 1000))
	u.publish()

	// A container that is stopped and started again has its volume.
	d.stop(box)
	if err := d.pool.Client.StartContainer(box.Container.ID, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the container answers again", func() bool {
		a, err := user.call("GET", "/me", nil)
		return err == nil && a.Status == http.StatusOK
	})
	s.mustGet(user.downloadURL(u.ObjectID).GetURL, noise(1, 1000))

	if found := s.seen.leaks(d.log(box), append(never, accidents...)...); len(found) > 0 {
		t.Errorf("in the container's log are leaks: %s", found)
	}
	if box.Container.Config.User == "" || strings.HasPrefix(box.Container.Config.User, "0") {
		t.Errorf("it runs as user %q", box.Container.Config.User)
	}
}

const containerBucket = "behind-the-container"

// docks is where containers lie: a network of their own.
type docks struct {
	t       *testing.T
	pool    *dockertest.Pool
	network *dockertest.Network
	suffix  string
}

func newDocks(t *testing.T) *docks {
	t.Helper()
	pool, err := dockertest.NewPool("")
	if err == nil {
		err = pool.Client.Ping()
	}
	if err != nil {
		need(t, "no Docker: "+err.Error()+"; install and start dockerd")
	}
	pool.MaxWait = patience
	d := &docks{t: t, pool: pool, suffix: fmt.Sprintf("-e2e-%d-%d", os.Getpid(), time.Now().UnixNano())}
	if d.network, err = pool.CreateNetwork("net" + d.suffix); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.network.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// build makes an image of a folder that holds a Dockerfile.
func (d *docks) build(name, folder string) string {
	d.t.Helper()
	name += d.suffix
	err := d.pool.Client.BuildImage(docker.BuildImageOptions{Name: name, ContextDir: folder, OutputStream: io.Discard, RmTmpContainer: true})
	if err != nil {
		d.t.Fatalf("build %s: %v", name, err)
	}
	d.t.Cleanup(func() {
		if err := d.pool.Client.RemoveImage(name); err != nil {
			d.t.Error(err)
		}
	})
	return name
}

// run starts a container and publishes its ports on this machine alone.
func (d *docks) run(name, image string, cmd []string, ports map[docker.Port]string, env ...string) *dockertest.Resource {
	d.t.Helper()
	bindings := map[docker.Port][]docker.PortBinding{}
	var exposed []string
	for inside, outside := range ports {
		exposed = append(exposed, string(inside))
		bindings[inside] = []docker.PortBinding{{HostIP: "127.0.0.1", HostPort: outside}}
	}
	box, err := d.pool.RunWithOptions(&dockertest.RunOptions{
		Name: name + d.suffix, Repository: image, Cmd: cmd, Env: env, Networks: []*dockertest.Network{d.network},
		ExposedPorts: exposed, PortBindings: bindings,
	}, func(c *docker.HostConfig) { c.PublishAllPorts = false })
	if err != nil {
		d.t.Fatalf("run %s: %v", name, err)
	}
	d.t.Cleanup(func() {
		if err := d.pool.Purge(box); err != nil {
			d.t.Error(err)
		}
	})
	return box
}

// sallyport lays out what the Makefile's image target does, and builds it.
func (d *docks) sallyport() string {
	d.t.Helper()
	folder := d.t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "data", "sallyport"), 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.copy(staticProgram(d.t), filepath.Join(folder, "sallyport"), 0o755)
	d.copy(filepath.Join("..", "..", "..", "deploy", "Dockerfile"), filepath.Join(folder, "Dockerfile"), 0o644)
	return d.build("sallyport", folder)
}

// dockedMinIO is a MinIO in a container.
type dockedMinIO struct{ address, access, secret string }

// minio builds an image of the minio on this machine, runs it, and makes the
// bucket.
func (d *docks) minio() dockedMinIO {
	d.t.Helper()
	folder := d.t.TempDir()
	d.copy(minioBinary(d.t), filepath.Join(folder, "minio"), 0o755)
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM scratch\nCOPY minio /minio\nENTRYPOINT [\"/minio\"]\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	m := dockedMinIO{access: "containers", secret: "containers-secret"}
	port := freePort(d.t)
	box := d.run("minio", d.build("minio", folder), []string{"server", "--quiet", "/data"}, map[docker.Port]string{"9000/tcp": port},
		"MINIO_ROOT_USER="+m.access, "MINIO_ROOT_PASSWORD="+m.secret, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on")
	m.address = strings.TrimPrefix(box.Container.Name, "/") + ":9000"
	store, err := s3blob.New(s3blob.Config{
		Endpoint: "http://127.0.0.1:" + port, Bucket: containerBucket, AccessKey: m.access, SecretKey: m.secret,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	defer store.Close()
	if err := d.pool.Retry(func() error { return store.EnsureBucket(context.Background()) }); err != nil {
		d.t.Fatalf("minio in a container: %v\n%s", err, tail(d.log(box), 20))
	}
	return m
}

// minioBinary is a minio that needs nothing else of a system.
func minioBinary(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("minio")
	if err != nil {
		gopath, err := exec.Command("go", "env", "GOPATH").Output()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(filepath.SplitList(strings.TrimSpace(string(gopath)))[0], "bin", "minio")
	}
	if _, err := os.Stat(path); err != nil {
		need(t, "no minio binary; get one with: make minio")
	}
	return path
}

func (d *docks) copy(from, to string, mode os.FileMode) {
	d.t.Helper()
	in, err := os.Open(from)
	if err != nil {
		d.t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		d.t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// healthy waits for the image's own health check.
func (d *docks) healthy(box *dockertest.Resource) {
	d.t.Helper()
	eventually(d.t, "the container is healthy", func() bool {
		c, err := d.pool.Client.InspectContainer(box.Container.ID)
		if err != nil {
			d.t.Fatal(err)
		}
		if !c.State.Running {
			d.t.Fatalf("the container ended with %d\n%s", c.State.ExitCode, tail(d.log(box), 60))
		}
		return c.State.Health.Status == "healthy"
	})
}

// stop ends a container as "docker stop" does, which here would send another
// signal: dockertest has set one of its own.
func (d *docks) stop(box *dockertest.Resource) {
	d.t.Helper()
	if err := d.pool.Client.KillContainer(docker.KillContainerOptions{ID: box.Container.ID, Signal: docker.SIGTERM}); err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if code, err := d.pool.Client.WaitContainerWithContext(box.Container.ID, ctx); err != nil || code != 0 {
		d.t.Errorf("the container ended with %d, %v", code, err)
	}
}

func (d *docks) log(box *dockertest.Resource) string {
	var text lockedBuffer
	err := d.pool.Client.Logs(docker.LogsOptions{
		Container: box.Container.ID, OutputStream: &text, ErrorStream: &text, Stdout: true, Stderr: true,
	})
	if err != nil {
		d.t.Error(err)
	}
	return text.String()
}

// freePort is a port of the loopback that is free now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

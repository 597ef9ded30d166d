package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/client"
	"sallyport/registry/blob/blobtest"
)

// TestOnMinIO is the golden path of the commands with an S3 service behind, which
// then dies and comes back.
func TestOnMinIO(t *testing.T) {
	minio := blobtest.StartMinIO(t)
	data := filepath.Join(t.TempDir(), "data")
	env := []string{
		"SALLYPORT_BACKEND_KIND=s3", "SALLYPORT_BACKEND_S3_ENDPOINT=" + minio.Endpoint, "SALLYPORT_BACKEND_S3_BUCKET=sallyport",
		"SALLYPORT_BACKEND_S3_ACCESS_KEY=" + minio.AccessKey, "SALLYPORT_BACKEND_S3_SECRET_KEY=" + minio.SecretKey,
	}
	s := serve(t, data, env)
	waitForFolder(t, filepath.Join(minio.RawDir, "sallyport")) // the bucket, which nobody made before
	for _, size := range []int{0, 1, 5<<20 + 1} {
		path, want := randomFile(t, "a.bin", size)
		var object client.Object
		decode(t, mustSallyport(t, s.root(), "upload", "--json", path), &object)
		if out := mustSallyport(t, s.root(), "download", object.ObjectID, "-o", "-"); !bytes.Equal([]byte(out), want) {
			t.Errorf("%d bytes came out as %d", size, len(out))
		}
	}
	doctor := []string{"doctor", "--data", data, "--data-min-free", "1MiB"}
	if out := mustSallyport(t, env, doctor...); strings.Contains(out, "fail") {
		t.Errorf("doctor says\n%s", out)
	}

	minio.Kill()
	if r := sallyport(t, env, doctor...); r.code != 1 || !strings.Contains(r.stdout, "fail  backend") || !strings.Contains(r.stdout, "not ready") {
		t.Errorf("doctor without the backend: %+v", r)
	}
	path, _ := randomFile(t, "b.bin", 1000)
	if r := sallyport(t, s.root(), "upload", path); r.code != 1 {
		t.Errorf("an upload without the backend: %+v", r)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("without its backend it ends with %d", code)
	}
	again := serve(t, data, env) // starts without it, too
	minio.Start()
	var object client.Object
	decode(t, mustSallyport(t, again.root(), "upload", "--json", path), &object)
	again.stop()
	// A put whose outcome was unknown is left alone for a while before it is
	// cleared up, but the ledger knows of it: it is no orphan.
	if out := mustSallyport(t, env, "fsck", "--content", "--data", data); !strings.HasPrefix(out, "4 objects") {
		t.Errorf("fsck says %s", out)
	}

	wrong := append(env[:2:2], "SALLYPORT_BACKEND_S3_BUCKET=absent", env[3], env[4])
	if r := sallyport(t, wrong, doctor...); r.code != 1 || !strings.Contains(r.stdout, "fail  backend") {
		t.Errorf("doctor with a bucket that is not there: %+v", r)
	}
}

// waitForFolder returns when a folder is there.
func waitForFolder(t *testing.T, folder string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(childTime)
	for {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s is not there after %s", filepath.Base(folder), childTime)
		}
	}
}

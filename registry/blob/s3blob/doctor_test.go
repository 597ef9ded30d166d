package s3blob_test

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/s3blob"
)

func TestConfig(t *testing.T) {
	good := s3blob.Config{Endpoint: "http://127.0.0.1:1", Bucket: "b", AccessKey: "a", SecretKey: "top-secret"}
	for name, row := range map[string]struct {
		change func(*s3blob.Config)
		names  string // what the message must name; "" = no error
	}{
		"good":          {func(*s3blob.Config) {}, ""},
		"good, path":    {func(c *s3blob.Config) { c.Endpoint += "/" }, ""},
		"good, prefix":  {func(c *s3blob.Config) { c.Prefix = "a/b/" }, ""},
		"no endpoint":   {func(c *s3blob.Config) { c.Endpoint = "" }, "endpoint"},
		"no scheme":     {func(c *s3blob.Config) { c.Endpoint = "127.0.0.1:9000" }, "endpoint"},
		"other scheme":  {func(c *s3blob.Config) { c.Endpoint = "ftp://host" }, "endpoint"},
		"with user":     {func(c *s3blob.Config) { c.Endpoint = "http://a:top-secret@host" }, "endpoint"},
		"with path":     {func(c *s3blob.Config) { c.Endpoint += "/x" }, "endpoint"},
		"no bucket":     {func(c *s3blob.Config) { c.Bucket = "" }, "bucket"},
		"prefix: slash": {func(c *s3blob.Config) { c.Prefix = "a" }, "prefix"},
		"prefix: root":  {func(c *s3blob.Config) { c.Prefix = "/" }, "prefix"},
		"prefix: dots":  {func(c *s3blob.Config) { c.Prefix = "../" }, "prefix"},
	} {
		cfg := good
		row.change(&cfg)
		_, err := s3blob.New(cfg)
		if (err == nil) != (row.names == "") || err != nil && !strings.Contains(err.Error(), row.names) {
			t.Errorf("%s: %v; want an error naming %q", name, err, row.names)
		}
		if err != nil && strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%s: %v shows the secret", name, err)
		}
	}
}

// admin is a client that changes what a Store cannot.
func admin(t *testing.T, m *blobtest.MinIO) *minio.Core {
	t.Helper()
	endpoint, err := url.Parse(m.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	core, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return core
}

func TestBucket(t *testing.T) {
	t.Parallel()
	m := blobtest.StartMinIO(t)
	core := admin(t, m)
	t.Run("Doctor", func(t *testing.T) { testDoctor(t, m, core) })
	t.Run("LargeMove", func(t *testing.T) { testLargeMove(t, m, core) })
	t.Run("WrongSecret", func(t *testing.T) {
		cfg := config(m, "doctor")
		cfg.SecretKey = "wrong"
		s, err := s3blob.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, err := range []error{s.Check(t.Context()), s.EnsureBucket(t.Context())} {
			if !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("with a wrong secret: %v; want ErrUnavailable", err)
			}
		}
	})
}

func testDoctor(t *testing.T, m *blobtest.MinIO, core *minio.Core) {
	const bucket = "doctor"
	ctx := t.Context()
	policy := func(action, resource string) func() error {
		return func() error {
			return core.SetBucketPolicy(ctx, bucket, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
				"Principal":{"AWS":["*"]},"Action":["s3:%s"],"Resource":["arn:aws:s3:::%s"]}]}`, action, resource))
		}
	}
	expire := func(rule lifecycle.Rule) func() error {
		return func() error {
			rule.ID = "r"
			if rule.Status == "" {
				rule.Status = "Enabled"
			}
			return core.SetBucketLifecycle(ctx, bucket, &lifecycle.Configuration{Rules: []lifecycle.Rule{rule}})
		}
	}
	cfg := config(m, bucket)
	cfg.Prefix = "ours/"
	s := newStore(t, cfg)
	for _, row := range []struct {
		name    string
		set     func() error
		problem string // the check that finds one; "" = none
	}{
		{"as made", func() error { return nil }, ""},
		{"public read", policy("GetObject", bucket+"/*"), "strangers cannot read"},
		{"public list", policy("ListBucket", bucket), "strangers cannot list"},
		{"public write", policy("PutObject", bucket+"/*"), "strangers cannot write"},
		{"private again", func() error { return core.SetBucketPolicy(ctx, bucket, "") }, ""},
		{"expiry", expire(lifecycle.Rule{Expiration: lifecycle.Expiration{Days: 3}}), "no expiry rules"},
		{"expiry of ours", expire(lifecycle.Rule{RuleFilter: lifecycle.Filter{Prefix: "ours/staging/"},
			Expiration: lifecycle.Expiration{Days: 3}}), "no expiry rules"},
		{"expiry of theirs", expire(lifecycle.Rule{RuleFilter: lifecycle.Filter{Prefix: "theirs/"},
			Expiration: lifecycle.Expiration{Days: 3}}), ""},
		{"expiry switched off", expire(lifecycle.Rule{Status: "Disabled", Expiration: lifecycle.Expiration{Days: 3}}), ""},
		{"no rules", func() error { return core.SetBucketLifecycle(ctx, bucket, &lifecycle.Configuration{}) }, ""},
		{"versioning", func() error { return core.EnableVersioning(ctx, bucket) }, "versioning is off"},
	} {
		if err := row.set(); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		found := ""
		findings := s.Doctor(ctx)
		for _, finding := range findings {
			if finding.Problem != "" {
				found += finding.Check
			}
		}
		if found != row.problem || len(findings) < 7 {
			t.Errorf("%s: findings %+v; want a problem of %q only", row.name, findings, row.problem)
		}
	}
	for entry, err := range s.List(ctx, "") {
		t.Errorf("the doctor left %q behind (%v)", string(entry.Key), err)
	}
}

// Blobs beyond the largest single copy are moved in parts, and the parts of a
// Move that died are not kept for ever.
func testLargeMove(t *testing.T, m *blobtest.MinIO, core *minio.Core) {
	const size = 12<<20 + 3
	cfg := config(m, "large")
	cfg.CopyPart = 5 << 20
	s := newStore(t, cfg)
	ctx := t.Context()
	if _, err := s.Put(ctx, "from", blobtest.Bytes(1, size), size); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		id, err := core.NewMultipartUpload(ctx, "large", "to", minio.PutObjectOptions{})
		if err == nil {
			_, err = core.CopyObjectPart(ctx, "large", "from", "large", "to", id, 1, 0, 5<<20, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Move(ctx, "from", "to"); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.Open(ctx, "to", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	want, _ := io.ReadAll(blobtest.Bytes(1, size))
	if err != nil || string(got) != string(want) {
		t.Errorf("%d bytes, %v; want the %d that were put", len(got), err, size)
	}
	list, err := core.ListMultipartUploads(ctx, "large", "to", "", "", "", 10)
	if err != nil || len(list.Uploads) != 0 {
		t.Errorf("%d unfinished uploads, %v; want none", len(list.Uploads), err)
	}
}

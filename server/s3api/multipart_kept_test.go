package s3api_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sallyport/registry"
)

// TestMultipartKept: what a multipart upload was created with is the object's, and a
// version of it in a bucket that has them.
func TestMultipartKept(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "vault", Intake: registry.IntakeDirect,
		Versioning: registry.VersioningEnabled, Lock: &registry.BucketLock{}}))
	c, ctx, bucket, key := s.sdk(rootCredentials), t.Context(), aws.String("vault"), aws.String("k")
	until := s.now().Add(time.Hour).UTC().Truncate(time.Second)
	created, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key,
		ContentType: aws.String("text/x-odd"), ContentLanguage: aws.String("de"), Metadata: map[string]string{"Who": "me"},
		Tagging: aws.String("a=b&c=d%20e"), StorageClass: types.StorageClassStandardIa,
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn})
	if err != nil {
		t.Fatal(err)
	}
	m := &mpu{stack: s, path: "/vault/k", id: *created.UploadId}
	r := m.do(m.call("POST", "", listed(1, m.put(1, []byte("hello")))))
	version := r.header.Get("x-amz-version-id")
	if done := r.completed(t); version == "" || r.header.Get("ETag") != "" || done.ETag == "" {
		t.Errorf("completed: %v %+v", r.header, done)
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(head.VersionId) != version || *head.ContentType != "text/x-odd" || *head.ContentLanguage != "de" || head.Metadata["who"] != "me" ||
		head.StorageClass != types.StorageClassStandardIa || aws.ToInt32(head.TagCount) != 2 || head.ObjectLockMode != types.ObjectLockModeGovernance ||
		!aws.ToTime(head.ObjectLockRetainUntilDate).Equal(until) || head.ObjectLockLegalHoldStatus != types.ObjectLockLegalHoldStatusOn {
		t.Errorf("head: %+v", head)
	}
	p := anyKey("k")
	p.bucket = "vault"
	if r := s.post(p); r.status != 204 || r.header.Get("x-amz-version-id") == "" || r.header.Get("x-amz-version-id") == version {
		t.Errorf("post: %d %v %s", r.status, r.header, r.body)
	}
}

// TestMultipartLock: who may write may not lock.
func TestMultipartLock(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "vault", Intake: registry.IntakeDirect,
		Versioning: registry.VersioningEnabled, Lock: &registry.BucketLock{}}))
	uploader := s.key(registry.DefaultTenant, "ulla", registry.RoleUploader)
	hold := header("X-Amz-Object-Lock-Legal-Hold", "ON")
	s.do(call{method: "POST", path: "/vault/k?uploads", header: hold, credentials: uploader}).want(t, 403, "AccessDenied")
	p := anyKey("k", field{"x-amz-object-lock-legal-hold", "ON"})
	p.bucket, p.credentials = "vault", uploader
	s.post(p).want(t, 403, "AccessDenied")
}

// TestMultipartQuarantine: where a write has to be inspected it is stored with the
// 200, and shown later.
func TestMultipartQuarantine(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "held", Intake: registry.IntakeQuarantine}))
	m := s.multipart("/held/k", nil)
	m.do(m.call("POST", "", listed(1, m.put(1, []byte("hello"))))).completed(t)
	p := anyKey("form")
	p.bucket = "held"
	if r := s.post(p); r.status != 204 {
		t.Fatalf("post: %d %s", r.status, r.body)
	}
	for _, path := range []string{"/held/k", "/held/form"} {
		r := s.do(call{method: "GET", path: path})
		if r.want(t, 404, "NoSuchKey"); r.header.Get("x-sallyport-state") == "" {
			t.Errorf("%s: no word of why: %v", path, r.header)
		}
	}
	for worked := true; worked; {
		var err error
		worked, err = s.worker.Once(s.ctx())
		s.must(err)
	}
	for _, path := range []string{"/held/k", "/held/form"} {
		if r := s.do(call{method: "GET", path: path}); string(r.body) != "hello" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/cors"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/minio/minio-go/v7/pkg/tags"
)

// minioGo is that client with one bucket.
type minioGo struct {
	*testing.T
	*minio.Client
	account account
	web     *payloads
}

const minioGoBucket = "minio-go-home"

// payloads remembers which kinds of payload a client has sent.
type payloads struct {
	http.RoundTripper
	mu   sync.Mutex
	sent map[string]bool
}

func (p *payloads) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.sent[r.Header.Get("X-Amz-Content-Sha256")] = true
	p.mu.Unlock()
	return p.RoundTripper.RoundTrip(r)
}

// testMinIOGo takes minio-go through what it does its own way: chunks that are
// signed one by one, trailers, composed objects, locks and forms.
func testMinIOGo(t *testing.T, a account) {
	c := &minioGo{T: t, account: a, web: &payloads{RoundTripper: a.transport(t), sent: map[string]bool{}}}
	c.Client = c.newClient(false)
	c.must(c.MakeBucket(t.Context(), minioGoBucket, minio.MakeBucketOptions{Region: a.region}))
	if ok, err := c.BucketExists(t.Context(), minioGoBucket); !ok || err != nil {
		t.Errorf("the bucket is there: %t, %v", ok, err)
	}
	if ok, err := c.BucketExists(t.Context(), "minio-go-none"); ok || err != nil {
		t.Errorf("another is there: %t, %v", ok, err)
	}
	c.streams()
	c.composed()
	c.listed()
	c.configured()
	c.form()
	c.locked()
	c.empty(minioGoBucket, minio.RemoveObjectsOptions{})

	want := []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}
	if a.ca != "" {
		want = []string{"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
	}
	for _, kind := range want {
		if !c.web.sent[kind] {
			t.Errorf("nothing was sent as %s", kind)
		}
	}
}

// newClient is a client, with or without checksums as trailers.
func (c *minioGo) newClient(trailers bool) *minio.Client {
	c.Helper()
	lookup := minio.BucketLookupPath
	if c.account.virtual {
		lookup = minio.BucketLookupDNS
	}
	client, err := minio.New(address(c.account.endpoint), &minio.Options{
		Creds: credentials.NewStaticV4(c.account.access, c.account.secret, ""), Secure: c.account.ca != "", Transport: c.web,
		Region: c.account.region, BucketLookup: lookup, TrailingHeaders: trailers, MaxRetries: 1,
	})
	c.must(err)
	return client
}

func (c *minioGo) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *minioGo) refused(code string, err error) {
	c.Helper()
	if got := minio.ToErrorResponse(err).Code; got != code {
		c.Errorf("%v, want %s", err, code)
	}
}

// same reads an object, and a piece of its middle.
func (c *minioGo) same(bucket, key string, want []byte, options minio.GetObjectOptions) {
	c.Helper()
	o, err := c.GetObject(c.Context(), bucket, key, options)
	c.must(err)
	defer o.Close()
	got, err := io.ReadAll(o)
	c.must(err)
	if !bytes.Equal(got, want) {
		c.Errorf("%s holds %d bytes, want %d, or others", key, len(got), len(want))
	}
	if len(want) < 1000 {
		return
	}
	piece, at := make([]byte, 50), int64(len(want)/2)
	if _, err := o.ReadAt(piece, at); err != nil || !bytes.Equal(piece, want[at:at+50]) {
		c.Errorf("the middle of %s is other bytes, %v", key, err)
	}
}

// streams sends bodies of known and of unknown length.
func (c *minioGo) streams() {
	ctx, data := c.Context(), noise(1, partsSize)
	for _, trailers := range []bool{false, true} {
		client := c.newClient(trailers)
		for _, size := range []int{0, wholeSize, partsSize} {
			for _, checksum := range []minio.ChecksumType{minio.ChecksumNone, minio.ChecksumCRC32C, minio.ChecksumFullObjectCRC32, minio.ChecksumSHA1} {
				if !trailers && checksum != minio.ChecksumNone || size == partsSize && checksum == minio.ChecksumSHA1 {
					continue
				}
				key := fmt.Sprintf("streams/%t/%d/%s", trailers, size, checksum)
				info, err := client.PutObject(ctx, minioGoBucket, key, bytes.NewReader(data[:size]), int64(size), minio.PutObjectOptions{
					PartSize: partSize, Checksum: checksum, ContentType: "image/x-door", UserMetadata: map[string]string{"author": "ann"},
				})
				c.must(err)
				c.same(minioGoBucket, key, data[:size], minio.GetObjectOptions{})
				stat, err := c.StatObject(ctx, minioGoBucket, key, minio.StatObjectOptions{Checksum: true})
				c.must(err)
				if stat.ETag != info.ETag || stat.Size != int64(size) || stat.UserMetadata["Author"] != "ann" || stat.ContentType != "image/x-door" ||
					stat.ChecksumCRC32C != info.ChecksumCRC32C || stat.ChecksumCRC32 != info.ChecksumCRC32 || stat.ChecksumSHA1 != info.ChecksumSHA1 {
					c.Errorf("%s: stat is %+v, put was %+v", key, stat, info)
				}
			}
		}
		key := fmt.Sprintf("streams/%t/unknown", trailers)
		_, err := client.PutObject(ctx, minioGoBucket, key, io.MultiReader(bytes.NewReader(data)), -1, minio.PutObjectOptions{PartSize: partSize})
		c.must(err)
		c.same(minioGoBucket, key, data, minio.GetObjectOptions{})
	}
	_, err := c.StatObject(ctx, minioGoBucket, "never", minio.StatObjectOptions{})
	c.refused("NoSuchKey", err)
}

// composed makes one object of pieces of others, without the bytes passing here.
func (c *minioGo) composed() {
	ctx, data := c.Context(), noise(1, partsSize)
	const from, to = "whole", "composed"
	source := func(start, end int64) minio.CopySrcOptions {
		return minio.CopySrcOptions{Bucket: minioGoBucket, Object: from, MatchRange: true, Start: start, End: end - 1}
	}
	_, err := c.PutObject(ctx, minioGoBucket, from, bytes.NewReader(data), partsSize, minio.PutObjectOptions{PartSize: partSize})
	c.must(err)
	_, err = c.ComposeObject(ctx, minio.CopyDestOptions{Bucket: minioGoBucket, Object: to}, source(7, 6<<20), source(partsSize-6<<20, partsSize))
	c.must(err)
	c.same(minioGoBucket, to, slices.Concat(data[7:6<<20], data[partsSize-6<<20:]), minio.GetObjectOptions{})
	_, err = c.CopyObject(ctx, minio.CopyDestOptions{Bucket: minioGoBucket, Object: "copied", ReplaceMetadata: true, UserMetadata: map[string]string{"author": "bob"}},
		minio.CopySrcOptions{Bucket: minioGoBucket, Object: to})
	c.must(err)
	stat, err := c.StatObject(ctx, minioGoBucket, "copied", minio.StatObjectOptions{})
	c.must(err)
	if stat.UserMetadata["Author"] != "bob" {
		c.Errorf("the copy has %v", stat.UserMetadata)
	}
}

func (c *minioGo) listed() {
	for _, name := range oddNames {
		_, err := c.PutObject(c.Context(), minioGoBucket, "odd/"+name, bytes.NewReader([]byte(name)), int64(len(name)), minio.PutObjectOptions{})
		c.must(err)
	}
	for _, v1 := range []bool{false, true} {
		var got []string
		for o := range c.ListObjectsIter(c.Context(), minioGoBucket, minio.ListObjectsOptions{Prefix: "odd/", Recursive: true, MaxKeys: 4, UseV1: v1}) {
			c.must(o.Err)
			got = append(got, o.Key)
		}
		want := slices.Clone(oddNames)
		for i := range want {
			want[i] = "odd/" + want[i]
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			c.Errorf("the list is\n%q, want\n%q", got, want)
		}
	}
}

// configured gives the bucket what it can have, and reads it back.
func (c *minioGo) configured() {
	ctx := c.Context()
	rules := lifecycle.NewConfiguration()
	rules.Rules = []lifecycle.Rule{{
		ID: "old", Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: "logs/"}, Expiration: lifecycle.Expiration{Days: 30},
		AbortIncompleteMultipartUpload: lifecycle.AbortIncompleteMultipartUpload{DaysAfterInitiation: 2},
	}}
	c.must(c.SetBucketLifecycle(ctx, minioGoBucket, rules))
	got, err := c.GetBucketLifecycle(ctx, minioGoBucket)
	c.must(err)
	if len(got.Rules) != 1 || got.Rules[0].ID != "old" || got.Rules[0].Expiration.Days != 30 {
		c.Errorf("lifecycle: %+v", got)
	}
	c.must(c.SetBucketLifecycle(ctx, minioGoBucket, lifecycle.NewConfiguration()))

	c.must(c.SetBucketCors(ctx, minioGoBucket, cors.NewConfig([]cors.Rule{{AllowedOrigin: []string{"https://app.example.com"}, AllowedMethod: []string{"PUT"}}})))
	allowed, err := c.GetBucketCors(ctx, minioGoBucket)
	c.must(err)
	if len(allowed.CORSRules) != 1 || allowed.CORSRules[0].AllowedOrigin[0] != "https://app.example.com" {
		c.Errorf("CORS: %+v", allowed)
	}
	c.must(c.SetBucketCors(ctx, minioGoBucket, nil))

	labels, err := tags.NewTags(map[string]string{"team": "doors", "a": "b"}, false)
	c.must(err)
	c.must(c.SetBucketTagging(ctx, minioGoBucket, labels))
	read, err := c.GetBucketTagging(ctx, minioGoBucket)
	c.must(err)
	c.must(c.PutObjectTagging(ctx, minioGoBucket, "copied", read, minio.PutObjectTaggingOptions{}))
	object, err := c.GetObjectTagging(ctx, minioGoBucket, "copied", minio.GetObjectTaggingOptions{})
	c.must(err)
	if object.String() != labels.String() {
		c.Errorf("the tags are %s", object)
	}
	c.must(c.RemoveBucketTagging(ctx, minioGoBucket))
	if _, err := c.GetBucketPolicy(ctx, minioGoBucket); err != nil {
		c.refused("NoSuchBucketPolicy", err)
	}
}

// form uploads as a browser does, with a policy that somebody else signed.
func (c *minioGo) form() {
	p := minio.NewPostPolicy()
	c.must(p.SetBucket(minioGoBucket))
	c.must(p.SetKeyStartsWith("forms/"))
	c.must(p.SetContentType("image/x-door"))
	c.must(p.SetContentLengthRange(10, 1000))
	c.must(p.SetExpires(time.Now().UTC().Add(5 * time.Minute)))
	c.must(p.SetSuccessStatusAction("201"))
	url, fields, err := c.PresignedPostPolicy(c.Context(), p)
	c.must(err)
	for _, try := range []struct {
		size, status int
		key          string
	}{{100, 201, "forms/${filename}"}, {9, 400, "forms/a"}, {1001, 400, "forms/a"}, {100, 403, "elsewhere/a"}} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		fields["key"] = try.key
		for name, value := range fields {
			c.must(w.WriteField(name, value))
		}
		f, err := w.CreateFormFile("file", "door.bin")
		c.must(err)
		_, _ = f.Write(noise(3, try.size)) // to memory
		c.must(w.Close())
		req, err := http.NewRequest(http.MethodPost, url.String(), &body)
		c.must(err)
		req.Header.Set("Content-Type", w.FormDataContentType())
		resp, err := c.web.RoundTrip(req)
		c.must(err)
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		c.must(err)
		if resp.StatusCode != try.status {
			c.Errorf("a form of %d bytes to %s: %d, want %d\n%s", try.size, try.key, resp.StatusCode, try.status, answer)
		}
	}
	c.same(minioGoBucket, "forms/door.bin", noise(3, 100), minio.GetObjectOptions{})
}

// locked has a bucket whose objects stay.
func (c *minioGo) locked() {
	ctx := c.Context()
	const bucket, key = "minio-go-locked", "contract.bin"
	c.must(c.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: c.account.region, ObjectLocking: true}))
	enabled, _, _, _, err := c.GetObjectLockConfig(ctx, bucket)
	c.must(err)
	if enabled != "Enabled" {
		c.Errorf("locks are %q", enabled)
	}
	put, err := c.PutObject(ctx, bucket, key, bytes.NewReader([]byte("signed")), 6, minio.PutObjectOptions{
		Mode: minio.Governance, RetainUntilDate: time.Now().UTC().Add(time.Hour).Truncate(time.Second),
	})
	c.must(err)
	if put.VersionID == "" {
		c.Fatal("a bucket with locks has no versions")
	}
	version := minio.RemoveObjectOptions{VersionID: put.VersionID}
	c.refused("AccessDenied", c.RemoveObject(ctx, bucket, key, version))
	hold, released := minio.LegalHoldEnabled, minio.LegalHoldDisabled
	c.must(c.PutObjectLegalHold(ctx, bucket, key, minio.PutObjectLegalHoldOptions{Status: &hold}))
	bypass := minio.RemoveObjectOptions{VersionID: put.VersionID, GovernanceBypass: true}
	c.refused("AccessDenied", c.RemoveObject(ctx, bucket, key, bypass))
	c.must(c.PutObjectLegalHold(ctx, bucket, key, minio.PutObjectLegalHoldOptions{Status: &released}))
	mode, until, err := c.GetObjectRetention(ctx, bucket, key, "")
	c.must(err)
	if mode == nil || *mode != minio.Governance || until == nil || time.Until(*until) < 50*time.Minute {
		c.Errorf("the retention is %v until %v", mode, until)
	}
	c.must(c.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{})) // only a marker
	c.same(bucket, key, []byte("signed"), minio.GetObjectOptions{VersionID: put.VersionID})
	c.empty(bucket, minio.RemoveObjectsOptions{GovernanceBypass: true})
}

// empty removes every version in a bucket, many at a time, and the bucket.
func (c *minioGo) empty(bucket string, options minio.RemoveObjectsOptions) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), toolPatience)
	defer cancel()
	c.refused("BucketNotEmpty", c.RemoveBucket(ctx, bucket))
	all := c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true})
	for failed := range c.RemoveObjects(ctx, bucket, all, options) {
		c.Errorf("remove %s: %v", failed.ObjectName, failed.Err)
	}
	c.must(c.RemoveBucket(ctx, bucket))
}

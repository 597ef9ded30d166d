package s3api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"sallyport/registry"
)

// TestSession is the golden path of a session, with nothing but an HTTP client
// on this port.
func TestSession(t *testing.T) {
	s := newStack(t)
	for _, size := range []int{0, 1, 5<<20 + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content := strings.Repeat("A line of text.\n", size/16+1)[:size]
			begun := s.session(int64(size), "")
			r := s.put(s.putURL(begun), content)
			sum := sha256.Sum256([]byte(content))
			if r.status != 200 || len(r.body) != 0 ||
				r.header.Get("x-amz-checksum-sha256") != base64.StdEncoding.EncodeToString(sum[:]) || len(r.header.Get("ETag")) != 34 {
				t.Fatalf("put: %d %v %s", r.status, r.header, r.body)
			}
			if _, err := s.pipe.Finalize(s.ctx(), root, begun.Upload.ID, ""); err != nil {
				t.Fatal(err)
			}
			o := s.inspected(begun.Object.ID)
			if o.State != registry.ObjectPublished {
				t.Fatalf("object is %s: %+v", o.State, o.Verdict)
			}
			url, _ := s.getURL(o.ID)
			if r = s.get("GET", url); r.status != 200 || string(r.body) != content {
				t.Fatalf("get: %d, %d bytes", r.status, len(r.body))
			}
		})
	}
}

// TestSDK walks through what `aws s3` does, with AWS's own client and each way
// it has of sending a body.
func TestSDK(t *testing.T) {
	s := newStack(t)
	c, ctx := s.sdk(rootCredentials), t.Context()
	bucket := aws.String("photos")
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	must("create bucket", err)
	head, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket})
	must("head bucket", err)
	if aws.ToString(head.BucketRegion) != region {
		t.Errorf("bucket region %q", aws.ToString(head.BucketRegion))
	}
	location, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: bucket})
	must("location", err)
	if location.LocationConstraint != "" {
		t.Errorf("location %q", location.LocationConstraint)
	}
	buckets, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	must("list buckets", err)
	tenant, err := s.ledger.Tenant(ctx, registry.DefaultTenant)
	must("tenant", err)
	if len(buckets.Buckets) != 1 || *buckets.Buckets[0].Name != *bucket || *buckets.Owner.ID != tenant.OwnerID {
		t.Errorf("buckets %+v, owner %+v", buckets.Buckets, buckets.Owner)
	}

	content := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	bodies := map[string]func() (io.Reader, types.ChecksumAlgorithm){
		"header/hashed":    func() (io.Reader, types.ChecksumAlgorithm) { return bytes.NewReader(content), "" },
		"header/crc64nvme": func() (io.Reader, types.ChecksumAlgorithm) { return bytes.NewReader(content), "CRC64NVME" },
		"header/sha256":    func() (io.Reader, types.ChecksumAlgorithm) { return bytes.NewReader(content), "SHA256" },
		"header/sha1":      func() (io.Reader, types.ChecksumAlgorithm) { return bytes.NewReader(content), "SHA1" },
		"header/crc32c":    func() (io.Reader, types.ChecksumAlgorithm) { return bytes.NewReader(content), "CRC32C" },
	}
	for key, body := range bodies {
		r, algorithm := body()
		put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: r, ChecksumAlgorithm: algorithm,
			ContentType: aws.String("text/x-odd"), CacheControl: aws.String("max-age=5"), ContentEncoding: aws.String("br"),
			Metadata: map[string]string{"Camera": "a  b"}})
		must("put "+key, err)
		get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		must("get "+key, err)
		got, err := io.ReadAll(get.Body)
		must("read "+key, err)
		if !bytes.Equal(got, content) || aws.ToString(get.ETag) != aws.ToString(put.ETag) {
			t.Errorf("%s: %d bytes back, ETag %s after %s", key, len(got), aws.ToString(get.ETag), aws.ToString(put.ETag))
		}
		if *get.ContentType != "text/x-odd" || *get.CacheControl != "max-age=5" || *get.ContentEncoding != "br" || get.Metadata["camera"] != "a  b" {
			t.Errorf("%s: %v %v %v %v", key, *get.ContentType, *get.CacheControl, *get.ContentEncoding, get.Metadata)
		}
		want := aws.ToString(put.ChecksumCRC32) + aws.ToString(put.ChecksumCRC32C) + aws.ToString(put.ChecksumCRC64NVME) + aws.ToString(put.ChecksumSHA1) + aws.ToString(put.ChecksumSHA256)
		have := aws.ToString(get.ChecksumCRC32) + aws.ToString(get.ChecksumCRC32C) + aws.ToString(get.ChecksumCRC64NVME) + aws.ToString(get.ChecksumSHA1) + aws.ToString(get.ChecksumSHA256)
		if want == "" && algorithm != "" || want != have {
			t.Errorf("%s: checksum %q after %q", key, have, want)
		}
	}

	list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/")})
	must("list", err)
	if len(list.Contents) != 0 || len(list.CommonPrefixes) != 1 || *list.CommonPrefixes[0].Prefix != "header/" || *list.KeyCount != 1 {
		t.Errorf("list: %+v", list)
	}
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("header/sha1")})
	must("delete", err)
	// Each key again, as often as there are digests of the request.
	var gone []types.ObjectIdentifier
	for key := range bodies {
		gone = append(gone, types.ObjectIdentifier{Key: &key})
	}
	for _, algorithm := range types.ChecksumAlgorithmCrc32.Values()[:5] {
		deleted, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: gone}, ChecksumAlgorithm: algorithm})
		must("delete objects with "+string(algorithm), err)
		if len(deleted.Deleted) != len(bodies) || len(deleted.Errors) != 0 {
			t.Errorf("deleted %d, errors %+v", len(deleted.Deleted), deleted.Errors)
		}
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	must("delete bucket", err)
}

// TestStreams sends bodies that nobody knows the hash of beforehand.
func TestStreams(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	content := bytes.Repeat([]byte("stream"), 70000)
	t.Run("minio-go signed chunks", func(t *testing.T) {
		roundTrip(t, s, minio.PutObjectOptions{ContentType: "text/plain", ContentEncoding: "gzip"}, content)
	})
	t.Run("minio-go signed chunks with trailer", func(t *testing.T) {
		roundTrip(t, s, minio.PutObjectOptions{Checksum: minio.ChecksumCRC32C}, content)
	})
	t.Run("minio-go content md5", func(t *testing.T) {
		roundTrip(t, s, minio.PutObjectOptions{SendContentMd5: true}, content)
	})
	t.Run("unsigned chunks with trailer", func(t *testing.T) {
		const crc = "jNwWgw=="
		r := s.do(call{method: "PUT", path: "/photos/k", body: "1\r\nx\r\n0\r\nx-amz-checksum-crc32:" + crc + "\r\n\r\n",
			payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: header("X-Amz-Decoded-Content-Length", "1",
				"X-Amz-Trailer", "x-amz-checksum-crc32", "Content-Encoding", "aws-chunked,gzip")})
		if r.status != 200 || r.header.Get("x-amz-checksum-crc32") != crc {
			t.Fatalf("put: %d %v %s", r.status, r.header, r.body)
		}
		if r = s.do(call{method: "GET", path: "/photos/k"}); string(r.body) != "x" || r.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("get: %d %v %q", r.status, r.header, r.body)
		}
	})
}

func (s *stack) minio() *minio.Client {
	s.Helper()
	c, err := minio.New(s.addr, &minio.Options{Creds: credentials.NewStaticV4(rootKey, rootSecret, ""), Region: region, TrailingHeaders: true})
	s.must(err)
	return c
}

func roundTrip(t *testing.T, s *stack, o minio.PutObjectOptions, content []byte) {
	t.Helper()
	c := s.minio()
	put, err := c.PutObject(t.Context(), "photos", "k", io.MultiReader(bytes.NewReader(content)), int64(len(content)), o)
	if err != nil {
		t.Fatal(err)
	}
	get, err := c.GetObject(t.Context(), "photos", "k", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(get)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes back: %v", len(got), err)
	}
	info, err := get.Stat()
	if err != nil || info.ETag != put.ETag || info.Metadata.Get("Content-Encoding") != o.ContentEncoding {
		t.Errorf("stat: %+v %v, put %+v", info, err, put)
	}
}

// TestMinioClient walks the second client library through its lists and deletes.
func TestMinioClient(t *testing.T) {
	s := newStack(t)
	c, ctx := s.minio(), t.Context()
	if err := c.MakeBucket(ctx, "music", minio.MakeBucketOptions{Region: region}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, key := range []string{"a b", "a+b", "ä/ö", "x/1", "x/2", "z&<>\"'"} {
		if _, err := c.PutObject(ctx, "music", key, strings.NewReader(key), int64(len(key)), minio.PutObjectOptions{}); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		want = append(want, key)
	}
	slices.Sort(want)
	for name, o := range map[string]minio.ListObjectsOptions{"v2": {Recursive: true, MaxKeys: 2}, "v1": {Recursive: true, MaxKeys: 2, UseV1: true}} {
		var got []string
		for o := range c.ListObjects(ctx, "music", o) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			got = append(got, o.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	in := make(chan minio.ObjectInfo, len(want))
	for _, k := range want {
		in <- minio.ObjectInfo{Key: k}
	}
	close(in)
	for e := range c.RemoveObjects(ctx, "music", in, minio.RemoveObjectsOptions{}) {
		t.Errorf("remove %q: %v", e.ObjectName, e.Err)
	}
	if err := c.RemoveBucket(ctx, "music"); err != nil {
		t.Error(err)
	}
	if ok, err := c.BucketExists(ctx, "music"); ok || err != nil {
		t.Errorf("bucket exists: %v, %v", ok, err)
	}
}

// TestPresigned uses URLs that SDKs made with a user's key.
func TestPresigned(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	p := s3.NewPresignClient(s.sdk(rootCredentials))
	put, err := p.PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("photos"), Key: aws.String("a b/ü+.txt"), ContentType: aws.String("text/plain"),
		Metadata: map[string]string{"who": "me"}, ContentLength: aws.Int64(5)})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("PUT", put.URL, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range put.SignedHeader {
		if k != "Host" && k != "Content-Length" {
			req.Header[k] = v
		}
	}
	if r := s.send(req); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	get, err := p.PresignGetObject(t.Context(), &s3.GetObjectInput{
		Bucket: aws.String("photos"), Key: aws.String("a b/ü+.txt"), ResponseContentType: aws.String("text/html"),
		ResponseContentDisposition: aws.String("inline; filename=x.html")})
	if err != nil {
		t.Fatal(err)
	}
	r := s.get("GET", get.URL)
	if r.status != 200 || string(r.body) != "hello" {
		t.Fatalf("get: %d %s", r.status, r.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
		"Content-Disposition": "attachment; filename=x.html", "x-amz-meta-who": "me",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r := s.get("HEAD", get.URL); r.status != 403 || len(r.body) != 0 {
		t.Errorf("HEAD with a URL signed for GET: %d", r.status)
	}
}

// TestHoisted moves settings into the query of a presigned PUT, as SDKs do, and
// as nobody should.
func TestHoisted(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	for _, test := range []struct {
		query  string
		status int
		code   string
	}{
		{"x-amz-meta-a=b&X-Amz-Meta-C=d%20e", 200, ""},
		{"x-amz-meta-a=b%0D%0ASet-Cookie:%20x", 400, "InvalidArgument"},
		{"x-amz-meta-a%0D%0AX-B:=b", 400, "InvalidArgument"},
		{"x-amz-copy-source=/photos/none", 404, "NoSuchKey"},
		{"X-Amz-Copy-Source=", 400, "InvalidArgument"},
		{"x-amz-tagging=a%3Db%26a%3Dc", 400, "InvalidArgument"},
		{"x-amz-acl=public-read", 400, "AccessControlListNotSupported"},
		{"x-amz-security-token=t", 400, "InvalidToken"},
		{"x-amz-checksum-crc32=AAAAAA%3D%3D", 400, "BadDigest"}, // of an empty body, as some presigners add it
		{"x-amz-checksum-crc32=AAAA", 400, "InvalidRequest"},
	} {
		t.Run(test.query, func(t *testing.T) {
			req, err := http.NewRequest("PUT", s.url+"/photos/k?X-Amz-Expires=60&"+test.query, strings.NewReader("x"))
			s.must(err)
			url, _, err := v4.NewSigner().PresignHTTP(s.ctx(), rootCredentials, req, "UNSIGNED-PAYLOAD", "s3", region, s.now())
			s.must(err)
			req, err = http.NewRequest("PUT", url, strings.NewReader("x"))
			s.must(err)
			r := s.send(req)
			if test.code != "" {
				r.want(t, test.status, test.code)
			} else if r.status != test.status {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	if r := s.do(call{method: "GET", path: "/photos/k"}); r.header.Get("x-amz-meta-a") != "b" || r.header.Get("x-amz-meta-c") != "d e" {
		t.Errorf("metadata: %v", r.header)
	}
}

// TestHoistedTrailer moves what announces a trailer into the query of presigned PUTs.
func TestHoistedTrailer(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	m := s.multipart("/photos/parts", nil)
	const payload, framing = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-content-sha256=STREAMING-UNSIGNED-PAYLOAD-TRAILER&x-amz-decoded-content-length=1"
	for _, path := range []string{"/photos/k?", m.path + "?partNumber=1&uploadId=" + m.id + "&"} {
		for _, test := range []struct {
			query, sum, code string // code "": it is stored
		}{
			{framing + "&x-amz-trailer=X-Amz-Checksum-Crc32", "jNwWgw==", ""},
			{framing + "&x-amz-trailer=x-amz-checksum-crc32", "AAAAAA==", "BadDigest"},
			{framing, "jNwWgw==", "MalformedTrailerError"}, // nobody announced it
		} {
			req, err := http.NewRequest("PUT", s.url+path+"X-Amz-Expires=60&"+test.query, nil)
			s.must(err)
			url, _, err := v4.NewSigner().PresignHTTP(s.ctx(), rootCredentials, req, payload, "s3", region, s.now())
			s.must(err)
			req, err = http.NewRequest("PUT", url, strings.NewReader("1\r\nx\r\n0\r\nx-amz-checksum-crc32:"+test.sum+"\r\n\r\n"))
			s.must(err)
			switch r := s.send(req); {
			case test.code != "":
				r.want(t, 400, test.code)
			case r.status != 200 || r.header.Get("x-amz-checksum-crc32") != test.sum:
				t.Errorf("%s: %d %v %s", path, r.status, r.header, r.body)
			}
		}
	}
}

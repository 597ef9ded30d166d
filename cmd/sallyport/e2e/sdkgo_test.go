package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// transport reaches the endpoint whatever host is asked for, and trusts its
// authority.
func (a account) transport(t *testing.T) *http.Transport {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(tr.CloseIdleConnections)
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	if a.virtual {
		_, port, err := net.SplitHostPort(address(a.endpoint))
		if err != nil {
			t.Fatal(err)
		}
		var d net.Dialer
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		}
	}
	return tr
}

// sdkGo is the SDK with one bucket.
type sdkGo struct {
	*testing.T
	*s3.Client
	account account
	bucket  *string
}

// testSDKGo takes aws-sdk-go-v2 through the protocol.
func testSDKGo(t *testing.T, a account) {
	c := &sdkGo{T: t, account: a, bucket: aws.String("sdk-go-home")}
	c.Client = s3.New(s3.Options{
		Region: a.region, BaseEndpoint: aws.String(a.endpoint), UsePathStyle: !a.virtual,
		Credentials:      credentials.NewStaticCredentialsProvider(a.access, a.secret, ""),
		HTTPClient:       &http.Client{Transport: a.transport(t)},
		RetryMaxAttempts: 1,
	})
	c.buckets()
	c.wholeObjects()
	c.checksums()
	c.conditions()
	c.copies()
	c.lists()
	c.presigned()
	c.transfers()
	c.parts()
	c.versions()
	c.clear(c.bucket)
}

// must ends the test unless err is nil.
func (c *sdkGo) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// refused wants an error of that code.
func (c *sdkGo) refused(code string, err error) {
	c.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		c.Errorf("%v, want %s", err, code)
	}
}

func (c *sdkGo) buckets() {
	ctx := c.Context()
	made := &s3.CreateBucketInput{Bucket: c.bucket}
	if c.account.region != region {
		made.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(c.account.region)}
	}
	_, err := c.CreateBucket(ctx, made)
	c.must(err)
	if _, err := c.CreateBucket(ctx, made); err != nil && !errors.As(err, new(*types.BucketAlreadyOwnedByYou)) {
		c.Errorf("a second CreateBucket: %v", err)
	}
	head, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: c.bucket})
	c.must(err)
	if got := aws.ToString(head.BucketRegion); got != c.account.region {
		c.Errorf("the bucket's region is %q", got)
	}
	_, err = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("sdk-go-none")})
	if !errors.As(err, new(*types.NotFound)) {
		c.Errorf("no bucket: %v", err)
	}
	all, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	c.must(err)
	if len(all.Buckets) != 1 || aws.ToString(all.Buckets[0].Name) != *c.bucket {
		c.Errorf("buckets: %+v", all.Buckets)
	}
	location, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: c.bucket})
	c.must(err)
	if got := string(location.LocationConstraint); got != c.account.region && (got != "" || c.account.region != region) {
		c.Errorf("the bucket is in %q", got)
	}
}

func (c *sdkGo) put(key string, body []byte, change ...func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
	in := &s3.PutObjectInput{Bucket: c.bucket, Key: &key, Body: bytes.NewReader(body)}
	for _, f := range change {
		f(in)
	}
	return c.PutObject(c.Context(), in)
}

// same reads an object and wants that content.
func (c *sdkGo) same(key string, want []byte, change ...func(*s3.GetObjectInput)) *s3.GetObjectOutput {
	c.Helper()
	in := &s3.GetObjectInput{Bucket: c.bucket, Key: &key}
	for _, f := range change {
		f(in)
	}
	out, err := c.GetObject(c.Context(), in)
	c.must(err)
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	c.must(err)
	if !bytes.Equal(got, want) {
		c.Errorf("%q holds %d bytes, want %d, or others", key, len(got), len(want))
	}
	return out
}

func (c *sdkGo) wholeObjects() {
	data := noise(1, wholeSize)
	for name, payload := range map[string]func(*s3.Options){
		"signed":   func(*s3.Options) {},
		"unsigned": s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware),
	} {
		for _, size := range []int{0, 1, wholeSize} {
			_, err := c.PutObject(c.Context(), &s3.PutObjectInput{
				Bucket: c.bucket, Key: aws.String(name), Body: bytes.NewReader(data[:size]),
				ContentType: aws.String("image/x-door"), CacheControl: aws.String("max-age=7"), ContentLanguage: aws.String("de"),
				ContentEncoding: aws.String("identity"), Metadata: map[string]string{"author": "ann"},
			}, payload)
			c.must(err)
			out := c.same(name, data[:size])
			if aws.ToString(out.ContentType) != "image/x-door" || aws.ToString(out.CacheControl) != "max-age=7" ||
				aws.ToString(out.ContentLanguage) != "de" || !maps.Equal(out.Metadata, map[string]string{"author": "ann"}) {
				c.Errorf("headers came back as %+v", out)
			}
		}
	}
	c.same("signed", data[10:20], func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=10-19") })
	c.same("signed", data[len(data)-7:], func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=-7") })
	_, err := c.GetObject(c.Context(), &s3.GetObjectInput{Bucket: c.bucket, Key: aws.String("signed"), Range: aws.String("bytes=999999-")})
	c.refused("InvalidRange", err)
	_, err = c.GetObject(c.Context(), &s3.GetObjectInput{Bucket: c.bucket, Key: aws.String("never")})
	if !errors.As(err, new(*types.NoSuchKey)) {
		c.Errorf("no key: %v", err)
	}
}

// checksums puts with each algorithm, as a header where the body is signed and
// as a trailer where the SDK streams it, and wants each back.
func (c *sdkGo) checksums() {
	data := noise(2, wholeSize)
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme,
		types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	} {
		key := "checked/" + string(algorithm)
		put, err := c.put(key, data, func(in *s3.PutObjectInput) { in.ChecksumAlgorithm = algorithm })
		c.must(err)
		got := c.same(key, data, func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
		all, err := c.GetObjectAttributes(c.Context(), &s3.GetObjectAttributesInput{
			Bucket: c.bucket, Key: &key, ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesChecksum, types.ObjectAttributesObjectSize},
		})
		c.must(err)
		if all.Checksum == nil || aws.ToInt64(all.ObjectSize) != wholeSize {
			c.Errorf("%s: attributes %+v", algorithm, all)
			continue
		}
		for name, of := range map[string][3]*string{
			"CRC32":     {put.ChecksumCRC32, got.ChecksumCRC32, all.Checksum.ChecksumCRC32},
			"CRC32C":    {put.ChecksumCRC32C, got.ChecksumCRC32C, all.Checksum.ChecksumCRC32C},
			"CRC64NVME": {put.ChecksumCRC64NVME, got.ChecksumCRC64NVME, all.Checksum.ChecksumCRC64NVME},
			"SHA1":      {put.ChecksumSHA1, got.ChecksumSHA1, all.Checksum.ChecksumSHA1},
			"SHA256":    {put.ChecksumSHA256, got.ChecksumSHA256, all.Checksum.ChecksumSHA256},
		} {
			a, b, d := aws.ToString(of[0]), aws.ToString(of[1]), aws.ToString(of[2])
			if (a != "") != (name == string(algorithm)) || a != b || b != d {
				c.Errorf("%s: %s is %q in PUT, %q in GET, %q in the attributes", algorithm, name, a, b, d)
			}
		}
	}
	_, err := c.put("checked/wrong", data, func(in *s3.PutObjectInput) { in.ChecksumCRC32 = aws.String("AAAAAA==") })
	c.refused("BadDigest", err)
}

func (c *sdkGo) conditions() {
	data := []byte("guarded")
	first, err := c.put("guarded", data, func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
	c.must(err)
	_, err = c.put("guarded", data, func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
	c.refused("PreconditionFailed", err)
	_, err = c.put("guarded", []byte("replaced"), func(in *s3.PutObjectInput) { in.IfMatch = first.ETag })
	c.must(err)
	_, err = c.put("guarded", data, func(in *s3.PutObjectInput) { in.IfMatch = first.ETag })
	c.refused("PreconditionFailed", err)
	_, err = c.GetObject(c.Context(), &s3.GetObjectInput{Bucket: c.bucket, Key: aws.String("guarded"), IfModifiedSince: aws.Time(time.Now())})
	c.refused("NotModified", err)
	_, err = c.DeleteObject(c.Context(), &s3.DeleteObjectInput{Bucket: c.bucket, Key: aws.String("guarded"), IfMatch: first.ETag})
	c.refused("PreconditionFailed", err)
	c.same("guarded", []byte("replaced"))
}

func (c *sdkGo) copies() {
	data := noise(3, wholeSize)
	_, err := c.put("from +%ä.bin", data, func(in *s3.PutObjectInput) {
		in.Metadata, in.Tagging = map[string]string{"author": "ann"}, aws.String("kind=door")
	})
	c.must(err)
	source := aws.String(*c.bucket + "/from%20%2B%25%C3%A4.bin")
	_, err = c.CopyObject(c.Context(), &s3.CopyObjectInput{Bucket: c.bucket, Key: aws.String("copied.bin"), CopySource: source})
	c.must(err)
	if out := c.same("copied.bin", data); out.Metadata["author"] != "ann" || aws.ToInt32(out.TagCount) != 1 {
		c.Errorf("the copy has %v, %d tags", out.Metadata, aws.ToInt32(out.TagCount))
	}
	_, err = c.CopyObject(c.Context(), &s3.CopyObjectInput{
		Bucket: c.bucket, Key: aws.String("copied.bin"), CopySource: source, MetadataDirective: types.MetadataDirectiveReplace,
		TaggingDirective: types.TaggingDirectiveReplace, Tagging: aws.String("a=1&b=2"), Metadata: map[string]string{"author": "bob"},
	})
	c.must(err)
	if out := c.same("copied.bin", data); out.Metadata["author"] != "bob" || aws.ToInt32(out.TagCount) != 2 {
		c.Errorf("the other copy has %v, %d tags", out.Metadata, aws.ToInt32(out.TagCount))
	}
	_, err = c.CopyObject(c.Context(), &s3.CopyObjectInput{Bucket: c.bucket, Key: aws.String("copied.bin"), CopySource: aws.String(*c.bucket + "/copied.bin")})
	c.refused("InvalidRequest", err)
	_, err = c.CopyObject(c.Context(), &s3.CopyObjectInput{Bucket: c.bucket, Key: aws.String("copied.bin"), CopySource: aws.String(*c.bucket + "/never")})
	c.refused("NoSuchKey", err)
	_, err = c.CopyObject(c.Context(), &s3.CopyObjectInput{
		Bucket: c.bucket, Key: aws.String("copied.bin"), CopySource: source, CopySourceIfMatch: aws.String(`"00000000000000000000000000000000"`),
	})
	c.refused("PreconditionFailed", err)
}

func (c *sdkGo) lists() {
	var want []string
	for _, name := range oddNames {
		key := "odd/" + name
		_, err := c.put(key, []byte(name))
		c.must(err)
		c.same(key, []byte(name))
		want = append(want, key)
	}
	slices.Sort(want)
	var got []string
	for p := s3.NewListObjectsV2Paginator(c.Client, &s3.ListObjectsV2Input{Bucket: c.bucket, Prefix: aws.String("odd/"), MaxKeys: aws.Int32(4)}); p.HasMorePages(); {
		page, err := p.NextPage(c.Context())
		c.must(err)
		for _, o := range page.Contents {
			got = append(got, aws.ToString(o.Key))
		}
	}
	if !slices.Equal(got, want) {
		c.Errorf("the list is\n%q, want\n%q", got, want)
	}
	v1, err := c.ListObjects(c.Context(), &s3.ListObjectsInput{Bucket: c.bucket, Prefix: aws.String("odd/"), Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl})
	c.must(err)
	if len(v1.CommonPrefixes) != 4 || len(v1.Contents) != len(oddNames)-4 {
		c.Errorf("%d folders and %d keys", len(v1.CommonPrefixes), len(v1.Contents))
	}
}

func (c *sdkGo) presigned() {
	p := s3.NewPresignClient(c.Client, s3.WithPresignExpires(5*time.Minute))
	web := &http.Client{Transport: c.account.transport(c.T)}
	data := noise(4, wholeSize)
	put, err := p.PresignPutObject(c.Context(), &s3.PutObjectInput{Bucket: c.bucket, Key: aws.String("presigned ü.bin"), ContentType: aws.String("image/x-door")})
	c.must(err)
	c.follow(web, put, data)
	get, err := p.PresignGetObject(c.Context(), &s3.GetObjectInput{
		Bucket: c.bucket, Key: aws.String("presigned ü.bin"), ResponseContentType: aws.String("text/other"),
	})
	c.must(err)
	header, body := c.follow(web, get, nil)
	if !bytes.Equal(body, data) || header.Get("Content-Type") != "text/other" {
		c.Errorf("%d bytes of %s came back", len(body), header.Get("Content-Type"))
	}
}

// follow makes the request that somebody signed.
func (c *sdkGo) follow(web *http.Client, signed *v4.PresignedHTTPRequest, body []byte) (http.Header, []byte) {
	c.Helper()
	req, err := http.NewRequest(signed.Method, signed.URL, bytes.NewReader(body))
	c.must(err)
	for name, values := range signed.SignedHeader {
		if !strings.EqualFold(name, "Host") && !strings.EqualFold(name, "Content-Length") {
			req.Header[name] = values
		}
	}
	resp, err := web.Do(req)
	c.must(err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	c.must(err)
	if resp.StatusCode != http.StatusOK {
		c.Errorf("%s with a signed URL: %d %s", signed.Method, resp.StatusCode, got)
	}
	return resp.Header, got
}

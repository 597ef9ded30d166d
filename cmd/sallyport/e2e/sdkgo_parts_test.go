package e2e_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// partSize is the least that S3 takes for a part that is not the last.
const partSize = 5 << 20

// etagOfParts is what S3 calls an object that came in parts of one size.
func etagOfParts(data []byte, size int) string {
	sums, n := md5.New(), 0
	for part := range slices.Chunk(data, size) {
		sum := md5.Sum(part)
		sums.Write(sum[:])
		n++
	}
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(sums.Sum(nil)), n)
}

// etagOfETags is the same of parts that have been stored.
func etagOfETags(parts ...types.CompletedPart) string {
	sums := md5.New()
	for _, p := range parts {
		sum, err := hex.DecodeString(strings.Trim(aws.ToString(p.ETag), `"`))
		if err != nil {
			return err.Error()
		}
		sums.Write(sum)
	}
	return fmt.Sprintf(`"%x-%d"`, sums.Sum(nil), len(parts))
}

// writerAt collects what comes in any order.
type writerAt []byte

func (w writerAt) WriteAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > int64(len(w)) {
		return 0, io.ErrShortWrite
	}
	return copy(w[at:], p), nil
}

// transfers sends and fetches with the transfer manager.
func (c *sdkGo) transfers() {
	data := noise(5, partsSize)
	for _, algorithm := range []tmtypes.ChecksumAlgorithm{"", "CRC32C", "CRC64NVME", "SHA256"} {
		manager := transfermanager.New(c.Client, func(o *transfermanager.Options) {
			o.PartSizeBytes, o.MultipartUploadThreshold = partSize, partSize
		})
		key := "managed/" + string(algorithm)
		// A reader that cannot seek is sent in chunks.
		up, err := manager.UploadObject(c.Context(), &transfermanager.UploadObjectInput{
			Bucket: c.bucket, Key: &key, Body: io.MultiReader(bytes.NewReader(data)), ChecksumAlgorithm: algorithm,
			Metadata: map[string]string{"author": "ann"},
		})
		c.must(err)
		if got := aws.ToString(up.ETag); got != etagOfParts(data, partSize) {
			c.Errorf("%s: the ETag is %s, want %s", algorithm, got, etagOfParts(data, partSize))
		}
		got := make(writerAt, len(data))
		_, err = manager.DownloadObject(c.Context(), &transfermanager.DownloadObjectInput{Bucket: c.bucket, Key: &key, WriterAt: got})
		c.must(err)
		if !bytes.Equal(got, data) {
			c.Errorf("%s: other bytes came back", algorithm)
		}
	}
}

// parts takes an upload through its calls, one by one.
func (c *sdkGo) parts() {
	ctx, key, data := c.Context(), aws.String("in parts"), noise(6, 2*partSize+1000)
	made, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: c.bucket, Key: key, ContentType: aws.String("image/x-door")})
	c.must(err)
	upload := func(number int32, body []byte) types.CompletedPart {
		c.Helper()
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: c.bucket, Key: key, UploadId: made.UploadId, PartNumber: &number, Body: bytes.NewReader(body)})
		c.must(err)
		return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
	}
	// Out of order, with gaps, one of them replaced, one never wanted.
	last := upload(7, data[2*partSize:])
	upload(2, noise(9, 10))
	first := upload(2, data[:partSize])
	upload(3, noise(9, 10))
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: c.bucket, Key: aws.String("source"), Body: bytes.NewReader(data)})
	c.must(err)
	copied, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: c.bucket, Key: key, UploadId: made.UploadId, PartNumber: aws.Int32(5), CopySource: aws.String(*c.bucket + "/source"),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", partSize, 2*partSize-1)),
	})
	c.must(err)
	middle := types.CompletedPart{PartNumber: aws.Int32(5), ETag: copied.CopyPartResult.ETag, ChecksumCRC32: copied.CopyPartResult.ChecksumCRC32}
	listed, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: c.bucket, Key: key, UploadId: made.UploadId, MaxParts: aws.Int32(3)})
	c.must(err)
	if len(listed.Parts) != 3 || !aws.ToBool(listed.IsTruncated) || aws.ToInt32(listed.Parts[2].PartNumber) != 5 {
		c.Errorf("ListParts: %+v", listed.Parts)
	}
	uploads, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: c.bucket})
	c.must(err)
	if len(uploads.Uploads) != 1 || aws.ToString(uploads.Uploads[0].UploadId) != *made.UploadId {
		c.Errorf("ListMultipartUploads: %+v", uploads.Uploads)
	}

	complete := func(parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: c.bucket, Key: key, UploadId: made.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	_, err = complete(middle, first, last)
	c.refused("InvalidPartOrder", err)
	_, err = complete(first, types.CompletedPart{PartNumber: aws.Int32(4), ETag: last.ETag}, last)
	c.refused("InvalidPart", err)
	_, err = complete(first, last, types.CompletedPart{PartNumber: aws.Int32(9), ETag: last.ETag})
	c.refused("InvalidPart", err)
	for range 2 { // a client that missed the answer asks again
		done, err := complete(first, middle, last)
		c.must(err)
		if got, want := aws.ToString(done.ETag), etagOfETags(first, middle, last); got != want {
			c.Errorf("the ETag is %s, want %s", got, want)
		}
	}
	c.same("in parts", data)
	if out := c.same("in parts", data[partSize:2*partSize], func(in *s3.GetObjectInput) { in.PartNumber = aws.Int32(2) }); aws.ToInt32(out.PartsCount) != 3 {
		c.Errorf("it has %d parts", aws.ToInt32(out.PartsCount))
	}
	c.abandoned()
}

// abandoned aborts an upload.
func (c *sdkGo) abandoned() {
	ctx, key := c.Context(), aws.String("abandoned")
	made, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: c.bucket, Key: key})
	c.must(err)
	part := &s3.UploadPartInput{Bucket: c.bucket, Key: key, UploadId: made.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(noise(1, 100))}
	_, err = c.UploadPart(ctx, part)
	c.must(err)
	_, err = c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: c.bucket, Key: key, UploadId: made.UploadId})
	c.must(err)
	part.Body = bytes.NewReader(noise(1, 100))
	_, err = c.UploadPart(ctx, part)
	if !errors.As(err, new(*types.NoSuchUpload)) {
		c.refused("NoSuchUpload", err)
	}
	c.refused("NoSuchKey", func() error {
		_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: c.bucket, Key: key})
		return err
	}())
}

// versions turns versions on and goes through the history of a key.
func (c *sdkGo) versions() {
	ctx, key := c.Context(), aws.String("versioned")
	_, err := c.put(*key, []byte("before"))
	c.must(err)
	_, err = c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: c.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	c.must(err)
	first, err := c.put(*key, []byte("first"))
	c.must(err)
	second, err := c.put(*key, []byte("second"))
	c.must(err)
	gone, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: c.bucket, Key: key})
	c.must(err)
	if !aws.ToBool(gone.DeleteMarker) {
		c.Errorf("DeleteObject: %+v", gone)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: c.bucket, Key: key})
	c.refused("NoSuchKey", err)
	c.same(*key, []byte("first"), func(in *s3.GetObjectInput) { in.VersionId = first.VersionId })
	c.same(*key, []byte("before"), func(in *s3.GetObjectInput) { in.VersionId = aws.String("null") })
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: c.bucket, Key: key, VersionId: gone.VersionId})
	c.must(err)
	if out := c.same(*key, []byte("second")); aws.ToString(out.VersionId) != aws.ToString(second.VersionId) {
		c.Errorf("the current version is %s", aws.ToString(out.VersionId))
	}
	list, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: c.bucket, Prefix: key})
	c.must(err)
	var got []string
	for _, v := range list.Versions {
		got = append(got, aws.ToString(v.VersionId))
	}
	if want := []string{aws.ToString(second.VersionId), aws.ToString(first.VersionId), "null"}; !slices.Equal(got, want) {
		c.Errorf("the versions are %v, want %v", got, want)
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: c.bucket, Key: key, CopySource: aws.String(*c.bucket + "/versioned?versionId=" + *first.VersionId)})
	c.must(err)
	c.same(*key, []byte("first"))
}

// clear deletes all versions of everything, and the bucket.
func (c *sdkGo) clear(bucket *string) {
	ctx := c.Context()
	_, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	c.refused("BucketNotEmpty", err)
	for p := s3.NewListObjectVersionsPaginator(c.Client, &s3.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(20)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		c.must(err)
		var all []types.ObjectIdentifier
		for _, v := range page.Versions {
			all = append(all, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			all = append(all, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		if len(all) == 0 {
			break
		}
		out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: all, Quiet: aws.Bool(true)}})
		c.must(err)
		if len(out.Errors) > 0 || len(out.Deleted) > 0 {
			c.Fatalf("DeleteObjects: %+v", out)
		}
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	c.must(err)
}

package s3api_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestObjectSDK walks through versions, locks, tags and copies with AWS's own client,
// which reads every answer by S3's own description of it.
func TestObjectSDK(t *testing.T) {
	s := newStack(t)
	s.lockable("photos")
	c, ctx := s.sdk(rootCredentials), t.Context()
	bucket, key := aws.String("photos"), aws.String("a b/ü+&.txt")
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	until := s.now().Add(time.Hour).UTC().Truncate(time.Second)
	one, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("one"),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, Tagging: aws.String("a=1&b=%C3%A4"),
		StorageClass: types.StorageClassStandardIa, ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: &until,
		ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn})
	must("put", err)
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key, VersionId: one.VersionId, ChecksumMode: types.ChecksumModeEnabled})
	must("head", err)
	if head.ObjectLockMode != types.ObjectLockModeGovernance || !head.ObjectLockRetainUntilDate.Equal(until) || head.ObjectLockLegalHoldStatus != "ON" ||
		head.StorageClass != types.StorageClassStandardIa || aws.ToInt32(head.TagCount) != 2 || head.ChecksumType != types.ChecksumTypeFullObject ||
		aws.ToString(head.VersionId) != aws.ToString(one.VersionId) {
		t.Errorf("head: %+v", head)
	}
	_, err = c.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: bucket, Key: key, LegalHold: &types.ObjectLockLegalHold{Status: "OFF"}})
	must("lift the hold", err)
	hold, err := c.GetObjectLegalHold(ctx, &s3.GetObjectLegalHoldInput{Bucket: bucket, Key: key})
	must("get the hold", err)
	later := until.Add(time.Hour)
	_, err = c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{Bucket: bucket, Key: key, VersionId: one.VersionId,
		Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: &later}})
	must("extend", err)
	retention, err := c.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: bucket, Key: key})
	must("get retention", err)
	if hold.LegalHold.Status != "OFF" || !retention.Retention.RetainUntilDate.Equal(later) {
		t.Errorf("hold %+v, retention %+v", hold.LegalHold, retention.Retention)
	}

	_, err = c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: bucket, Key: key, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("c"), Value: aws.String("ö")}}}})
	must("put tags", err)
	tags, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: bucket, Key: key})
	must("get tags", err)
	if len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "ö" || aws.ToString(tags.VersionId) != aws.ToString(one.VersionId) {
		t.Errorf("tags: %+v", tags)
	}
	_, err = c.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: bucket, Key: key})
	must("delete tags", err)

	copied, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("photos/a%20b/%C3%BC%2B%26.txt?versionId=" + *one.VersionId),
		CopySourceIfMatch: one.ETag, ChecksumAlgorithm: types.ChecksumAlgorithmSha1})
	must("copy", err)
	if aws.ToString(copied.CopySourceVersionId) != *one.VersionId || aws.ToString(copied.CopyObjectResult.ETag) != *one.ETag || copied.CopyObjectResult.ChecksumSHA1 == nil {
		t.Errorf("copy: %+v", copied.CopyObjectResult)
	}
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("copy"), ChecksumMode: types.ChecksumModeEnabled})
	must("get", err)
	if b, err := io.ReadAll(got.Body); err != nil || string(b) != "one" {
		t.Errorf("content %q, %v", b, err)
	}

	gone, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key})
	must("delete", err)
	if !aws.ToBool(gone.DeleteMarker) || gone.VersionId == nil {
		t.Errorf("delete: %+v", gone)
	}
	var versions []types.ObjectIdentifier
	pages := s3.NewListObjectVersionsPaginator(c, &s3.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		must("list versions", err)
		for _, v := range page.Versions {
			modified := v.LastModified.Truncate(time.Second)
			versions = append(versions, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId, ETag: v.ETag, Size: v.Size, LastModifiedTime: &modified})
		}
		for _, m := range page.DeleteMarkers {
			versions = append(versions, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
	}
	if len(versions) != 3 {
		t.Fatalf("versions: %+v", versions)
	}
	deleted, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: versions}, BypassGovernanceRetention: aws.Bool(true)})
	must("delete all", err)
	if len(deleted.Errors) != 0 || len(deleted.Deleted) != 3 {
		t.Errorf("deleted %+v, errors %+v", deleted.Deleted, deleted.Errors)
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	must("delete bucket", err)
}

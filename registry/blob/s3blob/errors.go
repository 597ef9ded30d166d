package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"

	"github.com/minio/minio-go/v7"

	"sallyport/registry/blob"
)

var errNoBucket = errors.New("the bucket does not exist")

// failed gives a failed request the class blob promises. ctx is the caller's,
// not one with a time limit of ours: only its end is the caller's doing.
//
// The text is made here and not taken from err: minio-go and net/http put the
// URL, and so bucket and key, into theirs.
func failed(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("s3blob: %s: %w", op, context.Cause(ctx))
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("s3blob: %s: %w: %s", op, blob.ErrUnavailable, transportFault(err))
	}
	class := blob.ErrUnavailable // also for 403: ours to set right, not the client's
	switch answer.Code {
	case "NoSuchKey", "NotFound":
		class = fs.ErrNotExist
	case "NoSuchBucket":
		return fmt.Errorf("s3blob: %s: %w: %w", op, blob.ErrUnavailable, errNoBucket)
	case "PreconditionFailed":
		class = fs.ErrExist
	case "InvalidRange":
		class = blob.ErrRange
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "EntityTooLarge":
		class = blob.ErrFull
	case "BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch":
		class = blob.ErrCorrupt
	}
	if answer.StatusCode == http.StatusInsufficientStorage {
		class = blob.ErrFull
	}
	return fmt.Errorf("s3blob: %s: %w: the service answered %d %s", op, class, answer.StatusCode, code(answer.Code))
}

// code returns c if it is an S3 error code and not the first line of a proxy's
// error page.
func code(c string) string {
	for _, r := range c {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return ""
		}
	}
	return c
}

// transportFault describes an error below S3 without a URL.
func transportFault(err error) string {
	if errors.Is(err, errSilent) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return "connection lost"
}

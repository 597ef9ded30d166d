// Package s3blob keeps blobs as objects in one bucket of an S3 service, such as
// MinIO. It is the only importer of minio-go.
//
// Every blob is one object under the configured prefix. A put is one request
// that streams the body: nothing is buffered beyond a connection's buffers, and
// a CRC-64/NVME trailer, which the service verifies and confirms in its answer,
// proves that what it stored is what was read.
//
// A body is never sent twice. Requests without one (and a put whose body was
// not begun) are tried up to three times. A service that neither takes nor
// gives a byte for Config.Timeout is given up.
package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"sallyport/registry/blob"
)

const (
	attempts        = 3
	defaultRegion   = "us-east-1"
	defaultTimeout  = 30 * time.Second
	defaultCopyPart = 256 << 20
)

// Config says which bucket, and how to reach it.
type Config struct {
	Endpoint  string // URL of the service, http or https, without a path
	Bucket    string
	Prefix    string // goes before every key; empty, or ending in "/"
	Region    string // us-east-1 if empty
	AccessKey string
	SecretKey string

	// Timeout is the longest silence of the service in the middle of a request
	// and the longest a request without a body may take; 30 s if zero. It must
	// exceed what the service needs to copy CopyPart bytes.
	Timeout time.Duration
	// CopyPart is how many bytes one request of a Move may copy inside the
	// service; larger blobs are copied in parts. 256 MiB if zero; S3 wants
	// 5 MiB to 5 GiB.
	CopyPart int64
}

// Store is a blob.Store in a bucket, and a blob.Doctor.
type Store struct {
	core      *minio.Core
	plain     *minio.Core // the same; adds no checksum of its own to a body
	transport *http.Transport
	endpoint  *url.URL
	bucket    string
	region    string
	prefix    string
	timeout   time.Duration
	copyPart  int64

	// etagIsMD5 says that the last ETag seen was the MD5 of the body. It is not
	// where the service encrypts with keys of its own, for example.
	etagIsMD5 atomic.Bool
}

var (
	_ blob.Store  = (*Store)(nil)
	_ blob.Doctor = (*Store)(nil)
)

// New returns the store that cfg describes without contacting the service. The
// caller closes it after its last use.
func New(cfg Config) (*Store, error) {
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.User != nil || strings.Trim(endpoint.Path, "/") != "" ||
		endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, errors.New("s3blob: endpoint: want a URL like https://minio.example:9000")
	}
	if cfg.Bucket == "" {
		return nil, errors.New("s3blob: bucket: missing")
	}
	if prefix, ok := strings.CutSuffix(cfg.Prefix, "/"); cfg.Prefix != "" && (!ok || blob.Key(prefix).Validate() != nil) {
		return nil, errors.New(`s3blob: prefix: want segments of [A-Za-z0-9_.-] that each end in "/"`)
	}
	s := &Store{
		endpoint: endpoint,
		bucket:   cfg.Bucket,
		region:   cfg.Region,
		prefix:   cfg.Prefix,
		timeout:  cfg.Timeout,
		copyPart: cfg.CopyPart,
	}
	if s.region == "" {
		s.region = defaultRegion
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.copyPart == 0 {
		s.copyPart = defaultCopyPart
	}
	s.transport = newTransport(s.timeout)
	opts := minio.Options{
		Creds:           credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure:          endpoint.Scheme == "https",
		Region:          s.region, // set, so that it is never asked for
		Transport:       expecter{s.transport},
		TrailingHeaders: true,
		MaxRetries:      attempts,
	}
	if s.core, err = minio.NewCore(endpoint.Host, &opts); err != nil {
		return nil, fmt.Errorf("s3blob: %w", err)
	}
	opts.TrailingHeaders = false
	if s.plain, err = minio.NewCore(endpoint.Host, &opts); err != nil {
		return nil, fmt.Errorf("s3blob: %w", err)
	}
	return s, nil
}

// Close closes idle connections.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// EnsureBucket makes the bucket if there is none.
func (s *Store) EnsureBucket(ctx context.Context) error {
	err := s.Check(ctx)
	if !errors.Is(err, errNoBucket) {
		return err
	}
	call, cancel := s.limited(ctx)
	defer cancel()
	err = s.core.MakeBucket(call, s.bucket, minio.MakeBucketOptions{Region: s.region})
	if code := minio.ToErrorResponse(err).Code; code == "BucketAlreadyOwnedByYou" || code == "BucketAlreadyExists" {
		return s.Check(ctx) // somebody was faster; is it ours?
	}
	return failed(ctx, "make bucket", err)
}

// Check implements blob.Store: the bucket exists and answers our key.
func (s *Store) Check(ctx context.Context) error {
	call, cancel := s.limited(ctx)
	defer cancel()
	ok, err := s.core.BucketExists(call, s.bucket)
	if err != nil {
		return failed(ctx, "check", err)
	}
	if !ok {
		return fmt.Errorf("s3blob: check: %w: %w", blob.ErrUnavailable, errNoBucket)
	}
	return nil
}

// limited gives a request without a body its time.
func (s *Store) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

func (s *Store) object(key blob.Key) string { return s.prefix + string(key) }

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key blob.Key) (blob.Info, error) {
	if err := key.Validate(); err != nil {
		return blob.Info{}, err
	}
	object, err := s.stat(ctx, key)
	return blob.Info{Size: object.Size, ModTime: object.LastModified}, err
}

func (s *Store) stat(ctx context.Context, key blob.Key) (minio.ObjectInfo, error) {
	call, cancel := s.limited(ctx)
	defer cancel()
	object, err := s.core.StatObject(call, s.bucket, s.object(key), minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return minio.ObjectInfo{}, failed(ctx, "stat", err)
	}
	return object, nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	if err := key.Validate(); err != nil {
		return err
	}
	call, cancel := s.limited(ctx)
	defer cancel()
	err := failed(ctx, "delete", s.core.RemoveObject(call, s.bucket, s.object(key), minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

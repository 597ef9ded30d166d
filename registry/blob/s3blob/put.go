package s3blob

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/minio/minio-go/v7"

	"sallyport/registry/blob"
)

// Put implements blob.Store. Info.ModTime is zero: the service does not say.
func (s *Store) Put(ctx context.Context, key blob.Key, r io.Reader, size int64) (blob.Info, error) {
	if err := key.Validate(); err != nil {
		return blob.Info{}, err
	}
	if size < 0 {
		return blob.Info{}, fmt.Errorf("s3blob: put: negative size: %w", fs.ErrInvalid)
	}
	if ctx.Err() != nil {
		return blob.Info{}, fmt.Errorf("s3blob: put: %w", context.Cause(ctx))
	}
	src := blob.NewSource(ctx, r, size)
	defer src.Release()
	if size == 0 { // no body will be sent, so nobody would ask r for its end
		if _, err := src.Read(make([]byte, 1)); err != io.EOF {
			return blob.Info{}, putFailed(ctx, src, err)
		}
	}
	for attempt := 1; ; attempt++ {
		sum, err := s.send(ctx, key, src, size, r)
		if err == nil {
			return blob.Info{Size: size}, s.verify(ctx, key, size, sum)
		}
		if attempt == attempts || !src.Untouched() || !retryable(err) {
			return blob.Info{}, putFailed(ctx, src, err)
		}
		select {
		case <-time.After(backoff(attempt)):
		case <-ctx.Done():
			return blob.Info{}, fmt.Errorf("s3blob: put: %w", context.Cause(ctx))
		}
	}
}

// checksums are those of one body, computed here and said by the service; the
// latter is "" if it did not say.
type checksums struct{ sent, stored string }

// send makes one request of src, the Source of r. It returns when the request is
// over, though net/http may still read src; Release sees to that.
//
// Bytes are covered on their way by a CRC64NVME in the trailer, which every
// service is to check. It costs the service more than a third of what it spends
// on a PUT, for the trailer needs its body in chunks. A service whose ETags were
// seen to be MD5s gets a plain body, and its ETag is the proof, if r knows the MD5.
func (s *Store) send(ctx context.Context, key blob.Key, src *blob.Source, size int64, r io.Reader) (checksums, error) {
	var wait patience
	ctx, cancel := context.WithCancel(wait.with(ctx))
	defer cancel()
	body := &body{src: src, wait: &wait, broken: cancel}
	opts := minio.PutObjectOptions{DisableContentSha256: true} // the checksum covers the body
	opts.SetMatchETagExcept("*")                               // If-None-Match: create only
	client := s.plain
	known, _ := r.(blob.MD5er)
	if known == nil || !s.etagIsMD5.Load() {
		client = s.core
		body.sum = minio.ChecksumCRC64NVME.Hasher()
		opts.Checksum = minio.ChecksumCRC64NVME
	}
	info, err := client.PutObject(ctx, s.bucket, s.object(key), body, size, "", "", opts)
	if err != nil {
		return checksums{}, err
	}
	var md5 string
	if known != nil && src.Err() == nil { // which also waits for the last Read
		md5 = hex.EncodeToString(known.MD5())
	}
	if body.sum == nil {
		if md5 != info.ETag {
			// The bytes are not the same, or the bucket was switched to another
			// kind of ETag: the next bodies bring their own proof again.
			s.etagIsMD5.Store(false)
		}
		return checksums{sent: "md5 " + md5, stored: "md5 " + info.ETag}, nil
	}
	if md5 != "" && info.ETag == md5 {
		s.etagIsMD5.Store(true)
	}
	return checksums{sent: base64.StdEncoding.EncodeToString(body.sum.Sum(nil)), stored: info.ChecksumCRC64NVME}, nil
}

// verify compares what the service says it stored with what was sent. A service
// that does not confirm the checksum is asked for the object; one that keeps
// none is believed on the size.
func (s *Store) verify(ctx context.Context, key blob.Key, size int64, sum checksums) error {
	if sum.stored == sum.sent || size == 0 {
		return nil
	}
	if sum.stored == "" {
		object, err := s.stat(ctx, key)
		if err != nil {
			return err
		}
		if object.Size == size && (object.ChecksumCRC64NVME == "" || object.ChecksumCRC64NVME == sum.sent) {
			return nil
		}
	}
	// Should this delete fail, the key is still an intent of the ledger.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	_ = s.Delete(clean, key)
	return fmt.Errorf("s3blob: put: %w", blob.ErrCorrupt)
}

// putFailed says whose fault it was. A reader that broke is the cause even
// where the service complained first about the cut body.
func putFailed(ctx context.Context, src *blob.Source, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("s3blob: put: %w", context.Cause(ctx))
	}
	src.Release() // from here on the source's error is final
	if fault := src.Err(); fault != nil {
		return fmt.Errorf("s3blob: put: %w", fault)
	}
	return failed(ctx, "put", err)
}

// retryable reports whether the service may be asked again: it did not answer,
// or it answered that it could not just now.
func retryable(err error) bool {
	answer := minio.ToErrorResponse(err)
	return answer.StatusCode == 0 || answer.StatusCode == 429 || answer.StatusCode >= 500 && answer.StatusCode != 507
}

// backoff is 100 ms, then twice that, shortened at random by up to a half.
func backoff(attempt int) time.Duration {
	d := 100 * time.Millisecond << (attempt - 1)
	return d - rand.N(d/2)
}

// body is what net/http reads: the source, summed up.
type body struct {
	src    *blob.Source
	wait   *patience
	sum    hash.Hash // nil: the ETag will do
	broken func()    // ends the request, which minio-go else holds back for a moment
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.wait.touch()
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	if err != nil && err != io.EOF {
		b.broken()
	}
	return n, err
}

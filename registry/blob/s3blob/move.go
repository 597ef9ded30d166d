package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/minio/minio-go/v7"

	"sallyport/registry/blob"
)

// maxParts is S3's limit on the parts of one object.
const maxParts = 10_000

// Move implements blob.Store: a copy inside the service, checked, then a
// delete. An object appears whole or not at all, so whichever step we die in,
// repeating the Move ends it.
func (s *Store) Move(ctx context.Context, from, to blob.Key) error {
	if err := errors.Join(from.Validate(), to.Validate()); err != nil {
		return err
	}
	if from == to {
		_, err := s.stat(ctx, to)
		return err
	}
	target, err := s.stat(ctx, to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	source, err := s.stat(ctx, from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := s.stat(ctx, to); err != nil { // again: another Move may just have ended
			return err
		}
		return nil
	case err != nil:
		return err
	case there && target.Size != source.Size:
		return fmt.Errorf("s3blob: move: destination differs: %w", fs.ErrExist)
	case !there:
		if err := s.copy(ctx, from, to, source.Size); err != nil {
			if done, statErr := s.moved(ctx, from, to, source.Size); done && statErr == nil {
				return nil // another Move took the source away during the copy
			}
			return err
		}
		if target, err = s.stat(ctx, to); err != nil {
			return err
		}
		if err := sameObject(source, target); err != nil {
			return errors.Join(err, s.Delete(ctx, to))
		}
	}
	return s.Delete(ctx, from)
}

// moved reports whether from is gone and to is there with the size.
func (s *Store) moved(ctx context.Context, from, to blob.Key, size int64) (bool, error) {
	if _, err := s.stat(ctx, from); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	target, err := s.stat(ctx, to)
	return err == nil && target.Size == size, err
}

// sameObject compares a copy with its source, as far as the service keeps
// checksums of both.
func sameObject(source, target minio.ObjectInfo) error {
	a, b := source.ChecksumCRC64NVME, target.ChecksumCRC64NVME
	if source.Size != target.Size || a != "" && b != "" && a != b {
		return fmt.Errorf("s3blob: move: %w", blob.ErrCorrupt)
	}
	return nil
}

// copy copies an object inside the service.
func (s *Store) copy(ctx context.Context, from, to blob.Key, size int64) error {
	if size > s.copyPart {
		return s.copyParts(ctx, from, to, size)
	}
	_, err := s.core.CopyObject(ctx, s.bucket, s.object(from), s.bucket, s.object(to), nil,
		minio.CopySrcOptions{}, minio.PutObjectOptions{})
	return failed(ctx, "copy", err)
}

// copyParts copies in several requests, each small enough to be answered in
// time. Parts that a Move left behind when it died are thrown away first.
func (s *Store) copyParts(ctx context.Context, from, to blob.Key, size int64) error {
	if err := s.abortParts(ctx, to); err != nil {
		return err
	}
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, s.object(to), minio.PutObjectOptions{})
	if err != nil {
		return failed(ctx, "copy", err)
	}
	part := max(s.copyPart, (size+maxParts-1)/maxParts)
	var parts []minio.CompletePart
	for off := int64(0); off < size; off += part {
		copied, err := s.core.CopyObjectPart(ctx, s.bucket, s.object(from), s.bucket, s.object(to), id,
			len(parts)+1, off, min(part, size-off), nil)
		if err != nil {
			return s.abort(ctx, to, id, failed(ctx, "copy", err))
		}
		parts = append(parts, copied)
	}
	_, err = s.core.CompleteMultipartUpload(ctx, s.bucket, s.object(to), id, parts, minio.PutObjectOptions{})
	if err != nil {
		return s.abort(ctx, to, id, failed(ctx, "copy", err))
	}
	return nil
}

// abort gives up a copy in parts and returns why, which is err.
func (s *Store) abort(ctx context.Context, to blob.Key, id string, err error) error {
	clean, cancel := s.limited(context.WithoutCancel(ctx))
	defer cancel()
	_ = s.core.AbortMultipartUpload(clean, s.bucket, s.object(to), id) // else the next Move does it
	return err
}

// abortParts throws away unfinished copies to a key.
func (s *Store) abortParts(ctx context.Context, to blob.Key) error {
	for {
		call, cancel := s.limited(ctx)
		list, err := s.core.ListMultipartUploads(call, s.bucket, s.object(to), "", "", "", 1000)
		cancel()
		if err != nil {
			return failed(ctx, "copy", err)
		}
		for _, upload := range list.Uploads {
			if upload.Key != s.object(to) {
				continue
			}
			call, cancel := s.limited(ctx)
			err := s.core.AbortMultipartUpload(call, s.bucket, upload.Key, upload.UploadID)
			cancel()
			if err != nil && minio.ToErrorResponse(err).Code != "NoSuchUpload" {
				return failed(ctx, "copy", err)
			}
		}
		if !list.IsTruncated || len(list.Uploads) == 0 {
			return nil
		}
	}
}

// List implements blob.Store. Objects under the prefix whose name is no key's
// are passed over.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		if ctx.Err() != nil {
			yield(blob.Entry{}, fmt.Errorf("s3blob: list: %w", context.Cause(ctx)))
			return
		}
		opts := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}
		for object := range s.core.ListObjectsIter(ctx, s.bucket, opts) {
			if object.Err != nil {
				yield(blob.Entry{}, failed(ctx, "list", object.Err))
				return
			}
			key := blob.Key(strings.TrimPrefix(object.Key, s.prefix))
			if key.Validate() != nil {
				continue
			}
			entry := blob.Entry{Key: key, Info: blob.Info{Size: object.Size, ModTime: object.LastModified}}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

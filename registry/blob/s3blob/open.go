package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"sallyport/registry/blob"
)

// Open implements blob.Store with one request, or two where the range turns out
// to hold no byte, which S3 cannot express.
func (s *Store) Open(ctx context.Context, key blob.Key, off, n int64) (blob.Reader, error) {
	if err := key.Validate(); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, blob.ErrRange
	}
	if n == 0 {
		return s.openNothing(ctx, key, off)
	}
	var opts minio.GetObjectOptions
	if off > 0 || n > 0 {
		opts.Set("Range", rangeHeader(off, n))
	}
	// The body outlives this call, so only the wait for its beginning is timed.
	call, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(s.timeout, func() { cancel(errSilent) })
	body, object, header, err := s.core.GetObject(call, s.bucket, s.object(key), opts)
	if err == nil && !timer.Stop() {
		body.Close()
		err = errSilent
	}
	if err != nil {
		timer.Stop()
		cancel(nil)
		if err = failed(ctx, "open", err); errors.Is(err, blob.ErrRange) {
			return s.openNothing(ctx, key, off)
		}
		return nil, err
	}
	size, err := totalSize(header, object.Size, off, n)
	if err != nil {
		body.Close()
		cancel(nil)
		return nil, err
	}
	return &reader{
		ctx:    ctx,
		cancel: cancel,
		body:   body,
		info:   blob.Info{Size: size, ModTime: object.LastModified},
		n:      object.Size,
		left:   object.Size,
	}, nil
}

// rangeHeader returns the value of a Range header (RFC 9110, 14.1.2).
func rangeHeader(off, n int64) string {
	last := ""
	if end := off + n - 1; n > 0 && end >= off { // else to the end, or an overflow
		last = strconv.FormatInt(end, 10)
	}
	return "bytes=" + strconv.FormatInt(off, 10) + "-" + last
}

// totalSize returns the size of the whole object, having checked that the
// service sends the range that was asked for and not another or everything.
func totalSize(header http.Header, length, off, n int64) (int64, error) {
	got := header.Get("Content-Range")
	if got == "" && off == 0 && n < 0 {
		return length, nil
	}
	spec, total, _ := strings.Cut(strings.TrimPrefix(got, "bytes "), "/")
	size, err := strconv.ParseInt(total, 10, 64)
	want := size - off
	if n > 0 && n < want {
		want = n
	}
	if err != nil || length != want || spec != fmt.Sprintf("%d-%d", off, off+want-1) {
		return 0, fmt.Errorf("s3blob: open: %w: the service sends another range", blob.ErrUnavailable)
	}
	return size, nil
}

// openNothing opens an empty range.
func (s *Store) openNothing(ctx context.Context, key blob.Key, off int64) (blob.Reader, error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if off > info.Size {
		return nil, blob.ErrRange
	}
	return &reader{ctx: ctx, cancel: func(error) {}, body: http.NoBody, info: info}, nil
}

// reader is the body of an answer.
type reader struct {
	ctx    context.Context // the caller's, to tell its end from the service's
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	info   blob.Info
	n      int64
	left   int64
}

func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == nil || r.left == 0:
		return n, nil
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("s3blob: read: %w: %w", blob.ErrUnavailable, io.ErrUnexpectedEOF)
	}
	return n, failed(r.ctx, "read", err)
}

// Close drops the connection if the body was not read to its end.
func (r *reader) Close() error {
	r.cancel(nil)
	return r.body.Close()
}

func (r *reader) Info() blob.Info { return r.info }
func (r *reader) Len() int64      { return r.n }

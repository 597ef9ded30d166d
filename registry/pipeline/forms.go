package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// FormRequest is a browser's POST of one file whose length nobody knows before its end.
type FormRequest struct {
	Bucket     registry.BucketName
	Key        string
	Kept       registry.Kept
	MinSize    int64 // bytes
	MaxSize    int64
	Checksums  map[string]string // as in Declared
	ContentMD5 string
}

// admitForm decides from what comes before the file whether it can be stored, in the
// order of AdmitObject, and returns the most bytes that it may have.
func (p *Pipeline) admitForm(ctx context.Context, actor registry.Actor, req *FormRequest) (most int64, err error) {
	if req.Kept.ContentType == "" {
		req.Kept.ContentType = policy.S3Default
	}
	t, err := p.admitObject(ctx, actor, req.object(max(req.MinSize, 0)))
	if err != nil {
		return 0, fmt.Errorf("admit form: %w", err)
	}
	if req.MaxSize < req.MinSize {
		return 0, fmt.Errorf("admit form: %w", ErrTooLong)
	}
	return min(req.MaxSize, p.limits.MostInOnePut(t.bucket)), nil
}

func (r *FormRequest) object(length int64) ObjectRequest {
	return ObjectRequest{
		Bucket: r.Bucket, Key: r.Key, Kept: r.Kept,
		Declared: Declared{
			Length: length, ContentType: r.Kept.ContentType, ContentMD5: r.ContentMD5, Checksums: r.Checksums,
		},
	}
}

// PutForm stores a file of unknown length: it is spooled to disk first, and refused at
// the first byte beyond MaxSize (ErrTooLong) or if it is shorter than MinSize
// (ErrTooShort). It reads body no more once it returned. Else it is AdmitObject and
// PutObject.
func (p *Pipeline) PutForm(ctx context.Context, actor registry.Actor, req FormRequest, body Body) (registry.Object, error) {
	most, err := p.admitForm(ctx, actor, &req)
	if err != nil {
		return registry.Object{}, p.refuse("post_object", err)
	}
	file, size, err := p.receiveForm(ctx, actor, body, most)
	if err != nil {
		p.ended("post_object", size, err)
		return registry.Object{}, p.refuse("post_object", fmt.Errorf("put form: %w", err))
	}
	defer file.Close()
	if size < req.MinSize {
		return registry.Object{}, p.refuse("post_object", fmt.Errorf("put form: %w", ErrTooShort))
	}
	t, err := p.AdmitObject(ctx, actor, req.object(size))
	if err != nil {
		return registry.Object{}, err
	}
	return p.PutObject(ctx, t, file)
}

// receiveForm spools a body. It stands in the table of transfers while it does.
func (p *Pipeline) receiveForm(ctx context.Context, actor registry.Actor, body Body, most int64) (*spooled, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := p.transfers.join(identity(actor), func() { cancel(ErrCut) })
	defer p.transfers.leave(x)
	// The context's end is how a cut reaches a Read that waits for the client.
	defer context.AfterFunc(ctx, body.Interrupt)()

	file, err := openSpool(p.cfg.SpoolDir)
	if err != nil {
		return nil, 0, err
	}
	size, err := p.spool(file, body, most)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return nil, size, errors.Join(err, file.Close())
	}
	return file, size, nil
}

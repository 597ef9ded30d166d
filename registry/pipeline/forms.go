package pipeline

import (
	"context"

	"sallyport/registry"
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

// PutForm stores a file of unknown length: it is spooled to disk first, and refused at
// the first byte beyond MaxSize (ErrTooLong) or if it is shorter than MinSize
// (ErrTooShort). It reads body no more once it returned.
func (p *Pipeline) PutForm(ctx context.Context, actor registry.Actor, req FormRequest, body Body) (registry.Object, error) {
	return registry.Object{}, errNotBuilt
}

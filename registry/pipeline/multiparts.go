package pipeline

import (
	"context"

	"sallyport/registry"
)

// CreateMultipart begins a multipart upload in a bucket. The rights are S3Write's,
// and S3Lock's where Kept locks.
func (p *Pipeline) CreateMultipart(ctx context.Context, actor registry.Actor, n registry.NewMultipart) (registry.Multipart, error) {
	return registry.Multipart{}, errNotBuilt
}

// MultipartRef names a multipart upload as S3 does.
type MultipartRef struct {
	Bucket registry.BucketName
	Key    string
	ID     registry.MultipartID
}

// PartRequest is an UploadPart, authenticated.
type PartRequest struct {
	MultipartRef
	Number   int
	Declared Declared
	OneUse   registry.OneUse
}

// PartTicket admits one part's body. It has changed nothing.
type PartTicket struct{}

// AdmitPart decides from the headers whether a part can be stored. The refusals come in
// this order: bucket, upload, rights, number, length, size, digests, space, a URL that
// was used.
func (p *Pipeline) AdmitPart(ctx context.Context, actor registry.Actor, req PartRequest) (*PartTicket, error) {
	return nil, errNotBuilt
}

// PutPart stores the body. On any failure nothing of it is visible. It reads body
// no more once it returned.
func (p *Pipeline) PutPart(ctx context.Context, t *PartTicket, body Body) (registry.Part, error) {
	return registry.Part{}, errNotBuilt
}

// PartCopyRequest is an UploadPartCopy.
type PartCopyRequest struct {
	MultipartRef
	Number int
	Source Source
	// Offset and Length are the range of the source, which must lie within it;
	// Length < 0 is all of it.
	Offset, Length int64
}

// CopyPart makes a part of another object's bytes without moving any; they are read
// where the upload asks for a checksum. It returns the source's version id, too.
func (p *Pipeline) CopyPart(ctx context.Context, actor registry.Actor, req PartCopyRequest) (registry.Part, string, error) {
	return registry.Part{}, "", errNotBuilt
}

// Complete assembles a multipart upload. In a bucket that inspects before it answers
// it reads the whole, which takes its time: the caller keeps the client waiting.
func (p *Pipeline) Complete(ctx context.Context, actor registry.Actor, c registry.Completion) (registry.Object, error) {
	return registry.Object{}, errNotBuilt
}

// AbortMultipart ends a multipart upload.
func (p *Pipeline) AbortMultipart(ctx context.Context, actor registry.Actor, ref MultipartRef) error {
	return errNotBuilt
}

// PartListing is one page of a multipart upload's parts.
type PartListing struct {
	Upload registry.Multipart
	Parts  []registry.Part
	More   bool
}

// Parts lists the stored parts of a multipart upload behind number after.
func (p *Pipeline) Parts(ctx context.Context, actor registry.Actor, ref MultipartRef, after, limit int) (PartListing, error) {
	return PartListing{}, errNotBuilt
}

// Multiparts lists a bucket's multipart uploads.
func (p *Pipeline) Multiparts(ctx context.Context, actor registry.Actor, bucket registry.BucketName, q registry.MultipartsQuery) (registry.MultipartListing, error) {
	return registry.MultipartListing{}, errNotBuilt
}

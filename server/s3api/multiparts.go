package s3api

import (
	"errors"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

// createMultipart is CreateMultipartUpload.
func (a *API) createMultipart(c *fiber.Ctx, r *request) error {
	n := registry.NewMultipart{Bucket: r.bucket, Key: r.key}
	var err error
	if n.Kept, err = a.kept(r); err != nil {
		return err
	}
	n.ContentType = r.header("content-type")
	if n.ChecksumAlgorithm, n.ChecksumType, err = r.multipartChecksum(); err != nil {
		return err
	}
	m, err := a.pipeline.CreateMultipart(background(), r.actor(), n)
	if err != nil {
		return a.writeError(r, err)
	}
	r.exchange.Upload = string(m.ID)
	if m.ChecksumAlgorithm != "" {
		h := &c.Context().Response.Header
		h.Set(checksumPrefix+"algorithm", upperChecksum(m.ChecksumAlgorithm))
		h.Set(checksumPrefix+"type", string(m.ChecksumType))
	}
	d := newDocument("InitiateMultipartUploadResult")
	d.text("Bucket", string(m.Bucket))
	d.text("Key", m.Key)
	d.text("UploadId", string(m.ID))
	sendXML(c.Context(), d)
	return nil
}

// multipart is the upload that the query names. Its id is the client's until the
// pipeline has found it: a record does not repeat it before.
func (r *request) multipart() pipeline.MultipartRef {
	return pipeline.MultipartRef{Bucket: r.bucket, Key: r.key, ID: registry.MultipartID(r.param("uploadId"))}
}

// multipartError says whether the bucket is missing or the upload.
func multipartError(err error) error {
	if errors.Is(err, registry.ErrNoUpload) {
		return &refused{code: codeNoSuchUpload, cause: err}
	}
	return bucketError(err)
}

// abortMultipart is AbortMultipartUpload.
func (a *API) abortMultipart(c *fiber.Ctx, r *request) error {
	ref := r.multipart()
	if err := a.pipeline.AbortMultipart(background(), r.actor(), ref); err != nil {
		return multipartError(err)
	}
	r.exchange.Upload = string(ref.ID)
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// multipartsListing is a ListMultipartUploads request.
type multipartsListing struct {
	registry.MultipartsQuery
	names
	keyMarker, idMarker string // as asked
}

// listMultiparts is ListMultipartUploads.
func (a *API) listMultiparts(c *fiber.Ctx, r *request) error {
	q, err := r.multipartsListing()
	if err != nil {
		return err
	}
	page, err := a.pipeline.Multiparts(background(), r.actor(), r.bucket, q.MultipartsQuery)
	switch {
	case errors.Is(err, registry.ErrInvalid):
		return refuse(codeKeyTooLong)
	case err != nil:
		return bucketError(err)
	}
	who, err := a.owner(r)
	if err != nil {
		return err
	}
	d := newDocument("ListMultipartUploadsResult")
	q.head(d, string(r.bucket), &page)
	for i := range page.Uploads {
		q.entry(d, &page.Uploads[i], who)
	}
	q.prefixes(d, page.Prefixes)
	sendXML(c.Context(), d)
	return nil
}

// multipartsListing reads the parameters.
func (r *request) multipartsListing() (*multipartsListing, error) {
	q := &multipartsListing{}
	var err error
	q.Prefix, q.Delimiter = r.param("prefix"), r.param("delimiter")
	if q.encoded, err = r.encodedNames(); err != nil {
		return nil, err
	}
	if q.Max, err = r.pageSize("max-uploads"); err != nil {
		return nil, err
	}
	q.keyMarker, q.idMarker = r.param("key-marker"), r.param("upload-id-marker")
	q.AfterKey = q.keyMarker
	if q.keyMarker != "" { // S3 ignores the one without the other
		q.AfterID = registry.MultipartID(q.idMarker)
	}
	for _, s := range []string{q.Prefix, q.Delimiter, q.AfterKey} {
		if !utf8.ValidString(s) {
			return nil, refuse(codeInvalidURI)
		}
	}
	return q, nil
}

// head writes what stands before the entries.
func (q *multipartsListing) head(d *document, bucket string, page *registry.MultipartListing) {
	d.text("Bucket", bucket)
	q.name(d, "KeyMarker", q.keyMarker)
	d.text("UploadIdMarker", q.idMarker)
	if page.Truncated {
		q.name(d, "NextKeyMarker", page.NextKey)
		d.text("NextUploadIdMarker", string(page.NextID))
	}
	q.name(d, "Prefix", q.Prefix)
	if q.Delimiter != "" {
		q.name(d, "Delimiter", q.Delimiter)
	}
	if q.encoded {
		d.text("EncodingType", "url")
	}
	d.number("MaxUploads", int64(q.Max))
	d.flag("IsTruncated", page.Truncated)
}

func (q *multipartsListing) entry(d *document, m *registry.Multipart, who owner) {
	d.open("Upload")
	q.name(d, "Key", m.Key)
	d.text("UploadId", string(m.ID))
	d.initiator(m, who)
	d.owner(who)
	d.text("StorageClass", classOf(m.StorageClass))
	d.moment("Initiated", m.CreatedAt)
	d.checksumKind(m)
	d.close("Upload")
}

// initiator writes who began an upload. The tenant is the only account there is.
func (d *document) initiator(m *registry.Multipart, who owner) {
	d.open("Initiator")
	d.text("ID", who.id)
	d.text("DisplayName", string(m.Principal))
	d.close("Initiator")
}

package s3api

import (
	"errors"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

// partNumber reads which part is meant. What is not a number is one that no part
// can have: the upload is looked for first, as S3 does.
func (r *request) partNumber() int {
	n, err := strconv.ParseUint(r.param("partNumber"), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// admitPart is UploadPart's look at the headers.
func (a *API) admitPart(ctx *fasthttp.RequestCtx, r *request) error {
	ref := r.multipart()
	declared, err := r.declared(ctx)
	if err != nil {
		return err
	}
	r.part, err = a.pipeline.AdmitPart(background(), r.actor(), pipeline.PartRequest{
		MultipartRef: ref, Number: r.partNumber(), Declared: declared, OneUse: r.oneUse(),
	})
	if err != nil {
		return r.digestError(declared, r.partError(err))
	}
	r.exchange.Upload = string(ref.ID)
	return nil
}

// putPart is UploadPart.
func (a *API) putPart(c *fiber.Ctx, r *request) error {
	body, err := a.body(c, r)
	if err != nil {
		return err
	}
	p, err := a.pipeline.PutPart(background(), r.part, body)
	if err != nil {
		return r.partError(err)
	}
	h := &c.Context().Response.Header
	h.Set("ETag", quoted(p.ETag))
	for algorithm, value := range p.Checksums {
		h.Set(checksumPrefix+algorithm, value)
	}
	return nil
}

// partError is multipartError for operations on one part.
func (r *request) partError(err error) error {
	if errors.Is(err, pipeline.ErrPartNumber) {
		return say(codeInvalidArgument, "Part number must be an integer between 1 and 10000, inclusive",
			element{"ArgumentName", "partNumber"}, element{"ArgumentValue", r.param("partNumber")})
	}
	return multipartError(err)
}

// copyPart is UploadPartCopy. Where the upload asks for a checksum the source's bytes
// are read.
func (a *API) copyPart(c *fiber.Ctx, r *request) error {
	req := pipeline.PartCopyRequest{MultipartRef: r.multipart(), Number: r.partNumber(), OneUse: r.oneUse()}
	var err error
	if req.Source, err = r.copySource(); err != nil {
		return err
	}
	if req.Offset, req.Length, err = parseCopyRange(r.header(copyRangeHeader)); err != nil {
		return err
	}
	type copied struct {
		part    registry.Part
		version string
	}
	actor := r.actor()
	return patiently(a, c, r, slow[copied]{
		do: func() (copied, error) {
			p, version, err := a.pipeline.CopyPart(background(), actor, req)
			return copied{p, version}, err
		},
		header: func(x copied) error {
			if x.version != "" {
				c.Context().Response.Header.Set("x-amz-copy-source-version-id", x.version)
			}
			return nil
		},
		body: func(x copied) *document {
			r.exchange.Upload = string(req.ID)
			d := newDocument("CopyPartResult")
			d.moment("LastModified", x.part.StoredAt)
			d.text("ETag", quoted(x.part.ETag))
			d.checksums(x.part.Checksums)
			return d
		},
		explain: func(err error) error { return a.copyPartError(r, &req, err) },
	})
}

func (a *API) copyPartError(r *request, req *pipeline.PartCopyRequest, err error) error {
	switch {
	case errors.Is(err, pipeline.ErrRange):
		return say(codeInvalidArgument, "Range specified is not valid for source object",
			element{"ArgumentName", copyRangeHeader}, element{"ArgumentValue", r.header(copyRangeHeader)})
	case errors.Is(err, pipeline.ErrSource):
		return a.sourceError(r, req.Source, err)
	}
	return r.partError(err)
}

const copyRangeHeader = settingCopySource + "-range"

// parseCopyRange reads "bytes=first-last", both counted; everything if there is no
// range. The other forms of a range are none here.
func parseCopyRange(header string) (off, n int64, err error) {
	if header == "" {
		return 0, -1, nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	from, bad := strconv.ParseUint(first, 10, 62)
	to, bad2 := strconv.ParseUint(last, 10, 62)
	if !ok || !strings.HasPrefix(header, "bytes=") || bad != nil || bad2 != nil || from > to {
		return 0, 0, say(codeInvalidArgument,
			"The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
			element{"ArgumentName", copyRangeHeader}, element{"ArgumentValue", strings.ToValidUTF8(header, "\uFFFD")})
	}
	return int64(from), int64(to-from) + 1, nil
}

// listParts is ListParts.
func (a *API) listParts(c *fiber.Ctx, r *request) error {
	most, err := r.pageSize("max-parts")
	if err != nil {
		return err
	}
	after := 0
	if v := r.param("part-number-marker"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return say(codeInvalidArgument, "Provided part-number-marker not an integer or within integer range",
				element{"ArgumentName", "part-number-marker"}, element{"ArgumentValue", v})
		}
		after = int(n)
	}
	var q names
	if q.encoded, err = r.encodedNames(); err != nil {
		return err
	}
	page, err := a.pipeline.Parts(background(), r.actor(), r.multipart(), after, most)
	if err != nil {
		return multipartError(err)
	}
	who, err := a.owner(r)
	if err != nil {
		return err
	}
	m := &page.Upload
	r.exchange.Upload = string(m.ID)
	d := newDocument("ListPartsResult")
	d.b = append(make([]byte, 0, 1024+256*len(page.Parts)), d.b...)
	d.text("Bucket", string(m.Bucket))
	q.name(d, "Key", m.Key)
	d.text("UploadId", string(m.ID))
	d.initiator(m, who)
	d.owner(who)
	d.text("StorageClass", classOf(m.StorageClass))
	d.checksumKind(m)
	d.number("PartNumberMarker", int64(after))
	if len(page.Parts) > 0 {
		d.number("NextPartNumberMarker", int64(page.Parts[len(page.Parts)-1].Number))
	}
	d.number("MaxParts", int64(most))
	if q.encoded {
		d.text("EncodingType", "url")
	}
	d.flag("IsTruncated", page.More)
	for i := range page.Parts {
		d.part(&page.Parts[i])
	}
	sendXML(c.Context(), d)
	return nil
}

func (d *document) part(p *registry.Part) {
	d.open("Part")
	d.number("PartNumber", int64(p.Number))
	d.moment("LastModified", p.StoredAt)
	d.text("ETag", quoted(p.ETag))
	d.number("Size", p.Size)
	d.checksums(p.Checksums)
	d.close("Part")
}

package s3api

import (
	"encoding/xml"
	"errors"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/sigv4"
)

// maxCompletion bounds the document of a completion, in bytes: that of 10,000 parts,
// each with its ETag in escaped quotes and a checksum.
const maxCompletion = 4 << 20

// admitCompletion is CompleteMultipartUpload's look at the headers.
func (a *API) admitCompletion(ctx *fasthttp.RequestCtx, r *request) error {
	if err := r.admitSized(ctx, maxCompletion); err != nil {
		return err
	}
	_, err := r.completion()
	return err
}

// completion reads the headers. The checksums there are those of the whole object,
// not of the request's body.
func (r *request) completion() (registry.Completion, error) {
	ref := r.multipart()
	c := registry.Completion{Multipart: ref.ID, Bucket: ref.Bucket, Key: ref.Key, Size: -1, Checksums: r.checksumHeaders()}
	var err error
	if c.ChecksumType, err = r.checksumType(); err != nil {
		return c, err
	}
	for algorithm := range c.Checksums {
		if pipeline.Checksum(algorithm) == nil || len(c.Checksums) > 1 {
			return c, say(codeInvalidRequest, "Value for "+checksumPrefix+algorithm+" header is invalid.")
		}
	}
	if v := r.header(objectSizeHeader); v != "" {
		if c.Size, err = strconv.ParseInt(v, 10, 64); err != nil || c.Size < 0 {
			return c, say(codeInvalidArgument, "Value for x-amz-mp-object-size header is invalid.",
				element{"ArgumentName", objectSizeHeader}, element{"ArgumentValue", strings.ToValidUTF8(v, "\uFFFD")})
		}
	}
	c.Conditions, err = r.writeConditions()
	return c, err
}

const objectSizeHeader = "x-amz-mp-object-size"

// completionDocument is the document of CompleteMultipartUpload.
type completionDocument struct {
	XMLName xml.Name        `xml:"CompleteMultipartUpload"`
	Parts   []completedPart `xml:"Part"`
}

type completedPart struct {
	Number    *int   `xml:"PartNumber"`
	ETag      string `xml:"ETag"`
	CRC32     string `xml:"ChecksumCRC32"`
	CRC32C    string `xml:"ChecksumCRC32C"`
	CRC64NVME string `xml:"ChecksumCRC64NVME"`
	SHA1      string `xml:"ChecksumSHA1"`
	SHA256    string `xml:"ChecksumSHA256"`
}

// parseCompletion reads the list of parts. That they are in order is the ledger's to
// check.
func parseCompletion(b []byte) ([]registry.ListedPart, error) {
	found, ok := scanCompletion(b)
	if !ok {
		var doc completionDocument
		if err := decodeXML(b, &doc); err != nil {
			return nil, err
		}
		found = doc.Parts
	}
	if len(found) == 0 || len(found) > registry.MaxParts {
		return nil, refuse(codeMalformedXML)
	}
	parts := make([]registry.ListedPart, len(found))
	for i := range found {
		p := &found[i]
		etag := strings.Trim(p.ETag, "\" \t\r\n")
		if p.Number == nil || etag == "" {
			return nil, refuse(codeMalformedXML)
		}
		if *p.Number < 1 || *p.Number > registry.MaxParts {
			return nil, say(codeInvalidArgument, "Part number must be an integer between 1 and 10000, inclusive",
				element{"ArgumentName", "PartNumber"}, element{"ArgumentValue", strconv.Itoa(*p.Number)})
		}
		parts[i] = registry.ListedPart{Number: *p.Number, ETag: etag, Checksums: p.checksums()}
	}
	return parts, nil
}

func (p *completedPart) checksums() map[string]string {
	var sums map[string]string
	for _, c := range [...]struct{ name, value string }{
		{"crc32", p.CRC32}, {"crc32c", p.CRC32C}, {"crc64nvme", p.CRC64NVME}, {"sha1", p.SHA1}, {"sha256", p.SHA256},
	} {
		if c.value == "" {
			continue
		}
		if sums == nil {
			sums = map[string]string{}
		}
		sums[c.name] = c.value
	}
	return sums
}

// completeMultipart is CompleteMultipartUpload. In a bucket that inspects before it
// answers the whole is read first, which takes its time.
func (a *API) completeMultipart(c *fiber.Ctx, r *request) error {
	b, err := a.sizedDocument(c, r, maxCompletion)
	if err != nil {
		return err
	}
	completion, err := r.completion()
	if err != nil {
		return err
	}
	if completion.Parts, err = parseCompletion(b); err != nil {
		return err
	}
	a.forget(r)
	actor := r.actor()
	return patiently(a, c, r, slow[registry.Object]{
		do: func() (registry.Object, error) {
			return a.pipeline.Complete(background(), actor, completion)
		},
		header: func(o registry.Object) error {
			h := &c.Context().Response.Header
			if err := a.setWritten(h, r, &o); err != nil {
				return err
			}
			h.Del("ETag") // it stands in the document
			return nil
		},
		body: func(o registry.Object) *document {
			r.exchange.Upload = string(completion.Multipart)
			return a.completed(r, &o)
		},
		explain: func(err error) error { return a.completionError(r, err) },
	})
}

// completed is the answer to a completion.
func (a *API) completed(r *request, o *registry.Object) *document {
	r.exchange.Object = string(o.ID)
	d := newDocument("CompleteMultipartUploadResult")
	d.text("Location", a.location(r))
	d.text("Bucket", string(o.Bucket))
	d.text("Key", o.Key)
	d.text("ETag", quoted(o.ETag))
	d.checksums(o.Checksums)
	if len(o.Checksums) > 0 {
		d.text("ChecksumType", string(checksumType(o.ChecksumType)))
	}
	return d
}

// completionError says what is wrong with a completion.
func (a *API) completionError(r *request, err error) error {
	switch {
	case errors.Is(err, registry.ErrNoUpload):
		return multipartError(err)
	case errors.Is(err, registry.ErrChecksumMismatch):
		for algorithm := range r.checksumHeaders() {
			return &refused{code: codeBadDigest, message: wrongChecksum(algorithm), cause: err}
		}
	case errors.Is(err, registry.ErrInvalid):
		return &refused{code: codeInvalidRequest, cause: err,
			message: "The completion does not fit the upload: its size, or the algorithm or type of its checksum, is another than that of the parts."}
	}
	return a.writeError(r, err)
}

// location is where what was written can be read.
func (a *API) location(r *request) string {
	path := string(sigv4.AppendPath(nil, "/"+string(r.bucket)+"/"+r.key))
	if a.cfg.URL == "" {
		return path
	}
	return strings.TrimSuffix(a.cfg.URL, "/") + path
}

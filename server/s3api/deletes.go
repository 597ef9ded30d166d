package s3api

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/xml"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry/pipeline"
)

// maxDeletes is how many keys one DeleteObjects may name.
const maxDeletes = 1000

// admitDelete refuses the conditions that S3 has for deletes: the ledger has no
// conditional delete, and to ignore them would delete what the client wants to
// keep.
func (a *API) admitDelete(_ *fasthttp.RequestCtx, r *request) error {
	if _, ok := r.proof.Request.HeaderValue("if-match"); ok {
		return refuse(codeNotImplemented, element{"Header", "If-Match"})
	}
	return nil
}

// deleteObject answers 204 whether or not something was there.
func (a *API) deleteObject(c *fiber.Ctx, r *request) error {
	results, err := a.pipeline.DeleteKeys(background(), r.actor(), r.bucket, []string{r.key})
	if err != nil {
		return bucketError(err)
	}
	if results[0] != nil {
		return results[0]
	}
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

func (a *API) admitDeletes(ctx *fasthttp.RequestCtx, r *request) error {
	if err := r.admitDocument(ctx); err != nil {
		return err
	}
	d, err := r.declared(ctx)
	if err != nil {
		return err
	}
	if d.ContentMD5 == "" && len(d.Checksums) == 0 {
		return say(codeInvalidRequest, "Missing required header for this request: Content-MD5")
	}
	_, err = a.pipeline.Bucket(background(), r.actor(), r.bucket)
	return bucketError(err)
}

// deleteRequest is the document of DeleteObjects.
type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool     `xml:"Quiet"`
	Objects []struct {
		Key       string  `xml:"Key"`
		VersionID string  `xml:"VersionId"`
		ETag      *string `xml:"ETag"`
		Size      *string `xml:"Size"`
		Modified  *string `xml:"LastModifiedTime"`
	} `xml:"Object"`
}

func (a *API) deleteObjects(c *fiber.Ctx, r *request) error {
	b, err := a.document(c, r)
	if err != nil {
		return err
	}
	if err := r.checkDocument(c.Context(), b); err != nil {
		return err
	}
	var req deleteRequest
	if err := decodeXML(b, &req); err != nil {
		return err
	}
	if len(req.Objects) == 0 || len(req.Objects) > maxDeletes {
		return refuse(codeMalformedXML)
	}
	keys := make([]string, len(req.Objects))
	for i, o := range req.Objects {
		if o.Key == "" {
			return refuse(codeMalformedXML)
		}
		if o.VersionID != "" && o.VersionID != "null" || o.ETag != nil || o.Size != nil || o.Modified != nil {
			return refuse(codeNotImplemented) // before anything was deleted
		}
		keys[i] = o.Key
	}
	results, err := a.pipeline.DeleteKeys(background(), r.actor(), r.bucket, keys)
	if err != nil {
		return bucketError(err)
	}
	d := newDocument("DeleteResult")
	for i, key := range keys {
		if results[i] != nil {
			a.deleteFailed(d, r, key, results[i])
		} else if !req.Quiet {
			d.open("Deleted")
			d.text("Key", key)
			d.close("Deleted")
		}
	}
	sendXML(c.Context(), d)
	return nil
}

func (a *API) deleteFailed(d *document, r *request, key string, err error) {
	e := a.judged(r, err)
	d.open("Error")
	d.text("Key", key)
	d.text("Code", string(e.code))
	d.text("Message", answers[e.code].message)
	d.close("Error")
}

// checkDocument holds a body that was read whole against the digests that the
// headers declare.
func (r *request) checkDocument(ctx *fasthttp.RequestCtx, b []byte) error {
	d, err := r.declared(ctx)
	if err != nil {
		return err
	}
	if d.ContentMD5 != "" {
		want, err := base64.StdEncoding.Strict().DecodeString(d.ContentMD5)
		if err != nil || len(want) != md5.Size {
			return refuse(codeInvalidDigest)
		}
		if got := md5.Sum(b); subtle.ConstantTimeCompare(got[:], want) != 1 {
			return refuse(codeBadDigest)
		}
	}
	for algorithm, value := range d.Checksums {
		h := pipeline.Checksum(algorithm)
		if h == nil {
			return say(codeInvalidRequest, "Value for x-amz-checksum header is invalid.")
		}
		h.Write(b)
		if base64.StdEncoding.EncodeToString(h.Sum(nil)) != value {
			return say(codeBadDigest, "The "+strings.ToUpper(algorithm)+" you specified did not match the calculated checksum.")
		}
	}
	return nil
}

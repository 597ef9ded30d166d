package s3api

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry/pipeline"
)

// readShaped reads the body, holds it against every digest that the headers
// declare, and decodes the one document in it, which must have that shape.
func (a *API) readShaped(c *fiber.Ctx, r *request, s shape, into any) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	return decodeShaped(b, s, into)
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
			return say(codeBadDigest, wrongChecksum(algorithm))
		}
	}
	return nil
}

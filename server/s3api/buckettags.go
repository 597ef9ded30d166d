package s3api

import (
	"errors"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

// maxBucketTags is how many tags S3 allows a bucket.
const maxBucketTags = 50

// readBucketTags reads a Tagging document.
func readBucketTags(b []byte) (map[string]string, error) {
	var t taggingDocument
	if err := decodeShaped(b, shape{"Tagging": "TagSet", "TagSet": "Tag*", "Tag": "Key Value"}, &t); err != nil {
		return nil, err
	}
	tags, err := t.tags()
	if err == nil && len(tags) > maxBucketTags {
		err = say(codeBadRequest, "Bucket tag count cannot be greater than 50")
	}
	return tags, err
}

func (a *API) bucketTags(c *fiber.Ctx, r *request) error {
	tags, err := a.pipeline.BucketTags(background(), r.actor(), r.bucket)
	switch {
	case errors.Is(err, registry.ErrNotConfigured):
		return notConfigured("NoSuchTagSet", "The TagSet does not exist")
	case err != nil:
		return bucketError(err)
	}
	d := newDocument("Tagging")
	d.tagSet(tags)
	sendXML(c.Context(), d)
	return nil
}

func (a *API) setBucketTags(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	tags, err := readBucketTags(b)
	if err != nil {
		return err
	}
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return configError(a.pipeline.SetBucketTags(background(), r.actor(), r.bucket, tags))
}

func (a *API) deleteBucketTags(c *fiber.Ctx, r *request) error {
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return bucketError(a.pipeline.SetBucketTags(background(), r.actor(), r.bucket, nil))
}

package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

// owner is who S3 is told that everything of a tenant belongs to.
type owner struct{ id, name string }

func (a *API) owner(r *request) (owner, error) {
	t, err := a.ledger.Tenant(background(), r.actor().Tenant)
	return owner{id: t.OwnerID, name: string(t.Name)}, err
}

func (d *document) owner(o owner) {
	d.open("Owner")
	d.text("ID", o.id)
	d.text("DisplayName", o.name)
	d.close("Owner")
}

// bucketError says that what is missing is the bucket.
func bucketError(err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return refuse(codeNoSuchBucket)
	}
	return err
}

func (a *API) listBuckets(c *fiber.Ctx, r *request) error {
	buckets, err := a.pipeline.Buckets(background(), r.actor())
	if err != nil {
		return err
	}
	who, err := a.owner(r)
	if err != nil {
		return err
	}
	after, err := decodeToken(r.param("continuation-token"))
	if err != nil {
		return err
	}
	most := len(buckets)
	if v := r.param("max-buckets"); v != "" {
		if most, err = strconv.Atoi(v); err != nil || most < 1 || most > 10000 {
			return say(codeInvalidArgument, "MaxBuckets must be an integer between 1 and 10000.", element{"ArgumentName", "max-buckets"})
		}
	}
	prefix := r.param("prefix")
	d := newDocument("ListAllMyBucketsResult")
	d.owner(who)
	d.open("Buckets")
	var last, next string
	for _, b := range buckets {
		name := string(b.Name)
		if name <= after || !strings.HasPrefix(name, prefix) {
			continue
		}
		if most == 0 {
			next = last
			break
		}
		most--
		last = name
		d.open("Bucket")
		d.text("Name", name)
		d.text("CreationDate", b.CreatedAt.UTC().Format(isoMillis))
		d.close("Bucket")
	}
	d.close("Buckets")
	if next != "" {
		d.text("ContinuationToken", encodeToken(next))
	}
	sendXML(c.Context(), d)
	return nil
}

// isoMillis is how S3 writes times in lists.
const isoMillis = "2006-01-02T15:04:05.000Z"

func (a *API) headBucket(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	c.Context().Response.Header.Set("x-amz-bucket-region", a.cfg.Region)
	return nil
}

func (a *API) bucketLocation(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	d := newDocument("LocationConstraint")
	if a.cfg.Region != firstRegion {
		d.b = appendText(d.b, a.cfg.Region)
	}
	sendXML(c.Context(), d)
	return nil
}

// firstRegion is the one that a location constraint stays empty for.
const firstRegion = "us-east-1"

func (a *API) admitCreateBucket(ctx *fasthttp.RequestCtx, r *request) error {
	return r.admitDocument(ctx)
}

func (a *API) createBucket(c *fiber.Ctx, r *request) error {
	b, err := a.document(c, r)
	if err != nil {
		return err
	}
	if err := a.checkLocation(b); err != nil {
		return err
	}
	err = a.pipeline.CreateBucket(background(), r.actor(), r.bucket)
	if errors.Is(err, registry.ErrInvalid) {
		return refuse(codeInvalidBucketName)
	}
	if err != nil {
		return err
	}
	c.Context().Response.Header.Set("Location", "/"+string(r.bucket))
	return nil
}

// checkLocation reads a CreateBucketConfiguration. A bucket can only be where
// this server is.
func (a *API) checkLocation(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	var cfg struct {
		XMLName            xml.Name  `xml:"CreateBucketConfiguration"`
		LocationConstraint string    `xml:"LocationConstraint"`
		Location           *struct{} `xml:"Location"`
		Bucket             *struct{} `xml:"Bucket"`
		Tags               *struct{} `xml:"Tags"`
	}
	if err := decodeXML(b, &cfg); err != nil {
		return err
	}
	if cfg.Location != nil || cfg.Bucket != nil || cfg.Tags != nil {
		return refuse(codeNotImplemented)
	}
	if l := strings.TrimSpace(cfg.LocationConstraint); l != "" && l != a.cfg.Region {
		return refuse(codeInvalidLocation, element{"LocationConstraint", l})
	}
	return nil
}

// decodeXML reads exactly one document.
func decodeXML(b []byte, into any) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(into); err != nil {
		return refuse(codeMalformedXML)
	}
	for {
		switch t, err := d.Token(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return refuse(codeMalformedXML)
		default:
			if _, element := t.(xml.StartElement); element {
				return refuse(codeMalformedXML)
			}
		}
	}
}

func (a *API) deleteBucket(c *fiber.Ctx, r *request) error {
	err := a.pipeline.DeleteBucket(background(), r.actor(), r.bucket)
	switch {
	case errors.Is(err, registry.ErrConflict):
		return refuse(codeInvalidBucketState)
	case err != nil:
		return bucketError(err)
	}
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

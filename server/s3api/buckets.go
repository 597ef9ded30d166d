package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
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

// bucketsQuery is what a ListBuckets asks for.
type bucketsQuery struct {
	prefix, after, region string
	most                  int // buckets on a page; 0 is all
}

// paged tells whether the client knows of pages, and so of regions.
func (q *bucketsQuery) paged() bool { return *q != bucketsQuery{} }

func (r *request) bucketsQuery() (q bucketsQuery, err error) {
	q.prefix, q.region = r.param("prefix"), r.param("bucket-region")
	if v := r.param("max-buckets"); v != "" {
		if q.most, err = strconv.Atoi(v); err != nil || q.most < 1 || q.most > 10000 {
			return q, say(codeInvalidArgument, "MaxBuckets must be an integer between 1 and 10000.", element{"ArgumentName", "max-buckets"})
		}
	}
	q.after, err = decodeToken(r.param("continuation-token"))
	return q, err
}

// page returns the buckets of one page, which come in the order of their names, and
// the name that the next one goes on behind; "" at the end.
func (q *bucketsQuery) page(buckets []registry.Bucket) (page []registry.Bucket, next string) {
	for _, b := range buckets {
		if string(b.Name) <= q.after || !strings.HasPrefix(string(b.Name), q.prefix) {
			continue
		}
		if q.most > 0 && len(page) == q.most {
			return page, string(page[len(page)-1].Name)
		}
		page = append(page, b)
	}
	return page, ""
}

func (a *API) listBuckets(c *fiber.Ctx, r *request) error {
	q, err := r.bucketsQuery()
	if err != nil {
		return err
	}
	buckets, err := a.pipeline.Buckets(background(), r.actor())
	if err != nil {
		return err
	}
	if q.region != "" && q.region != a.cfg.Region {
		buckets = nil // they are all here
	}
	who, err := a.owner(r)
	if err != nil {
		return err
	}
	page, next := q.page(buckets)
	d := newDocument("ListAllMyBucketsResult")
	d.owner(who)
	d.open("Buckets")
	for _, b := range page {
		d.open("Bucket")
		d.text("Name", string(b.Name))
		d.text("CreationDate", b.CreatedAt.UTC().Format(isoMillis))
		if q.paged() {
			d.text("BucketRegion", a.cfg.Region)
		}
		d.close("Bucket")
	}
	d.close("Buckets")
	if next != "" {
		d.text("ContinuationToken", encodeToken(next))
	}
	if q.prefix != "" {
		d.text("Prefix", q.prefix)
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

// Settings of CreateBucket.
const (
	settingBucketLock = "x-amz-bucket-object-lock-enabled"
	settingOwnership  = "x-amz-object-ownership"
)

// admitCreateBucket refuses what would make another kind of bucket than there are.
func (a *API) admitCreateBucket(ctx *fasthttp.RequestCtx, r *request) error {
	if err := r.admitUpTo(ctx, maxConfig); err != nil {
		return err
	}
	for name, value := range r.amz() {
		switch {
		case name == "x-amz-acl" && value != "private", strings.HasPrefix(name, "x-amz-grant-"):
			return refuse(codeInvalidBucketACL)
		case name == settingOwnership:
			switch err := checkOwnership(value); {
			case errors.Is(err, errOwnershipUnknown):
				return say(codeInvalidArgument, "Invalid x-amz-object-ownership header: "+value, element{"ArgumentName", settingOwnership})
			case err != nil:
				return err
			}
		case name == settingBucketLock && !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false"):
			return say(codeInvalidArgument, "Invalid Argument", element{"ArgumentName", settingBucketLock}, element{"ArgumentValue", value})
		}
	}
	return nil
}

func (a *API) createBucket(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	cfg, err := readCreateBucket(b)
	if err != nil {
		return err
	}
	if l := cfg.location; l != "" && l != a.cfg.Region {
		return refuse(codeInvalidLocation, element{"LocationConstraint", l})
	}
	err = a.pipeline.CreateBucketWith(background(), r.actor(), pipeline.NewBucket{
		Name: r.bucket, Lockable: strings.EqualFold(r.header(settingBucketLock), "true"), Tags: cfg.tags,
	})
	if errors.Is(err, registry.ErrInvalid) {
		return refuse(codeInvalidBucketName)
	}
	if err != nil {
		return err
	}
	c.Context().Response.Header.Set("Location", "/"+string(r.bucket))
	return nil
}

// newBucket is what the body of a CreateBucket says.
type newBucket struct {
	location string
	tags     map[string]string
}

// readCreateBucket reads a CreateBucketConfiguration, which may be left out; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html.
func readCreateBucket(b []byte) (n newBucket, err error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return n, nil
	}
	var cfg struct {
		XMLName            xml.Name `xml:"CreateBucketConfiguration"`
		LocationConstraint string
		Location, Bucket   *struct{}
		Tags               []struct{ Key, Value string } `xml:"Tags>Tag"`
	}
	err = decodeShaped(b, shape{
		"CreateBucketConfiguration": "LocationConstraint Location Bucket Tags",
		"Location":                  "Name Type",
		"Bucket":                    "DataRedundancy Type",
		"Tags":                      "Tag*",
		"Tag":                       "Key Value",
	}, &cfg)
	switch {
	case err != nil:
		return n, err
	case cfg.Location != nil || cfg.Bucket != nil: // directory buckets
		return n, refuse(codeNotImplemented)
	case len(cfg.Tags) > maxBucketTags:
		return n, say(codeBadRequest, "Bucket tag count cannot be greater than 50")
	}
	n.location = strings.TrimSpace(cfg.LocationConstraint)
	list := make([]tag, 0, len(cfg.Tags))
	for _, t := range cfg.Tags {
		list = append(list, tag{t.Key, t.Value})
	}
	n.tags, err = checkTags(list)
	return n, err
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

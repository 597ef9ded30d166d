package s3api

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

// attributesHeader names the attributes that a client wants.
const attributesHeader = "x-amz-object-attributes"

// wanted is what GetObjectAttributes asks for.
type wanted struct {
	etag, checksum, parts, class, size bool

	after, most int // of the parts: behind this number, so many
}

// objectAttributes is GetObjectAttributes.
func (a *API) objectAttributes(c *fiber.Ctx, r *request) error {
	want, err := r.wanted()
	if err != nil {
		return err
	}
	found, err := a.findVersion(r)
	if err != nil {
		return err
	}
	o, h := &found.Object, &c.Context().Response.Header
	h.Set("Last-Modified", httpDate(o.ModifiedAt.UTC()))
	if err := a.setVersion(h, o); err != nil {
		return err
	}
	d := newDocument("GetObjectAttributesResponse")
	if want.etag {
		d.text("ETag", o.ETag)
	}
	if want.checksum && len(o.Checksums) > 0 {
		d.open("Checksum")
		d.checksums(o.Checksums)
		d.text("ChecksumType", string(checksumType(o.ChecksumType)))
		d.close("Checksum")
	}
	if want.parts && o.PartCount > 0 {
		if err := d.objectParts(found, want); err != nil {
			return err
		}
	}
	if want.class {
		d.text("StorageClass", classOf(o.StorageClass))
	}
	if want.size {
		d.number("ObjectSize", o.Size)
	}
	sendXML(c.Context(), d)
	return nil
}

// wanted reads the headers.
func (r *request) wanted() (wanted, error) {
	var w wanted
	named := false
	for name, value := range r.amz() { // a client may send one line or several
		if name != attributesHeader {
			continue
		}
		for attribute := range strings.SplitSeq(value, ",") {
			named = true
			if err := w.add(strings.TrimSpace(attribute)); err != nil {
				return w, err
			}
		}
	}
	if !named {
		return w, say(codeInvalidRequest, "Missing required header for this request: x-amz-object-attributes")
	}
	var err error
	if w.most, err = r.count("x-amz-max-parts", maxKeys); err != nil {
		return w, err
	}
	w.most = min(w.most, maxKeys)
	w.after, err = r.count("x-amz-part-number-marker", 0)
	return w, err
}

func (w *wanted) add(attribute string) error {
	switch attribute {
	case "ETag":
		w.etag = true
	case "Checksum":
		w.checksum = true
	case "ObjectParts":
		w.parts = true
	case "StorageClass":
		w.class = true
	case "ObjectSize":
		w.size = true
	default:
		return say(codeInvalidArgument, "Invalid attribute name specified.",
			element{"ArgumentName", attributesHeader}, element{"ArgumentValue", attribute})
	}
	return nil
}

// count reads a header that holds a number.
func (r *request) count(name string, missing int) (int, error) {
	v := r.header(name)
	if v == "" {
		return missing, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return 0, say(codeInvalidArgument, "Provided "+name+" not an integer or within integer range",
			element{"ArgumentName", name}, element{"ArgumentValue", v})
	}
	return int(n), nil
}

// objectParts writes a page of the parts that an object was uploaded in.
func (d *document) objectParts(found *pipeline.Found, want wanted) error {
	parts, err := found.Parts(background())
	if err != nil {
		return err
	}
	d.open("ObjectParts")
	d.number("PartsCount", int64(len(parts)))
	d.number("PartNumberMarker", int64(want.after))
	d.number("MaxParts", int64(want.most))
	rest := parts
	for len(rest) > 0 && rest[0].Number <= want.after {
		rest = rest[1:]
	}
	page := rest[:min(want.most, len(rest))]
	d.flag("IsTruncated", len(page) < len(rest))
	if len(page) > 0 {
		d.number("NextPartNumberMarker", int64(page[len(page)-1].Number))
	}
	for i := range page {
		d.objectPart(&page[i])
	}
	d.close("ObjectParts")
	return nil
}

func (d *document) objectPart(p *registry.ObjectPart) {
	d.open("Part")
	d.number("PartNumber", int64(p.Number))
	d.number("Size", p.Size)
	d.checksums(p.Checksums)
	d.close("Part")
}

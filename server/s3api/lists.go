package s3api

import (
	"encoding/base64"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"sallyport/registry"
	"sallyport/sigv4"
)

// maxKeys is the longest page of a list.
const maxKeys = 1000

// listing is a list request of either version.
type listing struct {
	registry.ListQuery
	names
	second bool // ListObjectsV2
	owner  bool
	marker string // as asked: marker or start-after
	token  string // as asked
}

func (a *API) listObjects(c *fiber.Ctx, r *request) error {
	q, err := r.listing()
	if err != nil {
		return err
	}
	if q.second {
		r.exchange.Op = "ListObjectsV2"
	}
	page, err := a.pipeline.List(background(), r.actor(), r.bucket, q.ListQuery)
	switch {
	case errors.Is(err, registry.ErrInvalid):
		return refuse(codeKeyTooLong)
	case err != nil:
		return bucketError(err)
	}
	var who owner
	if q.owner {
		if who, err = a.owner(r); err != nil {
			return err
		}
	}
	d := newDocument("ListBucketResult")
	d.b = append(make([]byte, 0, 512+384*len(page.Entries)), d.b...)
	q.head(d, string(r.bucket), page)
	for _, e := range page.Entries {
		q.entry(d, e, who)
	}
	q.prefixes(d, page.Prefixes)
	sendXML(c.Context(), d)
	return nil
}

// listing reads the parameters.
func (r *request) listing() (*listing, error) {
	q := &listing{}
	q.Prefix, q.Delimiter = r.param("prefix"), r.param("delimiter")
	switch v := r.param("list-type"); v {
	case "":
	case "2":
		q.second = true
	default:
		return nil, say(codeInvalidArgument, "Invalid List Type specified in Request", element{"ArgumentName", "list-type"})
	}
	var err error
	if q.encoded, err = r.encodedNames(); err != nil {
		return nil, err
	}
	if q.Max, err = r.pageSize("max-keys"); err != nil {
		return nil, err
	}
	if err := q.where(r); err != nil {
		return nil, err
	}
	for _, s := range []string{q.Prefix, q.Delimiter, q.After} {
		if !utf8.ValidString(s) {
			return nil, refuse(codeInvalidURI)
		}
	}
	return q, nil
}

// where reads at what key the page begins.
func (q *listing) where(r *request) error {
	if !q.second {
		q.owner = true
		q.marker = r.param("marker")
		q.After = q.marker
		return nil
	}
	q.owner = r.param("fetch-owner") == "true"
	q.marker = r.param("start-after")
	q.After = q.marker
	token, ok := r.proof.Request.Param("continuation-token")
	if !ok {
		return nil
	}
	after, err := decodeToken(string(token))
	if err != nil || after == "" {
		return badToken()
	}
	q.token, q.After = string(token), after
	return nil
}

// head writes what stands before the entries.
func (q *listing) head(d *document, bucket string, page registry.Listing) {
	d.text("Name", bucket)
	q.name(d, "Prefix", q.Prefix)
	if q.second {
		if q.token != "" {
			d.text("ContinuationToken", q.token)
		}
		if q.marker != "" {
			q.name(d, "StartAfter", q.marker)
		}
		d.number("KeyCount", int64(len(page.Entries)+len(page.Prefixes)))
		if page.Truncated {
			d.text("NextContinuationToken", encodeToken(page.Next))
		}
	} else {
		q.name(d, "Marker", q.marker)
		if page.Truncated && q.Delimiter != "" {
			q.name(d, "NextMarker", page.Next)
		}
	}
	d.number("MaxKeys", int64(q.Max))
	if q.Delimiter != "" {
		q.name(d, "Delimiter", q.Delimiter)
	}
	if q.encoded {
		d.text("EncodingType", "url")
	}
	d.flag("IsTruncated", page.Truncated)
}

func (q *listing) entry(d *document, e registry.Entry, who owner) {
	d.open("Contents")
	q.name(d, "Key", e.Key)
	d.moment("LastModified", e.ModifiedAt)
	d.text("ETag", quoted(e.ETag))
	d.number("Size", e.Size)
	if q.owner {
		d.owner(who)
	}
	d.text("StorageClass", classOf(e.StorageClass))
	d.close("Contents")
}

// names is how a list writes keys and parts of keys.
type names struct {
	encoded bool // encoding-type=url
}

// encodedNames reads encoding-type.
func (r *request) encodedNames() (bool, error) {
	switch v := r.param("encoding-type"); v {
	case "":
		return false, nil
	case "url":
		return true, nil
	default:
		return false, say(codeInvalidArgument, "Invalid Encoding Method specified in Request",
			element{"ArgumentName", "encoding-type"}, element{"ArgumentValue", v})
	}
}

// name writes an element that holds a key or a part of one.
func (n names) name(d *document, element, value string) {
	if !n.encoded {
		d.text(element, value)
		return
	}
	d.open(element)
	d.b = sigv4.AppendPath(d.b, value)
	d.close(element)
}

func (n names) prefixes(d *document, prefixes []string) {
	for _, p := range prefixes {
		d.open("CommonPrefixes")
		n.name(d, "Prefix", p)
		d.close("CommonPrefixes")
	}
}

// pageSize reads how many entries a page may have; what is above the most that S3
// gives is taken for that.
func (r *request) pageSize(param string) (int, error) {
	v := r.param(param)
	if v == "" {
		return maxKeys, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		message := "Provided " + param + " not an integer or within integer range"
		if err == nil {
			message = "Argument " + param + " must be an integer between 0 and 2147483647"
		}
		return 0, say(codeInvalidArgument, message, element{"ArgumentName", param}, element{"ArgumentValue", v})
	}
	return int(min(n, maxKeys)), nil
}

// moment writes a time as lists have it.
func (d *document) moment(name string, t time.Time) {
	d.open(name)
	d.b = t.UTC().AppendFormat(d.b, isoMillis)
	d.close(name)
}

// Tokens are opaque: clients must neither read them nor escape them as keys.

func encodeToken(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

func decodeToken(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", badToken()
	}
	return string(b), nil
}

func badToken() error {
	return say(codeInvalidArgument, "The continuation token provided is incorrect", element{"ArgumentName", "continuation-token"})
}

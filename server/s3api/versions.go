package s3api

import (
	"errors"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
)

// Headers about versions.
const (
	versionHeader = "x-amz-version-id"
	markerHeader  = "x-amz-delete-marker"
	// stateHeader says why a key that was written is not there: Sallyport's own.
	stateHeader = "x-sallyport-state"
)

// version returns the version that the query names, "" if it names none.
func (r *request) version() (string, error) {
	v, ok := r.proof.Request.Param("versionId")
	if ok && len(v) == 0 {
		return "", say(codeInvalidArgument, "Version id cannot be the empty string",
			element{"ArgumentName", "versionId"}, element{"ArgumentValue", ""})
	}
	return string(v), nil
}

// findVersion finds what the path and the query name.
func (a *API) findVersion(r *request) (*pipeline.Found, error) {
	version, err := r.version()
	if err != nil {
		return nil, err
	}
	found, err := a.pipeline.FindVersion(background(), r.actor(), r.bucket, r.key, version)
	if err != nil {
		return nil, a.versionError(r, version, err)
	}
	return found, nil
}

// versionError says what is missing: the bucket, the key, the version, or, where
// there is a delete marker, that it was deleted.
func (a *API) versionError(r *request, version string, err error) error {
	var marker *registry.MarkerError
	var waiting *pipeline.WaitingError
	switch {
	case errors.As(err, &marker):
		return markerError(r, marker)
	case errors.As(err, &waiting):
		e := refuse(codeNoSuchKey)
		e.header = []server.Field{{Name: stateHeader, Value: string(waiting.State)}}
		return e
	case errors.Is(err, registry.ErrInvalid) && version != "":
		return invalidVersion(version)
	case !errors.Is(err, registry.ErrNotFound):
		return err
	}
	missing := a.missing(r)
	if what, ok := errors.AsType[*refused](missing); version == "" || !ok || what.code != codeNoSuchKey {
		return missing
	}
	return refuse(codeNoSuchVersion, element{"Key", r.key}, element{"VersionId", version})
}

// markerError is the answer to whoever comes to a delete marker.
func markerError(r *request, m *registry.MarkerError) error {
	e := refuse(codeNoSuchKey)
	if m.Named {
		e = refuse(codeMethodNotAllowed, element{"Method", r.route.method}, element{"ResourceType", "DeleteMarker"})
		e.header = []server.Field{{Name: "Allow", Value: "DELETE"}, {Name: "Last-Modified", Value: httpDate(m.ModifiedAt)}}
	}
	e.header = append(e.header, server.Field{Name: markerHeader, Value: "true"}, server.Field{Name: versionHeader, Value: m.VersionID})
	return e
}

func invalidVersion(version string) error {
	return say(codeInvalidArgument, "Invalid version id specified",
		element{"ArgumentName", "versionId"}, element{"ArgumentValue", version})
}

// setVersion says which version an answer is about. Where versioning never was on
// there are none.
func (a *API) setVersion(h *fasthttp.ResponseHeader, o *registry.Object) error {
	if !o.Versioned {
		b, err := a.ledger.Bucket(background(), o.Tenant, o.Bucket)
		if err != nil || b.Versioning == registry.VersioningOff {
			return bucketError(err)
		}
	}
	h.Set(versionHeader, o.VersionID())
	return nil
}

// versionsListing is a ListObjectVersions request.
type versionsListing struct {
	registry.VersionsQuery
	names
	keyMarker, versionMarker string // as asked
}

func (a *API) listVersions(c *fiber.Ctx, r *request) error {
	q, err := r.versionsListing()
	if err != nil {
		return err
	}
	page, err := a.pipeline.ListVersions(background(), r.actor(), r.bucket, q.VersionsQuery)
	switch {
	case errors.Is(err, registry.ErrInvalid) && q.versionMarker != "":
		return invalidVersion(q.versionMarker)
	case errors.Is(err, registry.ErrInvalid):
		return refuse(codeKeyTooLong)
	case err != nil:
		return bucketError(err)
	}
	who, err := a.owner(r)
	if err != nil {
		return err
	}
	d := newDocument("ListVersionsResult")
	d.b = append(make([]byte, 0, 512+512*len(page.Entries)), d.b...)
	q.head(d, string(r.bucket), &page)
	for i := range page.Entries {
		q.entry(d, &page.Entries[i], who)
	}
	q.prefixes(d, page.Prefixes)
	sendXML(c.Context(), d)
	return nil
}

// versionsListing reads the parameters.
func (r *request) versionsListing() (*versionsListing, error) {
	q := &versionsListing{}
	var err error
	q.Prefix, q.Delimiter = r.param("prefix"), r.param("delimiter")
	if q.encoded, err = r.encodedNames(); err != nil {
		return nil, err
	}
	if q.Max, err = r.pageSize("max-keys"); err != nil {
		return nil, err
	}
	q.keyMarker, q.versionMarker = r.param("key-marker"), r.param("version-id-marker")
	if q.versionMarker != "" && q.keyMarker == "" {
		return nil, say(codeInvalidArgument, "A version-id marker cannot be specified without a key marker.",
			element{"ArgumentName", "version-id-marker"}, element{"ArgumentValue", q.versionMarker})
	}
	q.AfterKey, q.AfterVersion = q.keyMarker, q.versionMarker
	for _, s := range []string{q.Prefix, q.Delimiter, q.AfterKey} {
		if !utf8.ValidString(s) {
			return nil, refuse(codeInvalidURI)
		}
	}
	return q, nil
}

// head writes what stands before the entries.
func (q *versionsListing) head(d *document, bucket string, page *registry.VersionListing) {
	d.text("Name", bucket)
	q.name(d, "Prefix", q.Prefix)
	q.name(d, "KeyMarker", q.keyMarker)
	d.text("VersionIdMarker", q.versionMarker)
	if page.Truncated {
		q.name(d, "NextKeyMarker", page.NextKey)
		if page.NextVersion != "" {
			d.text("NextVersionIdMarker", page.NextVersion)
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

func (q *versionsListing) entry(d *document, e *registry.VersionEntry, who owner) {
	kind := "Version"
	if e.Marker {
		kind = "DeleteMarker"
	}
	d.open(kind)
	q.name(d, "Key", e.Key)
	d.text("VersionId", e.VersionID)
	d.flag("IsLatest", e.Latest)
	d.moment("LastModified", e.ModifiedAt)
	if !e.Marker {
		d.text("ETag", quoted(e.ETag))
		d.number("Size", e.Size)
	}
	d.owner(who)
	if !e.Marker {
		d.text("StorageClass", classOf(e.StorageClass))
	}
	d.close(kind)
}

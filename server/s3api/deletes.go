package s3api

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

// maxDeletes is how many keys one DeleteObjects may name.
const maxDeletes = 1000

// deleteObject answers 204 whether or not something was there.
func (a *API) deleteObject(c *fiber.Ctx, r *request) error {
	deletion, err := r.deletion()
	if err != nil {
		return err
	}
	results, err := a.pipeline.DeleteVersions(background(), r.actor(), r.bucket, []registry.Deletion{deletion})
	if err != nil {
		return bucketError(err)
	}
	done := results[0]
	switch {
	case errors.Is(done.Err, registry.ErrInvalid) && deletion.Version != "":
		return invalidVersion(deletion.Version)
	case errors.Is(done.Err, registry.ErrPrecondition):
		return refuse(codePreconditionFailed, element{"Condition", deleteCondition(&deletion)})
	case done.Err != nil && !errors.Is(done.Err, registry.ErrNotFound):
		return done.Err
	}
	h := &c.Context().Response.Header
	if done.VersionID != "" {
		h.Set(versionHeader, done.VersionID)
	}
	if done.Marker {
		h.Set(markerHeader, "true")
	}
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// deletion reads what DeleteObject is to delete, and under which conditions.
func (r *request) deletion() (registry.Deletion, error) {
	d := registry.Deletion{Key: r.key, Bypass: r.bypass()}
	var err error
	if d.Version, err = r.version(); err != nil {
		return d, err
	}
	conditions, err := r.writeConditions()
	if err != nil {
		return d, err
	}
	if conditions.IfNoneMatch != "" {
		return d, refuse(codeNotImplemented, element{"Header", "If-None-Match"})
	}
	d.IfMatch = conditions.IfMatch
	const sizeHeader, timeHeader = "x-amz-if-match-size", "x-amz-if-match-last-modified-time"
	if v := r.header(sizeHeader); v != "" {
		if d.IfSize = sizeCondition(v); d.IfSize == nil {
			return d, malformedCondition(sizeHeader, v)
		}
	}
	if v := r.header(timeHeader); v != "" {
		if d.IfModified = timeCondition(v); d.IfModified == nil {
			return d, malformedCondition(timeHeader, v)
		}
	}
	return d, nil
}

func malformedCondition(name, value string) error {
	return say(codeInvalidArgument, "The condition is malformed.", element{"ArgumentName", name}, element{"ArgumentValue", value})
}

// sizeCondition reads a number of bytes; nil if it is none.
func sizeCondition(v string) *int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil || n < 0 {
		return nil
	}
	return &n
}

// timeCondition reads a date as HTTP or as S3's documents write it; nil if it is
// none.
func timeCondition(v string) *time.Time {
	v = strings.TrimSpace(v)
	t, err := http.ParseTime(v)
	if err != nil {
		if t, err = time.Parse(time.RFC3339, v); err != nil {
			return nil
		}
	}
	return &t
}

// deleteCondition names a condition of a delete that failed.
func deleteCondition(d *registry.Deletion) string {
	switch {
	case d.IfMatch != "":
		return "If-Match"
	case d.IfSize != nil:
		return "x-amz-if-match-size"
	}
	return "x-amz-if-match-last-modified-time"
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
		return say(codeInvalidRequest, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
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

// deleteShape is strict: what nobody here understands may be a condition.
var deleteShape = shape{"Delete": "Quiet Object*", "Object": "Key VersionId ETag Size LastModifiedTime"}

// readDeletions reads what the document asks for, and whether what went well shall
// be passed over in the answer.
func readDeletions(b []byte) (list []registry.Deletion, quiet bool, err error) {
	var req deleteRequest
	if err := decodeShaped(b, deleteShape, &req); err != nil {
		return nil, false, err
	}
	list, err = req.deletions()
	return list, req.Quiet, err
}

func (req *deleteRequest) deletions() ([]registry.Deletion, error) {
	if len(req.Objects) == 0 || len(req.Objects) > maxDeletes {
		return nil, refuse(codeMalformedXML)
	}
	list := make([]registry.Deletion, len(req.Objects))
	for i, o := range req.Objects {
		d := registry.Deletion{Key: o.Key, Version: o.VersionID}
		if o.Size != nil {
			d.IfSize = sizeCondition(*o.Size)
		}
		if o.Modified != nil {
			d.IfModified = timeCondition(*o.Modified)
		}
		if o.ETag != nil {
			d.IfMatch = unquoted(*o.ETag)
		}
		if o.Key == "" || o.Size != nil && d.IfSize == nil || o.Modified != nil && d.IfModified == nil || o.ETag != nil && d.IfMatch == "" {
			return nil, refuse(codeMalformedXML) // before anything was deleted
		}
		list[i] = d
	}
	return list, nil
}

func (a *API) deleteObjects(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	list, quiet, err := readDeletions(b)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].Bypass = r.bypass()
	}
	results, err := a.pipeline.DeleteVersions(background(), r.actor(), r.bucket, list)
	if err != nil {
		return bucketError(err)
	}
	d := newDocument("DeleteResult")
	for i := range list {
		switch err := results[i].Err; {
		case err != nil && !errors.Is(err, registry.ErrNotFound):
			a.deleteFailed(d, r, &list[i], err)
		case !quiet:
			d.deleted(&list[i], &results[i])
		}
	}
	sendXML(c.Context(), d)
	return nil
}

// deleted writes what became of one key. A marker is named apart, whether it was
// made or removed.
func (d *document) deleted(what *registry.Deletion, done *registry.DeletionResult) {
	d.open("Deleted")
	d.text("Key", what.Key)
	if what.Version != "" {
		d.text("VersionId", what.Version)
	}
	if done.Marker {
		d.flag("DeleteMarker", true)
		d.text("DeleteMarkerVersionId", done.VersionID)
	}
	d.close("Deleted")
}

func (a *API) deleteFailed(d *document, r *request, what *registry.Deletion, err error) {
	if errors.Is(err, registry.ErrInvalid) {
		err = refuse(codeNoSuchVersion) // so S3 calls here what cannot be a version id
	}
	e := a.judged(r, err)
	message := e.message
	if message == "" {
		message = answers[e.code].message
	}
	d.open("Error")
	d.text("Key", what.Key)
	if what.Version != "" {
		d.text("VersionId", what.Version)
	}
	d.text("Code", string(e.code))
	d.text("Message", message)
	d.close("Error")
}

package s3api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

// The values of x-amz-metadata-directive and x-amz-tagging-directive.
const (
	directiveCopy    = "COPY"
	directiveReplace = "REPLACE"
)

// admitCopy is CopyObject's look at the headers: what they say must be readable
// before anything is asked for.
func (a *API) admitCopy(_ *fasthttp.RequestCtx, r *request) error {
	_, err := a.copyRequest(r)
	return err
}

// copyObject is CopyObject. It moves no bytes, but may have to read them: for a
// checksum that the source does not have, or for what inspection has to see first.
func (a *API) copyObject(c *fiber.Ctx, r *request) error {
	req, err := a.copyRequest(r)
	if err != nil {
		return err
	}
	actor := r.actor()
	return patiently(a, c, r, slow[pipeline.Copied]{
		do: func() (pipeline.Copied, error) { return a.pipeline.Copy(background(), actor, req) },
		header: func(copied pipeline.Copied) error {
			h := &c.Context().Response.Header
			if copied.SourceVersion != "" {
				h.Set("x-amz-copy-source-version-id", copied.SourceVersion)
			}
			err := a.setWritten(h, r, &copied.Object)
			h.Del("ETag") // it stands in the document
			return err
		},
		body:    func(copied pipeline.Copied) *document { return copyResult(&copied.Object) },
		explain: func(err error) error { return a.copyError(r, req.Source, err) },
	})
}

func copyResult(o *registry.Object) *document {
	d := newDocument("CopyObjectResult")
	d.moment("LastModified", o.ModifiedAt)
	d.text("ETag", quoted(o.ETag))
	d.checksums(o.Checksums)
	if len(o.Checksums) > 0 {
		d.text("ChecksumType", string(checksumType(o.ChecksumType)))
	}
	return d
}

// copyRequest reads the headers.
func (a *API) copyRequest(r *request) (pipeline.CopyRequest, error) {
	req := pipeline.CopyRequest{Bucket: r.bucket, Key: r.key, OneUse: r.oneUse()}
	var err error
	if req.Source, err = r.copySource(); err != nil {
		return req, err
	}
	if r.header(settingCopySource+"-range") != "" {
		return req, refuse(codeNotImplemented, element{"Header", settingCopySource + "-range"}) // of UploadPartCopy
	}
	if req.ReplaceMetadata, err = r.directive("x-amz-metadata-directive", "Unknown metadata directive."); err != nil {
		return req, err
	}
	if req.ReplaceTags, err = r.directive("x-amz-tagging-directive", "Unknown tagging directive."); err != nil {
		return req, err
	}
	if req.ChecksumAlgorithm, err = r.checksumAlgorithm(); err != nil {
		return req, err
	}
	if req.Conditions, err = r.writeConditions(); err != nil {
		return req, err
	}
	if req.Kept, err = a.kept(r); err != nil {
		return req, err
	}
	if req.Kept.ContentType = r.header("content-type"); req.Kept.ContentType == "" {
		req.Kept.ContentType = policy.S3Default
	}
	return req, nil
}

// directive tells whether something of the source is to be replaced.
func (r *request) directive(name, unknown string) (replace bool, err error) {
	switch v := r.header(name); v {
	case "", directiveCopy:
		return false, nil
	case directiveReplace:
		return true, nil
	default:
		return false, say(codeInvalidArgument, unknown, element{"ArgumentName", name}, element{"ArgumentValue", v})
	}
}

// copySource reads what a copy, of an object or of a part, is made of and under
// which conditions.
func (r *request) copySource() (pipeline.Source, error) {
	header := r.header(settingCopySource)
	bucket, key, version, message := parseCopySource(header)
	if message != "" {
		return pipeline.Source{}, say(codeInvalidArgument, message,
			element{"ArgumentName", settingCopySource}, element{"ArgumentValue", strings.ToValidUTF8(header, "\uFFFD")})
	}
	if name := settingCopySource + "-server-side-encryption-customer-algorithm"; r.header(name) != "" {
		return pipeline.Source{}, say(codeNotImplemented, noEncryption, element{"Header", name})
	}
	s := pipeline.Source{Bucket: registry.BucketName(bucket), Key: key, Version: version}
	s.IfMatch = unquoted(r.header(settingCopySource + "-if-match"))
	s.IfNoneMatch = unquoted(r.header(settingCopySource + "-if-none-match"))
	s.IfModifiedSince = httpTime(r.header(settingCopySource + "-if-modified-since"))
	s.IfUnmodifiedSince = httpTime(r.header(settingCopySource + "-if-unmodified-since"))
	return s, nil
}

// httpTime is nil for what is no date of HTTP: such a condition is ignored (RFC
// 9110, section 13.1.3).
func httpTime(v string) *time.Time {
	t, err := http.ParseTime(v)
	if err != nil {
		return nil
	}
	return &t
}

// parseCopySource reads "[/]bucket/key[?versionId=…]", escaped as the value of a
// form: S3 takes "+" for a space there, too. The message says what is wrong, ""
// if nothing is.
func parseCopySource(header string) (bucket, key, version, message string) {
	const versionQuery = "?versionId="
	path := header
	if i := strings.LastIndex(header, versionQuery); i >= 0 {
		path = header[:i]
		var err error
		version, err = url.QueryUnescape(header[i+len(versionQuery):])
		switch {
		case err != nil || !utf8.ValidString(version):
			return "", "", "", "Invalid version id specified"
		case version == "":
			return "", "", "", "Version id cannot be the empty string"
		}
	}
	path, err := url.QueryUnescape(path)
	if err != nil || !utf8.ValidString(path) {
		return "", "", "", "Invalid copy source encoding."
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case bucket == "" || key == "":
		return "", "", "", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
	case policy.Key(key) != nil:
		return "", "", "", "Invalid copy source object key"
	}
	return bucket, key, version, ""
}

// copyError says whether the source or the destination is missing, or the condition
// on which of them failed.
func (a *API) copyError(r *request, source pipeline.Source, err error) error {
	switch {
	case errors.Is(err, pipeline.ErrSelfCopy):
		return say(codeInvalidRequest, "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	case errors.Is(err, pipeline.ErrSource):
		return a.sourceError(r, source, err)
	}
	return a.writeError(r, err)
}

// sourceError is the answer to what is wrong with the source of a copy. It is told
// as if that had been asked for.
func (a *API) sourceError(r *request, source pipeline.Source, err error) error {
	var marker *registry.MarkerError
	switch {
	case errors.As(err, &marker) && marker.Named:
		return say(codeInvalidRequest, "The source of a copy request may not specifically refer to a delete marker by version id.")
	case errors.Is(err, registry.ErrPrecondition):
		return refuse(codePreconditionFailed, element{"Condition", r.sourceCondition()})
	case errors.Is(err, policy.ErrSizeNotAllowed):
		return say(codeInvalidRequest, "The specified copy source is larger than the maximum allowable size for a copy source: "+itoa(policy.MaxSinglePut))
	}
	was := r.target
	defer func() { r.target = was }()
	r.bucket, r.key = source.Bucket, source.Key
	at := r.target
	e := a.explain(r, a.versionError(r, source.Version, err))
	e.subject = &at
	return e
}

// sourceCondition names a condition on a copy's source, of those that failed.
func (r *request) sourceCondition() string {
	for _, name := range [...]string{"If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since"} {
		if r.header(settingCopySource+"-"+strings.ToLower(name)) != "" {
			return "x-amz-copy-source-" + name
		}
	}
	return ""
}

package s3api

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"sallyport/registry"
	"sallyport/sigv4"
)

// Target is what a request's host and path name.
type Target struct {
	Reserved    bool // below /_/
	ID          string
	Bucket, Key string
}

// Locate finds the target of a raw path the way Admit does.
func (a *API) Locate(host, path string) (Target, error) {
	if t, ok := a.locateURL([]byte(host), []byte(path)); ok {
		return Target{Reserved: t.level.reserved(), ID: t.id}, nil
	}
	t, err := a.locate([]byte(host), []byte(path))
	return Target{Reserved: t.level.reserved(), Bucket: string(t.bucket), Key: t.key}, err
}

// Span reads a Range header against an object of size bytes.
func Span(header string, size int64) (off, n int64, partial bool, err error) {
	if header == "" {
		return 0, size, false, nil
	}
	s, err := rangeSpan(header, size)
	return s.off, s.n, s.partial, err
}

// ReadDelete reads the document of DeleteObjects.
func ReadDelete(b []byte) (keys []string, err error) {
	list, _, err := readDeletions(b)
	for _, d := range list {
		keys = append(keys, d.Key)
	}
	return keys, err
}

// AppendText escapes text for an answer.
func AppendText(b []byte, s string) []byte { return appendText(b, s) }

// ReadCreateBucket reads the document of CreateBucket.
func ReadCreateBucket(b []byte) (location string, tags map[string]string, err error) {
	n, err := readCreateBucket(b)
	return n.location, n.tags, err
}

// The readers of bucket configurations.
var (
	ReadCORS       = readCORS
	ReadLifecycle  = readLifecycle
	ReadVersioning = readVersioning
	ReadLock       = readLock
	ReadBucketTags = readBucketTags
	ReadACL        = readACL
)

// Tokens of lists.
var (
	EncodeToken = encodeToken
	DecodeToken = decodeToken
)

// ListAfter reads the continuation token of a list's raw query.
func ListAfter(query string) (registry.ListQuery, error) {
	r := &request{}
	r.proof.Request.Query = []byte(query)
	q, err := r.listing()
	if err != nil {
		return registry.ListQuery{}, err
	}
	return q.ListQuery, nil
}

// Attached turns a Content-Disposition into that of an attachment.
var Attached = attached

// CodeOf returns the S3 code of a refusal, "" for any other error.
func CodeOf(err error) string {
	var r *refused
	if !errors.As(err, &r) {
		return ""
	}
	return string(r.code)
}

// WriteLifecycle writes rules as they are given back.
func WriteLifecycle(rules []registry.LifecycleRule) []byte {
	d := newDocument("LifecycleConfiguration")
	for i := range rules {
		d.lifecycleRule(&rules[i])
	}
	return d.end()
}

// ParseCopySource reads x-amz-copy-source.
var ParseCopySource = parseCopySource

// ReadTaggingHeader reads x-amz-tagging.
func ReadTaggingHeader(header string) (map[string]string, error) {
	r := &request{}
	r.proof.Request.Header = []sigv4.Field{{Name: []byte(settingTagging), Value: []byte(header)}}
	return r.taggingHeader()
}

// ReadTagging reads a Tagging document.
func ReadTagging(b []byte) (map[string]string, error) {
	var t taggingDocument
	if err := decodeShaped(b, taggingShape, &t); err != nil {
		return nil, err
	}
	return t.tags()
}

// VersionsAfter reads the raw query of a list of versions.
func VersionsAfter(query string) (registry.VersionsQuery, error) {
	r := &request{}
	r.proof.Request.Query = []byte(query)
	q, err := r.versionsListing()
	if err != nil {
		return registry.VersionsQuery{}, err
	}
	return q.VersionsQuery, nil
}

// Operations lists the operations that there are, and those that are only answered.
func Operations() (offered, absent []string) {
	for _, t := range slices.Concat(objectRoutes, multipartRoutes, bucketRoutes, serviceRoutes, []route{formRoute}) {
		offered = append(offered, t.op)
	}
	for _, t := range absentRoutes() {
		absent = append(absent, t.op)
	}
	return offered, absent
}

// ReadConditions evaluates the conditional header fields of a read: the status, and
// whether If-Range lets a range be sent.
func ReadConditions(fields map[string]string, etag string, modified time.Time) (status int, part bool) {
	r := &request{}
	for name, value := range fields {
		if value != "" {
			r.proof.Request.Header = append(r.proof.Request.Header, sigv4.Field{Name: []byte(name), Value: []byte(value)})
		}
	}
	part = r.rangeApplies(etag, modified)
	switch outcome, _ := r.readConditions(etag, modified); outcome {
	case readNotModified:
		return http.StatusNotModified, part
	case readFailed:
		return http.StatusPreconditionFailed, part
	}
	return http.StatusOK, part
}

// MultipartsAfter reads the raw query of a list of multipart uploads.
func MultipartsAfter(query string) (registry.MultipartsQuery, error) {
	r := &request{}
	r.proof.Request.Query = []byte(query)
	q, err := r.multipartsListing()
	if err != nil {
		return registry.MultipartsQuery{}, err
	}
	return q.MultipartsQuery, nil
}

// BucketsAfter reads the raw query of a list of buckets.
func BucketsAfter(query string) (most int, err error) {
	r := &request{}
	r.proof.Request.Query = []byte(query)
	q, err := r.bucketsQuery()
	return q.most, err
}

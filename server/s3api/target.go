package s3api

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"sallyport/registry"
	"sallyport/registry/policy"
	"sallyport/sigv4"
)

// level is what kind of thing a request's path and host name.
type level int

const (
	serviceLevel level = iota // the list of buckets
	bucketLevel
	objectLevel
	uploadURL // /_/uploads/{id}
	objectURL // /_/objects/{id}
	otherURL  // anything else below /_/
)

// reserved tells whether the level belongs to Sallyport's own URLs.
func (l level) reserved() bool { return l >= uploadURL }

// target is what a request is about.
type target struct {
	level  level
	bucket registry.BucketName // decoded
	key    string              // decoded
	id     string              // of an upload or object URL, as it came
	path   []byte              // as it came, for error answers; nil for /_/
}

// locateURL finds the target of a path below /_/ on a plain host. Elsewhere
// "_/…" is a key like any other.
func (a *API) locateURL(host, path []byte) (target, bool) {
	rest, ok := bytes.CutPrefix(path, []byte("/_/"))
	if !ok || a.hostBucket(host) != "" {
		return target{}, false
	}
	kind, id, _ := strings.Cut(string(rest), "/")
	if strings.Contains(id, "%") {
		return target{level: otherURL}, true // no id of ours is escaped: it was altered
	}
	switch kind {
	case "uploads":
		return target{level: uploadURL, id: id}, true
	case "objects":
		return target{level: objectURL, id: id}, true
	}
	return target{level: otherURL}, true
}

// locate finds the target of a raw path on a host, for user keys. The path is
// decoded once and never normalised: "//" and ".." are parts of keys.
func (a *API) locate(host, path []byte) (target, error) {
	t := target{path: path}
	if len(path) == 0 || path[0] != '/' {
		return t, refuse(codeInvalidURI)
	}
	rest := path[1:]
	if bucket := a.hostBucket(host); bucket != "" {
		t.bucket = registry.BucketName(bucket)
		err := t.setKey(rest)
		return t, err
	}
	if len(rest) == 0 {
		return t, nil
	}
	first, key, _ := bytes.Cut(rest, []byte{'/'})
	bucket, err := sigv4.DecodePath(make([]byte, 0, len(first)), first)
	if err != nil || !utf8.Valid(bucket) {
		return t, refuse(codeInvalidURI)
	}
	t.bucket = registry.BucketName(bucket)
	err = t.setKey(key)
	return t, err
}

// setKey sets the key from what follows the bucket in the path, and the level.
func (t *target) setKey(raw []byte) error {
	if len(raw) == 0 {
		t.level = bucketLevel
		return nil
	}
	t.level = objectLevel
	key, err := sigv4.DecodePath(make([]byte, 0, len(raw)), raw)
	switch {
	case err != nil || !utf8.Valid(key):
		return refuse(codeInvalidURI)
	case len(key) > policy.MaxKey:
		return refuse(codeKeyTooLong,
			element{"Size", itoa(int64(len(key)))}, element{"MaxSizeAllowed", itoa(policy.MaxKey)})
	}
	t.key = string(key)
	return nil
}

// hostBucket returns the bucket that a host names below one of the domains, ""
// for a plain host.
func (a *API) hostBucket(raw []byte) string {
	if len(a.domains) == 0 {
		return ""
	}
	host := string(raw)
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.ToLower(host)
	for _, domain := range a.domains {
		if bucket, ok := strings.CutSuffix(host, domain); ok && bucket != "" {
			return bucket
		}
	}
	return ""
}

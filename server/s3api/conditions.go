package s3api

import (
	"net/http"
	"strings"
	"time"

	"sallyport/registry"
)

// readOutcome is what the conditions of a read come to.
type readOutcome int

const (
	readOn readOutcome = iota
	readNotModified
	readFailed
)

// readConditions evaluates the conditional headers of a GET or HEAD in the order
// of RFC 9110, section 13.2.2. It returns the header that decided.
func (r *request) readConditions(etag string, modified time.Time) (outcome readOutcome, condition string) {
	match, unmodified := r.header("if-match"), r.header("if-unmodified-since")
	noneMatch, modifiedSince := r.header("if-none-match"), r.header("if-modified-since")
	switch {
	case match != "":
		if !etagListed(match, etag, strongly) {
			return readFailed, "If-Match"
		}
	case unmodified != "":
		if t, err := http.ParseTime(unmodified); err == nil && modified.After(t) {
			return readFailed, "If-Unmodified-Since"
		}
	}
	switch {
	case noneMatch != "":
		if etagListed(noneMatch, etag, weakly) {
			return readNotModified, "If-None-Match"
		}
	case modifiedSince != "":
		if t, err := http.ParseTime(modifiedSince); err == nil && !modified.After(t) {
			return readNotModified, "If-Modified-Since"
		}
	}
	return readOn, ""
}

// comparison is how two entity tags are compared (RFC 9110, section 8.8.3.2).
type comparison int

const (
	strongly comparison = iota // a weak tag equals none
	weakly
)

// etagListed tells whether a list of entity tags, or "*", names etag.
func etagListed(list, etag string, how comparison) bool {
	for tag := range strings.SplitSeq(list, ",") {
		if how == strongly && strings.HasPrefix(strings.TrimSpace(tag), "W/") {
			continue
		}
		if tag = unquoted(tag); tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// unquoted is an entity tag as it is kept: without quotes and W/. Clients send
// it with and without them.
func unquoted(tag string) string {
	tag = strings.TrimSpace(tag)
	tag = strings.TrimPrefix(tag, "W/")
	return strings.Trim(tag, `"`)
}

// writeConditions reads the conditions of a PUT. S3 has If-Match and
// If-None-Match there, each with one tag.
func (r *request) writeConditions() (registry.Conditions, error) {
	var c registry.Conditions
	for _, x := range []struct {
		name string
		into *string
	}{{"if-match", &c.IfMatch}, {"if-none-match", &c.IfNoneMatch}} {
		value, ok := r.proof.Request.HeaderValue(x.name)
		if !ok {
			continue
		}
		if *x.into = unquoted(string(value)); *x.into == "" || strings.Contains(*x.into, ",") {
			return c, say(codeInvalidArgument, "The condition is not one entity tag.", element{"ArgumentName", x.name})
		}
	}
	for _, name := range [...]string{"if-modified-since", "if-unmodified-since"} {
		if _, ok := r.proof.Request.HeaderValue(name); ok {
			return c, refuse(codeNotImplemented, element{"Header", name})
		}
	}
	return c, nil
}

// writeCondition names the condition of a PUT that failed.
func (r *request) writeCondition() string {
	if r.header("if-match") != "" {
		return "If-Match"
	}
	return "If-None-Match"
}

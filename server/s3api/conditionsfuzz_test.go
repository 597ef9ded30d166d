package s3api_test

import (
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/server/s3api"
)

// entityTags is a list of RFC 9110, section 8.8.3, without the commas and "*" that
// S3 has in no ETag: what net/http reads as we do.
var entityTags = regexp.MustCompile(`^(\*|(W/)?"[a-z0-9-]*"([ \t]*,[ \t]*(W/)?"[a-z0-9-]*")*)?$`)

// FuzzConditions holds the conditions of a read against what net/http makes of them,
// and lets a range through only where net/http does.
func FuzzConditions(f *testing.F) {
	const at = "Mon, 02 Jan 2006 15:04:05 GMT"
	f.Add(`"abc"`, "", "", "", "")
	f.Add("", "", `W/"abc"`, "", `"abc"`)
	f.Add(`W/"abc"`, "", `"x" , "abc"`, "", `W/"abc"`)
	f.Add("*", at, "*", at, at)
	f.Add("", at, "", at, "Mon, 02 Jan 2006 15:04:06 GMT")
	f.Add("", "Monday, 02-Jan-06 15:04:04 GMT", "", "Mon Jan  2 15:04:06 2006", "Monday, 02-Jan-06 15:04:05 GMT")
	f.Add("abc", "yesterday", ",,", "0", "abc")
	f.Add(`"abc"`, "", "", "", "\t")
	modified := time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, match, unmodified, noneMatch, modifiedSince, ifRange string) {
		fields := map[string]string{"If-Match": match, "If-Unmodified-Since": unmodified, "If-None-Match": noneMatch, "If-Modified-Since": modifiedSince, "If-Range": ifRange}
		r := httptest.NewRequest("GET", "/", nil)
		for name, value := range fields {
			value = textproto.TrimString(value) // as it comes off the wire
			if fields[name] = value; value != "" {
				r.Header.Set(name, value)
			}
		}
		status, applies := s3api.ReadConditions(fields, "abc", modified)
		if !entityTags.MatchString(fields["If-Match"]) || !entityTags.MatchString(fields["If-None-Match"]) {
			return
		}
		send := func() int {
			w := httptest.NewRecorder()
			w.Header().Set("ETag", `"abc"`)
			http.ServeContent(w, r, "", modified, strings.NewReader("content"))
			return w.Code
		}
		r.Header.Set("Range", "bytes=1-2")
		got := send()
		if applies && status == http.StatusOK && got != http.StatusPartialContent {
			t.Errorf("%q: sends a part, net/http answers %d", fields, got)
		}
		r.Header.Del("Range")
		if got := send(); status != got {
			t.Errorf("%q: %d, net/http answers %d", fields, status, got)
		}
	})
}

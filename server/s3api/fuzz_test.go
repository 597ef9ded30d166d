package s3api_test

import (
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sallyport/server/s3api"
	"sallyport/sigv4"
)

// FuzzTarget holds bucket and key against what net/url makes of the raw path,
// and paths below /_/ against being anybody's bucket.
func FuzzTarget(f *testing.F) {
	for _, path := range []string{
		"", "/", "//", "/b", "/b/", "/b//", "/b/k", "/b/a/../k", "/b/%2e%2e/k", "/b/%2F", "/b/a+b%20c", "/b/%", "/b/%zz", "/b/%ff",
		"/b/%00", "/b%2Fk", "/%62/k", "/_", "/_/", "/_/uploads/upl_1", "/_/objects/obj_1", "/_/objects/obj%5F1", "/%5F/objects/obj_1",
		"/_%2Fobjects/obj_1", "//_/objects/x", "/./_/x", "/_/uploads/../../b/k", "/b/_/k", "/b/" + strings.Repeat("k", 1025), "b/k", "/b/\xe6\x96\x87",
	} {
		for _, host := range []string{"127.0.0.1:9000", "photos.s3.example.org", "S3.EXAMPLE.ORG:443"} {
			f.Add(host, path)
		}
	}
	api := s3api.New(s3api.Config{Domains: []string{"s3.example.org"}})
	f.Fuzz(func(t *testing.T, host, path string) {
		name, _, _ := strings.Cut(strings.ToLower(host), ":")
		bucket, virtual := strings.CutSuffix(name, ".s3.example.org")
		virtual = virtual && bucket != ""
		if strings.Count(host, ":") > 1 {
			return // no host of HTTP; what is in front of the port is not this test's
		}
		got, err := api.Locate(host, path)
		if below := strings.HasPrefix(path, "/_/") && !virtual; got.Reserved != below {
			t.Fatalf("reserved: %v for %q on %q", got.Reserved, path, host)
		}
		if got.Reserved {
			if got.Bucket != "" || got.Key != "" || err != nil || strings.Contains(got.ID, "%") || !strings.HasSuffix(path, got.ID) {
				t.Errorf("%q: %+v, %v", path, got, err)
			}
			return
		}
		if err != nil {
			if s3api.CodeOf(err) == "" {
				t.Errorf("%q: not a refusal: %v", path, err)
			}
			return
		}
		want, key := bucket, strings.TrimPrefix(path, "/")
		if !virtual {
			want, key, _ = strings.Cut(key, "/")
			if want, err = url.PathUnescape(want); err != nil {
				t.Fatalf("%q: accepted, %v", path, err)
			}
		}
		if key, err = url.PathUnescape(key); err != nil || got.Bucket != want || got.Key != key {
			t.Errorf("%q on %q: %q %q, want %q %q, %v", path, host, got.Bucket, got.Key, want, key, err)
		}
		if !utf8.ValidString(got.Bucket+got.Key) || len(got.Key) > 1024 {
			t.Errorf("%q: takes %q %q", path, got.Bucket, got.Key)
		}
		// What clients send for that bucket and key comes back to them.
		again := "/"
		if !virtual {
			again += url.PathEscape(got.Bucket) + "/"
		}
		if back, err := api.Locate(host, string(sigv4.AppendPath([]byte(again), got.Key))); back != got && got.Bucket != "_" && got.Bucket != "" {
			t.Errorf("%q: %+v comes back as %+v, %v", path, got, back, err)
		}
	})
}

// zeros is content of any size.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// served is where, by net/http, the part lies that a Range header asks for.
func served(header string, size int64) (contentRange string) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Range"] = []string{header}
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(zeros{}, 0, size))
	return w.Header().Get("Content-Range")
}

// oneRange is the grammar of RFC 9110, section 14.1.2, for one range of bytes, with
// the white space around it that a list may have.
var oneRange = regexp.MustCompile(`^bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*$`)

// ranged is what RFC 9110 makes of a Range header: the part, or, if there is none,
// whether that is because it lies outside. Whatever is not one range is the whole.
func ranged(header string, size int64) (off, n int64, partial, outside bool) {
	m := oneRange.FindStringSubmatch(header)
	if m == nil || m[1]+m[2] == "" {
		return 0, size, false, false
	}
	first, _ := new(big.Int).SetString(m[1], 10)
	last, _ := new(big.Int).SetString(m[2], 10)
	end := big.NewInt(size)
	switch {
	case first == nil: // a suffix
		if n = size; last.Cmp(end) < 0 {
			n = last.Int64()
		}
		return size - n, n, n > 0, n == 0
	case last != nil && last.Cmp(first) < 0:
		return 0, size, false, false
	case first.Cmp(end) >= 0:
		return 0, size, false, true
	}
	off, n = first.Int64(), size-first.Int64()
	if last != nil && last.Cmp(end) < 0 {
		n = last.Int64() - off + 1
	}
	return off, n, true, false
}

// FuzzRange: a part is the one that RFC 9110 describes, and the one that net/http
// sends, which reads signs and white space besides but no number above 2^63.
func FuzzRange(f *testing.F) {
	for _, header := range []string{
		"", "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=9-", "bytes=10-", "bytes=5-4", "bytes=0-9", "bytes=0-10", "bytes=-11", "bytes=0-1,3-4",
		"bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "bytes=1--2", "bytes=0--0", "bytes= 1-2", "bytes=1 - 2", "octets=0-1", "BYTES=0-1", "bytes=0-1,",
		"bytes=0-9223372036854775807", "bytes=0-99999999999999999999", "bytes=9223372036854775807-", "bytes=-9223372036854775808", "bytes=007-08", "bytes=0-\v",
	} {
		for _, size := range []uint16{0, 1, 10} {
			f.Add(header, size)
		}
	}
	huge := regexp.MustCompile(`[0-9]{19}`)
	f.Fuzz(func(t *testing.T, header string, size16 uint16) {
		size := int64(size16 % 2048)
		off, n, partial, err := s3api.Span(header, size)
		if err != nil && s3api.CodeOf(err) != "InvalidRange" {
			t.Fatalf("%q: %v", header, err)
		}
		wantOff, wantN, wantPart, outside := ranged(header, size)
		if outside != (err != nil) || err == nil && (off != wantOff || n != wantN || partial != wantPart) {
			t.Fatalf("%q of %d: %d+%d, %v, %v; want %d+%d, %v", header, size, off, n, partial, err, wantOff, wantN, wantPart)
		}
		if err != nil || !partial || huge.MatchString(header) {
			return
		}
		if want := fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size); served(header, size) != want {
			t.Errorf("%q of %d: %s, net/http sends %q", header, size, want, served(header, size))
		}
	})
}

// FuzzDeleteDocument: whatever is sent is read or called malformed, and a key that
// XML can carry comes out as it went in.
func FuzzDeleteDocument(f *testing.F) {
	for _, seed := range []string{
		"", "<Delete/>", "<Delete><Object><Key>a</Key></Object></Delete>", "<Delete></Delete><Delete></Delete>", "<Delete></Delete>x", "<Delete>",
		`<?xml version="1.0" encoding="UTF-16"?><Delete/>`, `<!DOCTYPE d [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>`,
		"<a><Delete/></a>", "<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>", "<Delete><Object><Key>&#0;</Key></Object></Delete>",
		`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet></Delete>`, strings.Repeat("<Delete>", 200), "a&b<c>\"d'\t\r\n文", "]]>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := s3api.ReadDelete([]byte(text)); err != nil && s3api.CodeOf(err) != "MalformedXML" {
			t.Fatal(err)
		}
		b := append([]byte("<Delete><Object><Key>"), s3api.AppendText(nil, text)...)
		keys, err := s3api.ReadDelete(append(b, "</Key></Object></Delete>"...))
		want := carried(text)
		if want == "" {
			if s3api.CodeOf(err) != "MalformedXML" {
				t.Errorf("an empty key: %q, %v", keys, err)
			}
			return
		}
		if err != nil || !slices.Equal(keys, []string{want}) {
			t.Errorf("%q: %q, %v", want, keys, err)
		}
	})
}

// FuzzCreateBucket: whatever is sent is read or refused, and a location comes out as
// it went in.
func FuzzCreateBucket(f *testing.F) {
	const open, end = "<CreateBucketConfiguration>", "</CreateBucketConfiguration>"
	for _, seed := range []string{
		"", " \n", open + end, open + "<LocationConstraint>eu-north-1</LocationConstraint>" + end,
		open + "<LocationConstraint> eu-north-1\n</LocationConstraint>" + end, open + "<Tags/>" + end, open, "<x/>", open + end + open + end,
		open + "<LocationConstraint>mars</LocationConstraint><LocationConstraint>eu-north-1</LocationConstraint>" + end,
		open + "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>" + end, open + "<Bucket><Type>Directory</Type></Bucket>" + end,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := s3api.ReadCreateBucket([]byte(text))
		if err != nil && s3api.CodeOf(err) == "" {
			t.Fatal(err)
		}
		if err == nil && strings.TrimSpace(text) != "" && !strings.Contains(text, "CreateBucketConfiguration") {
			t.Errorf("takes %q", text)
		}
		elsewhere := append([]byte(open+"<LocationConstraint>"), s3api.AppendText(nil, text)...)
		location, _, err := s3api.ReadCreateBucket(append(elsewhere, "</LocationConstraint>"+end...))
		if want := strings.TrimSpace(carried(text)); err != nil || location != want {
			t.Errorf("%q: %q, want %q, %v", text, location, want, err)
		}
	})
}

// carried is what of a text XML 1.0 can carry.
func carried(text string) string {
	return strings.Map(func(c rune) rune {
		if c == utf8.RuneError || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xFFFE || c == 0xFFFF {
			return utf8.RuneError
		}
		return c
	}, text)
}

// FuzzToken: a list goes on behind the key where it stopped, and no token makes
// it begin elsewhere than it says.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", "a", "a/b c+d&e=f", "文", "\x00", "YQ", "YR", "YQ==", "!", "_-8", "\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token := s3api.EncodeToken(text)
		if back, err := s3api.DecodeToken(token); err != nil || back != text {
			t.Fatalf("%q: %q, %v", text, back, err)
		}
		q, err := s3api.ListAfter("list-type=2&continuation-token=" + token)
		if wrong := text == "" || !utf8.ValidString(text); wrong != (err != nil) || err != nil && s3api.CodeOf(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && q.After != text {
			t.Errorf("%q: after %q", text, q.After)
		}
		q, err = s3api.ListAfter("list-type=2&continuation-token=" + url.QueryEscape(text))
		if err != nil && s3api.CodeOf(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && (q.After == "" || !utf8.ValidString(q.After)) {
			t.Errorf("%q: after %q", text, q.After)
		}
	})
}

// FuzzAttached: an answer to a presigned URL is never shown, whatever the
// object's own Content-Disposition says, and keeps its parameters.
func FuzzAttached(f *testing.F) {
	for _, seed := range []string{
		"", "inline", "attachment", "ATTACHMENT", "inline; filename=a.html", ` inline ; filename="a;b"; filename*=UTF-8''%E6%96%87`,
		"attachment, inline", "attachment inline", ";inline", "; filename=x", "inline;", "attachment;", "form-data; name=x", "attachment\t; x=y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, disposition string) {
		got := s3api.Attached(disposition)
		kind, _, _ := strings.Cut(got, ";")
		if !strings.EqualFold(strings.TrimSpace(kind), "attachment") {
			t.Fatalf("%q: %q", disposition, got)
		}
		_, want, err := mime.ParseMediaType(disposition)
		if err != nil {
			return
		}
		if _, parameters, err := mime.ParseMediaType(got); err != nil || fmt.Sprint(parameters) != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v, %v", got, parameters, want, err)
		}
	})
}

package s3api_test

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/server/s3api"
	"sallyport/sigv4"
)

// FuzzCopySource: whatever a header says is read or refused, and what clients send
// for a bucket, key and version comes out as it went in.
func FuzzCopySource(f *testing.F) {
	for _, seed := range []string{
		"", "/", "b", "/b/", "b/k", "/b/k", "//k", "b//k", "/b/a%2Fb", "b/a+b", "b/a%2Bb", "b/%", "b/%ff", "b/k?versionId=v", "b/k?versionId=", "b/k?versionId=a?versionId=b",
		"b%2Fk", "%2Fb%2Fk", "b/k?x=y", "b/k%3FversionId=v", "b/文", "b/" + strings.Repeat("k", 1025), "arn:aws:s3:us-east-1:1:accesspoint/a/object/k", "b/\x00", "b/..", "b/k?versionId=%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if bucket, key, _, message := s3api.ParseCopySource(text); message == "" &&
			(bucket == "" || strings.Contains(bucket, "/") || key == "" || len(key) > 1024 || !utf8.ValidString(bucket+key)) {
			t.Errorf("%q is %q, %q", text, bucket, key)
		}
		if text == "" || len(text) > 1024 || !utf8.ValidString(text) {
			return
		}
		for _, header := range []string{
			"/b/" + url.PathEscape(text), "b/" + url.QueryEscape(text), "/b/" + string(sigv4.AppendPath(nil, text)),
		} {
			header = strings.ReplaceAll(header, "+", "%20")
			if strings.Contains(text, "+") {
				header = "/b/" + string(sigv4.AppendPath(nil, text)) // those that leave "+" mean a space
			}
			for _, version := range []string{"", "null", "a b?c"} {
				query := ""
				if version != "" {
					query = "?versionId=" + url.QueryEscape(version)
				}
				if b, k, v, message := s3api.ParseCopySource(header + query); message != "" || b != "b" || k != text || v != version {
					t.Errorf("%q: %q %q %q %s", header+query, b, k, v, message)
				}
			}
		}
	})
}

// FuzzTaggingHeader: tags come out as they went in, or are refused by S3's rules.
func FuzzTaggingHeader(f *testing.F) {
	for _, seed := range []string{"", "a", "a=b", "a=b&a=c", "=", "&&", "a=%", "a=%ff", "a+b=c%20d", "aws:x=1", "ä=ö", strings.Repeat("a", 129), "a=b=c", "a;b", "%00=1", strings.Repeat("k&", 11)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := s3api.ReadTaggingHeader(text)
		if err != nil {
			if code := s3api.CodeOf(err); code != "InvalidArgument" && code != "InvalidTag" && code != "BadRequest" {
				t.Fatal(err)
			}
			return
		}
		values := url.Values{}
		for k, v := range tags {
			if k == "" || utf8.RuneCountInString(k) > 128 || utf8.RuneCountInString(v) > 256 || !utf8.ValidString(k+v) || strings.ContainsAny(k+v, "\x00\r\n<>&") {
				t.Errorf("%q: takes %q=%q", text, k, v)
			}
			values.Set(k, v)
		}
		if len(tags) > 10 {
			t.Errorf("%q: %d tags", text, len(tags))
		}
		if again, err := s3api.ReadTaggingHeader(values.Encode()); err != nil || !maps.Equal(again, tags) {
			t.Errorf("%q: %v comes back as %v, %v", text, tags, again, err)
		}
	})
}

// FuzzTaggingDocument: whatever is sent is read or refused, and a tag that S3 allows
// comes out as it went in.
func FuzzTaggingDocument(f *testing.F) {
	for _, seed := range []string{
		"", "<Tagging/>", "<Tagging><TagSet/></Tagging>", taggingXML("a", "b"), taggingXML("a", "b", "a", "c"), taggingXML("a", "b") + taggingXML("a", "b"),
		"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>", "a&b", "ä ö",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		refusals := map[string]bool{"MalformedXML": true, "InvalidTag": true}
		if _, err := s3api.ReadTagging([]byte(text)); err != nil && !refusals[s3api.CodeOf(err)] {
			t.Fatal(err)
		}
		b := append([]byte("<Tagging><TagSet><Tag><Key>k</Key><Value>"), s3api.AppendText(nil, text)...)
		tags, err := s3api.ReadTagging(append(b, "</Value></Tag></TagSet></Tagging>"...))
		if err != nil {
			if s3api.CodeOf(err) != "InvalidTag" {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if tags["k"] != text || len(tags) != 1 {
			t.Errorf("%q: %q", text, tags)
		}
	})
}

// FuzzListQuery: the parameters of all lists are read or refused; what was read is
// within bounds.
func FuzzListQuery(f *testing.F) {
	for _, seed := range []string{
		"", "prefix=a&delimiter=/&max-keys=2", "list-type=2&start-after=x&fetch-owner=true", "list-type=3", "max-keys=-1", "max-keys=99999999999", "max-keys=+5", "max-keys=0x10",
		"encoding-type=url", "encoding-type=URL", "prefix=%ff", "marker=%00", "list-type=2&continuation-token=", "key-marker=a&version-id-marker=b", "version-id-marker=b",
		"prefix=a&prefix=b", "max-uploads=0&key-marker=a&upload-id-marker=b", "upload-id-marker=b", "max-buckets=10001", "bucket-region=x&max-buckets=1", "list-type=2&list-type=1", "delimiter=%zz", "&&==",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if q, err := s3api.ListAfter(query); err == nil {
			if q.Max < 0 || q.Max > 1000 || !utf8.ValidString(q.Prefix+q.Delimiter+q.After) {
				t.Errorf("%q: %+v", query, q)
			}
		} else if s3api.CodeOf(err) == "" {
			t.Fatal(err)
		}
		if q, err := s3api.VersionsAfter(query); err == nil {
			if q.Max < 0 || q.Max > 1000 || !utf8.ValidString(q.Prefix+q.Delimiter+q.AfterKey) || q.AfterVersion != "" && q.AfterKey == "" {
				t.Errorf("%q: %+v", query, q)
			}
		} else if s3api.CodeOf(err) == "" {
			t.Fatal(err)
		}
		if q, err := s3api.MultipartsAfter(query); err == nil {
			if q.Max < 0 || q.Max > 1000 || !utf8.ValidString(q.Prefix+q.Delimiter+q.AfterKey) || q.AfterID != "" && q.AfterKey == "" {
				t.Errorf("%q: %+v", query, q)
			}
		} else if s3api.CodeOf(err) == "" {
			t.Fatal(err)
		}
		if most, err := s3api.BucketsAfter(query); err == nil && (most < 0 || most > 10000) || err != nil && s3api.CodeOf(err) == "" {
			t.Errorf("%q: %d buckets, %v", query, most, err)
		}
	})
}

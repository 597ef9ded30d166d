package s3api_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// taggingXML is a document of key, value, ….
func taggingXML(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteString("<Tag><Key>")
		s := struct {
			XMLName xml.Name `xml:"x"`
			T       string   `xml:",chardata"`
		}{T: pairs[i]}
		k, _ := xml.Marshal(s)
		s.T = pairs[i+1]
		v, _ := xml.Marshal(s)
		b.WriteString(inner(k) + "</Key><Value>" + inner(v) + "</Value></Tag>")
	}
	return b.String() + "</TagSet></Tagging>"
}

func inner(b []byte) string { return strings.TrimSuffix(strings.TrimPrefix(string(b), "<x>"), "</x>") }

// tags are the tags of what a path names, as "k=v k=v".
func (s *stack) tags(path string) string {
	s.Helper()
	r := s.ok("GET", path, "", nil)
	var d struct {
		XMLName xml.Name                      `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
		Tags    []struct{ Key, Value string } `xml:"TagSet>Tag"`
	}
	s.must(xml.Unmarshal(r.body, &d))
	var all []string
	for _, t := range d.Tags {
		all = append(all, t.Key+"="+t.Value)
	}
	return strings.Join(all, " ")
}

func TestTagging(t *testing.T) {
	s := newStack(t)
	s.versioned("photos")
	one := s.ok("PUT", "/photos/k", "x", header("X-Amz-Tagging", "b=2&a=1&c=%C3%A4+%2B&empty")).version()
	if got := s.tags("/photos/k?tagging"); got != "a=1 b=2 c=ä + empty=" {
		t.Errorf("tags %q", got)
	}
	if n := s.ok("HEAD", "/photos/k", "", nil).header.Get("x-amz-tagging-count"); n != "4" {
		t.Errorf("count %q", n)
	}
	two := s.ok("PUT", "/photos/k", "x", nil).version()
	if r := s.ok("PUT", "/photos/k?tagging&versionId="+one, taggingXML("x/:@", "y "), nil); r.version() != one {
		t.Errorf("version %q", r.version())
	}
	if got := s.tags("/photos/k?tagging"); got != "" {
		t.Errorf("tags of the other version %q", got)
	}
	if got := s.tags("/photos/k?tagging&versionId=" + one); got != "x/:@=y " {
		t.Errorf("tags %q", got)
	}
	s.ok("PUT", "/photos/k?tagging", taggingXML("n", "m"), nil)
	if r := s.do(call{method: "DELETE", path: "/photos/k?tagging"}); r.status != 204 || r.version() != two {
		t.Errorf("delete: %d %v", r.status, r.header)
	}
	if got := s.tags("/photos/k?tagging"); got != "" || s.tags("/photos/k?tagging&versionId="+one) == "" {
		t.Errorf("after delete: %q", got)
	}
}

func TestTaggingErrors(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.ok("PUT", "/photos/k", "x", header("X-Amz-Tagging", "kept=1"))
	var many []string
	for i := range 11 {
		many = append(many, fmt.Sprint("k", i), "v")
	}
	const (
		duplicate = "Cannot provide multiple Tags with the same key"
		badKey    = "The TagKey you have provided is invalid"
		badValue  = "The TagValue you have provided is invalid"
		badHeader = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
	)
	for _, test := range []struct {
		name, body, header string
		code, message      string
	}{
		{"eleven", taggingXML(many...), "", "BadRequest", "Object tags cannot be greater than 10"},
		{"twice", taggingXML("a", "1", "a", "2"), "", "InvalidTag", duplicate},
		{"empty key", taggingXML("", "1"), "", "InvalidTag", badKey},
		{"long key", taggingXML(strings.Repeat("ä", 129), "1"), "", "InvalidTag", badKey},
		{"long value", taggingXML("a", strings.Repeat("ä", 257)), "", "InvalidTag", badValue},
		{"characters of the key", taggingXML("a?", "1"), "", "InvalidTag", badKey},
		{"characters of the value", taggingXML("a", "1&2"), "", "InvalidTag", badValue},
		{"system", taggingXML("aws:a", "1"), "", "InvalidTag", "System tags cannot be added/updated by requester"},
		{"no set", "<Tagging/>", "", "MalformedXML", ""},
		{"no value", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "", "MalformedXML", ""},
		{"two keys", "<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key><Value>1</Value></Tag></TagSet></Tagging>", "", "MalformedXML", ""},
		{"eleven in the header", "", "a&b&c&d&e&f&g&h&i&j&k", "BadRequest", "Object tags cannot be greater than 10"},
		{"twice in the header", "", "a=1&a=2", "InvalidArgument", badHeader},
		{"escape in the header", "", "a=%zz", "InvalidArgument", badHeader},
		{"not UTF-8 in the header", "", "a=%ff", "InvalidArgument", badHeader},
		{"no key in the header", "", "=1", "InvalidTag", badKey},
		{"long key in the header", "", strings.Repeat("a", 129) + "=1", "InvalidTag", badKey},
		{"character in the header", "", url.QueryEscape("a\x00") + "=1", "InvalidTag", badKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := call{method: "PUT", path: "/photos/k?tagging", body: test.body}
			if test.header != "" {
				c = call{method: "PUT", path: "/photos/k", header: header("X-Amz-Tagging", test.header)}
			}
			if e := s.do(c).want(t, 400, test.code); test.message != "" && e.Message != test.message {
				t.Errorf("message %q", e.Message)
			}
		})
	}
	s.ok("PUT", "/photos/most?x-id=PutObject", "x", header("X-Amz-Tagging", strings.Repeat("k", 128)+"="+strings.Repeat("v", 256)))
	s.ok("PUT", "/photos/k?tagging", taggingXML(strings.Repeat("ä", 128), strings.Repeat("ö", 256)), nil)
	if got := s.tags("/photos/k?tagging"); got != strings.Repeat("ä", 128)+"="+strings.Repeat("ö", 256) {
		t.Errorf("tags %q", got)
	}
}

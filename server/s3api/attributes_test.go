package s3api_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sallyport/registry"
)

// inParts uploads an object with AWS's client in three parts, the last of which is
// short.
func (s *stack) inParts(key string, algorithm types.ChecksumAlgorithm) (content []byte, sums []string) {
	s.Helper()
	c, bucket := s.sdk(rootCredentials), aws.String("photos")
	created, err := c.CreateMultipartUpload(s.ctx(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: &key, ChecksumAlgorithm: algorithm})
	s.must(err)
	var parts []types.CompletedPart
	for i, size := range []int{partSize, partSize + 1, 7} {
		body := filled(size, byte(i))
		p, err := c.UploadPart(s.ctx(), &s3.UploadPartInput{Bucket: bucket, Key: &key, UploadId: created.UploadId,
			PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body), ChecksumAlgorithm: algorithm})
		s.must(err)
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumSHA256: p.ChecksumSHA256})
		content, sums = append(content, body...), append(sums, aws.ToString(p.ChecksumSHA256))
	}
	_, err = c.CompleteMultipartUpload(s.ctx(), &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: &key, UploadId: created.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	s.must(err)
	return content, sums
}

// TestPartNumber reads an object part by part.
func TestPartNumber(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	content, sums := s.inParts("k", types.ChecksumAlgorithmSha256)
	for i, at := range [][2]int{{0, partSize}, {partSize, 2*partSize + 1}, {2*partSize + 1, 2*partSize + 8}} {
		r := s.do(call{method: "GET", path: fmt.Sprintf("/photos/k?partNumber=%d", i+1), header: header("X-Amz-Checksum-Mode", "ENABLED")})
		if r.status != 206 || !bytes.Equal(r.body, content[at[0]:at[1]]) || r.header.Get("x-amz-mp-parts-count") != "3" ||
			r.header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", at[0], at[1]-1, len(content)) {
			t.Errorf("part %d: %d, %d bytes, %v", i+1, r.status, len(r.body), r.header)
		}
		if r.header.Get("x-amz-checksum-sha256") != sums[i] || r.header.Get("x-amz-checksum-type") != "COMPOSITE" {
			t.Errorf("part %d: checksum %v, want %s", i+1, r.header, sums[i])
		}
		h := s.do(call{method: "HEAD", path: fmt.Sprintf("/photos/k?partNumber=%d", i+1)})
		if h.status != 206 || h.header.Get("Content-Length") != fmt.Sprint(at[1]-at[0]) || h.header.Get("x-amz-mp-parts-count") != "3" {
			t.Errorf("head of part %d: %d %v", i+1, h.status, h.header)
		}
	}
	for query, code := range map[string]string{"0": "InvalidArgument", "10001": "InvalidArgument", "x": "InvalidArgument", "": "InvalidArgument"} {
		s.do(call{method: "GET", path: "/photos/k?partNumber=" + query}).want(t, 400, code)
	}
	s.do(call{method: "GET", path: "/photos/k?partNumber=4"}).want(t, 416, "InvalidPartNumber")
	e := s.do(call{method: "GET", path: "/photos/k?partNumber=1", header: header("Range", "bytes=0-0")}).want(t, 400, "InvalidRequest")
	if e.Message != "Cannot specify both Range header and partNumber query parameter" {
		t.Errorf("message %q", e.Message)
	}

	s.ok("PUT", "/photos/single", "0123", nil)
	if r := s.do(call{method: "GET", path: "/photos/single?partNumber=1"}); r.status != 206 || string(r.body) != "0123" || r.header.Get("x-amz-mp-parts-count") != "" {
		t.Errorf("the one part of a single PUT: %d %q %v", r.status, r.body, r.header)
	}
	s.do(call{method: "GET", path: "/photos/single?partNumber=2"}).want(t, 416, "InvalidPartNumber")
	s.ok("PUT", "/photos/empty", "", nil)
	if r := s.do(call{method: "GET", path: "/photos/empty?partNumber=1"}); r.status != 200 || len(r.body) != 0 || r.header.Get("Content-Range") != "" {
		t.Errorf("the one part of nothing: %d %q %v", r.status, r.body, r.header)
	}
}

// attributesDocument is the answer of GetObjectAttributes.
type attributesDocument struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
	ETag     *string
	Checksum *struct{ ChecksumSHA256, ChecksumType string }
	Parts    *struct {
		PartsCount, PartNumberMarker, NextPartNumberMarker, MaxParts int
		IsTruncated                                                  bool
		Part                                                         []struct {
			PartNumber, Size int
			ChecksumSHA256   string
		}
	} `xml:"ObjectParts"`
	StorageClass *string
	ObjectSize   *int64
}

func (s *stack) attributes(path string, h http.Header) attributesDocument {
	s.Helper()
	r := s.ok("GET", path, "", h)
	var d attributesDocument
	s.must(xml.Unmarshal(r.body, &d))
	if r.header.Get("Last-Modified") == "" {
		s.Errorf("headers %v", r.header)
	}
	return d
}

func TestAttributes(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	content, sums := s.inParts("k", types.ChecksumAlgorithmSha256)
	const all = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"
	d := s.attributes("/photos/k?attributes", header("X-Amz-Object-Attributes", all))
	if d.ETag == nil || len(*d.ETag) != 34 || d.Checksum == nil || d.Checksum.ChecksumType != "COMPOSITE" || d.StorageClass == nil ||
		*d.StorageClass != "STANDARD" || d.ObjectSize == nil || *d.ObjectSize != int64(len(content)) || d.Parts == nil {
		t.Fatalf("all: %+v", d)
	}
	if p := d.Parts; p.PartsCount != 3 || len(p.Part) != 3 || p.IsTruncated || p.Part[2].Size != 7 || p.Part[1].ChecksumSHA256 != sums[1] {
		t.Errorf("parts: %+v", p)
	}
	var numbers []int
	for marker := 0; ; {
		d = s.attributes("/photos/k?attributes", header("X-Amz-Object-Attributes", "ObjectParts", "X-Amz-Max-Parts", "2", "X-Amz-Part-Number-Marker", fmt.Sprint(marker)))
		if d.ETag != nil || d.ObjectSize != nil || d.StorageClass != nil || d.Checksum != nil {
			t.Errorf("more than was asked for: %+v", d)
		}
		for _, p := range d.Parts.Part {
			numbers = append(numbers, p.PartNumber)
		}
		if marker = d.Parts.NextPartNumberMarker; !d.Parts.IsTruncated {
			break
		}
	}
	if !slices.Equal(numbers, []int{1, 2, 3}) {
		t.Errorf("pages: %v", numbers)
	}
	if d := s.attributes("/photos/k?attributes", header("X-Amz-Object-Attributes", "ObjectParts", "X-Amz-Max-Parts", "0")); d.Parts.PartsCount != 3 || len(d.Parts.Part) != 0 {
		t.Errorf("no parts: %+v", d.Parts)
	}

	s.ok("PUT", "/photos/single", "x", header("X-Amz-Storage-Class", "REDUCED_REDUNDANCY"))
	d = s.attributes("/photos/single?attributes", http.Header{"X-Amz-Object-Attributes": {"StorageClass, Checksum", "ObjectParts"}})
	if d.Parts != nil || d.Checksum != nil || *d.StorageClass != "REDUCED_REDUNDANCY" {
		t.Errorf("single: %+v", d)
	}
	for name, test := range map[string]struct {
		header http.Header
		code   string
	}{
		"none":     {nil, "InvalidRequest"},
		"unknown":  {header("X-Amz-Object-Attributes", "Colour"), "InvalidArgument"},
		"max":      {header("X-Amz-Object-Attributes", "ETag", "X-Amz-Max-Parts", "many"), "InvalidArgument"},
		"negative": {header("X-Amz-Object-Attributes", "ETag", "X-Amz-Part-Number-Marker", "-1"), "InvalidArgument"},
	} {
		if r := s.do(call{method: "GET", path: "/photos/k?attributes", header: test.header}); r.error(t).Code != test.code || r.status != 400 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	out, err := s.sdk(rootCredentials).GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{Bucket: aws.String("photos"), Key: aws.String("k"),
		ObjectAttributes: types.ObjectAttributesEtag.Values()})
	if err != nil || aws.ToInt64(out.ObjectSize) != int64(len(content)) || aws.ToInt32(out.ObjectParts.TotalPartsCount) != 3 || len(out.ObjectParts.Parts) != 3 {
		t.Errorf("AWS's client: %+v, %v", out, err)
	}
}

// TestWaiting asks for keys whose latest write has not been inspected yet.
func TestWaiting(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "evidence", Intake: registry.IntakeQuarantine}))
	text := header("Content-Type", "text/plain")
	s.ok("PUT", "/evidence/k", "one", text)
	waits := s.do(call{method: "GET", path: "/evidence/k"})
	waits.want(t, 404, "NoSuchKey")
	if waits.header.Get("x-sallyport-state") != "quarantined" {
		t.Errorf("headers %v", waits.header)
	}
	if r := s.do(call{method: "HEAD", path: "/evidence/k"}); r.status != 404 || r.header.Get("x-sallyport-state") != "quarantined" {
		t.Errorf("head: %d %v", r.status, r.header)
	}
	if r := s.do(call{method: "GET", path: "/evidence/other"}); r.header.Get("x-sallyport-state") != "" {
		t.Errorf("a key that nobody wrote: %v", r.header)
	}
	s.inspectAll()
	if r := s.ok("GET", "/evidence/k", "", nil); string(r.body) != "one" {
		t.Errorf("inspected: %q", r.body)
	}
	s.ok("PUT", "/evidence/k", "two", text)
	if r := s.ok("GET", "/evidence/k", "", nil); string(r.body) != "one" || r.header.Get("x-sallyport-state") != "" {
		t.Errorf("before the next is inspected: %q %v", r.body, r.header)
	}
	s.inspectAll()
	if r := s.ok("GET", "/evidence/k", "", nil); string(r.body) != "two" {
		t.Errorf("after: %q", r.body)
	}
	s.ok("PUT", "/evidence/bad", "plain words", header("Content-Type", "image/png"))
	s.inspectAll()
	if r := s.do(call{method: "GET", path: "/evidence/bad"}); r.status != 404 || r.header.Get("x-sallyport-state") != "rejected" {
		t.Errorf("rejected: %d %v", r.status, r.header)
	}
}

// inspectAll judges everything that waits.
func (s *stack) inspectAll() {
	s.Helper()
	for {
		worked, err := s.worker.Once(s.ctx())
		s.must(err)
		if !worked {
			return
		}
	}
}

// TestExpiration tells when a lifecycle rule will end an object.
func TestExpiration(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.must(s.pipe.SetLifecycle(s.ctx(), root, "photos", []registry.LifecycleRule{{ID: "old logs", Prefix: "logs/", ExpireDays: 3}}))
	day := 24 * time.Hour
	at := s.now().UTC().Add(3 * day).Truncate(day).Add(day)
	want := `expiry-date="` + at.Format(http.TimeFormat) + `", rule-id="old%20logs"`
	put := s.ok("PUT", "/photos/logs/1", "x", nil)
	for what, h := range map[string]http.Header{"put": put.header, "get": s.ok("GET", "/photos/logs/1", "", nil).header, "head": s.ok("HEAD", "/photos/logs/1", "", nil).header,
		"copy": s.copyTo("/photos/logs/2", "/photos/logs/1").header} {
		if got := h.Get("x-amz-expiration"); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	if got := s.ok("PUT", "/photos/other", "x", nil).header.Get("x-amz-expiration"); got != "" {
		t.Errorf("no rule: %q", got)
	}
}

func TestStorageClass(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	for class, told := range map[string]string{"STANDARD": "", "STANDARD_IA": "STANDARD_IA", "GLACIER_IR": "GLACIER_IR"} {
		s.ok("PUT", "/photos/k", "x", header("X-Amz-Storage-Class", class))
		if got := s.ok("HEAD", "/photos/k", "", nil).header.Get("x-amz-storage-class"); got != told {
			t.Errorf("%s: %q", class, got)
		}
		for _, query := range []string{"list-type=2", "versions"} {
			if r := s.ok("GET", "/photos?"+query, "", nil); !strings.Contains(string(r.body), "<StorageClass>"+class+"</StorageClass>") {
				t.Errorf("%s in %s: %s", class, query, r.body)
			}
		}
	}
	for _, class := range []string{"DEEP_ARCHIVE", "standard", "NONE"} {
		s.do(call{method: "PUT", path: "/photos/k", header: header("X-Amz-Storage-Class", class)}).want(t, 400, "InvalidStorageClass")
	}
}

package s3api_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"

	"sallyport/registry"
)

// partSize is the least that a part but the last may have.
const partSize = 5 << 20

// filled is n bytes that are like no other part's.
func filled(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i) ^ seed
	}
	return b
}

// multipartETag is what S3 makes of the parts' MD5s.
func multipartETag(parts ...[]byte) string {
	var sums []byte
	for _, p := range parts {
		sum := md5.Sum(p)
		sums = append(sums, sum[:]...)
	}
	sum := md5.Sum(sums)
	return `"` + hex.EncodeToString(sum[:]) + "-" + strconv.Itoa(len(parts)) + `"`
}

// mpu is a multipart upload in the making, spoken by hand.
type mpu struct {
	*stack
	path string // raw, of the object
	id   string
	who  aws.Credentials // zero: root's
}

func (s *stack) multipart(path string, header http.Header) *mpu {
	s.Helper()
	r := s.do(call{method: "POST", path: path + "?uploads", header: header})
	var doc struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		UploadID string   `xml:"UploadId"`
	}
	s.must(xml.Unmarshal(r.body, &doc))
	if r.status != 200 || doc.UploadID == "" {
		s.Fatalf("create: %d %s", r.status, r.body)
	}
	return &mpu{stack: s, path: path, id: doc.UploadID}
}

func (m *mpu) call(method, query, body string) call {
	if query != "" {
		query = "&" + query
	}
	return call{method: method, path: m.path + "?uploadId=" + m.id + query, body: body, credentials: m.who}
}

// put uploads a part and returns its ETag with quotes.
func (m *mpu) put(number int, body []byte) string {
	m.Helper()
	r := m.do(m.call("PUT", "partNumber="+strconv.Itoa(number), string(body)))
	sum := md5.Sum(body)
	if etag := r.header.Get("ETag"); r.status != 200 || etag != `"`+hex.EncodeToString(sum[:])+`"` {
		m.Fatalf("part %d: %d %v %s", number, r.status, r.header, r.body)
	}
	return r.header.Get("ETag")
}

// listed is the document of a completion.
func listed(parts ...any) string {
	doc := "<CompleteMultipartUpload>"
	for i := 0; i < len(parts); i += 2 {
		doc += fmt.Sprintf("<Part><ETag>%s</ETag><PartNumber>%d</PartNumber></Part>", parts[i+1], parts[i])
	}
	return doc + "</CompleteMultipartUpload>"
}

// completed is the answer to a completion.
type completed struct {
	XMLName                                                                                      xml.Name `xml:"CompleteMultipartUploadResult"`
	Location, Bucket, Key, ETag                                                                  string
	ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256, ChecksumType string
}

func (r reply) completed(t testing.TB) completed {
	t.Helper()
	var c completed
	if err := xml.Unmarshal(r.body, &c); r.status != 200 || err != nil {
		t.Fatalf("complete: %d %v %s", r.status, err, r.body)
	}
	return c
}

// TestMultipart uploads parts out of order, replaces one, leaves one out, and
// completes the upload twice.
func TestMultipart(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.URL = "https://s3.example.test/" })
	s.bucket("photos")
	m := s.multipart("/photos/a%20b/c", header("Content-Type", "text/x-odd", "X-Amz-Meta-Who", "me", "Cache-Control", "no-cache"))
	a, b, c := filled(partSize, 1), filled(partSize+1, 2), filled(10, 3)
	etags := map[int]string{}
	etags[7] = m.put(7, c)
	m.put(2, []byte("to be replaced"))
	etags[1] = m.put(1, a)
	m.put(5, []byte("left out"))
	etags[2] = m.put(2, b)
	body := listed(1, etags[1], 2, strings.Trim(etags[2], `"`), 7, strings.ReplaceAll(etags[7], `"`, "&quot;"))
	r := m.do(m.call("POST", "", body))
	done := r.completed(t)
	want := multipartETag(a, b, c)
	if done.ETag != want || done.Bucket != "photos" || done.Key != "a b/c" || done.Location != "https://s3.example.test/photos/a%20b/c" {
		t.Errorf("completed %+v, want ETag %s", done, want)
	}
	if again := m.do(m.call("POST", "", body)).completed(t); again.ETag != want {
		t.Errorf("completed again: %+v", again)
	}
	m.do(m.call("POST", "", listed(1, etags[1]))).want(t, 404, "NoSuchUpload")
	m.do(m.call("PUT", "partNumber=1", "x")).want(t, 404, "NoSuchUpload")
	m.do(m.call("DELETE", "", "")).want(t, 404, "NoSuchUpload")
	m.do(m.call("GET", "", "")).want(t, 404, "NoSuchUpload")
	get := s.do(call{method: "GET", path: "/photos/a%20b/c"})
	if !bytes.Equal(get.body, slices.Concat(a, b, c)) || get.header.Get("ETag") != want {
		t.Errorf("get: %d %v, %d bytes", get.status, get.header, len(get.body))
	}
	for name, value := range map[string]string{"Content-Type": "text/x-odd", "X-Amz-Meta-Who": "me", "Cache-Control": "no-cache"} {
		if got := get.header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// TestMultipartSDK does what AWS's own client does, with each kind of checksum.
func TestMultipartSDK(t *testing.T) {
	s := newStack(t)
	bucket := aws.String(s.bucket("photos"))
	c, ctx := s.sdk(rootCredentials), t.Context()
	a, b := filled(partSize, 1), filled(100, 2)
	for _, test := range []struct {
		algorithm types.ChecksumAlgorithm
		kind      types.ChecksumType
		want      types.ChecksumType
	}{
		{"", "", ""}, // what the SDK does by itself
		{"CRC32", "", "COMPOSITE"},
		{"CRC32", "COMPOSITE", "COMPOSITE"},
		{"CRC32", "FULL_OBJECT", "FULL_OBJECT"},
		{"CRC32C", "COMPOSITE", "COMPOSITE"},
		{"CRC32C", "FULL_OBJECT", "FULL_OBJECT"},
		{"CRC64NVME", "", "FULL_OBJECT"},
		{"CRC64NVME", "FULL_OBJECT", "FULL_OBJECT"},
		{"SHA1", "", "COMPOSITE"},
		{"SHA256", "COMPOSITE", "COMPOSITE"},
	} {
		t.Run(string(test.algorithm)+"/"+string(test.kind), func(t *testing.T) {
			key := aws.String("k/" + string(test.algorithm) + string(test.kind))
			created, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
				Bucket: bucket, Key: key, ChecksumAlgorithm: test.algorithm, ChecksumType: test.kind})
			if err != nil {
				t.Fatal(err)
			}
			if test.algorithm != "" && (created.ChecksumAlgorithm != test.algorithm || created.ChecksumType != test.want) {
				t.Errorf("created with %s %s", created.ChecksumAlgorithm, created.ChecksumType)
			}
			var parts []types.CompletedPart
			for i, body := range [][]byte{a, b} {
				n := aws.Int32(int32(i + 1))
				p, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: created.UploadId, PartNumber: n,
					Body: bytes.NewReader(body), ChecksumAlgorithm: test.algorithm})
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, types.CompletedPart{PartNumber: n, ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32,
					ChecksumCRC32C: p.ChecksumCRC32C, ChecksumCRC64NVME: p.ChecksumCRC64NVME, ChecksumSHA1: p.ChecksumSHA1, ChecksumSHA256: p.ChecksumSHA256})
			}
			list, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: created.UploadId})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Parts) != 2 || *list.Parts[1].Size != 100 || *list.Parts[0].ETag != *parts[0].ETag || list.ChecksumAlgorithm != created.ChecksumAlgorithm {
				t.Errorf("parts %+v", list)
			}
			done, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: created.UploadId,
				MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, ChecksumType: test.want})
			if err != nil {
				t.Fatal(err)
			}
			sum := aws.ToString(done.ChecksumCRC32) + aws.ToString(done.ChecksumCRC32C) + aws.ToString(done.ChecksumCRC64NVME) + aws.ToString(done.ChecksumSHA1) + aws.ToString(done.ChecksumSHA256)
			if *done.ETag != multipartETag(a, b) || test.algorithm != "" && sum == "" || strings.HasSuffix(sum, "-2") != (test.want == "COMPOSITE") {
				t.Errorf("done %+v, checksum %q", done, sum)
			}
			get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			// The client itself compares full checksums here.
			if got, err := io.ReadAll(get.Body); err != nil || !bytes.Equal(got, slices.Concat(a, b)) || get.ChecksumType != done.ChecksumType {
				t.Errorf("%d bytes, checksums of type %q: %v", len(got), get.ChecksumType, err)
			}
		})
	}
}

// TestMultipartMinIO lets the second client library choose how it sends parts.
func TestMultipartMinIO(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	content := filled(3*partSize+17, 9)
	for name, o := range map[string]minio.PutObjectOptions{
		"plain":     {PartSize: partSize},
		"parallel":  {PartSize: partSize, NumThreads: 3, ConcurrentStreamParts: true},
		"crc32c":    {PartSize: partSize, Checksum: minio.ChecksumCRC32C},
		"crc64nvme": {PartSize: partSize, Checksum: minio.ChecksumFullObjectCRC32C},
		"md5":       {PartSize: partSize, SendContentMd5: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.minio()
			size := int64(len(content))
			if name == "parallel" {
				size = -1
			}
			if _, err := c.PutObject(t.Context(), "photos", name, io.MultiReader(bytes.NewReader(content)), size, o); err != nil {
				t.Fatal(err)
			}
			get, err := c.GetObject(t.Context(), "photos", name, minio.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(get); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes back: %v", len(got), err)
			}
		})
	}
	t.Run("compose", func(t *testing.T) {
		dst := minio.CopyDestOptions{Bucket: "photos", Object: "both"}
		src := minio.CopySrcOptions{Bucket: "photos", Object: "plain", MatchRange: true, Start: 1, End: partSize + 1}
		if _, err := s.minio().ComposeObject(t.Context(), dst, src, minio.CopySrcOptions{Bucket: "photos", Object: "plain"}); err != nil {
			t.Fatal(err)
		}
		want := slices.Concat(content[1:partSize+2], content)
		if r := s.do(call{method: "GET", path: "/photos/both"}); !bytes.Equal(r.body, want) {
			t.Errorf("%d bytes, want %d", len(r.body), len(want))
		}
	})
}

// TestListParts pages through parts.
func TestListParts(t *testing.T) {
	s := newStack(t)
	bucket := aws.String(s.bucket("photos"))
	m := s.multipart("/photos/k", header("X-Amz-Storage-Class", "STANDARD_IA"))
	for _, n := range []int{1, 3, 5, 10000} {
		m.put(n, []byte(strconv.Itoa(n)))
	}
	c := s.sdk(rootCredentials)
	var numbers []int32
	pages := 0
	p := s3.NewListPartsPaginator(c, &s3.ListPartsInput{Bucket: bucket, Key: aws.String("k"), UploadId: &m.id, MaxParts: aws.Int32(3)})
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pages++
		if page.StorageClass != "STANDARD_IA" || aws.ToString(page.Initiator.DisplayName) == "" || aws.ToString(page.Owner.ID) == "" {
			t.Errorf("page %+v", page)
		}
		for _, x := range page.Parts {
			numbers = append(numbers, *x.PartNumber)
		}
	}
	if pages != 2 || !slices.Equal(numbers, []int32{1, 3, 5, 10000}) {
		t.Errorf("%v on %d pages", numbers, pages)
	}
	r := m.do(m.call("GET", "max-parts=0&encoding-type=url", ""))
	if r.status != 200 || !bytes.Contains(r.body, []byte("<MaxParts>0</MaxParts>")) || bytes.Contains(r.body, []byte("<Part>")) {
		t.Errorf("no parts: %d %s", r.status, r.body)
	}
}

// TestListMultiparts pages through the uploads of a bucket.
func TestListMultiparts(t *testing.T) {
	s := newStack(t)
	bucket := aws.String(s.bucket("photos"))
	c, ctx := s.sdk(rootCredentials), t.Context()
	var want []string
	for _, key := range []string{"a", "a", "b/1", "b/2", "c\x01d", "ü+ "} {
		m, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, key+" "+*m.UploadId)
	}
	list := func(in *s3.ListMultipartUploadsInput) (uploads, prefixes []string, pages int) {
		t.Helper()
		in.Bucket, in.EncodingType = bucket, types.EncodingTypeUrl
		for p := s3.NewListMultipartUploadsPaginator(c, in); p.HasMorePages(); pages++ {
			page, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page.Uploads {
				uploads = append(uploads, *u.Key+" "+*u.UploadId)
			}
			for _, x := range page.CommonPrefixes {
				prefixes = append(prefixes, *x.Prefix)
			}
		}
		return uploads, prefixes, pages
	}
	escaped := slices.Clone(want)
	for i := range escaped {
		escaped[i] = strings.NewReplacer("\x01", "%01", "ü+ ", "%C3%BC%2B%20").Replace(escaped[i])
	}
	for _, most := range []int32{1, 2, 4, 1000} {
		if got, _, pages := list(&s3.ListMultipartUploadsInput{MaxUploads: &most}); !slices.Equal(got, escaped) || pages != max(1, (len(want)+int(most)-1)/int(most)) {
			t.Errorf("%d at a time: %q on %d pages, want %q", most, got, pages, escaped)
		}
	}
	if got, prefixes, _ := list(&s3.ListMultipartUploadsInput{Delimiter: aws.String("/"), MaxUploads: aws.Int32(2)}); len(got) != 4 || !slices.Equal(prefixes, []string{"b/"}) {
		t.Errorf("by folders: %q %q", got, prefixes)
	}
	if got, _, _ := list(&s3.ListMultipartUploadsInput{Prefix: aws.String("b/")}); !slices.Equal(got, want[2:4]) {
		t.Errorf("by prefix: %q", got)
	}
	key, id, _ := strings.Cut(want[0], " ")
	if got, _, _ := list(&s3.ListMultipartUploadsInput{KeyMarker: &key, UploadIdMarker: &id}); !slices.Equal(got, escaped[1:]) {
		t.Errorf("behind an upload: %q", got)
	}
	if got, _, _ := list(&s3.ListMultipartUploadsInput{UploadIdMarker: &id}); !slices.Equal(got, escaped) {
		t.Errorf("behind an upload of no key: %q", got)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: &key, UploadId: &id}); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := list(&s3.ListMultipartUploadsInput{}); !slices.Equal(got, escaped[1:]) {
		t.Errorf("after one was aborted: %q", got)
	}
}

// TestCopyPart makes parts of another object, whole and in ranges.
func TestCopyPart(t *testing.T) {
	s := newStack(t)
	bucket := aws.String(s.bucket("photos"))
	c, ctx := s.sdk(rootCredentials), t.Context()
	content := filled(partSize+1000, 4)
	if r := s.do(call{method: "PUT", path: "/photos/source%20%2B", body: string(content)}); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	source := aws.String("photos/source%20%2B")
	for _, algorithm := range []types.ChecksumAlgorithm{"", "CRC64NVME", "SHA256"} {
		t.Run(string(algorithm), func(t *testing.T) {
			key := aws.String("made" + string(algorithm))
			created, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: algorithm})
			if err != nil {
				t.Fatal(err)
			}
			var parts []types.CompletedPart
			for i, span := range []*string{nil, aws.String(fmt.Sprintf("bytes=%d-%d", len(content)-10, len(content)-1))} {
				n := aws.Int32(int32(i + 1))
				p, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: bucket, Key: key, UploadId: created.UploadId, PartNumber: n,
					CopySource: source, CopySourceRange: span})
				if err != nil {
					t.Fatal(err)
				}
				x := p.CopyPartResult
				if aws.ToTime(x.LastModified).IsZero() || algorithm == "SHA256" && x.ChecksumSHA256 == nil {
					t.Errorf("copied: %+v", x)
				}
				parts = append(parts, types.CompletedPart{PartNumber: n, ETag: x.ETag, ChecksumCRC64NVME: x.ChecksumCRC64NVME, ChecksumSHA256: x.ChecksumSHA256})
			}
			if _, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: created.UploadId,
				MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}); err != nil {
				t.Fatal(err)
			}
			get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(get.Body); err != nil || !bytes.Equal(got, slices.Concat(content, content[len(content)-10:])) {
				t.Errorf("%d bytes: %v", len(got), err)
			}
		})
	}
}

// TestCompleteConditions: exactly one of two completions makes a key that must not
// be there yet.
func TestCompleteConditions(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	first, second := s.multipart("/photos/k", nil), s.multipart("/photos/k", nil)
	complete := func(m *mpu, pairs ...string) reply {
		c := m.call("POST", "", listed(1, m.put(1, []byte("x"))))
		c.header = header(pairs...)
		return m.do(c)
	}
	complete(first, "If-Match", `"abc"`).want(t, 404, "NoSuchKey")
	done := complete(first, "If-None-Match", "*").completed(t)
	if e := complete(second, "If-None-Match", "*").want(t, 412, "PreconditionFailed"); e.Condition != "If-None-Match" {
		t.Errorf("condition %q", e.Condition)
	}
	complete(second, "If-Match", `"abc"`).want(t, 412, "PreconditionFailed")
	complete(second, "If-Match", done.ETag).completed(t)
}

// TestSingleUsePart: a presigned UploadPart works once where its bucket says so, and
// until then as often as it fails.
func TestSingleUsePart(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "once", Intake: registry.IntakeDirect, SingleUse: true}))
	s.bucket("often")
	p := s3.NewPresignClient(s.sdk(rootCredentials))
	for _, test := range []struct {
		bucket string
		second string // code of the second use, "" if it works
	}{{"once", "UploadURLAlreadyUsed"}, {"often", ""}} {
		t.Run(test.bucket, func(t *testing.T) {
			m := s.multipart("/"+test.bucket+"/k", nil)
			u, err := p.PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: &test.bucket, Key: aws.String("k"), UploadId: &m.id, PartNumber: aws.Int32(1)})
			if err != nil {
				t.Fatal(err)
			}
			send := func(body, md5 string) reply {
				req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), "PUT", u.URL, strings.NewReader(body))
				s.must(err)
				if md5 != "" {
					req.Header.Set("Content-Md5", md5)
				}
				return s.send(req)
			}
			send("x", md5Of("y")).want(t, 400, "BadDigest")
			if r := send("x", ""); r.status != 200 {
				t.Fatalf("first: %d %s", r.status, r.body)
			}
			r := send("x", "")
			if test.second == "" && r.status != 200 {
				t.Errorf("second: %d %s", r.status, r.body)
			} else if test.second != "" {
				r.want(t, 409, test.second)
			}
		})
	}
}

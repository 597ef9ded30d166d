package s3api_test

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/registry"
)

// multipartOperation is one of multipart uploads, as a call that would succeed but for what
// the row changes.
type operation struct {
	name         string
	method, body string
	query        string // with {id} for the upload's
	bucket       bool   // it is about a bucket, not about a key
	header       []string
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func multipartOperations() []operation {
	return []operation{
		{name: "CreateMultipartUpload", method: "POST", query: "uploads"},
		{name: "UploadPart", method: "PUT", query: "partNumber=1&uploadId={id}", body: "x"},
		{name: "UploadPartCopy", method: "PUT", query: "partNumber=1&uploadId={id}", header: []string{"X-Amz-Copy-Source", "/photos/source"}},
		{name: "ListParts", method: "GET", query: "uploadId={id}"},
		{name: "CompleteMultipartUpload", method: "POST", query: "uploadId={id}", body: listed(1, "0cc175b9c0f1b6a831c399e269772661")},
		{name: "AbortMultipartUpload", method: "DELETE", query: "uploadId={id}"},
		{name: "ListMultipartUploads", method: "GET", query: "uploads", bucket: true},
	}
}

func (o operation) call(bucket, key, id string) call {
	path := "/" + bucket
	if !o.bucket {
		path += "/" + key
	}
	return call{method: o.method, path: path + "?" + strings.ReplaceAll(o.query, "{id}", id), body: o.body, header: header(o.header...)}
}

// TestMultipartRefusals is every operation times whatever may be missing.
func TestMultipartRefusals(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	if r := s.do(call{method: "PUT", path: "/photos/source", body: "x"}); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	_, err := s.ledger.CreateTenant(s.ctx(), root, "other")
	s.must(err)
	foreign := s.key("other", "fay", registry.RoleAdmin)
	reader := s.key(registry.DefaultTenant, "ray", registry.RoleReader)
	uploader := s.key(registry.DefaultTenant, "ulla", registry.RoleUploader)
	m := s.multipart("/photos/k", nil)
	for _, o := range multipartOperations() {
		takesUpload := strings.Contains(o.query, "{id}")
		refused := func(name string, c call, status int, code string) {
			t.Run(o.name+"/"+name, func(t *testing.T) { s.do(c).want(t, status, code) })
		}
		refused("missing bucket", o.call("nothing", "k", m.id), 404, "NoSuchBucket")
		c := o.call("photos", "k", m.id)
		c.credentials = foreign
		refused("foreign tenant", c, 404, "NoSuchBucket")
		c.credentials = reader
		refused("wrong role", c, 403, "AccessDenied")
		c.credentials, c.anonymous = aws.Credentials{}, true
		refused("anonymous", c, 403, "AccessDenied")
		if !takesUpload {
			continue
		}
		c.anonymous, c.credentials = false, uploader
		refused("another's upload", c, 403, "AccessDenied")
		refused("missing upload", o.call("photos", "k", "mpu_01ARZ3NDEKTSV4RRFFQ69G5FAV"), 404, "NoSuchUpload")
		refused("odd upload", o.call("photos", "k", "..%2F%00"), 404, "NoSuchUpload")
		refused("long upload", o.call("photos", "k", strings.Repeat("x", 2000)), 404, "NoSuchUpload")
		refused("no upload", o.call("photos", "k", ""), 404, "NoSuchUpload")
		refused("upload of another key", o.call("photos", "l", m.id), 404, "NoSuchUpload")
	}
	if r := m.do(m.call("GET", "", "")); r.status != 200 {
		t.Errorf("the upload is gone: %d %s", r.status, r.body)
	}
}

// TestMultipartErrors goes through bad parameters, headers and documents.
func TestMultipartErrors(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "small", Intake: registry.IntakeDirect, MaxSize: 4}))
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "images", Intake: registry.IntakeDirect, AllowedTypes: []string{"image/*"}}))
	if r := s.do(call{method: "PUT", path: "/photos/source", body: "hello"}); r.status != 200 {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	m := s.multipart("/photos/k", nil)
	one, two, three := m.put(1, []byte("one")), m.put(2, []byte("two")), m.put(3, []byte("three"))
	summed := s.multipart("/photos/k", header("X-Amz-Checksum-Algorithm", "CRC32"))
	summedPart := summed.put(1, []byte("x")) // its CRC32 is jNwWgw==
	small := s.multipart("/small/k", nil)
	const create, copySource = "/photos/k?uploads", "X-Amz-Copy-Source"
	part := func(number, body string, pairs ...string) call {
		c := m.call("PUT", "partNumber="+number, body)
		c.header = header(pairs...)
		return c
	}
	complete := func(m *mpu, body string, pairs ...string) call {
		c := m.call("POST", "", body)
		c.header = header(pairs...)
		return c
	}
	all := listed(1, one)
	for _, test := range []struct {
		name   string
		call   call
		status int
		code   string
		says   string
	}{
		{"create: unknown checksum", call{method: "POST", path: create, header: header("X-Amz-Checksum-Algorithm", "MD5")}, 400, "InvalidRequest", "Checksum algorithm provided is unsupported."},
		{"create: unknown type", call{method: "POST", path: create, header: header("X-Amz-Checksum-Algorithm", "CRC32", "X-Amz-Checksum-Type", "HALF")}, 400, "InvalidRequest", "x-amz-checksum-type"},
		{"create: type alone", call{method: "POST", path: create, header: header("X-Amz-Checksum-Type", "COMPOSITE")}, 400, "InvalidRequest", "can only be used with the x-amz-checksum-algorithm header"},
		{"create: composite crc64nvme", call{method: "POST", path: create, header: header("X-Amz-Checksum-Algorithm", "CRC64NVME", "X-Amz-Checksum-Type", "COMPOSITE")}, 400, "InvalidRequest", "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."},
		{"create: full sha1", call{method: "POST", path: create, header: header("X-Amz-Checksum-Algorithm", "SHA1", "X-Amz-Checksum-Type", "FULL_OBJECT")}, 400, "InvalidRequest", "The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm."},
		{"create: full sha256", call{method: "POST", path: create, header: header("X-Amz-Checksum-Algorithm", "SHA256", "X-Amz-Checksum-Type", "FULL_OBJECT")}, 400, "InvalidRequest", ""},
		{"create: storage class", call{method: "POST", path: create, header: header("X-Amz-Storage-Class", "COLD")}, 400, "InvalidStorageClass", ""},
		{"create: much metadata", call{method: "POST", path: create, header: header("X-Amz-Meta-A", strings.Repeat("x", 2048))}, 400, "MetadataTooLarge", ""},
		{"create: bad tags", call{method: "POST", path: create, header: header("X-Amz-Tagging", "a=b&a=c")}, 400, "InvalidArgument", ""},
		{"create: public", call{method: "POST", path: create, header: header("X-Amz-Acl", "public-read")}, 400, "AccessControlListNotSupported", ""},
		{"create: encryption", call{method: "POST", path: create, header: header("X-Amz-Server-Side-Encryption", "AES256")}, 501, "NotImplemented", ""},
		{"create: lock in a bucket without", call{method: "POST", path: create, header: header("X-Amz-Object-Lock-Legal-Hold", "ON")}, 400, "InvalidRequest", ""},
		{"create: type that the bucket refuses", call{method: "POST", path: "/images/k?uploads", header: header("Content-Type", "text/plain")}, 400, "InvalidRequest", "content type"},
		{"create: long type", call{method: "POST", path: create, header: header("Content-Type", "text/"+strings.Repeat("x", 3000))}, 400, "InvalidArgument", ""},
		{"create: other argument", call{method: "POST", path: create + "&versionId=x"}, 400, "InvalidArgument", "version-id"},
		{"create: long key", call{method: "POST", path: "/photos/" + strings.Repeat("k", 1025) + "?uploads"}, 400, "KeyTooLongError", ""},
		{"create: by GET", call{method: "GET", path: create}, 405, "MethodNotAllowed", ""},

		{"part: 0", part("0", "x"), 400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"},
		{"part: 10001", part("10001", "x"), 400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"},
		{"part: negative", part("-1", "x"), 400, "InvalidArgument", "Part number"},
		{"part: a word", part("one", "x"), 400, "InvalidArgument", "Part number"},
		{"part: a great number", part("99999999999999999999", "x"), 400, "InvalidArgument", "Part number"},
		{"part: none", m.call("PUT", "", "x"), 400, "InvalidArgument", "Part number"},
		{"part: md5 malformed", part("1", "x", "Content-Md5", "?"), 400, "InvalidDigest", ""},
		{"part: md5 wrong", part("1", "x", "Content-Md5", md5Of("y")), 400, "BadDigest", ""},
		{"part: crc malformed", part("1", "x", "X-Amz-Checksum-Crc32", "AAA"), 400, "InvalidRequest", ""},
		{"part: crc wrong", part("1", "x", "X-Amz-Checksum-Crc32", "AAAAAA=="), 400, "BadDigest", "The CRC32 you specified did not match the calculated checksum."},
		{"part: two checksums", part("1", "x", "X-Amz-Checksum-Crc32", "AAAAAA==", "X-Amz-Checksum-Crc32c", "AAAAAA=="), 400, "InvalidRequest", ""},
		{"part: checksum of another algorithm", call{method: "PUT", path: summed.path + "?partNumber=1&uploadId=" + summed.id, body: "x", header: header("X-Amz-Checksum-Sha1", "EfatjsUqKYSnqv18O1FlA3hcIHI=")}, 400, "InvalidRequest", "another algorithm"},
		{"part: body changed", call{method: "PUT", path: m.path + "?partNumber=1&uploadId=" + m.id, body: "x", payload: strings.Repeat("0", 64)}, 400, "XAmzContentSHA256Mismatch", ""},
		{"part: larger than the bucket takes", small.call("PUT", "partNumber=1", "12345"), 400, "EntityTooLarge", ""},
		{"part: encryption", part("1", "x", "X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256"), 501, "NotImplemented", ""},
		{"part: tags", part("1", "x", "X-Amz-Tagging", "a=b"), 501, "NotImplemented", ""},
		{"part: other argument", m.call("PUT", "partNumber=1&append", "x"), 501, "NotImplemented", ""},
		{"part: trailer wrong", call{method: "PUT", path: m.path + "?partNumber=1&uploadId=" + m.id, body: "1\r\nx\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
			payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: header("X-Amz-Decoded-Content-Length", "1", "X-Amz-Trailer", "x-amz-checksum-crc32")}, 400, "BadDigest", "The CRC32 you specified did not match the calculated checksum."},

		{"copy: no name", part("1", "", copySource, ""), 400, "InvalidArgument", "Copy Source"},
		{"copy: no key", part("1", "", copySource, "/photos"), 400, "InvalidArgument", "Copy Source"},
		{"copy: missing source", part("1", "", copySource, "/photos/nothing"), 404, "NoSuchKey", ""},
		{"copy: source in no bucket", part("1", "", copySource, "/nothing/source"), 404, "NoSuchBucket", ""},
		{"copy: part 0", part("0", "", copySource, "/photos/source"), 400, "InvalidArgument", "Part number"},
		{"copy: bad range", part("1", "", copySource, "/photos/source", "X-Amz-Copy-Source-Range", "bytes=-1"), 400, "InvalidArgument", "must be of the form bytes=first-last"},
		{"copy: range upside down", part("1", "", copySource, "/photos/source", "X-Amz-Copy-Source-Range", "bytes=3-1"), 400, "InvalidArgument", "must be of the form"},
		{"copy: range behind the end", part("1", "", copySource, "/photos/source", "X-Amz-Copy-Source-Range", "bytes=0-5"), 400, "InvalidArgument", "not valid for source object"},
		{"copy: if-match", part("1", "", copySource, "/photos/source", "X-Amz-Copy-Source-If-Match", "x"), 412, "PreconditionFailed", ""},
		{"copy: if-none-match", part("1", "", copySource, "/photos/source", "X-Amz-Copy-Source-If-None-Match", md5Hex("hello")), 412, "PreconditionFailed", ""},
		{"copy: unmodified", part("1", "", copySource, "/photos/source", "X-Amz-Copy-Source-If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"), 412, "PreconditionFailed", ""},

		{"list: max-parts", m.call("GET", "max-parts=many", ""), 400, "InvalidArgument", "max-parts"},
		{"list: negative max-parts", m.call("GET", "max-parts=-1", ""), 400, "InvalidArgument", "max-parts"},
		{"list: marker", m.call("GET", "part-number-marker=x", ""), 400, "InvalidArgument", "part-number-marker"},
		{"list: encoding", m.call("GET", "encoding-type=x", ""), 400, "InvalidArgument", "Encoding"},
		{"list: max-uploads", call{method: "GET", path: "/photos?uploads&max-uploads=x"}, 400, "InvalidArgument", "max-uploads"},
		{"list: encoding of names", call{method: "GET", path: "/photos?uploads&encoding-type=x"}, 400, "InvalidArgument", "Encoding"},
		{"list: prefix", call{method: "GET", path: "/photos?uploads&prefix=%ff"}, 400, "InvalidURI", ""},
		{"list: long prefix", call{method: "GET", path: "/photos?uploads&prefix=" + strings.Repeat("k", 1025)}, 400, "KeyTooLongError", ""},

		{"complete: nothing", complete(m, ""), 400, "MalformedXML", ""},
		{"complete: half", complete(m, "<CompleteMultipartUpload>"), 400, "MalformedXML", ""},
		{"complete: another document", complete(m, "<Delete/>"), 400, "MalformedXML", ""},
		{"complete: two documents", complete(m, all+all), 400, "MalformedXML", ""},
		{"complete: text behind the document", complete(m, all+"x"), 400, "MalformedXML", ""},
		{"complete: text in front of the document", complete(m, "x"+all), 400, "MalformedXML", ""},
		{"complete: no parts", complete(m, listed()), 400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"},
		{"complete: no ETag", complete(m, listed(1, "")), 400, "MalformedXML", ""},
		{"complete: no number", complete(m, "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>"), 400, "MalformedXML", ""},
		{"complete: 10001 parts", complete(m, "<CompleteMultipartUpload>"+strings.Repeat("<Part><ETag>x</ETag><PartNumber>1</PartNumber></Part>", 10001)+"</CompleteMultipartUpload>"), 400, "MalformedXML", ""},
		{"complete: huge", complete(m, strings.Repeat(" ", 4<<20)+all), 400, "MaxMessageLengthExceeded", ""},
		{"complete: part 0", complete(m, listed(0, one)), 400, "InvalidArgument", "Part number"},
		{"complete: document changed", call{method: "POST", path: m.path + "?uploadId=" + m.id, body: all, payload: strings.Repeat("0", 64)}, 400, "XAmzContentSHA256Mismatch", ""},
		{"complete: order", complete(m, listed(2, two, 1, one)), 400, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number."},
		{"complete: twice the same", complete(m, listed(1, one, 1, one)), 400, "InvalidPartOrder", ""},
		{"complete: missing part", complete(m, listed(1, one, 4, one)), 400, "InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
		{"complete: another ETag", complete(m, listed(1, two)), 400, "InvalidPart", ""},
		{"complete: small part", complete(m, listed(1, one, 3, three)), 400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"},
		{"complete: part's checksum", complete(summed, strings.ReplaceAll(listed(1, summedPart), "<ETag>", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ETag>")), 400, "InvalidPart", ""},
		{"complete: size", complete(m, all, "X-Amz-Mp-Object-Size", "4"), 400, "InvalidRequest", ""},
		{"complete: no size", complete(m, all, "X-Amz-Mp-Object-Size", "three"), 400, "InvalidArgument", "x-amz-mp-object-size"},
		{"complete: checksum of the whole", complete(m, all, "X-Amz-Checksum-Sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), 400, "InvalidRequest", ""},
		{"complete: wrong checksum", complete(summed, listed(1, summedPart), "X-Amz-Checksum-Crc32", "AAAAAA==-1"), 400, "BadDigest", "The CRC32 you specified did not match the calculated checksum."},
		{"complete: type of another upload", complete(summed, listed(1, summedPart), "X-Amz-Checksum-Type", "FULL_OBJECT"), 400, "InvalidRequest", ""},
		{"complete: unknown type", complete(m, all, "X-Amz-Checksum-Type", "x"), 400, "InvalidRequest", "x-amz-checksum-type"},
		{"complete: two checksums", complete(m, all, "X-Amz-Checksum-Crc32", "AAAAAA==", "X-Amz-Checksum-Crc32c", "AAAAAA=="), 400, "InvalidRequest", ""},
		{"complete: unknown checksum", complete(m, all, "X-Amz-Checksum-Md6", "AAAAAA=="), 400, "InvalidRequest", ""},
		{"complete: empty condition", complete(m, all, "If-Match", ""), 400, "InvalidArgument", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if e := s.do(test.call).want(t, test.status, test.code); !strings.Contains(e.Message, test.says) {
				t.Errorf("says %q, want %q", e.Message, test.says)
			}
		})
	}
	summed.do(complete(summed, listed(1, summedPart), "X-Amz-Checksum-Type", "COMPOSITE")).completed(t)
	if done := m.do(complete(m, all, "X-Amz-Mp-Object-Size", "3", "X-Amz-Sdk-Checksum-Algorithm", "CRC32")).completed(t); done.ETag != multipartETag([]byte("one")) {
		t.Errorf("completed: %+v", done)
	}
}

// TestOverlongCompletion: the sum of the parts is held against the bucket's limit.
func TestOverlongCompletion(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "small", Intake: registry.IntakeDirect, MaxSize: partSize}))
	m := s.multipart("/small/k", nil)
	first, second := m.put(1, filled(partSize, 1)), m.put(2, []byte("x"))
	m.do(m.call("POST", "", listed(1, first, 2, second))).want(t, 400, "EntityTooLarge")
	m.do(m.call("POST", "", listed(1, first))).completed(t)
}

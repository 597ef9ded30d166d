package s3api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sallyport/registry"
)

func TestRanges(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.do(call{method: "PUT", path: "/photos/k", body: "0123456789"})
	s.do(call{method: "PUT", path: "/photos/empty"})
	etag := s.do(call{method: "HEAD", path: "/photos/k"}).header.Get("ETag")
	for _, test := range []struct {
		path, value, also string
		status            int
		body, content     string
	}{
		{"k", "bytes=0-0", "", 206, "0", "bytes 0-0/10"},
		{"k", "bytes=2-4", "", 206, "234", "bytes 2-4/10"},
		{"k", "bytes=7-", "", 206, "789", "bytes 7-9/10"},
		{"k", "bytes=7-100", "", 206, "789", "bytes 7-9/10"},
		{"k", "bytes=7-99999999999999999999", "", 206, "789", "bytes 7-9/10"},
		{"k", "bytes=-3", "", 206, "789", "bytes 7-9/10"},
		{"k", "bytes=-100", "", 206, "0123456789", "bytes 0-9/10"},
		{"k", "bytes=0-1,3-4", "", 200, "0123456789", ""}, // several: the whole
		{"k", "bytes=4-2", "", 200, "0123456789", ""},     // not a range
		{"k", "bytes=a-b", "", 200, "0123456789", ""},
		{"k", "bytes=5", "", 200, "0123456789", ""},
		{"k", "bytes=-", "", 200, "0123456789", ""},
		{"k", "bytes=+1-2", "", 200, "0123456789", ""},
		{"k", "lines=1-2", "", 200, "0123456789", ""},
		{"k", "bytes=1-2", etag, 206, "12", "bytes 1-2/10"},
		{"k", "bytes=1-2", `"other"`, 200, "0123456789", ""},
		{"k", "bytes=1-2", "Mon, 02 Jan 2006 15:04:05 GMT", 200, "0123456789", ""},
		{"k", "bytes=10-", "", 416, "", "bytes */10"},
		{"k", "bytes=10-20", "", 416, "", "bytes */10"},
		{"k", "bytes=-0", "", 416, "", "bytes */10"},
		{"empty", "bytes=0-", "", 416, "", "bytes */0"},
		{"empty", "bytes=-1", "", 416, "", "bytes */0"},
	} {
		h := header("Range", test.value)
		if test.also != "" {
			h.Set("If-Range", test.also)
		}
		for _, method := range []string{"GET", "HEAD"} {
			r := s.do(call{method: method, path: "/photos/" + test.path, header: h})
			if r.status != test.status || r.header.Get("Content-Range") != test.content {
				t.Errorf("%s %s %s: %d %q", method, test.value, test.also, r.status, r.header.Get("Content-Range"))
			}
			if method == "GET" && test.status != 416 && string(r.body) != test.body {
				t.Errorf("%s: %q", test.value, r.body)
			}
		}
	}
}

func TestConditions(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	const cached, expires = "max-age=5", "Thu, 01 Dec 2050 16:00:00 GMT"
	s.do(call{method: "PUT", path: "/photos/k", body: "x", header: header("Cache-Control", cached, "Expires", expires)})
	h := s.do(call{method: "HEAD", path: "/photos/k"}).header
	etag, modified := h.Get("ETag"), h.Get("Last-Modified")
	when, err := http.ParseTime(modified)
	s.must(err)
	before, after := when.Add(-time.Second).Format(http.TimeFormat), when.Add(time.Second).Format(http.TimeFormat)
	for _, test := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"match", header("If-Match", etag), 200},
		{"match without quotes", header("If-Match", strings.Trim(etag, `"`)), 200},
		{"match one of", header("If-Match", `"x", `+etag), 200},
		{"match any", header("If-Match", "*"), 200},
		{"match another", header("If-Match", `"x"`), 412},
		{"match weakly", header("If-Match", "W/"+etag), 412},
		{"unmodified since then", header("If-Unmodified-Since", modified), 200},
		{"unmodified since before", header("If-Unmodified-Since", before), 412},
		{"unmodified since nonsense", header("If-Unmodified-Since", "yesterday"), 200},
		{"match, and modified since", header("If-Match", etag, "If-Unmodified-Since", before), 200},
		{"none match", header("If-None-Match", etag), 304},
		{"none match weakly", header("If-None-Match", "W/"+etag), 304},
		{"none match any", header("If-None-Match", "*"), 304},
		{"none match another", header("If-None-Match", `"x"`), 200},
		{"modified since before", header("If-Modified-Since", before), 200},
		{"modified since then", header("If-Modified-Since", modified), 304},
		{"modified since later", header("If-Modified-Since", after), 304},
		{"none match another, not modified", header("If-None-Match", `"x"`, "If-Modified-Since", modified), 200},
		{"match and none match", header("If-Match", etag, "If-None-Match", etag), 304},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := s.do(call{method: method, path: "/photos/k", header: test.header})
			if r.status != test.status {
				t.Errorf("%s %s: %d, want %d", method, test.name, r.status, test.status)
			}
			if r.status == 304 && (len(r.body) != 0 || r.header.Get("ETag") != etag || r.header.Get("Last-Modified") != modified) {
				t.Errorf("%s %s: %v %q", method, test.name, r.header, r.body)
			}
			if r.status == 304 && (r.header.Get("Cache-Control") != cached || r.header.Get("Expires") != expires || r.header.Get("Content-Type") != "") {
				t.Errorf("%s %s: does not say how long to keep what is there: %v", method, test.name, r.header)
			}
		}
	}
	override := call{method: "GET", path: "/photos/k?response-cache-control=no-store", header: header("If-None-Match", etag)}
	if r := s.do(override); r.status != 304 || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("overridden: %d %v", r.status, r.header)
	}
	for _, test := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"none match any", header("If-None-Match", "*"), 412},
		{"none match", header("If-None-Match", etag), 412},
		{"match another", header("If-Match", `"x"`), 412},
		{"match", header("If-Match", etag), 200},
	} {
		if r := s.do(call{method: "PUT", path: "/photos/k", body: "x", header: test.header}); r.status != test.status {
			t.Errorf("put %s: %d %s", test.name, r.status, r.body)
		}
	}
	if r := s.do(call{method: "PUT", path: "/photos/new", body: "x", header: header("If-None-Match", "*")}); r.status != 200 {
		t.Errorf("put a new one: %d %s", r.status, r.body)
	}
}

// TestMetadataNames looks at the bytes of an answer: boto3, for one, takes the
// names as they come.
func TestMetadataNames(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	s.do(call{method: "PUT", path: "/photos/k", body: "x", header: header("X-Amz-Meta-Taken_By", "me", "x-amz-meta-camera-Id", "7")})
	for _, method := range []string{"GET", "HEAD"} {
		req := s.request(call{method: method, path: "/photos/k"})
		req.Close = true
		conn, err := net.Dial("tcp", req.URL.Host)
		s.must(err)
		s.must(req.Write(conn))
		answer, err := io.ReadAll(conn)
		s.must(err)
		s.must(conn.Close())
		for _, line := range []string{"\r\nx-amz-meta-taken_by: me\r\n", "\r\nx-amz-meta-camera-id: 7\r\n"} {
			if !strings.Contains(string(answer), line) {
				t.Errorf("%s: no %q in %q", method, line, answer)
			}
		}
	}
}

// TestReadHeaders looks at what comes back with an object.
func TestReadHeaders(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	const crc = "jNwWgw=="
	put := s.do(call{method: "PUT", path: "/photos/k", body: "x", header: header(
		"Content-Type", "text/html", "Cache-Control", "no-cache", "Content-Disposition", "inline", "Content-Language", "de",
		"Expires", "Mon, 02 Jan 2006 15:04:05 GMT", "X-Amz-Meta-B", "2", "X-Amz-Meta-A", "ä", "X-Amz-Acl", "private", "X-Amz-Storage-Class", "STANDARD",
		"X-Amz-Checksum-Crc32", crc)})
	if put.status != 200 || put.header.Get("x-amz-checksum-crc32") != crc {
		t.Fatalf("put: %d %v %s", put.status, put.header, put.body)
	}
	want := map[string]string{
		"Content-Type": "text/html", "Cache-Control": "no-cache", "Content-Disposition": "inline", "Content-Language": "de",
		"Expires": "Mon, 02 Jan 2006 15:04:05 GMT", "x-amz-meta-b": "2", "x-amz-meta-a": "ä", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "", "x-amz-checksum-crc32": "", "ETag": put.header.Get("ETag"),
	}
	for _, method := range []string{"GET", "HEAD"} {
		r := s.do(call{method: method, path: "/photos/k"})
		for name, value := range want {
			if got := r.header.Get(name); got != value {
				t.Errorf("%s: %s: %q, want %q", method, name, got, value)
			}
		}
	}
	r := s.do(call{method: "GET", path: "/photos/k?response-content-type=a/b&response-cache-control=c&response-content-disposition=attachment&response-content-encoding=e&response-content-language=l&response-expires=x"})
	for name, value := range map[string]string{"Content-Type": "a/b", "Cache-Control": "c", "Content-Disposition": "attachment", "Content-Encoding": "e", "Content-Language": "l", "Expires": "x"} {
		if got := r.header.Get(name); got != value {
			t.Errorf("override %s: %q, want %q", name, got, value)
		}
	}
	if r := s.do(call{method: "HEAD", path: "/photos/k", header: header("X-Amz-Checksum-Mode", "ENABLED")}); r.header.Get("x-amz-checksum-crc32") != crc || r.header.Get("x-amz-checksum-type") != "FULL_OBJECT" {
		t.Errorf("checksum mode: %v", r.header)
	}
	if r := s.do(call{method: "GET", path: "/photos/k", header: header("X-Amz-Checksum-Mode", "ENABLED", "Range", "bytes=0-0")}); r.header.Get("x-amz-checksum-type") != "" {
		t.Errorf("a part came with the checksum of the whole: %v", r.header)
	}
}

// TestQuarantine writes to a bucket that shows nothing unseen.
func TestQuarantine(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "evidence", Intake: registry.IntakeQuarantine}))
	if r := s.do(call{method: "PUT", path: "/evidence/k", body: "x", header: header("Content-Type", "text/plain")}); r.status != 200 || r.header.Get("ETag") == "" {
		t.Fatalf("put: %d %s", r.status, r.body)
	}
	s.do(call{method: "GET", path: "/evidence/k"}).want(t, 404, "NoSuchKey")
	for {
		worked, err := s.worker.Once(s.ctx())
		s.must(err)
		if !worked {
			break
		}
	}
	if r := s.do(call{method: "GET", path: "/evidence/k"}); r.status != 200 || string(r.body) != "x" {
		t.Errorf("get: %d %s", r.status, r.body)
	}
}

// TestOneCreates lets many create a key at once, each only if it is new.
func TestOneCreates(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	for round := range 5 {
		statuses := make(chan int, 16)
		for i := range cap(statuses) {
			req := s.request(call{method: "PUT", path: fmt.Sprintf("/photos/k%d", round), body: fmt.Sprint(i), header: header("If-None-Match", "*")})
			go func() { statuses <- s.send(req).status }()
		}
		won := 0
		for range cap(statuses) {
			switch status := <-statuses; status {
			case 200:
				won++
			case 412, 409:
			default:
				t.Errorf("status %d", status)
			}
		}
		if won != 1 {
			t.Errorf("%d created the key", won)
		}
	}
}

// TestUsedOnce puts with an SDK's URL into a bucket where each works once.
func TestUsedOnce(t *testing.T) {
	s := newStack(t)
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: "drops", Intake: registry.IntakeDirect, SingleUse: true}))
	put, err := s3.NewPresignClient(s.sdk(rootCredentials)).PresignPutObject(s.ctx(), &s3.PutObjectInput{Bucket: aws.String("drops"), Key: aws.String("k")})
	s.must(err)
	send := func(body string) reply {
		req, err := http.NewRequest("PUT", put.URL, strings.NewReader(body))
		s.must(err)
		return s.send(req)
	}
	if r := send("first"); r.status != 200 {
		t.Fatalf("first: %d %s", r.status, r.body)
	}
	send("second").want(t, 409, "UploadURLAlreadyUsed")
	if r := s.ok("GET", "/drops/k", "", nil); string(r.body) != "first" {
		t.Errorf("content %q", r.body)
	}
	for range 2 { // header signatures are not URLs
		s.ok("PUT", "/drops/other", "x", nil)
	}
}

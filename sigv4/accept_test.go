package sigv4_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sallyport/sigv4"
)

// An application's own Authorization does not spoil a presigned URL.
func TestPresignedURLWinsOverBearer(t *testing.T) {
	r := presigned(t)
	add(r, "Authorization", "Bearer abc")
	if c, err := verify(testVerifier(), r); err != nil || c.Kind != sigv4.QueryAuth {
		t.Errorf("%v, %v", c, err)
	}
}

func TestAuthorizationHeaderForms(t *testing.T) {
	for what, change := range map[string]func(*[]byte){
		"without spaces": func(a *[]byte) { edit(a, ", ", ","); edit(a, ", ", ",") },
		"wide":           func(a *[]byte) { edit(a, ", ", " ,\t "); *a = append(*a, ' ') },
		"other order": func(a *[]byte) {
			scheme, rest, _ := bytes.Cut(*a, []byte(" "))
			p := bytes.Split(rest, []byte(", "))
			*a = fmt.Appendf(nil, "%s %s,%s,%s", scheme, p[2], p[0], p[1])
		},
	} {
		r := headerSigned(t)
		change(header(r, "authorization"))
		if _, err := verify(testVerifier(), r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The Date header stands in where x-amz-date is missing.
func TestDateHeader(t *testing.T) {
	for _, layout := range []string{time.RFC1123, time.RFC850, time.ANSIC, "20060102T150405Z"} {
		r := &sigv4.Request{Method: []byte("GET"), Path: []byte("/"), Header: fields(
			"Host", "h", "X-Amz-Date", signedAt.Format("20060102T150405Z"), "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")}
		// Signed by hand: SignHeader insists on X-Amz-Date.
		canonical := "GET\n/\n\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n\nhost;x-amz-content-sha256\nUNSIGNED-PAYLOAD"
		r.Header[1] = fields("Date", signedAt.Format(layout))[0]
		add(r, "Authorization", signByHand("host;x-amz-content-sha256", canonical))
		if _, err := verify(testVerifier(), r); err != nil {
			t.Errorf("%s: %v\n%s", layout, err, explain(err))
		}
	}
}

// Paths may come plain where AWS's encoding escapes, and escaped where it does
// not; they may also be signed as sent. Nothing else is the same path.
func TestPathForms(t *testing.T) {
	for _, tt := range []struct {
		signed, sent string
		ok           bool
	}{
		{"/b/a(b)", "/b/a(b)", true},          // curl: as sent
		{"/b/a%28b%29", "/b/a(b)", true},      // encoded for the signature only
		{"/b/%7Ek", "/b/%7Ek", true},          // as sent
		{"/b/~k", "/b/%7Ek", true},            // an escape too many
		{"/b/é", "/b/é", true},                // raw UTF-8, as sent
		{"/b/%C3%A9", "/b/é", true},           // raw UTF-8
		{"/b/a%2Fb", "/b/a%2Fb", true},        // an escaped slash is not a slash
		{"/b/a%2fb", "/b/a%2fb", true},        // lower-case hex, as sent
		{"/", "", true},                       // no path
		{"//", "//", true},                    // empty segments
		{"/b/%", "/b/%", true},                // a broken escape, as sent
		{"/b/%41", "/b/%%341", false},         // a broken escape is not made whole
		{"/b/a(b)", "/b/a%28b%29", false},     // undone by somebody
		{"/b/a/b", "/b/a%2Fb", false},         // slash escaped
		{"/b/a%2Fb", "/b/a%2fb", false},       // hex case
		{"/b/a+b", "/b/a%20b", false},         // plus is no space
		{"/b/a%20b", "/b/a+b", false},         // nor the reverse
		{"/b/k", "/b/./k", false},             // dot segments stay
		{"/b/k", "/b//k", false},              // so do empty ones
		{"/b/k", "/b/x/../k", false},          //
		{"/b/%2E%2E/k", "/b/%2e%2e/k", false}, //
	} {
		r := &sigv4.Request{Method: []byte("GET"), Path: []byte(tt.signed), Header: fields(
			"Host", "h", "X-Amz-Date", signedAt.Format("20060102T150405Z"), "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")}
		canonical := "GET\n" + tt.signed + "\n\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:" + signedAt.Format("20060102T150405Z") +
			"\n\nhost;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD"
		add(r, "Authorization", signByHand("host;x-amz-content-sha256;x-amz-date", canonical))
		r.Path = []byte(tt.sent)
		if _, err := verify(testVerifier(), r); (err == nil) != tt.ok {
			t.Errorf("signed %s, sent %s: %v", tt.signed, tt.sent, err)
		}
	}
}

// A proxy that rewrites Host needs the external host to be configured; the
// claim then tells which host was signed.
func TestExternalHosts(t *testing.T) {
	r := presigned(t)
	*header(r, "host") = []byte("sallyport.internal:9000")
	if _, err := verify(testVerifier(), r); err == nil {
		t.Fatal("another host passes")
	}
	v := testVerifier()
	v.Hosts = []string{"other.example.com", "s3.example.com"}
	c, err := verify(v, r)
	if err != nil || string(c.Host) != "s3.example.com" {
		t.Errorf("host %q, %v", c.Host, err)
	}
	r.Path = []byte("/_/uploads/upl_2")
	_, err = verify(v, r)
	wantCode(t, "another path", err, sigv4.SignatureMismatch)
	if e := asError(err); !strings.Contains(e.CanonicalRequest, "host:sallyport.internal:9000\n") {
		t.Errorf("the explanation is not of the host that came:\n%s", e.CanonicalRequest)
	}
}

// A server may vouch for a small body whose hash the client did not name.
func TestBodyHashOfTheServer(t *testing.T) {
	req := newRequest(t, "POST", "127.0.0.1:9001", "/uploads", "")
	oracleSign(t, req, hexSum([]byte("{}")))
	r := wire(req)
	// As curl before 7.88 does it: the hash is in the signature only.
	remove(r, "x-amz-content-sha256")
	remove(r, "authorization")
	var c sigv4.Claim
	canonical := "POST\n/uploads\n\nhost:127.0.0.1:9001\nx-amz-date:" + signedAt.Format("20060102T150405Z") + "\n\nhost;x-amz-date\n" + hexSum([]byte("{}"))
	add(r, "Authorization", signByHand("host;x-amz-date", canonical))
	if err := sigv4.Parse(r, &c); err != nil || c.Payload != sigv4.PayloadAbsent {
		t.Fatalf("%v, %v", c.Payload, err)
	}
	for body, ok := range map[string]bool{"{}": true, "{} ": false} {
		c.ContentSHA256 = []byte(hexSum([]byte(body)))
		if err := testVerifier().Verify(r, &c, testKey()); (err == nil) != ok {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestPayloadKinds(t *testing.T) {
	for value, kind := range map[string]sigv4.PayloadKind{
		"UNSIGNED-PAYLOAD":                           sigv4.PayloadUnsigned,
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD":         sigv4.PayloadStreamingSigned,
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": sigv4.PayloadStreamingSignedTrailer,
		"STREAMING-UNSIGNED-PAYLOAD-TRAILER":         sigv4.PayloadStreamingUnsignedTrailer,
		hexSum(nil):                                  sigv4.PayloadHash,
		strings.ToUpper(hexSum(nil)):                 sigv4.PayloadHash,
	} {
		req := newRequest(t, "PUT", "h", "/b/k", "")
		oracleSign(t, req, value)
		c, err := verify(testVerifier(), wire(req))
		if err != nil || c.Payload != kind {
			t.Errorf("%s: %v, %v", value, c.Payload, err)
		}
		if _, ok := c.SHA256(); ok != (kind == sigv4.PayloadHash) {
			t.Errorf("%s: digest %v", value, ok)
		}
		if strings.HasPrefix(value, "STREAMING-") != kind.Streaming() {
			t.Errorf("%s: streaming %v", value, kind.Streaming())
		}
	}
}

func TestDecodedLength(t *testing.T) {
	for value, want := range map[string]int64{"0": 0, "66560": 66560, "9223372036854775799": 9223372036854775799} {
		r := &sigv4.Request{Header: fields("X-Amz-Decoded-Content-Length", value)}
		if n, err := new(sigv4.Claim).DecodedLength(r); n != want || err != nil {
			t.Errorf("%s: %d, %v", value, n, err)
		}
	}
	for value, code := range map[string]sigv4.Code{
		"": sigv4.MissingDecodedLength, "-1": sigv4.InvalidDecodedLength, "1e3": sigv4.InvalidDecodedLength,
		"99999999999999999999": sigv4.InvalidDecodedLength,
	} {
		_, err := new(sigv4.Claim).DecodedLength(&sigv4.Request{Header: fields("X-Amz-Decoded-Content-Length", value)})
		wantCode(t, value, err, code)
	}
	_, err := new(sigv4.Claim).DecodedLength(&sigv4.Request{})
	wantCode(t, "none", err, sigv4.MissingDecodedLength)
}

func TestLookups(t *testing.T) {
	r := &sigv4.Request{
		Query:  []byte("a=1&&a=2&k&e=&p=a+b%2Fc%2fd&%61b=x&bad=%zz;q=1"),
		Header: fields("X-One", " v ", "x-ONE", "w", "X-Amz-Trailer", "X-Amz-Checksum-Crc32 , b", "x-amz-trailer", "c"),
	}
	for name, want := range map[string]string{"a": "1", "k": "", "e": "", "p": "a b/c/d", "ab": "x", "bad": "%zz;q=1"} {
		if got, ok := r.Param(name); !ok || string(got) != want {
			t.Errorf("parameter %s: %q, %v", name, got, ok)
		}
	}
	if got, ok := r.Param("A"); ok {
		t.Errorf("parameter A: %q", got)
	}
	var all []string
	for name, value := range r.Params() {
		all = append(all, string(name)+"="+string(value))
	}
	if got := strings.Join(all, "|"); got != "a=1|a=2|k=|e=|p=a b/c/d|ab=x|bad=%zz;q=1" {
		t.Errorf("parameters %s", got)
	}
	if got, ok := r.HeaderValue("x-one"); !ok || string(got) != "v" {
		t.Errorf("header %q, %v", got, ok)
	}
	var c sigv4.Claim // anonymous: nothing in the query is signed
	if got := c.TrailerNames(r); strings.Join(got, "|") != "x-amz-checksum-crc32|b|c" {
		t.Errorf("trailer names %q", got)
	}
	r.Query = []byte("x-amz-acl=private&X-Amz-Acl=public-read")
	if got, ok := c.Value(r, "x-amz-acl"); ok {
		t.Errorf("an unsigned query gives x-amz-acl %q", got)
	}
}

func TestDecodePath(t *testing.T) {
	for raw, want := range map[string]string{"": "", "/a%20b+c%2F%2f%C3%A9": "/a b+c//é"} {
		if got, err := sigv4.DecodePath(nil, []byte(raw)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"%", "%2", "%zz", "a%2", "%%41"} {
		if got, err := sigv4.DecodePath(nil, []byte(raw)); err == nil {
			t.Errorf("%q: %q", raw, got)
		}
	}
}

// A claim or key that lands in a log brings no signature and no key along.
func TestLogsAreSilent(t *testing.T) {
	c, err := verify(testVerifier(), presigned(t))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", "claim", c, "key", testKey())
	fmt.Fprintf(&b, "%v %+v %s %v %+v %#v", c, c, c, testKey(), testKey(), testKey())
	if text := b.String(); strings.Contains(text, string(c.Signature)) || strings.Contains(text, "macs") || !strings.Contains(text, accessKey) {
		t.Errorf("log: %s", text)
	}
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	for name, r := range map[string]*sigv4.Request{"header": headerSigned(t), "query": presigned(t)} {
		var (
			cache sigv4.KeyCache
			c     sigv4.Claim
		)
		v := testVerifier()
		secret := func() ([]byte, error) { return []byte(secretKey), nil }
		once := func() {
			err := sigv4.Parse(r, &c)
			if err != nil {
				t.Fatal(err)
			}
			k, err := cache.Get(c.AccessKey, c.Date, c.Region, 1, secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Verify(r, &c, k); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			once() // fill pools and cache
		}
		// A collection may empty a pool in the middle: most runs must be clean.
		if n := testing.AllocsPerRun(200, once); n >= 1 && !raceEnabled {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A folded header value is one line of the canonical request: a line end in it
// cannot pass for another header.
func TestFoldedHeader(t *testing.T) {
	stamp := signedAt.Format("20060102T150405Z")
	for value, ok := range map[string]bool{"a\n  b\r\n c": true, "a b c": true, "a\nb\nc:": false, "a bc": false} {
		r := &sigv4.Request{Method: []byte("GET"), Path: []byte("/"), Header: fields("Host", "h", "My-Header", value,
			"X-Amz-Date", stamp, "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD", "Authorization",
			signByHand("host;my-header;x-amz-date", "GET\n/\n\nhost:h\nmy-header:a b c\nx-amz-date:"+stamp+"\n\nhost;my-header;x-amz-date\nUNSIGNED-PAYLOAD"))}
		if _, err := verify(testVerifier(), r); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

package sigv4_test

import (
	"bytes"
	"io"
	"net/url"
	"sort"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sallyport/sigv4"
)

// FuzzParse: no header and no query makes Parse panic or leave a claim that
// does not fit together.
func FuzzParse(f *testing.F) {
	f.Add(string(*header(headerSigned(f), "authorization")), "20260304T230607Z", "UNSIGNED-PAYLOAD", "list-type=2")
	f.Add("Bearer x", "", hexSum(nil), string(presigned(f).Query))
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e/aws4_request,SignedHeaders=host,Signature=0", "20260231T000000Z", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "a=%&&=;%2")
	f.Add("", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260304%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20260304T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=%30")
	f.Fuzz(func(t *testing.T, authorization, date, hash, query string) {
		r := &sigv4.Request{Method: []byte("GET"), Path: []byte("/"), Query: []byte(query), Header: fields("Host", "h")}
		for name, value := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Content-Sha256": hash} {
			if value != "" {
				add(r, name, value)
			}
		}
		var c sigv4.Claim
		if err := sigv4.Parse(r, &c); err != nil {
			if asError(err) == nil {
				t.Fatalf("not a typed error: %v", err)
			}
			return
		}
		if c.Kind == sigv4.Anonymous {
			return
		}
		if len(c.AccessKey) == 0 || len(c.Region) == 0 || len(c.Service) == 0 || len(c.SignedHeaders) == 0 || len(c.Signature) == 0 ||
			c.Time.UTC().Format("20060102") != string(c.Date) || (c.Kind == sigv4.QueryAuth) != (c.Expires > 0) {
			t.Errorf("claim %+v of %q", c.String(), query)
		}
		// No signature is right for a key that nobody has.
		k := sigv4.DeriveKey("x", []byte("the fuzzer does not know it"), string(c.Date), string(c.Region), string(c.Service))
		v := &sigv4.Verifier{Region: string(c.Region), Service: string(c.Service), Now: clockAt(c.Time)}
		if err := v.Verify(r, &c, k); err == nil {
			t.Errorf("verifies: %q %q", authorization, query)
		}
	})
}

// FuzzCanonicalQuery compares the canonical query with one made by net/url,
// where the two read a query alike.
func FuzzCanonicalQuery(f *testing.F) {
	for _, seed := range []string{"", "a", "a=", "=", "&&", "b=1&a=2&a=1", "a=b=c", "a=%2F/", "%7E=~", "x=+%20", "é=%C3%A9", "a-b=1&a=2&a%2Fb=3", "a=1&X-Amz-Meta=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil || strings.ContainsAny(query, ";\n") || lowerHex(query) {
			return
		}
		var pairs [][2]string
		for name, vs := range values {
			for _, value := range vs {
				pairs = append(pairs, [2]string{goEncode(name), goEncode(value)})
			}
		}
		sort.Slice(pairs, func(i, j int) bool {
			return pairs[i][0] < pairs[j][0] || pairs[i][0] == pairs[j][0] && pairs[i][1] < pairs[j][1]
		})
		var want []string
		for _, p := range pairs {
			want = append(want, p[0]+"="+p[1])
		}
		r := headerSigned(t)
		r.Query = []byte(query)
		edit(header(r, "authorization"), "Signature=", "Signature=0")
		_, err = verify(testVerifier(), r)
		e := asError(err)
		if e != nil && (e.Code == sigv4.MultipleAuth || e.Code == sigv4.UnsupportedAuth) {
			return // it has the marks of a presigned URL
		}
		if e == nil || e.Code != sigv4.SignatureMismatch {
			t.Fatalf("%q: %v", query, err)
		}
		if got := strings.Split(e.CanonicalRequest, "\n")[2]; got != strings.Join(want, "&") {
			t.Errorf("%q: canonical %q, want %q", query, got, strings.Join(want, "&"))
		}
	})
}

func goEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// lowerHex reports an escape with a lower-case digit, which we keep as it is.
func lowerHex(query string) bool {
	for i := 0; i+2 < len(query); i++ {
		if query[i] == '%' && strings.ContainsAny(query[i+1:i+3], "abcdef") {
			return true
		}
	}
	return false
}

// FuzzPresign: what PresignURL signs, Verify accepts and the look-ups give
// back; and with one bit of its path or query changed it is refused.
func FuzzPresign(f *testing.F) {
	f.Add("PUT", "/b/a b+c/é", "X-Sp-Grant", "g_1", "Content-Type", "text/plain", uint16(9), uint16(77))
	f.Add("GET", "/", "", "", "x-amz-meta-a", "  a  b ", uint16(1), uint16(0))
	f.Add("GET", "//../%2F", "a&b=c", "\x00\xff+ ", "range", "", uint16(60), uint16(300))
	f.Fuzz(func(t *testing.T, method, path, name, value, headerName, headerValue string, seconds, bit uint16) {
		p := &sigv4.Presign{
			Method: method, URL: "https://h:9000", Path: string(sigv4.AppendPath(nil, "/"+path)), Time: signedAt, Expires: time.Duration(seconds) * time.Second,
			Query: []sigv4.Param{{Name: name, Value: value}}, Headers: []sigv4.Param{{Name: headerName, Value: headerValue}},
		}
		signed, err := sigv4.PresignURL(nil, p, testKey())
		if err != nil {
			return
		}
		host, raw, query := splitURL(t, string(signed))
		r := &sigv4.Request{Method: []byte(method), Path: []byte(raw), Query: []byte(query), Header: fields("Host", host, headerName, headerValue)}
		if strings.EqualFold(headerName, "host") || strings.EqualFold(headerName, "authorization") || strings.EqualFold(headerName, "x-amz-content-sha256") || name == "AWSAccessKeyId" {
			return
		}
		if strings.EqualFold(name, "x-amz-content-sha256") {
			return // says of the payload what PresignURL does not
		}
		if _, err := verify(testVerifier(), r); err != nil {
			t.Fatalf("%s: %v\n%s", signed, err, explain(err))
		}
		if decoded, err := sigv4.DecodePath(nil, r.Path); err != nil || string(decoded) != "/"+path {
			t.Errorf("path %q, %v", decoded, err)
		}
		if got, ok := r.Param(name); !ok || string(got) != value {
			t.Errorf("parameter %q is %q, %v", name, got, ok)
		}
		at := int(bit) % (8 * (len(r.Path) + len(r.Query)))
		if at < 8*len(r.Path) {
			r.Path[at/8] ^= 1 << (at % 8)
		} else {
			at -= 8 * len(r.Path)
			r.Query[at/8] ^= 1 << (at % 8)
		}
		if _, err := verify(testVerifier(), r); err == nil {
			t.Errorf("a bit changed in %s: %s?%s", signed, r.Path, r.Query)
		}
	})
}

// FuzzChunkReader: any bytes, in any pieces, end the same way; what ends well
// has the declared length; what is signed and ends well is what was signed.
func FuzzChunkReader(f *testing.F) {
	object := []byte("the bytes of the object")
	for kind := sigv4.PayloadStreamingSigned; kind.Streaming(); kind++ {
		f.Add(encodeChunks(f, kind, object, 10, "a", "b"), byte(kind), uint16(len(object)))
		f.Add(encodeChunks(f, kind, nil, 10, "a", "b"), byte(kind), uint16(0))
	}
	f.Add([]byte("1\r\nx\r\n0\r\na:b\n\r\n\r\n"), byte(sigv4.PayloadStreamingUnsignedTrailer), uint16(1))
	f.Add([]byte("ffffffffffffffff\r\n"), byte(sigv4.PayloadStreamingUnsignedTrailer), uint16(1))
	f.Fuzz(func(t *testing.T, body []byte, kind byte, length uint16) {
		cfg := chunkConfig(sigv4.PayloadStreamingSigned+sigv4.PayloadKind(kind)%3, nil, "a")
		cfg.DecodedLength = int64(length)
		read := func(src io.Reader) ([]byte, []sigv4.Field, error) {
			r := sigv4.NewChunkReader(src, cfg)
			got, err := io.ReadAll(r)
			return got, r.Trailers(), err
		}
		got, trailers, err := read(bytes.NewReader(body))
		for _, cut := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			again, trailersAgain, errAgain := read(cut(bytes.NewReader(body)))
			if !bytes.Equal(got, again) || len(trailers) != len(trailersAgain) || (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
				t.Errorf("%q: %q, %v; in pieces %q, %v", body, got, err, again, errAgain)
			}
		}
		if err == nil && len(got) != int(length) {
			t.Errorf("%q: %d bytes of %d", body, len(got), length)
		}
		signed := cfg.Kind != sigv4.PayloadStreamingUnsignedTrailer
		if err == nil && signed && len(got) > 0 && !bytes.Equal(got, object) {
			t.Errorf("%q: accepts %q, which nobody signed", body, got)
		}
	})
}

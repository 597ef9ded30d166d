package sigv4_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"sallyport/sigv4"
)

// Every single-bit change to a signed request is refused. Each bit of the
// method, the raw path, the raw query, and the name and value of every header
// line, Authorization included, is flipped in turn. The exceptions, all of them:
//
//   - the case of a letter in a header's name, which HTTP holds to be the same
//     header (RFC 9110 section 5.1);
//   - a header that is not signed (User-Agent here).
func TestEveryBitOfARequestIsSigned(t *testing.T) {
	for name, r := range signedRequests(t) {
		t.Run(name, func(t *testing.T) {
			v := testVerifier()
			if _, err := verify(v, r); err != nil {
				t.Fatalf("unchanged: %v\n%s", err, explain(err))
			}
			flip := clone(r)
			try := func(what string, b []byte, excepted func(before, after byte) bool) {
				for i := range b {
					for bit := range 8 {
						before := b[i]
						b[i] ^= 1 << bit
						_, err := verify(v, flip)
						if accepted := err == nil; accepted != excepted(before, b[i]) {
							t.Errorf("%s: byte %d %q → %q: %v", what, i, before, b[i], err)
						}
						b[i] = before
					}
				}
			}
			try("method", flip.Method, never)
			try("path", flip.Path, never)
			try("query", flip.Query, never)
			for i := range flip.Header {
				f := flip.Header[i]
				if string(f.Name) == "User-Agent" {
					try("unsigned value", f.Value, always)
					continue
				}
				try("name "+string(f.Name), f.Name, caseOnly)
				try("value of "+string(f.Name), f.Value, never)
			}
		})
	}
}

func never(_, _ byte) bool  { return false }
func always(_, _ byte) bool { return true }

func caseOnly(before, after byte) bool {
	letter := before|0x20 >= 'a' && before|0x20 <= 'z'
	return letter && before^after == 0x20
}

// signedRequests are requests of each kind, signed by the SDK and by us, with
// whatever might have two spellings in them.
func signedRequests(t *testing.T) map[string]*sigv4.Request {
	out := make(map[string]*sigv4.Request)
	// Escapes, slashes, dots, a digit that flips to a space and back.
	const path, query = "/bucket/a b/../é+~(0)//%2F.x", "list-type=2&prefix=a%2Fb%20c&empty=&uploads&n=a+b&n=%C3%A9&n=0"

	req := newRequest(t, "PUT", "s3.example.com:9000", path, query)
	req.Header.Set("Content-Type", "text/plain;  charset=utf-8")
	req.Header.Add("X-Amz-Meta-Twice", "one, two")
	req.Header.Add("X-Amz-Meta-Twice", "0 three")
	req.Header.Set("X-Amz-Meta-Empty", "")
	oracleSign(t, req, hexSum([]byte("body")))
	r := wire(req)
	r.Query = []byte(query) // as a client wrote it, not as it was signed
	r.Header = append(r.Header, fields("User-Agent", "x")...)
	out["header"] = r

	req = newRequest(t, "GET", "s3.example.com", path, query)
	req.Header.Set("X-Amz-Meta-A", "b")
	req.Header.Set("X-Amz-Expected-Bucket-Owner", "someone")
	_, out["presigned by the SDK"] = oraclePresign(t, req, "900")

	out["presigned"] = presigned(t)
	raw := clone(out["presigned"])
	raw.Header[1].Name = []byte("CONTENT-TYPE")
	out["presigned, name in capitals"] = raw

	// Signed over the encoded path, sent with reserved characters plain.
	req = newRequest(t, "GET", "s3.example.com", "/bucket/a(b)!$&'*,:;=@", "")
	oracleSign(t, req, "UNSIGNED-PAYLOAD")
	plain := wire(req)
	plain.Path = []byte("/bucket/a(b)!$&'*,:;=@")
	out["plain path"] = plain
	return out
}

// presigned is a request to a URL of ours.
func presigned(t testing.TB) *sigv4.Request {
	t.Helper()
	url, err := sigv4.PresignURL(nil, &sigv4.Presign{
		Method: "PUT", URL: "https://s3.example.com", Path: "/_/uploads/upl_01J9ZZZZZZZZZZZZZZZZZZZZZZ",
		Query:   []sigv4.Param{{Name: "X-Sp-Grant", Value: "g_01J9ZZZZZZZZZZZZZZZZZZZZZZ"}, {Name: "partNumber", Value: "7"}},
		Headers: []sigv4.Param{{Name: "Content-Type", Value: "application/pdf"}, {Name: "x-amz-checksum-sha256", Value: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}},
		Time:    signedAt, Expires: 2 * time.Minute,
	}, testKey())
	if err != nil {
		t.Fatal(err)
	}
	host, path, query := splitURL(t, string(url))
	return &sigv4.Request{Method: []byte("PUT"), Path: []byte(path), Query: []byte(query), Header: fields(
		"Host", host, "Content-Type", "application/pdf",
		"X-Amz-Checksum-Sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")}
}

// Every bit of a signed aws-chunked body counts, the framing and the trailer
// included, but for the case of the hex digits of a chunk's size.
func TestEveryBitOfSignedChunksIsSigned(t *testing.T) {
	for _, kind := range []sigv4.PayloadKind{sigv4.PayloadStreamingSigned, sigv4.PayloadStreamingSignedTrailer} {
		t.Run(kind.String(), func(t *testing.T) {
			object := []byte("twenty-seven bytes of text.")
			body := encodeChunks(t, kind, object, 12, "x-amz-checksum-crc32c", "sOO8/Q==")
			cfg := chunkConfig(kind, object, "x-amz-checksum-crc32c")
			for i := range body {
				for bit := range 8 {
					before := body[i]
					body[i] ^= 1 << bit
					got, err := io.ReadAll(sigv4.NewChunkReader(bytes.NewReader(body), cfg))
					// The only letter in a size is the c of "c;chunk-signature".
					excepted := before == 'c' && body[i] == 'C' && body[i+1] == ';'
					if (err == nil) != excepted {
						t.Errorf("byte %d %q → %q: %v", i, before, body[i], err)
					}
					if err == nil && !bytes.Equal(got, object) {
						t.Errorf("byte %d: other bytes", i)
					}
					body[i] = before
				}
			}
		})
	}
}

func wantCode(t testing.TB, what string, err error, code sigv4.Code) {
	t.Helper()
	if e := asError(err); e == nil || e.Code != code {
		t.Errorf("%s: got %v, want %v", what, err, code)
	}
}

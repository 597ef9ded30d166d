package sigv4_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sallyport/sigv4"
)

const (
	accessKey = "SPEXAMPLE/WITH/SLASHES"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	region    = "eu-central-1"
	day       = "20260304"
)

// signedAt is the moment at which the tests sign and verify.
var signedAt = time.Date(2026, 3, 4, 23, 6, 7, 0, time.UTC)

func clockAt(t time.Time) func() time.Time { return func() time.Time { return t } }

func testKey() *sigv4.SigningKey {
	return sigv4.DeriveKey(accessKey, []byte(secretKey), day, region, "s3")
}

func testVerifier() *sigv4.Verifier {
	return &sigv4.Verifier{Region: region, Now: clockAt(signedAt)}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// fields turns name, value, name, value … into header lines.
func fields(pairs ...string) []sigv4.Field {
	var out []sigv4.Field
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, sigv4.Field{Name: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return out
}

// clone copies a request, so that a test can change one byte of it.
func clone(r *sigv4.Request) *sigv4.Request {
	c := &sigv4.Request{Method: bytes.Clone(r.Method), Path: bytes.Clone(r.Path), Query: bytes.Clone(r.Query)}
	for _, f := range r.Header {
		c.Header = append(c.Header, sigv4.Field{Name: bytes.Clone(f.Name), Value: bytes.Clone(f.Value)})
	}
	return c
}

// verify parses and verifies as a server does: the key is the one that the
// claim names, or none.
func verify(v *sigv4.Verifier, r *sigv4.Request) (*sigv4.Claim, error) {
	c := new(sigv4.Claim)
	if err := sigv4.Parse(r, c); err != nil {
		return c, err
	}
	if err := v.CheckScope(c); err != nil {
		return c, err
	}
	secret := secretKey
	if string(c.AccessKey) != accessKey {
		secret = "the secret of somebody else"
	}
	k := sigv4.DeriveKey(string(c.AccessKey), []byte(secret), string(c.Date), string(c.Region), "s3")
	return c, v.Verify(r, c, k)
}

// wire is what net/http would send of a request: raw path, raw query, headers.
func wire(req *http.Request) *sigv4.Request {
	r := &sigv4.Request{
		Method: []byte(req.Method),
		Path:   []byte(req.URL.EscapedPath()),
		Query:  []byte(req.URL.RawQuery),
		Header: fields("Host", req.Host),
	}
	names := make([]string, 0, len(req.Header))
	for name := range req.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range req.Header[name] {
			r.Header = append(r.Header, fields(name, value)...)
		}
	}
	return r
}

// newRequest makes a request for the oracle; path is decoded, and goes over the
// wire as the SDK's S3 client encodes it.
func newRequest(t testing.TB, method, host, path, query string) *http.Request {
	t.Helper()
	raw := string(sigv4.AppendPath(nil, path))
	u := &url.URL{Scheme: "https", Host: host, Path: path, RawPath: raw, RawQuery: query}
	if u.EscapedPath() != raw {
		t.Fatalf("net/url does not take %q for an encoding of %q", raw, path)
	}
	return &http.Request{Method: method, URL: u, Host: host, Header: http.Header{}}
}

func s3Options(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }

// oracleSign signs with the SDK's signer, in place.
func oracleSign(t testing.TB, req *http.Request, payload string) {
	t.Helper()
	req.Header.Set("X-Amz-Content-Sha256", payload)
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey},
		req, payload, "s3", region, signedAt, s3Options)
	if err != nil {
		t.Fatal(err)
	}
}

// oraclePresign presigns with the SDK's signer and returns the URL and the
// request that a client would send to it.
func oraclePresign(t testing.TB, req *http.Request, expires string) (string, *sigv4.Request) {
	t.Helper()
	query := req.URL.Query()
	query.Set("X-Amz-Expires", expires)
	req.URL.RawQuery = query.Encode()
	signed, header, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey},
		req, "UNSIGNED-PAYLOAD", "s3", region, signedAt, s3Options)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	header.Del("Host")
	return signed, wire(&http.Request{Method: req.Method, URL: u, Host: req.Host, Header: header})
}

// splitURL cuts a signed URL into what a request line and Host header hold of it.
func splitURL(t testing.TB, signed string) (host, path, query string) {
	t.Helper()
	_, rest, ok := strings.Cut(signed, "://")
	at := strings.IndexByte(rest, '/')
	if !ok || at < 0 {
		t.Fatalf("not a URL: %q", signed)
	}
	path, query, _ = strings.Cut(rest[at:], "?")
	return rest[:at], path, query
}

// signByHand signs a canonical request by the book and returns the value of the
// Authorization header, for what neither signer would sign.
func signByHand(signedHeaders, canonical string) string {
	scope := day + "/" + region + "/s3/aws4_request"
	sig := hmacSum(derived(), "AWS4-HMAC-SHA256\n"+signedAt.Format("20060102T150405Z")+"\n"+scope+"\n"+hexSum([]byte(canonical)))
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", accessKey, scope, signedHeaders, sig)
}

// derived is the signing key of the tests, derived by the book.
func derived() []byte {
	key := []byte("AWS4" + secretKey)
	for _, part := range []string{day, region, "s3", "aws4_request"} {
		key = hmacSum(key, part)
	}
	return key
}

func hmacSum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func asError(err error) *sigv4.Error {
	var e *sigv4.Error
	errors.As(err, &e)
	return e
}

// explain shows the canonical request of a mismatch.
func explain(err error) string {
	if e := asError(err); e != nil {
		return e.CanonicalRequest
	}
	return ""
}

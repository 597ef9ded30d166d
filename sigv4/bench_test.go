package sigv4_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sallyport/sigv4"
)

// benchRequest is a PUT as aws-sdk-go-v2 sends it: it signs all but one of its
// 10 header lines, of 500 bytes. botoRequest is a GET as boto3 sends it: 3 of 8.
func benchRequest(b *testing.B) *sigv4.Request {
	req := newRequest(b, "PUT", "s3.example.com:9000", "/photos/2026/03/holiday at the sea.jpg", "x-id=PutObject")
	for name, value := range map[string]string{
		"Content-Type": "image/jpeg", "X-Amz-Meta-Camera": "a", "Amz-Sdk-Invocation-Id": "8f1c2d0e-0000-4000-8000-000000000000",
		"Amz-Sdk-Request": "attempt=1; max=3", "User-Agent": "aws-sdk-go-v2/1.47.7", "Accept-Encoding": "identity",
	} {
		req.Header.Set(name, value)
	}
	oracleSign(b, req, "UNSIGNED-PAYLOAD")
	return wire(req)
}

func botoRequest(b *testing.B) *sigv4.Request {
	req := newRequest(b, "GET", "s3.example.com:9000", "/photos/2026/03/holiday at the sea.jpg", "")
	oracleSign(b, req, hexSum(nil))
	r := wire(req)
	add(r, "User-Agent", "Boto3/1.43.11", "Accept-Encoding", "identity", "amz-sdk-invocation-id", "8f1c2d0e-0000-4000-8000-000000000000", "amz-sdk-request", "attempt=1")
	return r
}

func BenchmarkVerify(b *testing.B) {
	for _, tt := range []struct {
		name string
		r    *sigv4.Request
	}{{"boto", botoRequest(b)}, {"sdk", benchRequest(b)}, {"presigned", presigned(b)}} {
		r := tt.r
		b.Run(tt.name, func(b *testing.B) {
			var cache sigv4.KeyCache
			v := testVerifier()
			secret := func() ([]byte, error) { return []byte(secretKey), nil }
			b.ReportAllocs()
			var c sigv4.Claim
			for b.Loop() {
				if err := sigv4.Parse(r, &c); err != nil {
					b.Fatal(err)
				}
				k, err := cache.Get(c.AccessKey, c.Date, c.Region, 1, secret)
				if err != nil {
					b.Fatal(err)
				}
				if err := v.Verify(r, &c, k); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPresign(b *testing.B) {
	p := &sigv4.Presign{
		Method: "PUT", URL: "https://s3.example.com", Path: "/_/uploads/upl_01J9ZZZZZZZZZZZZZZZZZZZZZZ",
		Query:   []sigv4.Param{{Name: "X-Sp-Grant", Value: "g_01J9ZZZZZZZZZZZZZZZZZZZZZZ"}},
		Headers: []sigv4.Param{{Name: "content-type", Value: "application/pdf"}},
		Time:    signedAt, Expires: 2 * time.Minute,
	}
	k := testKey()
	var url []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if url, err = sigv4.PresignURL(url[:0], p, k); err != nil {
			b.Fatal(err)
		}
	}
}

// What the SDK takes for the same: it has no verifier, but signing again and
// comparing is what those do who verify with it.
func BenchmarkSDK(b *testing.B) {
	credentials := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	signer := v4.NewSigner(s3Options)
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		req := newRequest(b, "PUT", "s3.example.com:9000", "/photos/2026/03/holiday at the sea.jpg", "x-id=PutObject")
		req.Header = http.Header{
			"Content-Type": {"image/jpeg"}, "X-Amz-Meta-Camera": {"a"}, "Amz-Sdk-Invocation-Id": {"8f1c2d0e-0000-4000-8000-000000000000"},
			"Amz-Sdk-Request": {"attempt=1; max=3"}, "User-Agent": {"aws-sdk-go-v2/1.47.7"}, "Accept-Encoding": {"identity"},
			"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"},
		}
		for b.Loop() {
			if err := signer.SignHTTP(context.Background(), credentials, req, "UNSIGNED-PAYLOAD", "s3", region, signedAt); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("presign", func(b *testing.B) {
		b.ReportAllocs()
		req := newRequest(b, "PUT", "s3.example.com", "/_/uploads/upl_01J9ZZZZZZZZZZZZZZZZZZZZZZ", "X-Sp-Grant=g_01J9ZZZZZZZZZZZZZZZZZZZZZZ&X-Amz-Expires=120")
		req.Header.Set("Content-Type", "application/pdf")
		for b.Loop() {
			if _, _, err := signer.PresignHTTP(context.Background(), credentials, req, "UNSIGNED-PAYLOAD", "s3", region, signedAt); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDeriveKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		testKey()
	}
}

func BenchmarkChunkReader(b *testing.B) {
	object := make([]byte, 8<<20)
	for _, kind := range []sigv4.PayloadKind{sigv4.PayloadStreamingSigned, sigv4.PayloadStreamingUnsignedTrailer} {
		b.Run(kind.String(), func(b *testing.B) {
			body := encodeChunks(b, kind, object, 64<<10, "x-amz-checksum-crc32", "AAAAAA==")
			buf := make([]byte, 128<<10)
			b.SetBytes(int64(len(object)))
			b.ReportAllocs()
			for b.Loop() {
				r := sigv4.NewChunkReader(bytes.NewReader(body), chunkConfig(kind, object, "x-amz-checksum-crc32"))
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

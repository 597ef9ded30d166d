//go:build bench && linux

package bench

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sallyport/sigv4"
)

var signedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// benchSigning measures what proving and signing cost, beside the SDK's signer:
// it has no verifier, but signing again is what those do who verify with it.
func benchSigning(t *testing.T, b *bench) {
	b.report.title("Signatures", "                                           ns/op  allocs/op  times faster than the SDK")
	verify := testing.Benchmark(benchVerify)
	sdkSign := testing.Benchmark(benchSDKSign)
	presign := testing.Benchmark(benchPresign)
	sdkPresign := testing.Benchmark(benchSDKPresign)
	for _, r := range []struct {
		name string
		got  testing.BenchmarkResult
		sdk  testing.BenchmarkResult
	}{
		{"verify a signed PUT", verify, sdkSign},
		{"presign a PUT URL", presign, sdkPresign},
		{"aws-sdk-go-v2 sign", sdkSign, sdkSign},
		{"aws-sdk-go-v2 presign", sdkPresign, sdkPresign},
	} {
		if r.got.N == 0 {
			t.Fatalf("%s failed", r.name)
		}
		b.report.printf("  %-38s %8d %10d %10.1f\n", r.name, r.got.NsPerOp(), r.got.AllocsPerOp(),
			float64(r.sdk.NsPerOp())/float64(r.got.NsPerOp()))
	}
	b.report.aim("verify in < 1.5 µs without allocating", verify.NsPerOp() < 1500 && verify.AllocsPerOp() == 0,
		"%d ns, %d allocations", verify.NsPerOp(), verify.AllocsPerOp())
	b.report.aim("presign in < 3 µs", presign.NsPerOp() < 3000, "%d ns", presign.NsPerOp())
}

// sdkHeader is the header of a PUT as aws-sdk-go-v2 sends it.
func sdkHeader() http.Header {
	return http.Header{
		"Content-Type": {"image/jpeg"}, "X-Amz-Meta-Camera": {"a"}, "Amz-Sdk-Invocation-Id": {"8f1c2d0e-0000-4000-8000-000000000000"},
		"Amz-Sdk-Request": {"attempt=1; max=3"}, "User-Agent": {"aws-sdk-go-v2/1.47.7"}, "Accept-Encoding": {"identity"},
		"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"},
	}
}

func sdkRequest(b *testing.B, url string, header http.Header) *http.Request {
	b.Helper()
	r, err := http.NewRequest(http.MethodPut, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header = header
	return r
}

const (
	objectURL = "https://s3.example.com:9000/photos/2026/03/holiday%20at%20the%20sea.jpg?x-id=PutObject"
	uploadURL = "https://s3.example.com/_/uploads/upl_01J9ZZZZZZZZZZZZZZZZZZZZZZ?X-Sp-Grant=g_01J9ZZZZZZZZZZZZZZZZZZZZZZ&X-Amz-Expires=120"
)

func benchSDKSign(b *testing.B) {
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	credentials := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	r := sdkRequest(b, objectURL, sdkHeader())
	b.ReportAllocs()
	for b.Loop() {
		if err := signer.SignHTTP(context.Background(), credentials, r, "UNSIGNED-PAYLOAD", "s3", region, signedAt); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSDKPresign(b *testing.B) {
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	credentials := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	r := sdkRequest(b, uploadURL, http.Header{"Content-Type": {"application/pdf"}})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := signer.PresignHTTP(context.Background(), credentials, r, "UNSIGNED-PAYLOAD", "s3", region, signedAt); err != nil {
			b.Fatal(err)
		}
	}
}

// benchVerify verifies what the SDK signed, as it would come from the wire: the
// SDK leaves User-Agent out of the signature, and the rest is signed.
func benchVerify(b *testing.B) {
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed := sdkRequest(b, objectURL, sdkHeader())
	err := signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey},
		signed, "UNSIGNED-PAYLOAD", "s3", region, signedAt)
	if err != nil {
		b.Fatal(err)
	}
	r := &sigv4.Request{Method: []byte("PUT"), Path: []byte(signed.URL.EscapedPath()), Query: []byte(signed.URL.RawQuery)}
	r.Header = append(r.Header, sigv4.Field{Name: []byte("Host"), Value: []byte(signed.URL.Host)})
	for name, values := range signed.Header {
		r.Header = append(r.Header, sigv4.Field{Name: []byte(name), Value: []byte(values[0])})
	}
	var cache sigv4.KeyCache
	v := sigv4.Verifier{Region: region, Now: func() time.Time { return signedAt }}
	secret := func() ([]byte, error) { return []byte(secretKey), nil }
	var c sigv4.Claim
	b.ReportAllocs()
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
}

func benchPresign(b *testing.B) {
	p := &sigv4.Presign{
		Method: "PUT", URL: "https://s3.example.com", Path: "/_/uploads/upl_01J9ZZZZZZZZZZZZZZZZZZZZZZ",
		Query:   []sigv4.Param{{Name: "X-Sp-Grant", Value: "g_01J9ZZZZZZZZZZZZZZZZZZZZZZ"}},
		Headers: []sigv4.Param{{Name: "content-type", Value: "application/pdf"}},
		Time:    signedAt, Expires: 2 * time.Minute,
	}
	k := sigv4.DeriveKey(accessKey, []byte(secretKey), "20260301", region, "s3")
	var url []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if url, err = sigv4.PresignURL(url[:0], p, k); err != nil {
			b.Fatal(err)
		}
	}
}

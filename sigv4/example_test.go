package sigv4_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/sigv4"
)

// A server parses, finds the key of the claim, and verifies.
func ExampleVerifier_Verify() {
	verifier := &sigv4.Verifier{
		Region: "us-east-1",
		Now:    func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) },
	}
	var keys sigv4.KeyCache

	// The first example of AWS's documentation of header signatures.
	request := &sigv4.Request{
		Method: []byte("GET"),
		Path:   []byte("/test.txt"),
		Header: []sigv4.Field{
			{Name: []byte("Host"), Value: []byte("examplebucket.s3.amazonaws.com")},
			{Name: []byte("Authorization"), Value: []byte("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
				"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")},
			{Name: []byte("Range"), Value: []byte("bytes=0-9")},
			{Name: []byte("x-amz-content-sha256"), Value: []byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")},
			{Name: []byte("x-amz-date"), Value: []byte("20130524T000000Z")},
		},
	}

	var claim sigv4.Claim
	if err := sigv4.Parse(request, &claim); err != nil {
		fmt.Println(err)
		return
	}
	if err := verifier.CheckScope(&claim); err != nil { // before a key is derived
		fmt.Println(err)
		return
	}
	key, err := keys.Get(claim.AccessKey, claim.Date, claim.Region, 1, func() ([]byte, error) {
		return []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), nil // from the ledger
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verifier.Verify(request, &claim, key))

	request.Path = []byte("/other.txt")
	err = verifier.Verify(request, &claim, key)
	fmt.Println(errors.Is(err, sigv4.SignatureMismatch), err)
	// Output:
	// <nil>
	// true sigv4: signature does not match
}

// AWS's example of a presigned URL.
func ExamplePresignURL() {
	key := sigv4.DeriveKey("AKIAIOSFODNN7EXAMPLE", []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "20130524", "us-east-1", "s3")
	url, err := sigv4.PresignURL(nil, &sigv4.Presign{
		Method:  "GET",
		URL:     "https://examplebucket.s3.amazonaws.com",
		Path:    string(sigv4.AppendPath(nil, "/test.txt")),
		Time:    time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC),
		Expires: 24 * time.Hour,
	}, key)
	fmt.Println(strings.ReplaceAll(string(url), "&", "\n&"), err)
	// Output:
	// https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256
	// &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request
	// &X-Amz-Date=20130524T000000Z
	// &X-Amz-Expires=86400
	// &X-Amz-SignedHeaders=host
	// &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 <nil>
}

// A client signs the headers it sends. This is AWS's example of GET Bucket
// Lifecycle.
func ExampleSignHeader() {
	key := sigv4.DeriveKey("AKIAIOSFODNN7EXAMPLE", []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "20130524", "us-east-1", "s3")
	request := &sigv4.Request{
		Method: []byte("GET"),
		Path:   []byte("/"),
		Query:  []byte("lifecycle"),
		Header: []sigv4.Field{
			{Name: []byte("Host"), Value: []byte("examplebucket.s3.amazonaws.com")},
			{Name: []byte("X-Amz-Date"), Value: []byte("20130524T000000Z")},
			{Name: []byte("X-Amz-Content-Sha256"), Value: []byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")},
		},
	}
	value, err := sigv4.SignHeader(nil, request, key)
	fmt.Println(strings.ReplaceAll(string(value), ", ", ",\n"), err)
	// Output:
	// AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,
	// SignedHeaders=host;x-amz-content-sha256;x-amz-date,
	// Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543 <nil>
}

// The two ways to write a key that holds a slash, a space and a plus.
func ExampleAppendPath() {
	fmt.Println(string(sigv4.AppendPath(nil, "/photos/a b+c.jpg")))
	fmt.Println(sigv4.EncodeComponent("photos/a b+c.jpg"))
	// Output:
	// /photos/a%20b%2Bc.jpg
	// photos%2Fa%20b%2Bc.jpg
}

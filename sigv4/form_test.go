package sigv4_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/sigv4"
)

// awsPolicy is the example of
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html.
const (
	awsPolicy    = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
	awsSignature = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
)

// signedForm is a form of the test key.
func signedForm(policy string) *sigv4.Form {
	return &sigv4.Form{
		Policy: []byte(policy), Algorithm: []byte("AWS4-HMAC-SHA256"), Date: []byte("20260304T230607Z"),
		Credential: []byte(accessKey + "/" + day + "/" + region + "/s3/aws4_request"),
		Signature:  sigv4.SignPolicy(nil, policy, testKey()),
	}
}

// verifyForm proves a form as a server does.
func verifyForm(v *sigv4.Verifier, f *sigv4.Form, k *sigv4.SigningKey, expiration time.Time) error {
	var c sigv4.Claim
	if err := sigv4.ParseForm(f, &c); err != nil {
		return err
	}
	if err := v.CheckScope(&c); err != nil {
		return err
	}
	if err := v.CheckForm(f, &c, k); err != nil {
		return err
	}
	return v.CheckPolicyTime(&c, expiration)
}

func TestFormOfAWS(t *testing.T) {
	f := &sigv4.Form{
		Policy: []byte(awsPolicy), Algorithm: []byte("AWS4-HMAC-SHA256"), Date: []byte("20151229T000000Z"),
		Credential: []byte("AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"), Signature: []byte(awsSignature),
	}
	now := time.Date(2015, 12, 30, 11, 59, 59, 0, time.UTC)
	v := &sigv4.Verifier{Region: "us-east-1", Now: clockAt(now)}
	k := sigv4.DeriveKey("AKIAIOSFODNN7EXAMPLE", []byte(secretKey), "20151229", "us-east-1", "s3")
	if err := verifyForm(v, f, k, time.Date(2015, 12, 30, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	for i := range awsPolicy {
		changed := bytes.Clone(f.Policy)
		changed[i] ^= 1
		g := *f
		g.Policy = changed
		if err := verifyForm(v, &g, k, now.Add(time.Minute)); !errors.Is(err, sigv4.SignatureMismatch) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

func TestFormRefusals(t *testing.T) {
	end := signedAt.Add(10 * time.Minute)
	for _, test := range []struct {
		name   string
		change func(*sigv4.Form)
		now    time.Time // zero: when it was signed
		end    time.Time // zero: ten minutes later
		want   error     // nil: proved
	}{
		{name: "proved", change: func(*sigv4.Form) {}},
		{name: "nothing", change: func(f *sigv4.Form) { *f = sigv4.Form{} }, want: sigv4.MissingAuth},
		{name: "no policy", change: func(f *sigv4.Form) { f.Policy = nil }, want: sigv4.MalformedAuth},
		{name: "no algorithm", change: func(f *sigv4.Form) { f.Algorithm = nil }, want: sigv4.MalformedAuth},
		{name: "no credential", change: func(f *sigv4.Form) { f.Credential = nil }, want: sigv4.MalformedAuth},
		{name: "no date", change: func(f *sigv4.Form) { f.Date = nil }, want: sigv4.MalformedAuth},
		{name: "no signature", change: func(f *sigv4.Form) { f.Signature = nil }, want: sigv4.MalformedAuth},
		{name: "long signature", change: func(f *sigv4.Form) { f.Signature = bytes.Repeat([]byte("0"), 129) }, want: sigv4.MalformedAuth},
		{name: "ecdsa", change: func(f *sigv4.Form) { f.Algorithm = []byte("AWS4-ECDSA-P256-SHA256") }, want: sigv4.AsymmetricNotImplemented},
		{name: "version 2", change: func(f *sigv4.Form) { f.Algorithm = []byte("HMAC-SHA1") }, want: sigv4.UnsupportedAuth},
		{name: "half a credential", change: func(f *sigv4.Form) { f.Credential = []byte("AK/20260304/s3/aws4_request") }, want: sigv4.MalformedCredential},
		{name: "another region", change: func(f *sigv4.Form) { f.Credential = []byte(accessKey + "/" + day + "/us-east-1/s3/aws4_request") }, want: sigv4.WrongRegion},
		{name: "another service", change: func(f *sigv4.Form) { f.Credential = []byte(accessKey + "/" + day + "/" + region + "/sts/aws4_request") }, want: sigv4.WrongService},
		{name: "bad date", change: func(f *sigv4.Form) { f.Date = []byte("2026-03-04") }, want: sigv4.InvalidDate},
		{name: "another day", change: func(f *sigv4.Form) { f.Date = []byte("20260305T000000Z") }, want: sigv4.InvalidDate},
		{name: "another policy", change: func(f *sigv4.Form) { f.Policy = []byte("e30") }, want: sigv4.SignatureMismatch},
		{name: "upper-case signature", change: func(f *sigv4.Form) { f.Signature = bytes.ToUpper(f.Signature) }, want: sigv4.SignatureMismatch},
		{name: "short signature", change: func(f *sigv4.Form) { f.Signature = f.Signature[:63] }, want: sigv4.SignatureMismatch},
		{name: "last moment", change: func(*sigv4.Form) {}, now: end},
		{name: "expired", change: func(*sigv4.Form) {}, now: end.Add(time.Second), want: sigv4.Expired},
		{name: "expired before it was signed", change: func(*sigv4.Form) {}, end: signedAt.Add(-time.Second), want: sigv4.Expired},
		{name: "of the future", change: func(*sigv4.Form) {}, now: signedAt.Add(-16 * time.Minute), want: sigv4.NotYetValid},
		{name: "as long as allowed", change: func(*sigv4.Form) {}, end: signedAt.Add(time.Hour)},
		{name: "longer", change: func(*sigv4.Form) {}, end: signedAt.Add(time.Hour + time.Second), want: sigv4.ExpiresTooLong},
		// Waiting does not make it shorter.
		{name: "longer, late", change: func(*sigv4.Form) {}, now: signedAt.Add(24 * time.Hour), end: signedAt.Add(24*time.Hour + time.Minute), want: sigv4.ExpiresTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := signedForm("eyJjb25kaXRpb25zIjpbXX0=")
			test.change(f)
			if test.now.IsZero() {
				test.now = signedAt
			}
			if test.end.IsZero() {
				test.end = end
			}
			v := &sigv4.Verifier{Region: region, Now: clockAt(test.now), MaxExpires: time.Hour}
			err := verifyForm(v, f, testKey(), test.end)
			if !errors.Is(err, test.want) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if err != nil && (asError(err) == nil || strings.Contains(err.Error(), accessKey)) {
				t.Errorf("refusal: %v", err)
			}
		})
	}
}

// TestFormIsNoRequest: what proves a form proves nothing else.
func TestFormIsNoRequest(t *testing.T) {
	f := signedForm("e30=")
	var c sigv4.Claim
	if err := sigv4.ParseForm(f, &c); err != nil {
		t.Fatal(err)
	}
	v := testVerifier()
	if err := v.CheckTime(&c); !errors.Is(err, sigv4.MissingAuth) {
		t.Errorf("time of a form without its policy: %v", err)
	}
	r := headerSigned(t)
	if err := v.CheckSignature(r, &c, testKey()); err == nil {
		t.Error("a form's claim proves a request")
	}
	if err := sigv4.Parse(r, &c); err != nil {
		t.Fatal(err)
	}
	if err := v.CheckForm(f, &c, testKey()); !errors.Is(err, sigv4.MissingAuth) {
		t.Errorf("a request's claim proves a form: %v", err)
	}
	if err := v.CheckPolicyTime(&c, signedAt.Add(time.Minute)); !errors.Is(err, sigv4.MissingAuth) {
		t.Errorf("a request has a policy's time: %v", err)
	}
}

// FuzzForm: no fields make ParseForm panic or leave a claim that does not fit
// together, and none verify without the key.
func FuzzForm(f *testing.F) {
	s := signedForm("e30=")
	f.Add(string(s.Policy), string(s.Algorithm), string(s.Credential), string(s.Date), string(s.Signature))
	f.Add(awsPolicy, "AWS4-HMAC-SHA256", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request", "20151229T000000Z", awsSignature)
	f.Add("", "", "", "", "")
	f.Add("x", "AWS4-HMAC-SHA256", "////", "20260231T000000Z", "0")
	f.Fuzz(func(t *testing.T, policy, algorithm, credential, date, signature string) {
		form := &sigv4.Form{Policy: []byte(policy), Algorithm: []byte(algorithm), Credential: []byte(credential), Date: []byte(date), Signature: []byte(signature)}
		var c sigv4.Claim
		if err := sigv4.ParseForm(form, &c); err != nil {
			if asError(err) == nil {
				t.Fatalf("not a typed error: %v", err)
			}
			return
		}
		if c.Kind == sigv4.Anonymous {
			return
		}
		if c.Kind != sigv4.FormAuth || len(c.AccessKey) == 0 || len(c.Region) == 0 || c.Time.UTC().Format("20060102") != string(c.Date) {
			t.Errorf("claim %s of %q", c.String(), credential)
		}
		k := sigv4.DeriveKey("x", []byte("the fuzzer does not know it"), string(c.Date), string(c.Region), string(c.Service))
		v := &sigv4.Verifier{Region: string(c.Region), Service: string(c.Service), Now: clockAt(c.Time)}
		if v.CheckForm(form, &c, k) == nil {
			t.Errorf("verifies: %q", policy)
		}
	})
}

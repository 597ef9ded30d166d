package sigv4_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/sigv4"
)

// headerSigned is a request that verifies; the tables below break it.
func headerSigned(t testing.TB) *sigv4.Request {
	t.Helper()
	req := newRequest(t, "GET", "s3.example.com", "/b/k", "list-type=2")
	oracleSign(t, req, "UNSIGNED-PAYLOAD")
	return wire(req)
}

func header(r *sigv4.Request, name string) *[]byte {
	for i := range r.Header {
		if strings.EqualFold(string(r.Header[i].Name), name) {
			return &r.Header[i].Value
		}
	}
	panic("no header " + name)
}

// edit replaces text in a value and insists that it was there.
func edit(b *[]byte, from, to string) {
	if !bytes.Contains(*b, []byte(from)) {
		panic(fmt.Sprintf("no %q in %q", from, *b))
	}
	*b = bytes.Replace(*b, []byte(from), []byte(to), 1)
}

func add(r *sigv4.Request, pairs ...string) { r.Header = append(r.Header, fields(pairs...)...) }

func remove(r *sigv4.Request, name string) {
	r.Header = slices.DeleteFunc(r.Header, func(f sigv4.Field) bool { return strings.EqualFold(string(f.Name), name) })
}

func TestHeaderSignedRequestsAreRefused(t *testing.T) {
	auth := func(from, to string) func(*sigv4.Request) {
		return func(r *sigv4.Request) { edit(header(r, "authorization"), from, to) }
	}
	for _, tt := range []struct {
		what  string
		code  sigv4.Code
		spoil func(*sigv4.Request)
	}{
		{"bearer", sigv4.UnsupportedAuth, func(r *sigv4.Request) { *header(r, "authorization") = []byte("Bearer abc") }},
		{"empty authorization", sigv4.UnsupportedAuth, func(r *sigv4.Request) { *header(r, "authorization") = nil }},
		{"version 2", sigv4.UnsupportedAuth, func(r *sigv4.Request) { *header(r, "authorization") = []byte("AWS AK:sig") }},
		{"scheme in lower case", sigv4.UnsupportedAuth, auth("AWS4-HMAC", "aws4-hmac")},
		{"scheme runs on", sigv4.UnsupportedAuth, auth("SHA256 ", "SHA256")},
		{"scheme alone", sigv4.UnsupportedAuth, func(r *sigv4.Request) { *header(r, "authorization") = []byte("AWS4-HMAC-SHA256") }},
		{"asymmetric", sigv4.AsymmetricNotImplemented, auth("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")},
		{"twice", sigv4.MultipleAuth, func(r *sigv4.Request) { add(r, "authorization", string(*header(r, "authorization"))) }},
		{"and a bearer", sigv4.MultipleAuth, func(r *sigv4.Request) { add(r, "Authorization", "Bearer abc") }},
		{"and a presigned query", sigv4.MultipleAuth, func(r *sigv4.Request) { r.Query = []byte("X-Amz-Signature=0") }},
		{"no credential", sigv4.MalformedAuth, auth("Credential="+accessKey+"/"+day+"/"+region+"/s3/aws4_request, ", "")},
		{"no signature", sigv4.MalformedAuth, func(r *sigv4.Request) { a := header(r, "authorization"); *a = (*a)[:len(*a)-64-len(", Signature=")] }},
		{"empty signature", sigv4.MalformedAuth, func(r *sigv4.Request) { a := header(r, "authorization"); *a = (*a)[:len(*a)-64] }},
		{"endless signature", sigv4.MalformedAuth, func(r *sigv4.Request) { a := header(r, "authorization"); *a = append(*a, strings.Repeat("0", 99)...) }},
		{"unknown part", sigv4.MalformedAuth, auth(", Signature", ", Extra=1, Signature")},
		{"part without value", sigv4.MalformedAuth, auth(", Signature", ", Extra, Signature")},
		{"comma at the end", sigv4.MalformedAuth, func(r *sigv4.Request) { a := header(r, "authorization"); *a = append(*a, ',') }},
		{"part twice", sigv4.DuplicateAuthParam, auth(", Signature", ", SignedHeaders=host, Signature")},
		{"headers unsorted", sigv4.MalformedAuth, auth("host;x-amz-content-sha256;x-amz-date", "host;x-amz-date;x-amz-content-sha256")},
		{"header twice", sigv4.MalformedAuth, auth("SignedHeaders=host", "SignedHeaders=host;host")},
		{"header in capitals", sigv4.MalformedAuth, auth("SignedHeaders=host", "SignedHeaders=Host")},
		{"header without name", sigv4.MalformedAuth, auth("SignedHeaders=host", "SignedHeaders=;host")},
		{"header with space", sigv4.MalformedAuth, auth("SignedHeaders=host", "SignedHeaders=a b;host")},
		{"too many headers", sigv4.MalformedAuth, func(r *sigv4.Request) {
			var names strings.Builder
			for i := range 513 {
				fmt.Fprintf(&names, "a%03d;", i)
			}
			edit(header(r, "authorization"), "SignedHeaders=", "SignedHeaders="+names.String())
		}},
		{"four parts", sigv4.MalformedCredential, auth(accessKey+"/"+day, day)},
		{"too few parts", sigv4.MalformedCredential, auth(accessKey+"/"+day+"/"+region+"/", "")},
		{"empty key", sigv4.MalformedCredential, auth(accessKey, "")},
		{"long key", sigv4.MalformedCredential, auth(accessKey, strings.Repeat("A", 129))},
		{"empty region", sigv4.MalformedCredential, auth(region, "")},
		{"short date", sigv4.MalformedCredential, auth(day, day[:7])},
		{"other terminator", sigv4.MalformedCredential, auth("aws4_request", "aws5_request")},
		{"other region", sigv4.WrongRegion, auth(region, "us-east-1")},
		{"other service", sigv4.WrongService, auth("/s3/", "/sts/")},
		{"no date", sigv4.InvalidDate, func(r *sigv4.Request) { remove(r, "x-amz-date") }},
		{"empty date", sigv4.InvalidDate, func(r *sigv4.Request) { *header(r, "x-amz-date") = nil }},
		{"31 February", sigv4.InvalidDate, func(r *sigv4.Request) { *header(r, "x-amz-date") = []byte("20260231T000000Z") }},
		{"hour 24", sigv4.InvalidDate, func(r *sigv4.Request) { *header(r, "x-amz-date") = []byte("20260304T240000Z") }},
		{"date in words", sigv4.InvalidDate, func(r *sigv4.Request) { remove(r, "x-amz-date"); add(r, "Date", "yesterday") }},
		{"credential of another day", sigv4.InvalidDate, auth(day, "20260303")},
		{"hash of no kind", sigv4.InvalidContentSHA256, func(r *sigv4.Request) { *header(r, "x-amz-content-sha256") = []byte("abc") }},
		{"hash of no hex", sigv4.InvalidContentSHA256, func(r *sigv4.Request) { *header(r, "x-amz-content-sha256") = bytes.Repeat([]byte("g"), 64) }},
		{"asymmetric payload", sigv4.AsymmetricNotImplemented, func(r *sigv4.Request) {
			*header(r, "x-amz-content-sha256") = []byte("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
		}},
		{"no hash", sigv4.MissingContentSHA256, func(r *sigv4.Request) { remove(r, "x-amz-content-sha256") }},
		{"broken escape", sigv4.MalformedQuery, func(r *sigv4.Request) { r.Query = []byte("a=%2") }},
		{"broken escape of a name", sigv4.MalformedQuery, func(r *sigv4.Request) { r.Query = []byte("%zz") }},
		{"parameter added", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Query = []byte("list-type=2&x=") }},
		{"parameter doubled", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Query = []byte("list-type=2&list-type=2") }},
		{"escape in lower case", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Path = []byte("/%62/k"); /* b: undone */ r.Query = []byte("list%2dtype=2") }},
		{"dot segment", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Path = []byte("/b/./k") }},
		{"double slash", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Path = []byte("/b//k") }},
		{"escaped slash", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Path = []byte("/b%2Fk") }},
		{"signature in capitals", sigv4.SignatureMismatch, func(r *sigv4.Request) {
			a := header(r, "authorization")
			*a = append((*a)[:len(*a)-64], bytes.ToUpper((*a)[len(*a)-64:])...)
		}},
		{"signature cut", sigv4.SignatureMismatch, func(r *sigv4.Request) { a := header(r, "authorization"); *a = (*a)[:len(*a)-1] }},
		{"other access key", sigv4.SignatureMismatch, auth(accessKey, "SPSOMEBODYELSE")},
		{"other host", sigv4.SignatureMismatch, func(r *sigv4.Request) { *header(r, "host") = []byte("s3.example.org") }},
		{"signed header absent", sigv4.SignatureMismatch, auth("SignedHeaders=host", "SignedHeaders=a;host")},
		{"second host", sigv4.HeadersNotSigned, func(r *sigv4.Request) { add(r, "host", "s3.example.com") }},
		{"host not signed", sigv4.HeadersNotSigned, auth("SignedHeaders=host;", "SignedHeaders=")},
		{"x-amz header not signed", sigv4.HeadersNotSigned, func(r *sigv4.Request) { add(r, "X-AMZ-Acl", "public-read") }},
		{"second line of a signed header", sigv4.SignatureMismatch, func(r *sigv4.Request) { add(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD") }},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r := headerSigned(t)
			if _, err := verify(testVerifier(), r); err != nil {
				t.Fatalf("unspoilt: %v", err)
			}
			tt.spoil(r)
			_, err := verify(testVerifier(), r)
			wantCode(t, "verify", err, tt.code)
			checkSilent(t, err, r)
		})
	}
}

// checkSilent checks that an error's text holds nothing the client sent.
func checkSilent(t *testing.T, err error, r *sigv4.Request) {
	t.Helper()
	var c sigv4.Claim
	_ = sigv4.Parse(r, &c) // however far it comes
	for _, secret := range []string{string(c.Signature), secretKey, accessKey} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("error %q holds %q", err, secret)
		}
		if e := asError(err); secret != "" && secret == string(c.Signature) && strings.Contains(e.CanonicalRequest+e.StringToSign, secret) {
			t.Errorf("canonical request holds the signature")
		}
	}
}

func TestPresignedRequestsAreRefused(t *testing.T) {
	query := func(from, to string) func(*sigv4.Request) {
		return func(r *sigv4.Request) { edit(&r.Query, from, to) }
	}
	cutParam := func(name string) func(*sigv4.Request) {
		return func(r *sigv4.Request) {
			parts := strings.Split(string(r.Query), "&")
			parts = slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, name+"=") })
			r.Query = []byte(strings.Join(parts, "&"))
		}
	}
	for _, tt := range []struct {
		what  string
		code  sigv4.Code
		spoil func(*sigv4.Request)
	}{
		{"no algorithm", sigv4.UnsupportedAuth, cutParam("X-Amz-Algorithm")},
		{"other algorithm", sigv4.UnsupportedAuth, query("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512")},
		{"asymmetric", sigv4.AsymmetricNotImplemented, query("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")},
		{"no credential", sigv4.MalformedAuth, cutParam("X-Amz-Credential")},
		{"no date", sigv4.MalformedAuth, cutParam("X-Amz-Date")},
		{"no expires", sigv4.MalformedAuth, cutParam("X-Amz-Expires")},
		{"no signed headers", sigv4.MalformedAuth, cutParam("X-Amz-SignedHeaders")},
		{"no signature", sigv4.MalformedAuth, cutParam("X-Amz-Signature")},
		{"signature twice", sigv4.DuplicateAuthParam, func(r *sigv4.Request) { r.Query = append(r.Query, "&X-Amz-Signature=0"...) }},
		{"expires twice, escaped", sigv4.DuplicateAuthParam, func(r *sigv4.Request) { r.Query = append(r.Query, "&X%2dAmz%2DExpires=9"...) }},
		{"expires 0", sigv4.InvalidExpires, query("Expires=120", "Expires=0")},
		{"expires negative", sigv4.InvalidExpires, query("Expires=120", "Expires=-1")},
		{"expires in words", sigv4.InvalidExpires, query("Expires=120", "Expires=2m")},
		{"expires empty", sigv4.InvalidExpires, query("Expires=120", "Expires=")},
		{"expires beyond 7 days", sigv4.InvalidExpires, query("Expires=120", "Expires=604801")},
		{"expires of many digits", sigv4.InvalidExpires, query("Expires=120", "Expires=18446744073709551617")},
		{"expires changed", sigv4.SignatureMismatch, query("Expires=120", "Expires=121")},
		{"grant changed", sigv4.SignatureMismatch, query("Grant=g_", "Grant=h_")},
		{"grant added", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Query = append([]byte("X-Sp-Grant=g_2&"), r.Query...) }},
		{"header changed", sigv4.SignatureMismatch, func(r *sigv4.Request) { *header(r, "content-type") = []byte("text/html") }},
		{"header left out", sigv4.SignatureMismatch, func(r *sigv4.Request) { remove(r, "content-type") }},
		{"header added", sigv4.HeadersNotSigned, func(r *sigv4.Request) { add(r, "x-amz-acl", "public-read", "X-Amz-Acl", "private", "x-amz-a", "") }},
		{"method changed", sigv4.SignatureMismatch, func(r *sigv4.Request) { r.Method = []byte("HEAD") }},
		{"hash outside the signature", sigv4.SignatureMismatch, func(r *sigv4.Request) { add(r, "x-amz-content-sha256", hexSum(nil)) }},
		{"trailer outside the signature", sigv4.SignatureMismatch, func(r *sigv4.Request) {
			add(r, "x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		}},
		{"AWS authorization beside", sigv4.MultipleAuth, func(r *sigv4.Request) { add(r, "Authorization", "AWS4-HMAC-SHA256 Credential=x") }},
		{"AWS authorization behind a bearer", sigv4.MultipleAuth, func(r *sigv4.Request) { add(r, "Authorization", "Bearer x", "Authorization", "AWS x:y") }},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r := presigned(t)
			tt.spoil(r)
			_, err := verify(testVerifier(), r)
			wantCode(t, "verify", err, tt.code)
			checkSilent(t, err, r)
			if e := asError(err); tt.what == "header added" && !slices.Equal(e.Headers, []string{"x-amz-a", "x-amz-acl"}) {
				t.Errorf("headers %q", e.Headers)
			}
		})
	}
	t.Run("two hashes", func(t *testing.T) {
		req := newRequest(t, "PUT", "s3.example.com", "/b/k", "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD")
		_, r := oraclePresign(t, req, "60")
		if _, err := verify(testVerifier(), r); err != nil {
			t.Fatal(err)
		}
		add(r, "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		_, err := verify(testVerifier(), r)
		wantCode(t, "verify", err, sigv4.HeadersNotSigned)
	})
}

func TestTime(t *testing.T) {
	const skew = 15 * time.Minute                          // the default
	headerForm, queryForm := headerSigned(t), presigned(t) // the latter for 120 s
	for _, tt := range []struct {
		what string
		r    *sigv4.Request
		now  time.Duration // from the signing
		skew time.Duration
		max  time.Duration
		code sigv4.Code // 0: verifies
	}{
		{what: "header, at the end", r: headerForm, now: skew},
		{what: "header, too old", r: headerForm, now: skew + time.Second, code: sigv4.RequestTimeTooSkewed},
		{what: "header, at the start", r: headerForm, now: -skew},
		{what: "header, too new", r: headerForm, now: -skew - time.Second, code: sigv4.RequestTimeTooSkewed},
		{what: "header, own skew", r: headerForm, now: 2 * time.Second, skew: time.Second, code: sigv4.RequestTimeTooSkewed},
		{what: "query, at the end", r: queryForm, now: 120 * time.Second},
		{what: "query, expired", r: queryForm, now: 120*time.Second + 1, code: sigv4.Expired},
		{what: "query, at the start", r: queryForm, now: -skew},
		{what: "query, of the future", r: queryForm, now: -skew - time.Second, code: sigv4.NotYetValid},
		{what: "query, years ahead", r: queryForm, now: -3 * 365 * 24 * time.Hour, code: sigv4.NotYetValid},
		{what: "query, allowed lifetime", r: queryForm, max: 2 * time.Minute},
		{what: "query, lives too long", r: queryForm, max: 2*time.Minute - 1, code: sigv4.ExpiresTooLong},
	} {
		t.Run(tt.what, func(t *testing.T) {
			now := signedAt.Add(tt.now)
			v := &sigv4.Verifier{Region: region, Now: clockAt(now), MaxSkew: tt.skew, MaxExpires: tt.max}
			_, err := verify(v, tt.r)
			if tt.code == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantCode(t, "verify", err, tt.code)
			e := asError(err)
			switch tt.code {
			case sigv4.RequestTimeTooSkewed, sigv4.NotYetValid:
				if !e.RequestTime.Equal(signedAt) || !e.ServerTime.Equal(now) || e.Max == 0 {
					t.Errorf("times %v %v %v", e.RequestTime, e.ServerTime, e.Max)
				}
			case sigv4.Expired:
				if !e.Expires.Equal(signedAt.Add(2*time.Minute)) || !e.ServerTime.Equal(now) {
					t.Errorf("times %v %v", e.Expires, e.ServerTime)
				}
			}
			// Under its own order, the signature can still be judged first.
			var c sigv4.Claim
			if err := sigv4.Parse(tt.r, &c); err != nil {
				t.Fatal(err)
			}
			if err := v.CheckSignature(tt.r, &c, testKey()); err != nil {
				t.Errorf("signature: %v", err)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	r := &sigv4.Request{Method: []byte("GET"), Path: []byte("/"), Query: []byte("X-Amz-Date=1&X-Amz-Expires=2"), Header: fields("Host", "h")}
	c, err := verify(testVerifier(), r)
	wantCode(t, "verify", err, sigv4.MissingAuth)
	wantCode(t, "time", testVerifier().CheckTime(c), sigv4.MissingAuth)
	wantCode(t, "signature", testVerifier().CheckSignature(r, c, testKey()), sigv4.MissingAuth)
	if c.Kind != sigv4.Anonymous || c.String() != "anonymous" {
		t.Errorf("claim is %v", c)
	}
	r.Query = []byte("AWSAccessKeyId=AK&Signature=x&Expires=1")
	_, err = verify(testVerifier(), r)
	wantCode(t, "version 2", err, sigv4.UnsupportedAuth)
}

func TestErrorsSayTheirClass(t *testing.T) {
	r := headerSigned(t)
	edit(header(r, "authorization"), region, "us-east-1")
	_, err := verify(testVerifier(), r)
	if !errors.Is(err, sigv4.WrongRegion) || errors.Is(err, sigv4.WrongService) {
		t.Errorf("errors.Is is wrong about %v", err)
	}
	if e := asError(err); e.Want != region || e.Got != "us-east-1" {
		t.Errorf("want %q, got %q", e.Want, e.Got)
	}
	seen := make(map[string]sigv4.Code)
	for code := sigv4.MissingAuth; code <= sigv4.KeyUnavailable; code++ {
		text := code.Error()
		if other, ok := seen[text]; ok || text == "sigv4: " || strings.Contains(text, "unknown") {
			t.Errorf("code %d says %q, as does %d", code, text, other)
		}
		seen[text] = code
	}
	if text := (sigv4.KeyUnavailable + 1).Error(); !strings.Contains(text, "unknown") {
		t.Errorf("a code was added behind the last: %s", text)
	}
}

package sigv4_test

import (
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/sigv4"
)

// The generators lean to what breaks canonicalisation.
var (
	pathBits = []string{"a", "B", "9", "/", "//", "/./", "/../", "..", " ", "+", "%", "%2F", "%2f", "%41", "~", "!", "'", "(", ")", "*",
		"$", "&", ",", ":", ";", "=", "@", "?", "#", "[", "]", "|", "\\", "\"", "<", ">", "{", "}", "^", "`", "é", "日本", "\U0001F600", "\x01", "\x7f", "\xff"}
	valueBits = []string{"a", "B", "9", "/", " ", "+", "%", "%2F", "%7E", "~", "!", "'", "(", ")", "*", "$", "&", ",", ":", ";", "=", "@", "?", "#",
		"é", "日本", "\U0001F600", "\x00", "\r\n", "\xff"}
	headerBits = []string{"a", "B", "9", "  ", "   ", " ", ",", ";", "=", ":", "%20", "+", "é", "日本", "\"", "a\tb"}
)

func random(rng *rand.Rand, bits []string, most int) string {
	var b strings.Builder
	for range rng.IntN(most + 1) {
		b.WriteString(bits[rng.IntN(len(bits))])
	}
	return b.String()
}

// randomQuery writes a raw query whose encoding is not the canonical one.
func randomQuery(rng *rand.Rand) string {
	var parts []string
	for range rng.IntN(6) {
		name := "n" + random(rng, valueBits, 2)
		if rng.IntN(4) == 0 {
			name = "same"
		}
		switch rng.IntN(4) {
		case 0:
			parts = append(parts, sigv4.EncodeComponent(name))
		case 1:
			parts = append(parts, sigv4.EncodeComponent(name)+"=")
		case 2:
			parts = append(parts, sigv4.EncodeComponent(name)+"=a+b/c:d")
		default:
			parts = append(parts, sigv4.EncodeComponent(name)+"="+sigv4.EncodeComponent(random(rng, valueBits, 5)))
		}
	}
	return strings.Join(parts, "&")
}

func randomHeader(rng *rand.Rand) http.Header {
	h := http.Header{}
	names := []string{"X-Amz-Meta-A", "X-Amz-Meta-B", "X-Amz-Meta-A-B", "Content-Type", "Cache-Control", "X-Amz-Acl", "Range", "X-Other"}
	for range rng.IntN(6) {
		// The SDK trims Unicode spaces too, so the ends are plain.
		h.Add(names[rng.IntN(len(names))], random(rng, headerBits, 5)+"z"+strings.Repeat(" ", rng.IntN(3)))
	}
	if rng.IntN(5) == 0 {
		h.Set("X-Amz-Meta-Empty", "")
	}
	return h
}

func TestHeaderSignaturesOfTheSDK(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	v := testVerifier()
	for i := range 1000 {
		req := newRequest(t, "PUT", "s3.example.com:9000", "/b/"+random(rng, pathBits, 8), randomQuery(rng))
		req.Header = randomHeader(rng)
		req.ContentLength = int64(rng.IntN(3))
		if req.ContentLength > 0 {
			req.Header.Set("Content-Length", strconv.FormatInt(req.ContentLength, 10))
		}
		sent := req.URL.RawQuery // SignHTTP writes the canonical one in its place
		payload := "UNSIGNED-PAYLOAD"
		if i%2 == 0 {
			payload = hexSum([]byte("body"))
		}
		oracleSign(t, req, payload)

		r := wire(req)
		for _, query := range []string{string(r.Query), sent} {
			r.Query = []byte(query)
			if c, err := verify(v, r); err != nil {
				t.Fatalf("request %d: %v\npath  %q\nquery %q\nheader %q\n%v", i, err, r.Path, r.Query, r.Header, explain(err))
			} else if string(c.AccessKey) != accessKey || string(c.Host) != req.Host {
				t.Fatalf("request %d: access key %q, host %q", i, c.AccessKey, c.Host)
			}
		}

		// The same lines in our hands give the same Authorization value.
		mine := clone(r)
		var want string
		mine.Header = slices.DeleteFunc(mine.Header, func(f sigv4.Field) bool {
			if string(f.Name) == "Authorization" {
				want = string(f.Value)
			}
			return string(f.Name) == "Authorization"
		})
		got, err := sigv4.SignHeader(nil, mine, testKey())
		if err != nil || string(got) != want {
			t.Fatalf("request %d: SignHeader gives %q, %v; the SDK %q", i, got, err, want)
		}
	}
}

func TestPresignedURLsOfTheSDK(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	v := testVerifier()
	for i := range 1000 {
		req := newRequest(t, "GET", "s3.example.com", "/b/"+random(rng, pathBits, 8), randomQuery(rng))
		req.Header = randomHeader(rng)
		req.Header.Set("X-Amz-Expected-Bucket-Owner", "the owner/+%") // hoisted, in lower case
		req.Header.Set("X-Amz-Checksum-Mode", "ENABLED")              // hoisted
		_, r := oraclePresign(t, req, "604800")
		c, err := verify(v, r)
		if err != nil {
			t.Fatalf("request %d: %v\npath  %q\nquery %q\nheader %q\n%v", i, err, r.Path, r.Query, r.Header, explain(err))
		}
		for name, want := range map[string]string{"x-amz-expected-bucket-owner": "the owner/+%", "x-amz-checksum-mode": "ENABLED"} {
			if got, ok := c.Value(r, name); !ok || string(got) != want {
				t.Fatalf("request %d: hoisted %s is %q, %v", i, name, got, ok)
			}
		}
		if c.Expires != 7*24*time.Hour || c.Payload != sigv4.PayloadUnsigned {
			t.Fatalf("request %d: expires %v, payload %v", i, c.Expires, c.Payload)
		}
	}
}

func TestPresignURLIsThatOfTheSDK(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	v := testVerifier()
	for i := range 500 {
		path := "/b/" + random(rng, pathBits, 8)
		p := &sigv4.Presign{
			Method: "PUT", URL: "https://s3.example.com:9000", Path: string(sigv4.AppendPath(nil, path)),
			Time: signedAt, Expires: time.Duration(1+rng.IntN(9999)) * time.Second,
		}
		query := map[string][]string{}
		for range rng.IntN(5) {
			name, value := "n"+random(rng, valueBits, 2), random(rng, valueBits, 4)
			p.Query = append(p.Query, sigv4.Param{Name: name, Value: value})
			query[name] = append(query[name], value)
		}
		req := newRequest(t, "PUT", "s3.example.com:9000", path, "")
		values := req.URL.Query()
		for name, vs := range query {
			values[name] = vs
		}
		req.URL.RawQuery = values.Encode()
		for name, vs := range randomHeader(rng) {
			if textproto.CanonicalMIMEHeaderKey(name) == "X-Other" {
				continue
			}
			req.Header[name] = vs
			for _, value := range vs {
				p.Headers = append(p.Headers, sigv4.Param{Name: strings.ToLower(name), Value: value})
			}
		}
		want, r := oraclePresign(t, req, strconv.Itoa(int(p.Expires/time.Second)))
		got, err := sigv4.PresignURL([]byte("x"), p, testKey())
		if err != nil || string(got) != "x"+want {
			t.Fatalf("request %d:\n got %s, %v\nwant %s", i, got, err, want)
		}
		if _, err := verify(v, r); err != nil {
			t.Fatalf("request %d: %v\n%s", i, err, got)
		}
	}
}

package sigv4_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sallyport/sigv4"
)

const seedSignature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"

// encodeChunks is a client: it frames and signs an object the way AWS's
// documentation says, by its own arithmetic. trailer is name, value …
func encodeChunks(t testing.TB, kind sigv4.PayloadKind, object []byte, size int, trailer ...string) []byte {
	t.Helper()
	key := derived()
	head := signedAt.Format("20060102T150405Z") + "\n" + day + "/" + region + "/s3/aws4_request\n"
	previous := seedSignature
	sign := func(first, rest string) string {
		previous = hex.EncodeToString(hmacSum(key, first+"\n"+head+previous+"\n"+rest))
		return previous
	}
	var b bytes.Buffer
	for {
		chunk := object[:min(size, len(object))]
		object = object[len(chunk):]
		fmt.Fprintf(&b, "%x", len(chunk))
		if kind != sigv4.PayloadStreamingUnsignedTrailer {
			b.WriteString(";chunk-signature=" + sign("AWS4-HMAC-SHA256-PAYLOAD", hexSum(nil)+"\n"+hexSum(chunk)))
		}
		b.WriteString("\r\n")
		if len(chunk) == 0 {
			break
		}
		b.Write(chunk)
		b.WriteString("\r\n")
	}
	if kind != sigv4.PayloadStreamingSigned {
		var lines string
		for i := 0; i < len(trailer); i += 2 {
			b.WriteString(trailer[i] + ":" + trailer[i+1] + "\r\n")
			lines += trailer[i] + ":" + trailer[i+1] + "\n"
		}
		if kind == sigv4.PayloadStreamingSignedTrailer {
			b.WriteString("x-amz-trailer-signature:" + sign("AWS4-HMAC-SHA256-TRAILER", hexSum([]byte(lines))) + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func chunkConfig(kind sigv4.PayloadKind, object []byte, trailers ...string) sigv4.ChunkConfig {
	if kind == sigv4.PayloadStreamingSigned {
		trailers = nil
	}
	return sigv4.ChunkConfig{
		Kind: kind, Key: testKey(), Seed: []byte(seedSignature), Time: signedAt,
		DecodedLength: int64(len(object)), Trailers: trailers,
	}
}

// The examples that AWS publishes, with their signatures, from the seed on.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
func TestPublishedStreams(t *testing.T) {
	const (
		id     = "AKIAIOSFODNN7EXAMPLE"
		secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	)
	for _, tt := range []struct {
		name, payload, headers, seed, body string
		extra                              []string
		trailers                           []string
	}{
		{
			name:    "without trailer",
			payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			headers: "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			extra:   []string{"Content-Length", "66824"},
			seed:    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
			body: "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) +
				"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) +
				"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
		},
		{
			name:     "with trailer",
			payload:  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
			headers:  "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			extra:    []string{"X-Amz-Trailer", "x-amz-checksum-crc32c"},
			trailers: []string{"x-amz-checksum-crc32c"},
			seed:     "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			body: "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) +
				"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) +
				"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
				"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
				"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &sigv4.Request{Method: []byte("PUT"), Path: []byte("/examplebucket/chunkObject.txt"), Header: fields(append([]string{
				"Host", "s3.amazonaws.com", "x-amz-date", "20130524T000000Z", "x-amz-storage-class", "REDUCED_REDUNDANCY",
				"Authorization", "AWS4-HMAC-SHA256 Credential=" + id + "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + tt.headers + ",Signature=" + tt.seed,
				"x-amz-content-sha256", tt.payload, "Content-Encoding", "aws-chunked", "x-amz-decoded-content-length", "66560",
			}, tt.extra...)...)}
			at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
			v := &sigv4.Verifier{Region: "us-east-1", Now: clockAt(at)}
			k := sigv4.DeriveKey(id, []byte(secret), "20130524", "us-east-1", "s3")
			var c sigv4.Claim
			if err := sigv4.Parse(r, &c); err != nil {
				t.Fatal(err)
			}
			if err := v.Verify(r, &c, k); err != nil {
				t.Fatalf("%v\n%s", err, explain(err))
			}
			length, err := c.DecodedLength(r)
			if err != nil {
				t.Fatal(err)
			}
			body := sigv4.NewChunkReader(strings.NewReader(tt.body), sigv4.ChunkConfig{
				Kind: c.Payload, Key: k, Seed: c.Signature, Time: c.Time, DecodedLength: length, Trailers: c.TrailerNames(r),
			})
			got, err := io.ReadAll(body)
			if err != nil || string(got) != strings.Repeat("a", 66560) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			for i, f := range body.Trailers() {
				if string(f.Name) != tt.trailers[i] || string(f.Value) != "sOO8/Q==" {
					t.Errorf("trailer %q: %q", f.Name, f.Value)
				}
			}
			if len(body.Trailers()) != len(tt.trailers) {
				t.Errorf("trailers %q", body.Trailers())
			}
		})
	}
}

func TestChunksAreRefused(t *testing.T) {
	const signed, trailed, unsigned = sigv4.PayloadStreamingSigned, sigv4.PayloadStreamingSignedTrailer, sigv4.PayloadStreamingUnsignedTrailer
	object := []byte("0123456789abcdefghij")
	const name, value = "x-amz-checksum-crc32", "AAAAAA=="
	cut := func(n int) func(string) string { return func(s string) string { return s[:len(s)-n] } }
	replace := func(from, to string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, from) {
				panic("no " + from + " in " + s)
			}
			return strings.Replace(s, from, to, 1)
		}
	}
	whole := func(body string) func(string) string { return func(string) string { return body } }
	same := func(s string) string { return s }
	for _, tt := range []struct {
		what   string
		kind   sigv4.PayloadKind
		change func(string) string
		length int64
		names  []string
		code   sigv4.Code
	}{
		{"nothing at all", signed, whole(""), 20, nil, sigv4.IncompleteBody},
		{"no last line end", signed, cut(2), 20, nil, sigv4.IncompleteBody},
		{"half a last line end", signed, cut(1), 20, nil, sigv4.IncompleteBody},
		{"no final chunk", unsigned, whole("14\r\n0123456789abcdefghij\r\n"), 20, nil, sigv4.IncompleteBody},
		{"ends in a chunk", unsigned, whole("14\r\n01234"), 20, nil, sigv4.IncompleteBody},
		{"ends in a header", unsigned, whole("1"), 20, nil, sigv4.IncompleteBody},
		{"no end of trailer", trailed, cut(2), 20, []string{name}, sigv4.IncompleteBody},
		{"bytes after the end", signed, func(s string) string { return s + "x" }, 20, nil, sigv4.ChunkMalformed},
		{"empty size", unsigned, whole("\r\n\r\n"), 0, nil, sigv4.ChunkMalformed},
		{"size is no hex", unsigned, whole("1g\r\n"), 20, nil, sigv4.ChunkMalformed},
		{"signed size", unsigned, whole("+1\r\na\r\n0\r\n\r\n"), 1, nil, sigv4.ChunkMalformed},
		{"size with a space", unsigned, whole("1 \r\na\r\n0\r\n\r\n"), 1, nil, sigv4.ChunkMalformed},
		{"0x size", unsigned, whole("0x1\r\na\r\n0\r\n\r\n"), 1, nil, sigv4.ChunkMalformed},
		{"header without CR", unsigned, whole("1\na\r\n0\r\n\r\n"), 1, nil, sigv4.ChunkMalformed},
		{"chunk without line end", unsigned, whole("1\r\nab\r\n0\r\n\r\n"), 1, nil, sigv4.ChunkMalformed},
		{"extension on an unsigned chunk", unsigned, whole("1;a=b\r\na\r\n0\r\n\r\n"), 1, nil, sigv4.ChunkMalformed},
		{"unsigned chunk among signed", signed, whole("14\r\n0123456789abcdefghij\r\n0\r\n\r\n"), 20, nil, sigv4.ChunkMalformed},
		{"endless header", unsigned, whole(strings.Repeat("0", 9000)), 0, nil, sigv4.ChunkMalformed},
		{"long header", unsigned, whole(strings.Repeat("0", 200) + "\r\n\r\n"), 0, nil, sigv4.ChunkMalformed},
		{"many zeros", unsigned, whole(strings.Repeat("0", 17) + "\r\n\r\n"), 0, nil, sigv4.ChunkMalformed},
		{"chunk over 16 MiB", unsigned, whole("1000001\r\n"), 1 << 30, nil, sigv4.ChunkTooBig},
		{"size beyond 64 bits", unsigned, whole("10000000000000000\r\n"), 1 << 30, nil, sigv4.ChunkMalformed},
		{"negative size", unsigned, whole("ffffffffffffffff\r\n"), 1 << 30, nil, sigv4.ChunkTooBig},
		{"wrong byte", signed, replace("0123", "0124"), 20, nil, sigv4.ChunkSignatureMismatch},
		{"signature of no hex", signed, replace("chunk-signature=", "chunk-signature=zzzz"), 20, nil, sigv4.ChunkMalformed},
		{"chunks swapped", signed, func(s string) string {
			parts := strings.SplitAfter(s, "\r\n")
			return parts[2] + parts[3] + parts[0] + parts[1] + strings.Join(parts[4:], "")
		}, 20, nil, sigv4.ChunkSignatureMismatch},
		{"chunk left out", signed, func(s string) string {
			parts := strings.SplitAfter(s, "\r\n")
			return strings.Join(parts[2:], "")
		}, 10, nil, sigv4.ChunkSignatureMismatch},
		{"longer than declared", signed, same, 19, nil, sigv4.DecodedLengthMismatch},
		{"shorter than declared", signed, same, 21, nil, sigv4.DecodedLengthMismatch},
		{"length not given", signed, same, -1, nil, sigv4.MissingDecodedLength},
		{"trailer not announced", trailed, same, 20, nil, sigv4.TrailerMalformed},
		{"announced and missing", unsigned, whole("0\r\n\r\n"), 0, []string{name}, sigv4.TrailerMalformed},
		{"another announced", trailed, same, 20, []string{"x-amz-checksum-sha1"}, sigv4.TrailerMalformed},
		{"twice", unsigned, whole("0\r\na:1\r\na:2\r\n\r\n"), 0, []string{"a", "b"}, sigv4.TrailerMalformed},
		{"trailer without colon", unsigned, whole("0\r\nabc\r\n\r\n"), 0, []string{"abc"}, sigv4.TrailerMalformed},
		{"trailer too long", unsigned, whole("0\r\na:" + strings.Repeat("x", 2000) + "\r\n\r\n"), 0, []string{"a"}, sigv4.TrailerMalformed},
		{"too many trailers", unsigned, whole("0\r\n" + strings.Repeat("a:1\r\n", 9) + "\r\n"), 0, []string{"a"}, sigv4.TrailerMalformed},
		{"wrong trailer", trailed, replace(value, "AAAAAB=="), 20, []string{name}, sigv4.TrailerSignatureMismatch},
		{"trailer signature short", trailed, replace("x-amz-trailer-signature:", "x-amz-trailer-signature:a"), 20, []string{name}, sigv4.TrailerSignatureMismatch},
		{"trailer not signed", trailed, func(s string) string { return s[:strings.Index(s, "x-amz-trailer-signature")] + "\r\n" }, 20, []string{name}, sigv4.TrailerSignatureMismatch},
		{"trailer after its signature", trailed, func(s string) string { return s[:len(s)-2] + "b:c\r\n\r\n" }, 20, []string{name, "b"}, sigv4.TrailerMalformed},
	} {
		t.Run(tt.what, func(t *testing.T) {
			body := tt.change(string(encodeChunks(t, tt.kind, object, 10, name, value)))
			cfg := chunkConfig(tt.kind, object, tt.names...)
			cfg.DecodedLength = tt.length
			r := sigv4.NewChunkReader(strings.NewReader(body), cfg)
			_, err := io.Copy(io.Discard, r)
			wantCode(t, "copy", err, tt.code)
			if !errors.Is(err, tt.code) || errors.Is(err, io.ErrUnexpectedEOF) != (tt.code == sigv4.IncompleteBody) {
				t.Errorf("errors.Is is wrong about %v", err)
			}
			if n, again := r.Read(make([]byte, 9)); n != 0 || again != err {
				t.Errorf("reads on: %d, %v", n, again)
			}
			if r.Trailers() != nil {
				t.Errorf("gives trailers %q", r.Trailers())
			}
		})
	}
}

func TestChunkReaderNeedsItsConfiguration(t *testing.T) {
	for what, change := range map[string]func(*sigv4.ChunkConfig){
		"no key":        func(c *sigv4.ChunkConfig) { c.Key = nil },
		"no seed":       func(c *sigv4.ChunkConfig) { c.Seed = nil },
		"not streaming": func(c *sigv4.ChunkConfig) { c.Kind = sigv4.PayloadHash },
	} {
		cfg := chunkConfig(sigv4.PayloadStreamingSigned, nil)
		body := encodeChunks(t, cfg.Kind, nil, 1)
		change(&cfg)
		if _, err := io.ReadAll(sigv4.NewChunkReader(bytes.NewReader(body), cfg)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// minio-go ends trailer lines with LF and their group with CRLF.
func TestTrailersOfMinioGo(t *testing.T) {
	const line = "x-amz-checksum-crc32c:AAAAAA=="
	signed := string(encodeChunks(t, sigv4.PayloadStreamingSignedTrailer, nil, 1, "x-amz-checksum-crc32c", "AAAAAA=="))
	for kind, body := range map[sigv4.PayloadKind]string{
		sigv4.PayloadStreamingSignedTrailer:   strings.Replace(signed, line+"\r\n", line+"\n\r\n", 1),
		sigv4.PayloadStreamingUnsignedTrailer: "0\r\n" + line + "\n\r\n\r\n",
	} {
		r := sigv4.NewChunkReader(strings.NewReader(body), chunkConfig(kind, nil, "x-amz-checksum-crc32c"))
		if _, err := io.ReadAll(r); err != nil || len(r.Trailers()) != 1 || string(r.Trailers()[0].Value) != "AAAAAA==" {
			t.Errorf("%v: %v, %q", kind, err, r.Trailers())
		}
	}
}

// minio-go sends an empty object without the final chunk.
func TestEmptyObjectWithoutFraming(t *testing.T) {
	for kind := sigv4.PayloadStreamingSigned; kind.Streaming(); kind++ {
		if n, err := io.Copy(io.Discard, sigv4.NewChunkReader(strings.NewReader(""), chunkConfig(kind, nil))); n != 0 || err != nil {
			t.Errorf("%v: %d, %v", kind, n, err)
		}
	}
	cfg := chunkConfig(sigv4.PayloadStreamingUnsignedTrailer, nil, "x-amz-checksum-crc32")
	_, err := io.Copy(io.Discard, sigv4.NewChunkReader(strings.NewReader(""), cfg))
	wantCode(t, "with a trailer announced", err, sigv4.IncompleteBody)
}

func TestChunkReaderPassesErrorsOfTheSource(t *testing.T) {
	cause := errors.New("the connection is gone")
	object := bytes.Repeat([]byte("x"), 20000)
	body := encodeChunks(t, sigv4.PayloadStreamingSignedTrailer, object, 8192, "a", "b")
	for n := 0; n <= len(body); n += 61 {
		src := io.MultiReader(bytes.NewReader(body[:n]), iotest.ErrReader(cause))
		_, err := io.Copy(io.Discard, sigv4.NewChunkReader(src, chunkConfig(sigv4.PayloadStreamingSignedTrailer, object, "a")))
		if err != cause {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

// A body gives the same bytes and the same end however the network cuts it and
// whatever the caller's buffer is.
func TestChunksSplitAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	object := make([]byte, 70000)
	for i := range object {
		object[i] = byte(rng.Uint32())
	}
	for i := range 60 {
		kind := sigv4.PayloadStreamingSigned + sigv4.PayloadKind(i%3)
		body := encodeChunks(t, kind, object, 1+rng.IntN(20000), "a", "b")
		r := sigv4.NewChunkReader(&cutter{bytes.NewReader(body), rng}, chunkConfig(kind, object, "a"))
		got, err := io.ReadAll(&cutter{r, rng})
		if err != nil || !bytes.Equal(got, object) {
			t.Fatalf("%v: %d bytes, %v", kind, len(got), err)
		}
	}
}

// cutter reads at most as much as its dice say.
type cutter struct {
	r   io.Reader
	rng *rand.Rand
}

func (c *cutter) Read(p []byte) (int, error) {
	return c.r.Read(p[:min(len(p), 1+c.rng.IntN(1+c.rng.IntN(9000)))])
}

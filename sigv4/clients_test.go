package sigv4_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/sigv4"
)

// verdict is what the listener made of one request.
type verdict struct {
	line string
	err  error
	body string // decoded
	r    *sigv4.Request
}

// listen serves requests off the wire, byte for byte as they come, and gives
// what it makes of them to the channel. The answer is always an empty 200.
func listen(t *testing.T) (addr string, verdicts <-chan verdict) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan verdict, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				out <- serveOnce(conn)
			}()
		}
	}()
	return l.Addr().String(), out
}

func serveOnce(conn net.Conn) (v verdict) {
	in := bufio.NewReader(conn)
	line := func() string {
		s, err := in.ReadString('\n')
		if err != nil && v.err == nil {
			v.err = err
		}
		return strings.TrimRight(s, "\r\n")
	}
	v.line = line()
	part := strings.Split(v.line, " ")
	if len(part) != 3 {
		v.err = fmt.Errorf("request line %q", v.line)
		return v
	}
	path, query, _ := strings.Cut(part[1], "?")
	v.r = &sigv4.Request{Method: []byte(part[0]), Path: []byte(path), Query: []byte(query)}
	for s := line(); s != ""; s = line() {
		name, value, _ := strings.Cut(s, ":")
		v.r.Header = append(v.r.Header, fields(name, value)...)
	}
	if expect, ok := v.r.HeaderValue("expect"); ok && strings.EqualFold(string(expect), "100-continue") {
		fmt.Fprint(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	var length int64
	if value, ok := v.r.HeaderValue("content-length"); ok {
		length, _ = strconv.ParseInt(string(value), 10, 64)
	}
	if v.err == nil {
		v.body, v.err = prove(v.r, io.LimitReader(in, length))
	}
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\nConnection: close\r\n\r\n")
	return v
}

// prove is a server in short: it verifies the request and reads its body.
func prove(r *sigv4.Request, raw io.Reader) (body string, err error) {
	var c sigv4.Claim
	if err := sigv4.Parse(r, &c); err != nil {
		return "", err
	}
	if c.Payload == sigv4.PayloadAbsent { // curl before 8 names no hash, but signs it
		b, err := io.ReadAll(raw)
		if err != nil {
			return "", err
		}
		c.ContentSHA256 = []byte(hexSum(b))
		body = string(b)
	}
	k := sigv4.DeriveKey(string(c.AccessKey), []byte(secretKey), string(c.Date), string(c.Region), "s3")
	if err := (&sigv4.Verifier{Region: region, Now: time.Now}).Verify(r, &c, k); err != nil {
		return "", err
	}
	if c.Payload.Streaming() {
		length, err := c.DecodedLength(r)
		if err != nil {
			return "", err
		}
		raw = sigv4.NewChunkReader(raw, sigv4.ChunkConfig{
			Kind: c.Payload, Key: k, Seed: c.Signature, Time: c.Time, DecodedLength: length, Trailers: c.TrailerNames(r),
		})
	}
	rest, err := io.ReadAll(raw)
	body += string(rest)
	if sum, ok := c.SHA256(); ok && sha256.Sum256([]byte(body)) != sum {
		return "", errors.New("the body is not the one that was signed")
	}
	return body, err
}

func requireTool(t *testing.T, name, how string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is missing: %s", name, how)
	}
	t.Skipf("%s is missing: %s", name, how)
	return ""
}

// curl signs the path as it sends it, reserved characters and all.
func TestCurl(t *testing.T) {
	curl := requireTool(t, "curl", "install curl 7.75 or later for its --aws-sigv4")
	addr, verdicts := listen(t)
	for _, args := range [][]string{
		{"/bucket/key"},
		{"/bucket/a%20b/%C3%A9+~"},
		{"/bucket/a(b)!*'@:,;=&$"},
		{"/bucket/../bucket//./key", "--path-as-is"},
		{"/bucket?list-type=2&prefix=a"},
		{"/bucket/key", "--data-binary", "the body", "-X", "PUT"},
		{"/bucket/key", "-H", "Content-Type: text/plain", "-H", "x-amz-meta-a:  b   c ", "-I"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			cmd := exec.Command(curl, append([]string{"-sS", "--max-time", "15", "--globoff", "--aws-sigv4", "aws:amz:" + region + ":s3",
				"-u", "SPEXAMPLE:" + secretKey, "http://" + addr + args[0]}, args[1:]...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			v := <-verdicts
			if v.err != nil {
				t.Fatalf("%s: %v\n%s\nheader %q", v.line, v.err, explain(v.err), v.r.Header)
			}
			if slices.Contains(args, "--data-binary") && v.body != "the body" {
				t.Errorf("body %q", v.body)
			}
		})
	}
}

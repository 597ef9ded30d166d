package sigv4_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/sigv4"
)

const vectorsFolder = "../../shared/vectors/sigv4"

// vectorsOutsideS3 are the cases that need the path normalised first. S3 never
// does that, so their signatures are ones it refuses; each case has a twin
// without normalisation that applies.
var vectorsOutsideS3 = map[string]bool{
	"get-relative-normalized":            true,
	"get-relative-relative-normalized":   true,
	"get-slash-dot-slash-normalized":     true,
	"get-slash-normalized":               true,
	"get-slash-pointless-dot-normalized": true,
	"get-slashes-normalized":             true,
}

type vectorContext struct {
	Credentials struct {
		AccessKey string `json:"access_key_id"`
		Secret    string `json:"secret_access_key"`
	} `json:"credentials"`
	Region           string    `json:"region"`
	Service          string    `json:"service"`
	Time             time.Time `json:"timestamp"`
	OmitSessionToken bool      `json:"omit_session_token"`
}

// TestVectors verifies the signed requests of the AWS signing test suite, and
// checks that a false signature is explained with the suite's own canonical
// request and string to sign. For a path that has to be normalised it checks
// the opposite: that the request is refused.
func TestVectors(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(vectorsFolder, "*", "context.json"))
	if err != nil || len(dirs) == 0 {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatalf("no vectors in %s", vectorsFolder)
		}
		t.Skipf("no vectors in %s: copy tests/aws-signing-test-suite/v4 of github.com/awslabs/aws-c-auth there", vectorsFolder)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		var ctx vectorContext
		if err := json.Unmarshal([]byte(vectorText(t, dir, "context.json")), &ctx); err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"header", "query"} {
			t.Run(filepath.Base(dir)+"/"+form, func(t *testing.T) { checkVector(t, dir, form, &ctx) })
		}
	}
}

func checkVector(t *testing.T, dir, form string, ctx *vectorContext) {
	r, body := parseVector(vectorText(t, dir, form+"-signed-request.txt"))
	if form == "query" && ctx.OmitSessionToken {
		t.Skip("adds a token to the query after signing, which S3 does not allow")
	}
	var c sigv4.Claim
	if err := sigv4.Parse(r, &c); err != nil {
		t.Fatal(err)
	}
	c.ContentSHA256 = []byte(hexSum([]byte(body))) // the suite signs the body without naming its hash
	v := &sigv4.Verifier{Region: ctx.Region, Service: ctx.Service, Now: clockAt(ctx.Time)}
	k := sigv4.DeriveKey(ctx.Credentials.AccessKey, []byte(ctx.Credentials.Secret), string(c.Date), ctx.Region, ctx.Service)
	err := v.CheckScope(&c)
	if err == nil {
		err = v.CheckTime(&c)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = v.CheckSignature(r, &c, k)
	if vectorsOutsideS3[filepath.Base(dir)] {
		wantCode(t, "a path to be normalised", err, sigv4.SignatureMismatch)
		return
	}
	if form == "header" && ctx.OmitSessionToken {
		wantCode(t, "a token outside the signature", err, sigv4.HeadersNotSigned)
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, explain(err))
	}

	want := strings.TrimSpace(vectorText(t, dir, form+"-signature.txt"))
	if string(c.Signature) != want {
		t.Errorf("signature %s, want %s", c.Signature, want)
	}
	c.Signature = []byte(strings.Repeat("0", 64))
	e := asError(v.CheckSignature(r, &c, k))
	if e == nil {
		t.Fatal("a false signature passes")
	}
	if want := vectorText(t, dir, form+"-canonical-request.txt"); e.CanonicalRequest != want {
		t.Errorf("canonical request\n%s\nwant\n%s", e.CanonicalRequest, want)
	}
	if want := vectorText(t, dir, form+"-string-to-sign.txt"); e.StringToSign != want {
		t.Errorf("string to sign\n%s\nwant\n%s", e.StringToSign, want)
	}
}

func vectorText(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// parseVector reads a request as the suite writes it: the target raw, with
// spaces and UTF-8, and header values that may be folded.
func parseVector(text string) (r *sigv4.Request, body string) {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	first, last := strings.IndexByte(lines[0], ' '), strings.LastIndexByte(lines[0], ' ')
	path, query, _ := strings.Cut(lines[0][first+1:last], "?")
	r = &sigv4.Request{Method: []byte(lines[0][:first]), Path: []byte(path), Query: []byte(query)}
	for _, line := range lines[1:] {
		if line[0] == ' ' || line[0] == '\t' {
			f := &r.Header[len(r.Header)-1]
			f.Value = append(append(f.Value, '\n'), line...)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		r.Header = append(r.Header, fields(name, value)...)
	}
	return r, body
}

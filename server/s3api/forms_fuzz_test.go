package s3api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/registry"
	"sallyport/server/s3api"
)

// countingReader counts what is taken from it.
type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// FuzzReadForm: no body makes the form's reader panic or take more in front of a file
// than it may, and what it reads is what the standard library finds there.
func FuzzReadForm(f *testing.F) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("edge"); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"key", "Policy", "ü", "x\"y"} {
		if err := w.WriteField(name, name+" value"); err != nil {
			f.Fatal(err)
		}
	}
	file, err := w.CreateFormFile("file", `C:\a/b.txt`)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := io.WriteString(file, "content\r\n--edg"); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	for _, seed := range []string{
		"", "--edge--\r\n", "--edge\r\n\r\n\r\n--edge--", "--edge\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--edge--",
		"--edge\nContent-Disposition: form-data; name=\"FILE\"; filename*=UTF-8''%2e\n\nx", "--edge\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--edge",
		strings.Repeat("--edge\r\nContent-Disposition: form-data; name=a\r\n\r\n", 40),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in := &countingReader{r: bytes.NewReader(body)}
		fields, name, file, err := s3api.ReadForm(in, "edge")
		if in.n > s3api.MaxPreamble {
			t.Fatalf("took %d bytes", in.n)
		}
		if err != nil {
			if s3api.CodeOf(err) == "" {
				t.Fatalf("no code for %v", err)
			}
			return
		}
		if strings.ContainsAny(name, `/\`) {
			t.Errorf("file name %q", name)
		}
		parts := multipart.NewReader(bytes.NewReader(body), "edge")
		for range len(fields) {
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			want, err := io.ReadAll(part)
			if got := fields[strings.ToLower(part.FormName())]; err != nil || got != string(want) || !utf8.ValidString(got) {
				t.Errorf("field %q: %q, want %q (%v)", part.FormName(), got, want, err)
			}
		}
		part, err := parts.NextRawPart()
		if err != nil || !strings.EqualFold(part.FormName(), "file") {
			t.Fatalf("file: %v", err)
		}
		want, wantErr := io.ReadAll(part)
		if got, err := io.ReadAll(file); !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
			t.Errorf("file %q (%v), want %q (%v)", got, err, want, wantErr)
		}
	})
}

// FuzzPolicy: no policy makes its parser panic, and none allows a field or a bucket
// that it does not name.
func FuzzPolicy(f *testing.F) {
	for _, conditions := range []string{
		`[{"bucket":"b"},{"key":"k"}]`, `[["eq","$bucket","b"],["starts-with","$KEY",""]]`, `[["content-length-range",1,"2"],{"bucket":"b","key":"k"}]`,
		`[{"x":{}}]`, `[["eq","$key"]]`, `[{"bucket":"b","bucket":"c"}]`, `[null,{}]`, `[["StArTs-WiTh","$Content-Type","a"]]`, `{}`, `[["content-length-range",1e3,2]]`,
	} {
		f.Add(`{"expiration":"2030-01-01T00:00:00.000Z","conditions":`+conditions+`}`, "k", "x-amz-meta-a", "v", "b")
	}
	f.Fuzz(func(t *testing.T, policy, key, name, value, bucket string) {
		name = strings.ToLower(name)
		fields := map[string]string{"key": key, name: value}
		parsed, err := s3api.CheckPolicy(base64.StdEncoding.EncodeToString([]byte(policy)), fields, bucket)
		if err != nil {
			if code := s3api.CodeOf(err); parsed && code != "AccessDenied" || !parsed && code != "InvalidPolicyDocument" {
				t.Fatalf("code %q of %v", code, err)
			}
			return
		}
		lower := strings.ToLower(policy)
		for field := range fields {
			if field == "policy" || field == "x-amz-signature" || strings.HasPrefix(field, "x-ignore-") || !isPlain(field) {
				continue
			}
			if !strings.Contains(lower, `"`+field+`"`) && !strings.Contains(lower, `$`+field+`"`) && !strings.Contains(policy, `\u`) {
				t.Errorf("%q is allowed by %s", field, policy)
			}
		}
		if !strings.Contains(lower, "bucket") && !strings.Contains(policy, `\u`) {
			t.Errorf("any bucket is allowed by %s", policy)
		}
	})
}

// isPlain tells whether JSON and upper case leave a name as it is.
func isPlain(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// FuzzExpand: no fields and no file name grow without bound, and what is about the
// signature stays as it is.
func FuzzExpand(f *testing.F) {
	f.Add("a/${filename}", "${filename}", "x.txt")
	f.Add("${filename}${filename}", "policy", "${filename}")
	f.Add("${${filename}}", "", "")
	f.Fuzz(func(t *testing.T, key, policy, filename string) {
		fields := map[string]string{"key": key, "policy": policy}
		err := s3api.ExpandForm(fields, filename)
		if fields["policy"] != policy {
			t.Errorf("policy %q became %q", policy, fields["policy"])
		}
		if err != nil {
			if s3api.CodeOf(err) == "" {
				t.Errorf("no code for %v", err)
			}
			return
		}
		if want := strings.ReplaceAll(key, "${filename}", filename); fields["key"] != want || len(want) > max(len(key), s3api.MaxExpanded) {
			t.Errorf("key %q of %d bytes, want %q", fields["key"], len(want), want)
		}
	})
}

// FuzzCompletion: whatever is taken for a list of parts is one, and is read the same
// when it is written again.
func FuzzCompletion(f *testing.F) {
	for _, seed := range []string{
		listed(1, `"a"`, 2, "b", 10000, "&quot;c&quot;"), "<CompleteMultipartUpload/>", listed(0, "a"), listed(10001, "a"),
		`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber> 1 </PartNumber><ETag>a</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>`,
		"<CompleteMultipartUpload><Part><ETag>a</ETag></Part></CompleteMultipartUpload>", "<CompleteMultipartUpload>", listed(1, "a") + listed(1, "a"), "<x/>",
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag><![CDATA[a]]>b<!-- c --></ETag><ChecksumSHA1>x</ChecksumSHA1></Part></CompleteMultipartUpload>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		scanned, decoded, ok, err := s3api.ScanCompletion(b)
		if ok && (err != nil || !reflect.DeepEqual(scanned, decoded)) {
			t.Fatalf("%q is read as %+v, by encoding/xml as %+v (%v)", b, scanned, decoded, err)
		}
		parts, err := s3api.ParseCompletion(b)
		if err != nil {
			if s3api.CodeOf(err) == "" {
				t.Fatalf("no code for %v", err)
			}
			return
		}
		if len(parts) == 0 || len(parts) > registry.MaxParts {
			t.Fatalf("%d parts", len(parts))
		}
		again := []byte("<CompleteMultipartUpload>")
		for _, p := range parts {
			if p.Number < 1 || p.Number > registry.MaxParts {
				t.Fatalf("part %d", p.Number)
			}
			again = s3api.AppendText(fmt.Appendf(again, "<Part><PartNumber>%d</PartNumber><ETag>", p.Number), p.ETag)
			again = append(again, "</ETag>"...)
			for _, algorithm := range slices.Sorted(maps.Keys(p.Checksums)) {
				again = s3api.AppendText(fmt.Appendf(again, "<Checksum%s>", strings.ToUpper(algorithm)), p.Checksums[algorithm])
				again = fmt.Appendf(again, "</Checksum%s>", strings.ToUpper(algorithm))
			}
			again = append(again, "</Part>"...)
		}
		second, err := s3api.ParseCompletion(append(again, "</CompleteMultipartUpload>"...))
		if err != nil || len(second) != len(parts) {
			t.Fatalf("written again: %d parts, %v", len(second), err)
		}
		for i := range parts {
			if second[i].Number != parts[i].Number || second[i].ETag != parts[i].ETag || !maps.Equal(second[i].Checksums, parts[i].Checksums) {
				t.Errorf("part %+v became %+v", parts[i], second[i])
			}
		}
	})
}

// FuzzCopyRange: a range is what it says, or none.
func FuzzCopyRange(f *testing.F) {
	for _, seed := range []string{"", "bytes=0-0", "bytes=5-1", "bytes=-1", "bytes=1-", "bytes=0-4611686018427387903", "bytes=+1-2", "bytes=0-1,2-3", "items=0-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		off, n, err := s3api.ParseCopyRange(header)
		switch {
		case err != nil && s3api.CodeOf(err) != "InvalidArgument":
			t.Errorf("no code for %v", err)
		case err != nil:
		case header == "":
			if off != 0 || n != -1 {
				t.Errorf("everything is %d+%d", off, n)
			}
		case off < 0 || n < 1 || off+n < off:
			t.Errorf("%q is %d+%d", header, off, n)
		}
	})
}

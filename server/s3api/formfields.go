package s3api

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"unicode/utf8"
)

const (
	// maxFields bounds names and values of a form's fields in front of its file, in
	// bytes, as S3 does; see
	// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html.
	maxFields = 20 << 10
	// maxPreamble bounds all that comes in front of a form's file, with boundaries,
	// headers of the parts and what was read ahead of the file, in bytes.
	maxPreamble = 48 << 10
	// maxExpanded bounds the fields once ${filename} stands for a name, in bytes.
	maxExpanded = 32 << 10
)

// form is a browser's POST up to its file: what the fields say, and the file still
// to be read.
type form struct {
	fields   map[string]string // by lower-case name; S3 tells no case apart
	filename string            // of the file, without folders; "" if it came without
	file     io.Reader
}

// boundary returns what separates the parts of a multipart/form-data body.
func boundary(contentType string) (string, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if b := parameters["boundary"]; err == nil && kind == formType && b != "" && len(b) <= 70 {
		return b, nil
	}
	return "", refuse(codeMalformedPOST)
}

const formType = "multipart/form-data"

// readForm reads a form's fields up to its file, which S3 wants to be the last: it
// reads no more of body than maxPreamble for them, whatever comes. The file streams
// from body.
func readForm(body io.Reader, boundary string) (*form, error) {
	g := &gate{r: body, left: maxPreamble}
	parts := multipart.NewReader(g, boundary)
	f := &form{fields: map[string]string{}}
	for size := 0; ; {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil, say(codeInvalidArgument, "POST requires exactly one file upload per request.",
				element{"ArgumentName", "file"}, element{"ArgumentValue", "0"})
		}
		if err != nil {
			return nil, formError(err)
		}
		name := strings.ToLower(part.FormName())
		if name == "" || !utf8.ValidString(name) {
			return nil, refuse(codeMalformedPOST)
		}
		if name == "file" {
			g.open = true
			f.filename, f.file = baseName(part.FileName()), part
			return f, nil
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, formError(err)
		}
		if size += len(name) + len(value); size > maxFields {
			return nil, refuse(codeFieldsTooLong)
		}
		if _, twice := f.fields[name]; twice || !utf8.Valid(value) {
			return nil, say(codeInvalidArgument, "A form field is there twice, or is not UTF-8.", element{"ArgumentName", name})
		}
		f.fields[name] = string(value)
	}
}

// formError says what is wrong with the framing of a form. What the body itself
// failed with stays what it is.
func formError(err error) error {
	switch {
	case errors.Is(err, errFieldsTooLong):
		return refuse(codeFieldsTooLong)
	case errors.Is(err, errWire):
		return err
	}
	return &refused{code: codeMalformedPOST, cause: err}
}

var (
	errFieldsTooLong = errors.New("fields of the form are too long")
	// errWire marks what the body failed with, for multipart has errors of its own.
	errWire = errors.New("read form")
)

// gate lets as much of a body pass as may come before a file, and everything once
// it is open.
type gate struct {
	r    io.Reader
	left int
	open bool
}

func (g *gate) Read(p []byte) (int, error) {
	if !g.open {
		if g.left == 0 {
			return 0, errFieldsTooLong
		}
		p = p[:min(len(p), g.left)]
	}
	n, err := g.r.Read(p)
	if !g.open {
		g.left -= n
	}
	if err != nil && err != io.EOF {
		err = errors.Join(errWire, err)
	}
	return n, err
}

// baseName is a file's name without the folders that some browsers send before it.
func baseName(name string) string {
	return name[strings.LastIndexAny(name, `/\`)+1:]
}

// filenameVariable stands for the name of the file in any field.
const filenameVariable = "${filename}"

// expand puts the file's name where fields ask for it. What is about the signature
// is not expanded: it would not be what was signed.
func (f *form) expand() error {
	size := 0
	for name, value := range f.fields {
		if !isProof(name) && strings.Contains(value, filenameVariable) {
			if !utf8.ValidString(f.filename) {
				return say(codeInvalidArgument, "The file's name is not UTF-8.", element{"ArgumentName", name})
			}
			n := strings.Count(value, filenameVariable)
			if size += len(value) + n*len(f.filename); size > maxExpanded {
				return refuse(codeFieldsTooLong)
			}
			f.fields[name] = strings.ReplaceAll(value, filenameVariable, f.filename)
		}
	}
	return nil
}

// isProof tells whether a field is about the signature.
func isProof(name string) bool {
	switch name {
	case "policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature":
		return true
	}
	return false
}

package s3api

import (
	"io"

	"sallyport/registry"
)

// ReadForm reads a form up to its file.
func ReadForm(body io.Reader, boundary string) (fields map[string]string, filename string, file io.Reader, err error) {
	f, err := readForm(body, boundary)
	if err != nil {
		return nil, "", nil, err
	}
	return f.fields, f.filename, f.file, nil
}

// MaxPreamble bounds what of a form is read in front of its file.
const MaxPreamble = maxPreamble

// ExpandForm puts a file's name into fields.
func ExpandForm(fields map[string]string, filename string) error {
	f := &form{fields: fields, filename: filename}
	return f.expand()
}

// MaxExpanded bounds what fields grow to.
const MaxExpanded = maxExpanded

// CheckPolicy reads a policy and holds fields against it.
func CheckPolicy(encoded string, fields map[string]string, bucket string) (parsed bool, err error) {
	p, err := parsePolicy(encoded)
	if err != nil {
		return false, err
	}
	return true, p.check(fields, bucket)
}

// ParseCompletion reads the document of CompleteMultipartUpload.
func ParseCompletion(b []byte) ([]registry.ListedPart, error) { return parseCompletion(b) }

// ParseCopyRange reads x-amz-copy-source-range.
func ParseCopyRange(header string) (off, n int64, err error) { return parseCopyRange(header) }

// ScanCompletion reads the same by the scanner and by encoding/xml; ok if the scanner
// takes it.
func ScanCompletion(b []byte) (scanned, decoded any, ok bool, err error) {
	parts, ok := scanCompletion(b)
	var doc completionDocument
	if err := decodeXML(b, &doc); err != nil {
		return parts, nil, ok, err
	}
	return parts, doc.Parts, ok, nil
}

// How many forms may be read at once before they are proved.
const (
	MaxForms      = maxForms
	MaxFormsOfOne = maxFormsOfOne
)

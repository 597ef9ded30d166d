package s3api

import (
	"strings"

	"sallyport/registry"
)

// checksumNames are the algorithms of checksums: as the ledger and headers have
// them, and as S3 writes them in values and, behind "Checksum", in XML. See
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.
var checksumNames = [...]struct{ name, upper string }{
	{"crc32", "CRC32"}, {"crc32c", "CRC32C"}, {"crc64nvme", "CRC64NVME"}, {"sha1", "SHA1"}, {"sha256", "SHA256"},
}

// checksumHeaders returns the x-amz-checksum-* values by algorithm, also those of
// algorithms that nobody knows; nil if there are none.
func (r *request) checksumHeaders() map[string]string {
	var sums map[string]string
	for name, value := range r.amz() {
		algorithm, ok := strings.CutPrefix(name, checksumPrefix)
		if !ok || algorithm == "algorithm" || algorithm == "type" || algorithm == "mode" {
			continue
		}
		if sums == nil {
			sums = map[string]string{}
		}
		sums[algorithm] = value
	}
	return sums
}

// checksumAlgorithm reads x-amz-checksum-algorithm; "" if there is none.
func (r *request) checksumAlgorithm() (string, error) {
	value := r.header("x-amz-checksum-algorithm")
	if value == "" {
		return "", nil
	}
	for _, c := range checksumNames {
		if strings.EqualFold(value, c.upper) {
			return c.name, nil
		}
	}
	return "", say(codeInvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
}

// checksumType reads x-amz-checksum-type; "" if there is none.
func (r *request) checksumType() (registry.ChecksumType, error) {
	switch value := r.header("x-amz-checksum-type"); {
	case value == "":
		return "", nil
	case strings.EqualFold(value, string(registry.FullObject)):
		return registry.FullObject, nil
	case strings.EqualFold(value, string(registry.Composite)):
		return registry.Composite, nil
	}
	return "", say(codeInvalidRequest, "Value for x-amz-checksum-type header is invalid.")
}

// multipartChecksum reads of what kind the checksums of a multipart upload are to
// be. What goes together is in the table of
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
func (r *request) multipartChecksum() (algorithm string, kind registry.ChecksumType, err error) {
	if algorithm, err = r.checksumAlgorithm(); err != nil {
		return "", "", err
	}
	if kind, err = r.checksumType(); err != nil {
		return "", "", err
	}
	switch {
	case algorithm == "" && kind != "":
		return "", "", say(codeInvalidRequest, "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case algorithm == "":
		return "", "", nil
	case algorithm == "crc64nvme" && kind == registry.Composite,
		(algorithm == "sha1" || algorithm == "sha256") && kind == registry.FullObject:
		return "", "", say(codeInvalidRequest, "The "+string(kind)+" checksum type cannot be used with the "+algorithm+" checksum algorithm.")
	case kind == "" && algorithm == "crc64nvme":
		kind = registry.FullObject
	case kind == "":
		kind = registry.Composite
	}
	return algorithm, kind, nil
}

// checksums writes an element for each checksum.
func (d *document) checksums(sums map[string]string) {
	for _, c := range checksumNames {
		if value, ok := sums[c.name]; ok {
			d.text("Checksum"+c.upper, value)
		}
	}
}

// checksumKind writes of what kind the checksums of a multipart upload are.
func (d *document) checksumKind(m *registry.Multipart) {
	if m.ChecksumAlgorithm == "" {
		return
	}
	d.text("ChecksumAlgorithm", upperChecksum(m.ChecksumAlgorithm))
	d.text("ChecksumType", string(m.ChecksumType))
}

// wrongChecksum is what S3 says of content that is not what its checksum promised.
func wrongChecksum(algorithm string) string {
	return "The " + upperChecksum(algorithm) + " you specified did not match the calculated checksum."
}

// upperChecksum is an algorithm as S3 writes it in values.
func upperChecksum(algorithm string) string { return strings.ToUpper(algorithm) }

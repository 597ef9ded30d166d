package pipeline_test

import (
	"testing"

	"sallyport/registry/pipeline"
)

func TestChecksums(t *testing.T) {
	// Of "123456789": the check values of the CRC catalogue
	// (https://reveng.sourceforge.io/crc-catalogue/) and what sha1sum and sha256sum print.
	want := map[string]string{
		"crc32": "y/Q5Jg==", "crc32c": "4waSgw==", "crc64nvme": "rosUhgp5mIg=",
		"sha1": "98O8HYCOBHMq32eZZczDTKeuNEE=", "sha256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
	}
	names := pipeline.Checksums()
	if len(names) != len(want) {
		t.Errorf("the algorithms are %v", names)
	}
	for _, name := range names {
		h := pipeline.Checksum(name)
		h.Write([]byte("123456789"))
		if got := b64(h.Sum(nil)); got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
	}
	for _, unknown := range []string{"", "md5", "CRC32", "crc64"} {
		if pipeline.Checksum(unknown) != nil {
			t.Errorf("there is a checksum %q", unknown)
		}
	}
}

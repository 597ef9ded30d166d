package pipeline

import (
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// checksums are the algorithms of the x-amz-checksum-* headers by their names
// there, see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
var checksums = [...]struct {
	name string
	size int // of the sum, in bytes
	new  func() hash.Hash
}{
	{"crc32", crc32.Size, func() hash.Hash { return crc32.NewIEEE() }},
	// crc32 keeps one table of this polynomial and knows it again.
	{"crc32c", crc32.Size, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
	{"crc64nvme", crc64nvme.Size, func() hash.Hash { return crc64nvme.New() }},
	{"sha1", sha1.Size, sha1.New},
	{"sha256", sha256.Size, sha256.New},
}

// Checksums returns the names of the algorithms of the x-amz-checksum-* headers.
func Checksums() []string {
	names := make([]string, len(checksums))
	for i, c := range checksums {
		names[i] = c.name
	}
	return names
}

// Checksum returns a new hash of the algorithm that S3 calls so, nil if it has
// none of that name.
func Checksum(algorithm string) hash.Hash {
	for i := range checksums {
		if checksums[i].name == algorithm {
			return checksums[i].new()
		}
	}
	return nil
}

// checksumSize returns the length of a checksum in bytes, 0 for an unknown one.
func checksumSize(algorithm string) int {
	for i := range checksums {
		if checksums[i].name == algorithm {
			return checksums[i].size
		}
	}
	return 0
}

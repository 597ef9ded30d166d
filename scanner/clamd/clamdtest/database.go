package clamdtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"sallyport/scanner/clamd"
)

// Signature is what clamd calls EICAR's test file by this database. It adds a suffix
// of its own to names from databases that ClamAV has not signed.
const Signature = "Eicar-Test-Signature.UNOFFICIAL"

// EICAR returns the file that the database finds.
func EICAR() []byte { return clamd.EICAR() }

// Database returns a daily.cud, ClamAV's form of a database without a signature: a
// header of 512 bytes and a tar.gz. It finds EICAR's bytes anywhere in a file, and has
// that version and time (to the second).
func Database(version int, at time.Time) ([]byte, error) {
	signatures := "Eicar-Test-Signature:0:*:" + hex.EncodeToString(EICAR()) + "\n"
	header := func(digest string) string {
		return fmt.Sprintf("ClamAV-VDB:%s:%d:1:90:%s:X:clamdtest:%d",
			at.UTC().Format("02 Jan 2006 15-04 -0700"), version, digest, at.Unix())
	}
	info := fmt.Sprintf("%s\ndaily.ndb:%d:%x\n", header("X"), len(signatures), sha256.Sum256([]byte(signatures)))
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	files := tar.NewWriter(zip)
	for _, file := range []struct{ name, content string }{
		{"COPYING", "Made for a test.\n"}, {"daily.info", info}, {"daily.ndb", signatures},
	} {
		if err := files.WriteHeader(&tar.Header{Name: file.name, Mode: 0o600, Size: int64(len(file.content)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := files.Write([]byte(file.content)); err != nil {
			return nil, err
		}
	}
	if err := files.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	head := fmt.Sprintf("%-512s", header(fmt.Sprintf("%x", md5.Sum(packed.Bytes()))))
	return append([]byte(head), packed.Bytes()...), nil
}

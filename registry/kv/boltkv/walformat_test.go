package boltkv_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/registry/kv/boltkv"
)

// FuzzSegment reads any bytes as a segment of a log: it must say what they are
// without a panic, and what it takes for records must stand there.
func FuzzSegment(f *testing.F) {
	path := filepath.Join(f.TempDir(), "ledger.db")
	s := openQuick(f, path, 1<<20)
	put(f, s, "key", "value")
	put(f, s, "key", strings.Repeat("long", 1500))
	b, err := os.ReadFile(path + ".log.1")
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	b = b[:6*block]
	f.Add(b)
	f.Add(b[:2*block])
	f.Add(bytes.Repeat(b[2*block:3*block], 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, total, err := boltkv.ReadSegment(b)
		if total > len(b) || err != nil && n > 0 {
			t.Errorf("%d records of %d bytes in %d bytes, %v", n, total, len(b), err)
		}
	})
}

// FuzzWrites reads any bytes as the writes of a group; what was read, written again,
// is the same.
func FuzzWrites(f *testing.F) {
	f.Add([]byte("\x00\x02\x01\x02kv\x01\x00l"))
	f.Add([]byte("\x02\x01\x01\x01k"))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := boltkv.CopyWrites(b)
		if err != nil {
			return
		}
		twice, err := boltkv.CopyWrites(again)
		if err != nil || !bytes.Equal(again, twice) {
			t.Errorf("%x became %x, then %x, %v", b, again, twice, err)
		}
	})
}

package scanner_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/scanner"
)

// Whoever opens a file in memory again cannot change it either.
func TestFilesInMemoryAreSealed(t *testing.T) {
	err := filed(t, t.TempDir(), 10, content(make([]byte, 10)), func(f *os.File) {
		seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
		const want = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		if err != nil || seals != want {
			t.Errorf("seals %#x, %v; want %#x", seals, err, want)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskIsAnEngineThatIsDown(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := scanner.Fill(full, bytes.NewReader(make([]byte, 10)), 10); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("got %v, want ErrDown", err)
	}
}

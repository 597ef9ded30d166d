package boltkv

import (
	"os"
	"syscall"
)

// flush makes what was written to f last. Its times need not.
func flush(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

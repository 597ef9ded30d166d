//go:build !linux

package boltkv

import "os"

// flush makes what was written to f last.
func flush(f *os.File) error { return f.Sync() }

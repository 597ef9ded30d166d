//go:build linux && !amd64 && !arm64

package sandbox

import "errors"

// There is no filter for this architecture.
type filter struct{}

func filters() bool { return false }

func workerFilter(int) filter { return filter{} }

func commandFilter(int, int) filter { return filter{} }

func install(filter) error { return errors.ErrUnsupported }

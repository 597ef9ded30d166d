package icap

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"sallyport/registry"
)

// eicar is EICAR's anti-malware test file, put together here so that no program made of this
// is one.
func eicar() []byte {
	return []byte(strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$`, `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`}, "EICAR-"))
}

// Probe finds out whether the service looks at bodies of MaxSize, and returns what is wrong, "" if nothing.
func (e *Engine) Probe(ctx context.Context) (problem string, err error) {
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(padded(w, e.cfg.MaxSize)) }()
	result, err := e.ask(ctx, r, max(e.cfg.MaxSize, least), math.MaxInt64)
	var s status
	switch {
	case errors.As(err, &s):
		return fmt.Sprintf("the service fails over a body of %d bytes: %v", e.cfg.MaxSize, s), nil
	case err != nil:
		return "", err
	case result.Result != registry.VerdictInfected && result.Reason != ReasonBlocked:
		return fmt.Sprintf("EICAR's test file is not found in a tar of %d bytes: the service's limit is less, or it does not look at that type", e.cfg.MaxSize), nil
	}
	return "", nil
}

const (
	block = 512        // of a tar, bytes
	least = 20 * block // that a tar has
)

// padded writes a tar of size bytes whose first member is EICAR's test file.
func padded(w io.Writer, size int64) error {
	t := tar.NewWriter(w)
	content := eicar()
	if err := t.WriteHeader(&tar.Header{Name: "eicar.com", Mode: 0o600, Size: int64(len(content)), ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	if _, err := t.Write(content); err != nil {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	zeros := make([]byte, 32<<10)
	for left := max(size, least) - 2*block; left > 0; left -= int64(len(zeros)) {
		if _, err := w.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

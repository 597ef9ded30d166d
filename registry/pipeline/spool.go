package pipeline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// spoolPattern names the files of a spool for as long as they have a name.
const spoolPattern = "spool-*"

// spoolStep is how many bytes are spooled between two looks at the room that is left.
const spoolStep = 64 << 20

// spooled is a body on disk, in a file without a name: it is gone when it is closed or
// the process ends.
type spooled struct{ *os.File }

var _ Body = (*spooled)(nil)

// Interrupt implements Body. A file keeps nobody waiting.
func (*spooled) Interrupt() {}

func openSpool(dir string) (*spooled, error) {
	if dir == "" {
		dir = os.TempDir()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, spoolError(err)
	}
	f, err := os.CreateTemp(dir, spoolPattern)
	if err != nil {
		return nil, spoolError(err)
	}
	// If we die here the name stays; the next start removes it.
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(spoolError(err), f.Close())
	}
	return &spooled{f}, nil
}

// spoolError says what went wrong without saying where.
func spoolError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: spool", ErrNoSpace)
	}
	return fmt.Errorf("spool: %w", err)
}

// spool copies a body of at most most bytes to a file and returns how many there
// were. ErrTooLong at the first byte beyond; the body is not read further then.
func (p *Pipeline) spool(to *spooled, body Body, most int64) (n int64, err error) {
	buf := make([]byte, hashBuffer)
	for next := int64(0); ; {
		if n >= next {
			if err := p.spoolSpace(); err != nil {
				return n, err
			}
			next += spoolStep
		}
		got, err := body.Read(buf[:min(int64(len(buf)), most-n+1)])
		n += int64(got)
		if n > most {
			return n, ErrTooLong
		}
		if _, bad := to.Write(buf[:got]); bad != nil {
			return n, spoolError(bad)
		}
		if err == io.EOF {
			return n, nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: %w", ErrIncompleteBody, err)
		}
		if err != nil {
			return n, err
		}
	}
}

// spoolSpace returns ErrNoSpace unless there is room for a step more.
func (p *Pipeline) spoolSpace() error {
	if p.cfg.SpoolFree == nil {
		return nil
	}
	free, err := p.cfg.SpoolFree()
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if free < p.cfg.MinFree || free-p.cfg.MinFree < spoolStep {
		return ErrNoSpace
	}
	return nil
}

// clearSpool removes what a process left that died between making a file and taking
// its name away.
func (p *Pipeline) clearSpool() error {
	if p.cfg.SpoolDir == "" {
		return nil // not ours alone
	}
	left, err := filepath.Glob(filepath.Join(p.cfg.SpoolDir, spoolPattern))
	for _, name := range left {
		if bad := os.Remove(name); bad != nil && !errors.Is(bad, fs.ErrNotExist) {
			err = errors.Join(err, spoolError(bad))
		}
	}
	return err
}

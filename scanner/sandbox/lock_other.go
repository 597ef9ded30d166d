//go:build !linux

package sandbox

import "errors"

var errNoExec = errors.New("commands are confined on Linux only")

// lock puts the limits in force; this system has no more.
func (c *child) lock(s setup) (h hello) {
	if s.Exec != nil {
		h.Failed = errNoExec.Error()
	}
	return h
}

func (c *child) become(command, setup) error { return errNoExec }

func addressSpace() (uint64, error) { return 0, errors.ErrUnsupported }
